"""What happens in the cluster, as it happens: the stream of events, taken up again where it broke off."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from corral.client.connection import Connection, ConnectionBroken
from corral.errors import Unreachable

#: The server sends a line at least every 15 s; silence for longer means that the connection is dead.
SILENCE = 40.0


class Event(msgspec.Struct, frozen=True):
    """One recorded fact: `type` as in corral.protocol.events, `data` its fields."""

    seq: int
    type: str
    time: float
    data: dict[str, Any]


class Lost(Event, frozen=True):
    """Some events could not be delivered: look at the state again."""


class Watch:
    """An endless iteration over events. Raises Unreachable when no controller has answered for `patience` seconds."""

    def __init__(
        self, endpoint: str = "", token: str = "", *, job: str = "", since: int | None = None, patience: float = 60.0
    ) -> None:
        self._endpoint, self._token = endpoint, token
        self._job = job
        self._patience = patience
        self.since = since  #: the last event that was delivered

    def __iter__(self) -> Iterator[Event]:
        patient_until = time.monotonic() + self._patience
        while True:
            try:
                for line in self._lines():
                    patient_until = time.monotonic() + self._patience
                    event = self._event(line)
                    if event is not None:
                        yield event
            except (OSError, ConnectionBroken) as error:
                if time.monotonic() > patient_until:
                    raise Unreachable(endpoint=self._endpoint or "the default endpoint", reason=str(error)) from None
            time.sleep(0.1)

    def _lines(self) -> Iterator[dict[str, Any]]:
        parameters = {"job": self._job} if self._job else {}
        if self.since is not None:
            parameters["since"] = str(self.since)
        connection = Connection(self._endpoint, self._token, timeout=SILENCE)
        return connection.stream(f"/v1/events?{urlencode(parameters)}")

    def _event(self, line: dict[str, Any]) -> Event | None:
        seq = int(line.get("seq", self.since or 0))
        is_lost = bool(line.get("lost"))
        known, self.since = self.since, seq
        if "event" not in line:
            return Lost(seq, "Lost", 0.0, {}) if is_lost and known is not None else None
        data = dict(line["event"])
        return Event(seq, data.pop("type"), data.pop("time"), data)
