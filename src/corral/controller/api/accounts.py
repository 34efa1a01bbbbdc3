"""GET /v1/accounts: which accounts, users, associations, QOS and kinds of resources are there? And who changed them."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api import query
from corral.controller.api.http import caller_of, encode
from corral.controller.api.service import Service
from corral.engine.books import Books, founded
from corral.model.account import Association

#: Slurm's numbers of what every cluster counts.
TRES = (
    ("cpu", "", 1), ("mem", "", 2), ("energy", "", 3), ("node", "", 4), ("billing", "", 5), ("fs", "disk", 6), ("vmem", "", 7),
    ("pages", "", 8),
)  # fmt: skip
FIRST_GRES = 1001


def tres_of(service: Service) -> list[tuple[str, str, int]]:
    """(type, name, number) of each."""
    gres = [("gres", name, FIRST_GRES + at) for at, name in enumerate(service.config.gres_types)]
    licenses = [
        ("license", name, FIRST_GRES + len(gres) + at) for at, name in enumerate(sorted(service.config.licenses))
    ]
    return [*TRES, *gres, *licenses]


async def get_accounts(service: Service, request: Request) -> Response:
    """Made once after each change: with ten thousand users it takes a while."""
    caller_of(service, request)
    version = (service.state.books.version, service.config.cluster, service.config.gres_types, *service.config.licenses)
    if service.accounts[0] != version:
        service.accounts = (version, encode(_document(service, founded(service.state.books))))
    return Response(service.accounts[1], media_type="application/json")


def _document(service: Service, books: Books) -> dict[str, Any]:
    return {
        "cluster": service.config.cluster,
        "accounts": [
            {
                "name": account.name,
                "description": account.description,
                "organization": account.organization,
                "own_coordinators": account.coordinators,
                "coordinators": books.coordinators_of(account.name),
            }
            for account in sorted(books.accounts.values(), key=lambda account: account.name)
        ],
        "users": [msgspec.to_builtins(user) for user in sorted(books.users.values(), key=lambda user: user.name)],
        "associations": associations(books),
        "qos": [
            {name: getattr(qos, name) for name in qos.__struct_fields__ if name != "limits"}
            | {"limits": msgspec.to_builtins(qos.limits)}
            for qos in sorted(books.qos.values(), key=lambda qos: qos.id)
        ],
        "tres": tres_of(service),
    }


def associations(books: Books) -> list[dict[str, Any]]:
    """In the order of the tree."""
    numbers = books.numbered()
    return [_association(books, one, depth, numbers[one.id]) for one, depth in books.tree()]


def _association(books: Books, one: Association, depth: int, numbers: tuple[int, int]) -> dict[str, Any]:
    effective = books.effective(one.id)
    parent = books.parent_of(one)
    user = books.users.get(one.user)
    return {
        "id": one.id,
        "account": one.account,
        "user": one.user,
        "partition": one.partition,
        "parent": one.parent,
        "parent_id": 0 if parent is None else parent.id,
        "depth": depth,
        "left": numbers[0],
        "right": numbers[1],
        "shares": one.shares,
        "priority": effective.priority,
        "is_default": user is not None and user.default_account == one.account,
        "limits": msgspec.to_builtins(effective.limits),
        "own_limits": msgspec.to_builtins(one.limits),
        "qos": effective.qos,
        "own_qos": one.qos if one.qos is not None else one.qos_changes,
        "default_qos": effective.default_qos,
        "own_default_qos": one.default_qos or "",
    }


async def get_transactions(service: Service, request: Request) -> list[dict[str, Any]]:
    caller_of(service, request)
    since, until = query.number(request, "since"), query.number(request, "until")
    return [
        {name: getattr(one, name) for name in one.__struct_fields__}
        for one in service.state.books.transactions
        if one.time >= since and (not until or one.time <= until)
    ]


ROUTES = (
    ("GET", "/v1/accounts", get_accounts),
    ("GET", "/v1/accounts/transactions", get_transactions),
)
