"""Why does the queue not move on: what do the jobs wait for, who comes first, which nodes are away, what is free?"""

from collections import Counter

import numpy as np

from corral.engine.explaining import away_of
from corral.engine.pending import PendingView
from corral.engine.rivals import Sees, rival
from corral.model import ranges
from corral.model.job import Job, JobId
from corral.protocol.explanations import Lack, Standstill
from corral.syntax import hostlist

#: So many of the first jobs are shown.
MOST_FIRST = 10


def standstill(view: PendingView, now: float, sees: Sees) -> Standstill:
    """As the last cycle has left it."""
    view.refresh()
    state, table = view.ctx.state, view.ctx.state.ledger
    reasons: Counter[str] = Counter()
    hidden = 0
    first: list[Job] = []
    for number in [*(key[2] for key in state.queue), *sorted(state.held)]:
        job = state.jobs[JobId(number)]
        count = ranges.count(job.array_waiting) or 1
        if not sees(job):
            hidden += count
            continue
        reasons[str(job.reason)] += count
        if len(first) < MOST_FIRST and not job.held_by and job.id in view.places:
            first.append(job)
    full = table.usable & (table.free_cpus == 0)
    idle = table.usable & (table.jobs == 0) & ~full
    partly = table.usable & ~full & ~idle
    up = table.usable
    gres = {
        f"gres/{name}:{type}" if type else f"gres/{name}": (
            int(column[up].sum()),
            int(table.total_gres[name, type][up].sum()),
        )
        for (name, type), column in table.free_gres.items()
    }
    return Standstill(
        time=now, waiting=reasons.total(), hidden=hidden, reasons=dict(reasons.most_common()),
        first=tuple(rival(view, job, now) for job in first), running=len(state.active),
        nodes={
            "idle": int(idle.sum()), "partly": int(partly.sum()), "full": int(full.sum()), "away": int((~up).sum()),
        },
        away=_away(view), cpus=(int(table.free_cpus[up].sum()), int(table.cpus[up].sum())),
        memory_mb=(int(table.free_memory[up].sum()), int(table.memory[up].sum())), gres=gres,
    )  # fmt: skip


def _away(view: PendingView) -> tuple[Lack, ...]:
    state, table = view.ctx.state, view.ctx.state.ledger
    nodes = [state.nodes[table.names[row]] for row in np.flatnonzero(~table.usable) if table.names[row] in state.nodes]
    groups: dict[str, list[str]] = {}
    for name, text in away_of(nodes).items():
        groups.setdefault(text, []).append(name)
    found = [
        Lack(kind="state", count=len(names), nodes=hostlist.fold(names), text=text) for text, names in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.count))
