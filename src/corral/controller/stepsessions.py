"""How does the controller itself take part in a step's streams, for who reaches only its API? A thread each, on the client's way."""

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from corral.client.attach import Attachment, BusError, LaunchError, NodeEnded, Output, TaskEnded
from corral.protocol.replies import StepAccess

#: So much that has been typed may wait for the task to read it.
MOST_TYPED = 1 << 20

Heard = Output | TaskEnded | LaunchError | NodeEnded | None


class StepSession:
    """Of a step of one task. What the task says comes through `next`; None: it has ended."""

    def __init__(self, access: StepAccess, window: tuple[int, int] = (0, 0)) -> None:
        self._access, self._window = access, window
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._todo: deque[Callable[[Attachment], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._typed: deque[bytes] = deque()
        self._typed_bytes = 0
        self._is_eof = self._eof_sent = self._is_closed = self._is_over = False
        self._lock = threading.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._thread = threading.Thread(target=self._run, name=f"step-{access.key}", daemon=True)
        self._thread.start()

    # -- in the loop's thread

    async def next(self) -> Heard:
        return await self._heard.get()

    def consumed(self, output: Output) -> None:
        """It has been passed on: the task may go on writing."""
        self._do(lambda attachment: attachment.consumed(output))

    async def type(self, data: bytes) -> None:
        """Waits while the task does not read."""
        await self._room.wait()

        def add(attachment: Attachment) -> None:
            self._typed.append(data)
            self._typed_bytes += len(data)
            if self._typed_bytes > MOST_TYPED:
                self._in_loop(self._room.clear)

        self._do(add)

    def end_of_input(self) -> None:
        def end(attachment: Attachment) -> None:
            self._is_eof = True

        self._do(end)

    def resize(self, rows: int, columns: int) -> None:
        self._do(lambda attachment: attachment.send_window(rows, columns))

    def signal(self, number: int) -> None:
        self._do(lambda attachment: attachment.send_signal(number))

    def close(self) -> None:
        """What runs goes on without us; signal it before to end it."""

        def close(attachment: Attachment) -> None:
            self._is_closed = True

        self._do(close)

    def _do(self, what: Callable[[Attachment], None]) -> None:
        with self._lock:
            if self._is_over:
                return
            self._todo.append(what)
            try:
                os.write(self._wake_write, b"x")
            except BlockingIOError:
                pass  # it is awake

    # -- in its own thread

    def _in_loop(self, what: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:
            self._is_closed = True  # the controller has ended

    def _run(self) -> None:
        try:
            access = self._access
            attachment = Attachment(
                access.url, access.token, access.cluster, access.key, nodes=1, window=self._window, ca=access.ca
            )
            try:
                self._converse(attachment)
            finally:
                attachment.close()
        except BusError as error:
            self._in_loop(self._heard.put_nowait, LaunchError(0, f"the step's streams cannot be reached: {error}"))
        finally:
            with self._lock:
                self._is_over = True
                os.close(self._wake_read)
                os.close(self._wake_write)
            self._in_loop(self._room.set)
            self._in_loop(self._heard.put_nowait, None)

    def _converse(self, attachment: Attachment) -> None:
        poll = select.poll()
        poll.register(attachment.fileno(), select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while not attachment.has_ended and not self._is_closed:
            seconds = attachment.timeout()
            poll.poll(None if seconds is None else max(0, int(seconds * 1000)))
            try:
                os.read(self._wake_read, 4096)
            except BlockingIOError:
                pass
            while self._todo:
                self._todo.popleft()(attachment)
            self._send_typed(attachment)
            for event in attachment.on_readable():
                if isinstance(event, (Output, TaskEnded, LaunchError, NodeEnded)):
                    self._in_loop(self._heard.put_nowait, event)
            self._send_typed(attachment)

    def _send_typed(self, attachment: Attachment) -> None:
        while self._typed and attachment.stdin_room:
            data = self._typed.popleft()
            taken = attachment.send_stdin(data)
            self._typed_bytes -= taken
            if taken < len(data):
                self._typed.appendleft(data[taken:])
        if self._typed_bytes <= MOST_TYPED // 2:
            self._in_loop(self._room.set)
        if self._is_eof and not self._typed and not self._eof_sent:
            self._eof_sent = True
            attachment.send_stdin_eof()
