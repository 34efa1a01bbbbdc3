"""How does srun or salloc learn that its job or step has ended while it waits for other things?

A thread asks the controller (long polls, so nothing is polled fast) and wakes the caller's selector through a pipe. Controllers
come and go; the thread asks on until there is an answer.
"""

from __future__ import annotations

import _thread
import os
import time

from corral.cli.submission import POLL_SECONDS, row_of
from corral.client.connection import Connection
from corral.errors import CorralError, Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PAUSE_SECONDS = 0.5


class Follower:
    """Asks `path` again and again until `is_over(row)`; `row` is then the answer, and the pipe `wake` becomes readable.

    `more`: what else is in the query, as it is when it is asked.
    """

    def __init__(
        self,
        path: str,
        is_over: Callable[[dict[str, Any]], bool],
        wake: int,
        endpoint: str = "",
        more: Callable[[], str] = str,
    ) -> None:
        self.row: dict[str, Any] | None = None
        self._is_over = is_over
        self._wake = wake
        self._path = path
        self._endpoint = endpoint
        self._more = more
        _thread.start_new_thread(self._follow, ())

    @property
    def has_answer(self) -> bool:
        return self.row is not None

    def _follow(self) -> None:
        mark = "&" if "?" in self._path else "?"
        path = f"{self._path}{mark}timeout={POLL_SECONDS}"
        while self.row is None:
            try:
                # The answer to a poll may be a while in coming; a controller that has gone for good never answers.
                with Connection(self._endpoint, timeout=POLL_SECONDS * 2) as connection:
                    while self.row is None:
                        row = row_of(connection.request("GET", path + self._more()))
                        if self._is_over(row):
                            self._found(row)
            except Refused as error:
                if error.fields.get("code") in ("not_found", "denied"):
                    self._found({"state": "", "gone": True})
                else:
                    time.sleep(PAUSE_SECONDS)
            except (CorralError, OSError, ValueError, KeyError):
                time.sleep(PAUSE_SECONDS)

    def _found(self, row: dict[str, Any]) -> None:
        self.row = row
        try:
            os.write(self._wake, b"\0")
        except OSError:
            pass
