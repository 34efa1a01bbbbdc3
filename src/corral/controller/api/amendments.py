"""sacctmgr modify job: what may be changed in the record of a job that has ended? Comments, and what its owner says of how it went."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.service import Service
from corral.model.job import ExitStatus, JobState
from corral.store.interface import Batch
from corral.store.interface import runs as runs_of
from corral.store.rows import HistoryQuery, Run

#: Records that one change may touch.
MOST = 100_000


class Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    comment: str | None = None
    admin_comment: str | None = None  #: by operators
    system_comment: str | None = None  #: likewise
    derived_exit_status: int | None = None  #: a status word of wait(2), as with Slurm: 256 is code 1, 9 is signal 9


class Amendment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records (all conditions must hold), and what is put into them. `test`: only say which."""

    changes: Changes
    jobs: tuple[tuple[int, int | None], ...] = ()  #: (job or array, element or None)
    users: tuple[str, ...] = ()
    wckeys: tuple[str, ...] = ()
    since: float = 0.0  #: began then, or later
    until: float = 0.0  #: ended before; 0.0 = whenever
    test: bool = False


_decoder = msgspec.json.Decoder(Amendment)


async def post_amend(service: Service, request: Request) -> dict[str, Any]:
    """The records that are changed, by job."""
    caller = caller_of(service, request)
    asked = _decoder.decode(await body_of(request))
    changes = asked.changes
    if changes == Changes():
        raise Refusal("nothing is to be changed")
    if not caller.is_operator and (changes.admin_comment is not None or changes.system_comment is not None):
        raise Refusal("Access/permission denied", "denied")
    wanted = HistoryQuery(ids=asked.jobs, users=asked.users, also_held=True)
    found = await asyncio.to_thread(runs_of, service.store, wanted)
    last = {run.job: run for run in found if run.state is not JobState.REQUEUED and _is_meant(asked, run)}
    mine = [run for run in last.values() if caller.is_operator or run.uid == caller.uid]
    if last and not mine:
        raise Refusal("Access/permission denied", "denied")
    if len(mine) > MOST:
        raise Refusal(f"{len(mine)} records are meant, and no more than {MOST} are changed at once")
    if not asked.test:
        for at in range(0, len(mine), 1000):
            changed = [_changed(run, changes) for run in mine[at : at + 1000]]
            await asyncio.wrap_future(service.store.append(Batch(runs=changed)))
    living = [job for job, _ in asked.jobs if job in service.state.jobs and not service.state.jobs[job].has_ended]
    rows = sorted((run.job, run.submit) for run in mine)
    return {"changed": [{"job": job, "submit": submit} for job, submit in rows], "living": living}


def _is_meant(asked: Amendment, run: Run) -> bool:
    return (
        (not asked.wckeys or run.wckey in asked.wckeys)
        and run.start >= asked.since
        and (not asked.until or run.end < asked.until)
    )


def _changed(run: Run, changes: Changes) -> Run:
    fields: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None
    }
    if changes.derived_exit_status is not None:
        fields["derived_exit_status"] = ExitStatus.from_wait(changes.derived_exit_status)
    return msgspec.structs.replace(run, **fields)


ROUTES = (("POST", "/v1/history/jobs", post_amend),)
