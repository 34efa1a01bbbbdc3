"""How does someone who is not on a local socket prove who it is? With a token signed by the cluster's key.

    corral1.<payload: base64url of JSON>.<HMAC-SHA256 of all before, base64url>

The payload says user, role limit, issue and expiry time. The key never leaves the controller; a new key makes all tokens void.
"""

import base64
import binascii
import hashlib
import hmac
import os
import pwd
import secrets
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from corral.auth.peer import group_name, role_of
from corral.model.cluster import Roles
from corral.protocol.requests import Caller

PREFIX = "corral1"
KEY_BYTES = 32

Sealed = TypeVar("Sealed", bound=msgspec.Struct)

_ORDER = ("user", "operator", "administrator")


class InvalidToken(Exception):
    """The token is not good here; the text says why, without telling more than its owner knows."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says of its bearer."""

    user: str
    role: Literal["user", "operator", "administrator"] = "administrator"  #: at most; the configuration may give less
    issued: float = 0.0
    expires: float = 0.0
    job: int = 0  #: void when this job has ended; 0 = not of a job
    restart: int = 0
    account: str = ""  #: NAMESPACE:NAME of a ServiceAccount: it is for Kubernetes' paths, with the rights of that alone
    account_uid: str = ""  #: void when that is another one's now
    audiences: tuple[str, ...] = ()  #: for whom it is; () = for this API


def load_key(path: str | Path) -> bytes:
    """The cluster's key; made when there is none yet."""
    path = Path(path)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, key)
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, path)  # whoever comes second takes the first one's
        except FileExistsError:
            key = path.read_bytes()
        os.unlink(temporary)
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} is no key: {KEY_BYTES} bytes are wanted, it has {len(key)}")
    return key


def sign(claims: Claims, key: bytes) -> str:
    return sealed(PREFIX, claims, key)


def verify(token: str, key: bytes, now: float) -> Claims:
    """The claims of a token that is genuine and has not expired."""
    claims = opened(PREFIX, token, key, Claims)
    if claims.expires and claims.expires < now:
        raise InvalidToken("the token has expired: make a new one with `corral token user`")
    return claims


def sealed(prefix: str, what: msgspec.Struct, key: bytes) -> str:
    """`prefix` says what it is good for: what is sealed for one thing can't be opened as another."""
    head = f"{prefix}.{_text(msgspec.json.encode(what))}"
    return f"{head}.{_text(_mac(head, key))}"


def opened(prefix: str, token: str, key: bytes, kind: type[Sealed]) -> Sealed:
    head, _, signature = token.strip().rpartition(".")
    its_prefix, _, payload = head.partition(".")
    try:
        genuine = its_prefix == prefix and hmac.compare_digest(_bytes(signature), _mac(head, key))
        if not genuine:
            raise InvalidToken("not a token of this cluster")
        return msgspec.json.decode(_bytes(payload), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidToken("not a token of this cluster") from error


def caller(claims: Claims, roles: Roles) -> Caller:
    """Who bears the token, as this host knows that user."""
    try:
        entry = pwd.getpwnam(claims.user)
    except KeyError:
        raise InvalidToken(f"the user {claims.user} of the token is not known on the controller's host") from None
    role = role_of(entry.pw_uid, claims.user, roles)
    least = min(role, claims.role, key=_ORDER.index)
    group = group_name(entry.pw_gid)
    return Caller(uid=entry.pw_uid, gid=entry.pw_gid, user=claims.user, group=group, role=least, account=claims.account)


def _mac(head: str, key: bytes) -> bytes:
    return hmac.new(key, head.encode(), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
