"""sacctmgr archive: take old history out now, or bring an archive back. For administrators."""

import asyncio
import os
from pathlib import Path

import msgspec
from starlette.requests import Request

from corral.controller.api.http import Refusal, body_of, caller_of
from corral.controller.api.service import Service
from corral.controller.purge import Purged
from corral.errors import CorralError


class DumpBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not said is as configured."""

    directory: str | None = None
    purge_jobs_after: float | None = None
    purge_steps_after: float | None = None
    purge_usage_after: float | None = None
    purge_events_after: float | None = None


class LoadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: str


_dump = msgspec.json.Decoder(DumpBody)
_load = msgspec.json.Decoder(LoadBody)


def _check(service: Service, request: Request) -> None:
    if caller_of(service, request).role != "administrator":
        raise Refusal("Access/permission denied", "denied")


async def post_dump(service: Service, request: Request) -> dict[str, object]:
    _check(service, request)
    body = _dump.decode(await body_of(request))
    asked = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    if any(isinstance(value, float) and 0 < value < 3600 for value in asked.values()):
        raise Refusal("what is purged must be at least an hour old")
    directory = asked.pop("directory", None)
    if directory is not None:
        if not directory.startswith("/") or not await asyncio.to_thread(os.path.isdir, directory):
            raise Refusal(f"{directory}: no such directory on the controller's host")
        asked["archive_dir"] = directory
    rules = msgspec.structs.replace(service.config.accounting, **asked)
    return _answer(await _done(service.purger.purge(rules)))


async def post_load(service: Service, request: Request) -> dict[str, object]:
    _check(service, request)
    return _answer(await _done(service.purger.load(Path(_load.decode(await body_of(request)).file))))


async def _done(work: object) -> Purged:
    try:
        return await work  # type: ignore[no-any-return, misc]
    except CorralError as error:
        raise Refusal(str(error), "unavailable") from None


def _answer(purged: Purged) -> dict[str, object]:
    return dict(msgspec.to_builtins(purged))


ROUTES = (
    ("POST", "/v1/archive/dump", post_dump),
    ("POST", "/v1/archive/load", post_load),
)
