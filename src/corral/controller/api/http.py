"""What do all handlers share: who asks, the body, and how an answer is written?"""

import asyncio
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from corral.auth import peer, tokens
from corral.controller import jobtokens
from corral.controller.api.service import Service
from corral.controller.facts import VERSION
from corral.daemon import clock, memory
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller

#: Bytes of a body. 10,000 jobs, each with its own script, are far below.
MAX_BODY = 256 << 20

#: From so many bytes on, a request leaves a hole in the heap that is worth closing.
LARGE = 1 << 20

STATUS = {"invalid": 400, "denied": 403, "not_found": 404, "busy": 409, "unavailable": 503}

encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """Answer this instead."""

    def __init__(self, error: str, code: str = "invalid", detail: str = "") -> None:
        super().__init__(error)
        self.reply = Rejected(error=error, code=code, detail=detail)


def caller_of(service: Service, request: Request, *, accounts: bool = False) -> Caller:
    """Peer credentials, or a token; never anything the body says. An admin level in the accounts raises the role.

    `accounts`: a ServiceAccount may ask too, who has no rights but those of its roles.
    """
    caller = _caller_of(service, request)
    if caller.account:
        if not accounts:
            raise Refusal("a ServiceAccount's token is for Kubernetes' paths (/api, /apis) alone", "denied")
        return caller
    known = service.state.books.users.get(caller.user) if caller.role != "administrator" else None
    if known is None or known.admin_level == "None":
        return caller
    role = "administrator" if known.admin_level == "Administrator" else "operator"
    return msgspec.structs.replace(caller, role=role)


def _caller_of(service: Service, request: Request) -> Caller:
    credentials = request.scope.get("corral.peer")
    if credentials is not None:
        _, uid, gid = credentials
        return _noted(request, peer.caller(uid, gid, service.config.roles))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or service.token_key is None:
        raise Refusal("a token is needed: Authorization: Bearer TOKEN", "denied", "`corral token user` makes one.")
    try:
        claims = tokens.verify(token, service.token_key, clock.now())
        if not jobtokens.is_good(claims, service.state.jobs):
            raise Refusal(f"the token was good for job {claims.job} only, which has ended", "denied")
        if not jobtokens.is_for_us(claims) or not jobtokens.is_of_account(claims, service.state.objects):
            raise Refusal("the token is not for this API, or its ServiceAccount is gone", "denied")
        return _noted(request, tokens.caller(claims, service.config.roles))
    except tokens.InvalidToken as error:
        raise Refusal(str(error), "denied") from None


def _noted(request: Request, caller: Caller) -> Caller:
    """Whose request it was is counted when it has been answered."""
    request.scope["corral.caller"] = caller
    return caller


async def body_of(request: Request, limit: int = MAX_BODY) -> bytes:
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise Refusal(f"the body is larger than {limit} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise Refusal("the body ended early") from None
    if size > LARGE:
        # What a large request needed is given back when it has been answered.
        asyncio.get_running_loop().call_later(1.0, memory.give_back)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def not_valid(error: msgspec.ValidationError) -> Rejected:
    """Names the field; says what it may mean that there is none of this name."""
    _, is_unknown, rest = str(error).partition("unknown field `")
    if not is_unknown:
        return Rejected(error=f"not a valid request: {error}")
    name = rest.partition("`")[0]
    detail = (
        f"This controller ({VERSION}) knows no `{name}`: it is older than the program that asks, or the name is wrong."
    )
    return Rejected(error=f"not a valid request: {error}", code="unknown_field", detail=detail)


def answer(reply: Any) -> Response:
    """A reply with the status that goes with it."""
    return json(reply, STATUS.get(reply.code, 400) if isinstance(reply, Rejected) else 200)
