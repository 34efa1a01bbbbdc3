"""The stream of what happens: one JSON object a line, as it is committed."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from corral.controller.api import query
from corral.controller.api.http import caller_of, encode
from corral.controller.api.privacy import may_see_event
from corral.controller.api.service import Service
from corral.controller.watchers import Published, jobs_of
from corral.protocol.requests import Caller

#: An empty line is sent when nothing else has been, so that both ends learn of a dead connection.
HEARTBEAT = 15.0


async def get_events(service: Service, request: Request) -> StreamingResponse:
    """{"seq": 7, "event": {"type": "JobStarted", ...}}; since=SEQ goes on after that one.

    {"lost": true} as the first line: some of what came after `since` is not known any more; look at the state again.
    """
    caller = caller_of(service, request)
    jobs = frozenset(ref.job for ref in query.job_refs(request, "job"))
    since = query.number(request, "since", -1.0)
    return StreamingResponse(_stream(service, caller, jobs, int(since)), media_type="application/x-ndjson")


async def _stream(service: Service, caller: Caller, jobs: frozenset[int], since: int) -> AsyncIterator[bytes]:
    watchers = service.watchers

    def lines(found: list[Published]) -> bytes:
        return _lines([one for one in found if may_see_event(service, caller, one.event)], jobs)

    with watchers.listen() as listener:
        # No await between these and the listening: nothing falls in between.
        missed = list(watchers.since(since)) if since >= 0 else []
        is_lost = since >= 0 and not watchers.knows_since(since)
        last = watchers.last_seq
        yield encode({"seq": last if since < 0 else since, "lost": is_lost}) + b"\n"
        yield lines(missed)
        while True:
            found = await listener.get(HEARTBEAT)
            if listener.is_behind:
                yield encode({"lost": True}) + b"\n"
                return
            yield lines([one for one in found if one.seq > last]) or (b"" if found else b"\n")


def _lines(found: list[Published], jobs: frozenset[int]) -> bytes:
    return b"".join(
        encode({"seq": one.seq, "event": one.event}) + b"\n"
        for one in found
        if not jobs or not jobs.isdisjoint(jobs_of(one.event))
    )


ROUTES = (("GET", "/v1/events", get_events),)
