"""Who may connect, and what may they say? NATS' decentralised authentication.

The server trusts one operator key. The operator signs the account (there is one per cluster), the account signs users.
A user is a JWT that lists what may be published and subscribed to, and until when. All of ours are bearer tokens: who
has the JWT may connect, so that srun and the shepherd need no signature of their own. The user's public key, which the
format demands, is random bytes that nobody knows a private key of. Only the controller has the keys.
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral.bus import permissions
from corral.bus.permissions import Permissions, StepRole

if TYPE_CHECKING:
    from nkeys import KeyPair

_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
_REPLY_SECONDS = 60


class ClusterKeys:
    """The keys of one cluster's operator and account."""

    def __init__(self, cluster: str, operator_seed: bytes, account_seed: bytes) -> None:
        self.cluster = cluster
        self._operator = _Signer(operator_seed)
        self._account = _Signer(account_seed)

    @classmethod
    def create(cls, cluster: str) -> ClusterKeys:
        import nkeys

        seeds = [
            nkeys.encode_seed(secrets.token_bytes(32), prefix)
            for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT)
        ]
        return cls(cluster, *seeds)

    @classmethod
    def load(cls, directory: Path) -> ClusterKeys:
        """FileNotFoundError when none were saved there."""
        operator, account = ((directory / f"{name}.nk").read_bytes().strip() for name in ("operator", "account"))
        return cls((directory / "cluster").read_text().strip(), operator, account)

    @classmethod
    def load_or_create(cls, directory: Path, cluster: str) -> ClusterKeys:
        try:
            return cls.load(directory)
        except FileNotFoundError:
            keys = cls.create(cluster)
            keys.save(directory)
            return keys

    def save(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in (
            ("cluster", self.cluster.encode()),
            ("operator.nk", self._operator.seed),
            ("account.nk", self._account.seed),
        ):
            _write_private(directory / name, text + b"\n")

    def operator_jwt(self) -> str:
        return self._operator.sign(self._operator.public_key, f"corral {self.cluster}", {"type": "operator"})

    def account_jwt(self) -> str:
        limits = {**_UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        claims = {"type": "account", "limits": limits, "default_permissions": {"pub": {}, "sub": {}}}
        return self._operator.sign(self._account.public_key, self.cluster, claims)

    @property
    def account_key(self) -> str:
        return self._account.public_key

    def controller_jwt(self) -> str:
        return self.user_jwt("controller", permissions.controller(self.cluster))

    def agent_jwt(self, agent: str, nodes: tuple[str, ...], expires: int = 0) -> str:
        """For the agent that serves `nodes`; `expires` in seconds since 1970, 0 for never."""
        return self.user_jwt(f"agent {agent}", permissions.agent(self.cluster, agent, nodes), expires)

    def step_jwt(self, key: str, role: StepRole, expires: int, node: str | None = None) -> str:
        """For one end of one step's streams; a shepherd's may be narrowed to its node."""
        return self.user_jwt(f"{role.value} {key}", permissions.step(self.cluster, key, role, node), expires)

    def user_jwt(self, name: str, allowed: Permissions, expires: int = 0) -> str:
        user: dict[str, Any] = {
            "type": "user",
            "bearer_token": True,
            "pub": {"allow": list(allowed.publish)},
            "sub": {"allow": list(allowed.subscribe)},
            **_UNLIMITED,
        }
        if allowed.may_reply:
            user["resp"] = {"max": 1, "ttl": _REPLY_SECONDS * 1_000_000_000}
        return self._account.sign(_unowned_user_key(), name, user, expires)


class _Signer:
    """A key pair that issues JWTs."""

    def __init__(self, seed: bytes) -> None:
        import nkeys

        self.seed = seed
        self._keys: KeyPair = nkeys.from_seed(seed)
        self.public_key: str = self._keys.public_key.decode()

    def sign(self, subject: str, name: str, nats: dict[str, Any], expires: int = 0) -> str:
        claims: dict[str, Any] = {"iss": self.public_key, "name": name, "sub": subject, "nats": {**nats, "version": 2}}
        if expires:
            claims["exp"] = int(expires)
        claims["jti"] = b32encode(sha256(_json(claims)).digest()).rstrip(b"=").decode()
        unsigned = _base64(_HEADER) + b"." + _base64(_json(claims))
        signature: bytes = self._keys.sign(unsigned)
        return (unsigned + b"." + _base64(signature)).decode()


def _unowned_user_key() -> str:
    import nkeys

    body = bytearray([nkeys.PREFIX_BYTE_USER]) + secrets.token_bytes(32)
    return b32encode(body + nkeys.crc16(body).to_bytes(2, "little")).rstrip(b"=").decode()


def may_publish(jwt: str, subject: str) -> bool:
    """As far as the JWT says; the server decides."""
    body = jwt.split(".")[1] if jwt.count(".") == 2 else ""
    try:
        return subject in json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["nats"]["pub"]["allow"]
    except (ValueError, LookupError, TypeError):
        return True


def inbox_of(jwt: str) -> str:
    """Where whoever has this JWT may get its replies."""
    body = jwt.split(".")[1] if jwt.count(".") == 2 else ""
    try:
        allowed = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["nats"]["sub"]["allow"]
        return str(next(one for one in allowed if one.endswith(".inbox.>")))[: -len(".>")]
    except (ValueError, LookupError, TypeError, StopIteration):
        return "_INBOX"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")


def _write_private(path: Path, text: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, text)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(new, path)
