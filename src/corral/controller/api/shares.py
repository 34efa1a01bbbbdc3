"""GET /v1/shares: what has each association used, and where does it stand? As sshare shows it."""

import math
from typing import Any

from starlette.requests import Request

from corral.controller.api import query
from corral.controller.api.accounts import tres_of
from corral.controller.api.http import caller_of
from corral.controller.api.service import Service
from corral.daemon import clock
from corral.engine.books import founded
from corral.engine.rules import bucket_of
from corral.engine.state import ClusterState
from corral.scheduler.fairshare import Standing
from corral.scheduler.quota import EMPTY


async def get_shares(service: Service, request: Request) -> dict[str, Any]:
    caller_of(service, request)
    names = [f"{kind}/{name}" if name else kind for kind, name, _ in tres_of(service)]
    now = clock.now()
    standings = service.loop.context.standings.of(service.state, service.config.priority, now)
    users = frozenset(query.words(request, "users"))
    is_tree = service.config.priority.is_fair_tree
    return {
        "cluster": service.config.cluster,
        "fair_tree": is_tree,
        "rows": rows(service.state, standings, users, names, now),
    }


def rows(
    state: ClusterState, standings: dict[int, Standing], users: frozenset[str], tres: list[str], now: float
) -> list[dict[str, Any]]:
    """In the order of the tree; of users only these, if any are named."""
    books = founded(state.books)
    found = []
    for one, depth in books.tree():
        if one.user and users and one.user not in users:
            continue
        standing = standings.get(one.id, Standing())
        bucket = bucket_of(one.id)
        used, tally = state.meter.used(bucket, now), state.meter.tallies.get(bucket, EMPTY)
        parent = books.parent_of(one)
        found.append(
            {
                "id": one.id, "account": one.account, "user": one.user, "partition": one.partition, "depth": depth,
                "parent_id": 0 if parent is None else parent.id, "shares": one.shares, "norm_shares": standing.shares,
                "usage": used.seconds.get("billing", 0.0), "norm_usage": standing.usage, "effective": standing.effective,
                "factor": standing.factor, "level": None if math.isinf(standing.level) else standing.level,
                "grp_tres_mins": one.limits.grp_tres_mins,
                "used_mins": {name: int(used.minutes(name)) for name in tres},
                "run_mins": {name: int(tally.run_seconds(name, now) / 60) for name in tres},
            }
        )  # fmt: skip
    return found


ROUTES = (("GET", "/v1/shares", get_shares),)
