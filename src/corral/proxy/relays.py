"""Which ways to jobs are open? One for each node of a job that somebody looks at; made when it is needed."""

import asyncio

from corral.client.attach import BusError, CredentialsRefused
from corral.errors import Refused, Unreachable
from corral.proxy.access import Denied
from corral.proxy.addresses import Place
from corral.proxy.inner import Inner
from corral.proxy.messages import MOST_HEAD
from corral.proxy.relay import Relay

Key = tuple[int, int, str]  #: job, restart, node


class Relays:
    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._known: dict[Key, asyncio.Future[Relay]] = {}

    async def connect(self, place: Place, restart: int) -> Inner:
        """A connection to the port of a place."""
        for _ in range(2):
            relay = await self._relay((place.job, restart, place.node))
            try:
                sock = relay.connect(place.port)
            except ConnectionRefusedError:  # it has just ended
                continue
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            return (await loop.create_connection(lambda: Inner(MOST_HEAD), sock=sock))[1]
        raise Denied(502, f"The way to job {place.job} does not stay open.")

    async def _relay(self, key: Key) -> Relay:
        known = self._known.get(key)
        if known is not None and known.done() and (known.cancelled() or known.exception() or known.result().has_ended):
            known = None
        if known is None:
            for old in [old for old, way in self._known.items() if _is_over(way)]:
                del self._known[old]
            known = self._known[key] = asyncio.ensure_future(asyncio.to_thread(Relay, self._endpoint, key[0], key[2]))
        try:
            return await asyncio.shield(known)
        except Refused as error:
            raise Denied(502, f"Job {key[0]} cannot be reached: {error}") from None
        except (Unreachable, BusError, CredentialsRefused, OSError) as error:
            raise Denied(503, f"Job {key[0]} cannot be reached now: {error}") from None


def _is_over(way: "asyncio.Future[Relay]") -> bool:
    return way.done() and (way.cancelled() or way.exception() is not None or way.result().has_ended)
