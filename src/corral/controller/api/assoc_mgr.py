"""GET /v1/assoc_mgr: what counts against the limits of each association and QOS now? As scontrol show assoc_mgr shows it."""

import math
import pwd
from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.accounts import tres_of
from corral.controller.api.http import caller_of
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.engine.accrual import accruing
from corral.engine.books import Books, founded
from corral.engine.context import Context
from corral.engine.rules import bucket_of
from corral.model.account import Association
from corral.scheduler.fairshare import Standing
from corral.scheduler.quota import EMPTY, Bucket

#: Of users that the controller's host does not know.
NO_UID = 0xFFFFFFFE


async def get_assoc_mgr(service: Service, request: Request) -> dict[str, Any]:
    caller_of(service, request)
    names = [f"{kind}/{name}" if name else kind for kind, name, _ in tres_of(service)]
    now = clock.now()
    context: Context = service.loop.context
    books = founded(service.state.books)
    seen = _Seen(context, names, accruing(context, now), now)
    standings = context.standings.of(service.state, service.config.priority, now)
    numbers = books.numbered()
    users = [
        {
            "name": user.name, "uid": uid_of(user.name), "default_account": user.default_account,
            "admin_level": user.admin_level,
        }
        for user in sorted(books.users.values(), key=lambda user: user.name)
    ]  # fmt: skip
    return {
        "cluster": service.config.cluster, "tres": names, "users": users,
        "associations": [
            _association(books, one, standings.get(one.id, Standing()), numbers[one.id][0], seen) for one, _ in books.tree()
        ],
        "qos": [_qos(context, name, seen) for name in sorted(books.qos, key=lambda name: books.qos[name].id)],
    }  # fmt: skip


def uid_of(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return NO_UID


class _Seen:
    """What is counted in a bucket."""

    def __init__(self, context: Context, names: list[str], accruing: dict[Bucket, int], now: float) -> None:
        self.context, self.names, self.accruing, self.now = context, names, accruing, now

    def of(self, bucket: Bucket) -> dict[str, Any]:
        tally = self.context.state.meter.tallies.get(bucket, EMPTY)
        held = {name: tally.tres.get(name, 0) for name in self.names}
        return {
            "jobs": tally.jobs, "submitted": tally.submitted, "accruing": self.accruing.get(bucket, 0),
            "held": held | {"node": len(tally.nodes)},
        }  # fmt: skip

    def with_usage(self, bucket: Bucket) -> dict[str, Any]:
        meter = self.context.state.meter
        tally, used = meter.tallies.get(bucket, EMPTY), meter.used(bucket, self.now)
        return self.of(bucket) | {
            "usage": used.seconds.get("billing", 0.0), "wall": used.wall_minutes,
            "minutes": {name: int(used.minutes(name)) for name in self.names},
            "run_minutes": {name: int(tally.run_seconds(name, self.now) / 60) for name in self.names},
        }  # fmt: skip


def _association(books: Books, one: Association, standing: Standing, left: int, seen: _Seen) -> dict[str, Any]:
    effective, parent = books.effective(one.id), books.parent_of(one)
    limits = msgspec.to_builtins(effective.limits)
    user = books.users.get(one.user)
    return {
        "id": one.id, "account": one.account, "user": one.user, "uid": uid_of(one.user) if one.user else 0,
        "partition": one.partition, "priority": effective.priority or 0, "shares": one.shares, "norm_shares": standing.shares,
        "siblings": standing.siblings, "factor": standing.factor, "norm_usage": standing.usage if parent is not None else 1.0,
        "effective": 1.0 if parent is None else standing.effective, "parent": parent.account if parent is not None else "",
        "parent_id": parent.id if parent is not None else 0, "left": left,
        "is_default": user is not None and user.default_account == one.account,
        "level": None if math.isinf(standing.level) else standing.level, "limits": limits,
    } | seen.with_usage(bucket_of(one.id))  # fmt: skip


def _qos(context: Context, name: str, seen: _Seen) -> dict[str, Any]:
    qos = founded(context.state.books).qos[name]
    inside = [
        bucket for bucket in context.state.meter.tallies if bucket[0] in ("user", "account") and bucket[1] == name
    ]
    return {
        "id": qos.id, "name": name, "priority": qos.priority, "preempt_mode": qos.preempt_mode,
        "limits": msgspec.to_builtins(qos.limits),
        "accounts": [{"name": bucket[2]} | seen.of(bucket) for bucket in inside if bucket[0] == "account"],
        "users": [{"uid": uid_of(bucket[2])} | seen.of(bucket) for bucket in inside if bucket[0] == "user"],
    } | seen.with_usage(("qos", name))  # fmt: skip


ROUTES = (("GET", "/v1/assoc_mgr", get_assoc_mgr),)
