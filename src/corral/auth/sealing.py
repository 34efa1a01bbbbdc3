"""How do Secrets lie in the store so that nobody reads them there?

Each value is sealed with a key of the cluster (AES-SIV, RFC 5297) and bound to its place: namespace, Secret and key. One value in one
place has one sealed form, so that applying a manifest again changes nothing. It can be told from base64, which has no colon.

The keys are lines of a file, base64 each. The first seals; all open. A new first line is a new key: what the old ones have sealed is sealed
anew when the controller starts, and after that they may go.
"""

import base64
import binascii
import hashlib
import os
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from corral.auth.tokens import KEY_BYTES
from corral.model.kube.config import Secret

PREFIX = "sealed1:"
#: kubectl writes the whole manifest here, values included.
_TOLD = "last-applied-configuration"
#: Before every value, so that none is empty: not every version of the library takes that.
_MARK = b"="


class CannotOpen(Exception):
    """Sealed with a key that is not among the cluster's, or tampered with."""


class Sealer:
    """With these keys; the first one seals."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._ciphers = {_name(key): AESSIV(key) for key in reversed(keys)}
        self._first = _name(keys[0])

    def seal(self, plain: bytes, place: str) -> str:
        data = self._ciphers[self._first].encrypt(_MARK + plain, [place.encode()])
        return f"{PREFIX}{self._first}:{_base64(place.encode())}:{_base64(data)}"

    def open(self, text: str, place: str = "") -> bytes:
        """`place`: where it must have been sealed, if one knows. Raises CannotOpen."""
        try:
            key, where, data = text.removeprefix(PREFIX).split(":")
            sealed_in = base64.urlsafe_b64decode(where)
            plain = self._ciphers[key].decrypt(base64.urlsafe_b64decode(data), [sealed_in])
        except (ValueError, KeyError, InvalidTag) as error:
            raise CannotOpen("it was sealed with a key that is not among the cluster's") from error
        if place and sealed_in != place.encode():
            raise CannotOpen(f"it was sealed for {sealed_in.decode(errors='replace')}, not for {place}")
        return plain.removeprefix(_MARK)

    def is_by_first(self, text: str) -> bool:
        return text.startswith(f"{PREFIX}{self._first}:")

    def sealed(self, one: Secret) -> Secret:
        """As it goes to the engine and into the store. What is sealed already stays so."""
        data = {
            key: value if is_sealed(value) else self.seal(base64.b64decode(value), _place(one, f"data/{key}"))
            for key, value in one.data.items()
        }
        notes = {
            key: self.seal(value.encode(), _place(one, f"annotations/{key}"))
            if key.endswith(_TOLD) and not is_sealed(value)
            else value
            for key, value in one.metadata.annotations.items()
        }
        return _with(one, data, notes)

    def opened(self, one: Secret) -> Secret:
        """As it was applied. Raises CannotOpen."""
        data = {
            key: base64.b64encode(self.open(value, _place(one, f"data/{key}"))).decode() if is_sealed(value) else value
            for key, value in one.data.items()
        }
        notes = {
            key: self.open(value, _place(one, f"annotations/{key}")).decode() if is_sealed(value) else value
            for key, value in one.metadata.annotations.items()
        }
        return _with(one, data, notes)


def is_sealed(text: str) -> bool:
    return text.startswith(PREFIX)


def load_keys(path: Path) -> tuple[bytes, ...]:
    """The first seals. A key is made when there is none yet."""
    try:
        lines = path.read_text().split()
    except FileNotFoundError:
        lines = [base64.b64encode(AESSIV.generate_key(256)).decode()]
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, (lines[0] + "\n").encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, path)  # whoever comes second takes the first one's
        except FileExistsError:
            lines = path.read_text().split()
        os.unlink(temporary)
    keys = []
    for number, line in enumerate(lines, start=1):
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error:
            key = b""
        if len(key) not in (KEY_BYTES, 48, 64):
            wanted = f"base64 of {KEY_BYTES} bytes is wanted, as `openssl rand -base64 {KEY_BYTES}` makes"
            raise ValueError(f"{path}, key {number}: {wanted}")
        keys.append(key)
    if not keys:
        raise ValueError(f"{path} has no key: it is needed to open the Secrets that were sealed with it")
    return tuple(keys)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _name(key: bytes) -> str:
    return hashlib.sha256(b"corral secrets " + key).hexdigest()[:8]


def _place(one: Secret, what: str) -> str:
    return f"{one.metadata.namespace}/{one.metadata.name}/{what}"


def _with(one: Secret, data: dict[str, str], notes: dict[str, str]) -> Secret:
    meta = msgspec.structs.replace(one.metadata, annotations=notes)
    return msgspec.structs.replace(one, metadata=meta, data=data)
