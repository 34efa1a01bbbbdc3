"""How does a browser's connection live? Request after request, each to the job over a connection of its own; a WebSocket to its end."""

import asyncio
import html
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer

from corral.daemon.logs import Log
from corral.proxy.access import Access, Denied, Jobs, JobView, carries_token, how_to_log_in, no_such_job
from corral.proxy.addresses import Place, Translator, is_upgrade, login_in, place_at, place_of
from corral.proxy.inner import Inner
from corral.proxy.messages import (
    TO_THE_END,
    BadMessage,
    Body,
    Request,
    answer_length,
    answer_of,
    length_of,
    request_of,
    values,
)
from corral.proxy.relays import Relays

#: Seconds in which a head must be here, and between two requests.
HEAD_SECONDS, IDLE_SECONDS = 30.0, 75.0
_PIECE = 256 << 10
_LOOK_SECONDS = 2.0
_REASONS = {
    303: "See Other", 308: "Permanent Redirect", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
    410: "Gone", 431: "Request Header Fields Too Large", 502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


class Server:
    """All connections. `domain`: below which ports of jobs have names; "" = none has."""

    def __init__(self, jobs: Jobs, access: Access, relays: Relays, scheme: bytes, domain: str, log: Log) -> None:
        self._jobs, self._access, self._relays, self._scheme, self._log = jobs, access, relays, scheme, log
        self._domain = domain

    async def on_connection(self, reader: Reader, writer: Writer) -> None:
        try:
            is_first = True
            while await self._exchange(reader, writer, is_first):
                is_first = False
        except (OSError, asyncio.IncompleteReadError, BadMessage):
            pass  # the browser has gone, or one of the two says what is no body
        except Exception as error:
            self._log.error("a connection failed", error)
        finally:
            writer.close()

    async def _exchange(self, reader: Reader, writer: Writer, is_first: bool) -> bool:
        """One request and its answer. May another one follow?"""
        try:
            seconds = HEAD_SECONDS if is_first else IDLE_SECONDS
            head = await asyncio.wait_for(_head(reader), seconds)
        except asyncio.LimitOverrunError:
            return await _say(writer, 431, "The head of the request is too long.")
        except TimeoutError:
            return False
        if not head:
            return False
        try:
            request = request_of(head)
            length = length_of(request.headers) or 0
            hosts = values(request.headers, b"host")
            if len(hosts) != 1:
                raise BadMessage("a request has one Host header")
            place = place_at(hosts[0], request.target, self._domain) or place_of(request.target)
        except BadMessage as error:
            return await _say(writer, 400, f"That cannot be passed on: {error}.")
        if place is None:
            return await _say(
                writer, 404, "Here are ports of jobs only: /proxy/JOB/PORT/; `corral proxy JOB PORT` prints an address."
            )
        try:
            more = await self._admitted(request, place)
            if more is not None:
                return await _redirect(writer, *more)
            return await self._pass_on(request, length, place, reader, writer)
        except Denied as error:
            return await _say(writer, error.status, str(error))

    # ------------------------------------------------------------------ who may

    async def _admitted(self, request: Request, place: Place) -> tuple[int, bytes, bytes] | None:
        """None = it is passed on; else where the browser is sent, and with which cookie."""
        if not place.rest:
            query = request.target.partition(b"?")[2]
            return 308, place.prefix + b"/" + (b"?" + query if query else b""), b""
        login, rest = login_in(place)
        if login:
            grant, cookie = self._access.login(login, place)
            await self._view(place, grant.restart)
            safe = b"; Secure" if self._scheme == b"https" else b""
            path = place.prefix + b"/"
            return 303, (place.prefix or self._origin(request)) + rest, b"%s=%s; Path=%s; HttpOnly; SameSite=Lax%s" % (
                place.cookie, cookie.encode(), path, safe,
            )  # fmt: skip
        found = self._access.by_cookie(request.headers, place)
        if found is not None:
            self._check_origin(request)
            await self._view(place, found.restart)
            return None
        view = await self._view_unchecked(place)
        if view is None or not self._access.by_token(request.headers, view, place):
            raise Denied(403, how_to_log_in(place))  # whether there is such a job or not
        _check_running(place, view)
        return None

    def _check_origin(self, request: Request) -> None:
        """A page from elsewhere may not speak with the browser's cookie, be it another job's beside it: it may only lead here."""
        origins = values(request.headers, b"origin")
        sites = values(request.headers, b"sec-fetch-site")
        leads = values(request.headers, b"sec-fetch-mode") == [b"navigate"] and values(
            request.headers, b"sec-fetch-dest"
        ) == [b"document"]
        is_foreign = bool(sites) and sites[0] not in (b"same-origin", b"none") and not leads
        if is_foreign or (origins and origins[0] != self._origin(request)):
            raise Denied(403, "A page of another site may not do that.")

    def _origin(self, request: Request) -> bytes:
        return self._scheme + b"://" + values(request.headers, b"host")[0]

    async def _view(self, place: Place, restart: int) -> None:
        view = await self._view_unchecked(place)
        if view is None:
            raise Denied(410, f"Job {place.job} has ended.")
        _check_running(place, view)
        if view.restart != restart:
            raise Denied(403, how_to_log_in(place))

    async def _view_unchecked(self, place: Place) -> JobView | None:
        known = self._jobs.fresh(place.job)
        return known[0] if known is not None else await asyncio.to_thread(self._jobs.ask, place.job)

    # ------------------------------------------------------------------ the job's side

    async def _pass_on(self, request: Request, length: int, place: Place, reader: Reader, writer: Writer) -> bool:
        view = await self._view_unchecked(place)
        if view is None:
            raise Denied(404, no_such_job(place))
        if place.node and place.node not in view.nodes:
            raise Denied(404, f"{place.node} is no node of job {place.job}.")
        peer = writer.get_extra_info("peername")
        translator = Translator(
            place, self._origin(request), str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        )
        inner = await self._relays.connect(place, view.restart)
        try:
            inner.write(translator.request(request, keeps_authorization=not carries_token(request.headers)))
            upload = asyncio.create_task(_copy(reader, inner, Body(length)))
            answer = asyncio.create_task(self._answer(request, place, translator, inner, reader, writer, upload))
            watch = asyncio.create_task(_gone(reader, upload))
            try:
                await asyncio.wait((answer, watch), return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and isinstance(problem := _problem(upload), BadMessage):
                    raise Denied(400, f"That cannot be passed on: {problem}.")
                return answer.done() and answer.result()
            finally:
                for task in (answer, upload, watch):
                    task.cancel()
                await asyncio.gather(answer, upload, watch, return_exceptions=True)
        finally:
            inner.close()

    async def _answer(
        self, request: Request, place: Place, translator: Translator, inner: Inner,
        reader: Reader, writer: Writer, upload: "asyncio.Task[bool]",
    ) -> bool:  # fmt: skip
        while True:
            try:
                answer = answer_of(await inner.head())
                length = answer_length(answer, request.method)
            except (BadMessage, OSError):
                raise Denied(502, f"Nothing answers HTTP at port {place.port} of job {place.job} (yet).") from None
            if answer.status >= 200 or answer.status == 101:
                break
            writer.write(translator.answer(answer, closes=False))
        if answer.status == 101:
            if not is_upgrade(request.headers):
                raise Denied(502, f"Job {place.job} answered with a protocol that nobody asked for.")
            await upload
            writer.write(translator.answer(answer, closes=False))
            await _tunnel(reader, writer, inner)
            return False
        closes = length == TO_THE_END or request.minor == 0 or b"close" in _connection(request)
        writer.write(translator.answer(answer, closes=closes))
        is_whole = await inner.pour(writer, Body(length))
        # An answer before the whole request has come, or half an answer: nothing can follow on this connection.
        return is_whole and not closes and upload.done() and _problem(upload) is None and upload.result()


def _problem(upload: "asyncio.Task[bool]") -> BaseException | None:
    return upload.exception() if upload.done() and not upload.cancelled() else None


async def _gone(reader: Reader, upload: "asyncio.Task[bool]") -> None:
    """The browser has, while its answer is still waited for, or sends what is no body: the job need not go on with it."""
    await asyncio.wait((upload,))
    if isinstance(_problem(upload), BadMessage):
        return
    while not (reader.at_eof() or reader.exception()):  # noqa: ASYNC110 - the stream has no event for it
        await asyncio.sleep(_LOOK_SECONDS)


def _connection(request: Request) -> list[bytes]:
    return [word.strip().lower() for value in values(request.headers, b"connection") for word in value.split(b",")]


def _check_running(place: Place, view: JobView) -> None:
    if not view.is_running:
        waits = view.state in ("PENDING", "CONFIGURING", "SUSPENDED")
        raise Denied(503 if waits else 410, f"Job {place.job} does not run: it is {view.state}.")


async def _head(reader: Reader) -> bytes:
    """b"" when the connection ends before one."""
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.IncompleteReadError as error:
        if not error.partial.strip():
            return b""
        raise


async def _copy(reader: Reader, writer: Inner, body: Body) -> bool:
    """Is it whole, and nothing behind it read?"""
    while not body.is_over:
        data = await reader.read(min(body.most, _PIECE))
        if not data:
            return False
        taken = body.take(data)
        writer.write(taken)
        await writer.drain()
        if len(taken) < len(data):
            return False  # something stands behind its end, which is lost: nothing can follow
    return True


async def _tunnel(reader: Reader, writer: Writer, inner: Inner) -> None:
    """Both ways, until one of the two has gone."""
    ways = [
        asyncio.create_task(_copy(reader, inner, Body(TO_THE_END))),
        asyncio.create_task(inner.pour(writer, Body(TO_THE_END))),
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)


async def _say(writer: Writer, status: int, text: str) -> bool:
    page = f"<!doctype html><title>{status}</title><p>{html.escape(text)}\n".encode()
    writer.write(
        b"HTTP/1.1 %d %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
        b"Connection: close\r\n\r\n" % (status, _REASONS[status].encode(), len(page)) + page
    )
    await writer.drain()
    return False


async def _redirect(writer: Writer, status: int, where: bytes, cookie: bytes) -> bool:
    given = b"Set-Cookie: " + cookie + b"\r\n" if cookie else b""
    writer.write(
        b"HTTP/1.1 %d %s\r\nLocation: %s\r\n%sReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n" % (status, _REASONS[status].encode(), where, given)
    )
    await writer.drain()
    return False
