"""What does a body in Kubernetes' protobuf say? kubectl's `create KIND` and many programs in Go send their objects so.

messages.txt has the fields of each message (scripts/kubernetes_messages.py writes it). Go writes what has no pointer always, also when it
is not set: such zeros and empty texts are left out, as its JSON does.
"""

import base64
import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

_MAGIC = b"k8s\0"
_MESSAGES = Path(__file__).with_name("messages.txt")
#: Messages whose fields stand beside those around them in JSON.
_INLINE = frozenset({"localObjectReference", "volumeSource", "handler", "ingressRuleValue", "ephemeralContainerCommon"})
#: Zeros and falses that say something: in Go these fields have pointers.
_MEANT = frozenset(
    ("replicas", "minReplicas", "partition", "completions", "parallelism", "backoffLimit", "ttlSecondsAfterFinished",
     "activeDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds",
     "revisionHistoryLimit", "terminationGracePeriodSeconds", "runAsUser", "runAsGroup", "fsGroup", "tolerationSeconds",
     "gracePeriodSeconds", "defaultMode", "mode", "stabilizationWindowSeconds", "averageUtilization", "enableServiceLinks",
     "automountServiceAccountToken", "optional", "suspend", "immutable", "runAsNonRoot", "readOnlyRootFilesystem",
     "allowPrivilegeEscalation", "privileged", "controller", "blockOwnerDeletion", "orphanDependents", "minAvailable",
     "maxUnavailable", "maxSurge")
)  # fmt: skip
_DEEPEST = 64


class NotProtobuf(ValueError):
    """Says what is wrong."""


class _Field(NamedTuple):
    name: str
    type: str  #: a message, or s, b, i, d, y
    is_list: bool
    is_map: bool


@functools.cache
def _messages() -> dict[str, dict[int, _Field]]:
    found: dict[str, dict[int, _Field]] = {}
    for line in _MESSAGES.read_text().splitlines():
        name, *words = line.split(" ")
        found[name] = fields = {}
        for word in words:
            field, _, rest = word.partition("=")
            number, _, kind = rest.partition(":")
            is_map = kind.startswith("{")
            fields[int(number)] = _Field(field, kind.strip("{}*"), kind.startswith("*"), is_map)
    return found


def decode(data: bytes) -> dict[str, Any]:
    if data[:4] != _MAGIC:
        raise NotProtobuf("it does not begin as Kubernetes' protobuf does")
    try:
        envelope = dict(_parts(data[4:]))
        meta = {number: _text(value) for number, value in _parts(_bytes(envelope.get(1, b"")))}
        version, kind = meta.get(1, ""), meta.get(2, "")
        if envelope.get(3):
            raise NotProtobuf(f"an encoding that is not known: {_text(envelope[3])!r}")
        raw = _bytes(envelope.get(2, b""))
        if _text(envelope.get(4, b"")) == "application/json":
            found: Any = msgspec.json.decode(raw)
            if not isinstance(found, dict):
                raise NotProtobuf("it is no object")
            return found
        message = _root(version, kind)
        return {"apiVersion": version, "kind": kind, **_message(message, raw, 0)}
    except (IndexError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise NotProtobuf(f"it is cut off or damaged ({error})") from None


def _root(version: str, kind: str) -> str:
    if kind == "DeleteOptions":
        return "meta.v1.DeleteOptions"
    group, _, name = version.rpartition("/")
    message = f"{group.partition('.')[0] or 'core'}.{name}.{kind}"
    if message not in _messages():
        raise NotProtobuf(f"{kind} of {version} is not read as protobuf: send JSON")
    return message


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise NotProtobuf("a number is too long")


def _parts(data: bytes) -> list[tuple[int, int | bytes]]:
    """Each field's number and value, in order."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            found.append((key >> 3, value))
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise NotProtobuf(f"a field of kind {wire}")
        if at + length > len(data):
            raise NotProtobuf("it is cut off")
        found.append((key >> 3, data[at : at + length]))
        at += length
    return found


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise NotProtobuf("a number where a text or a message should be")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _message(name: str, data: bytes, depth: int) -> Any:
    if depth > _DEEPEST:
        raise NotProtobuf("nested too deeply")
    special = _SPECIAL.get(name)
    if special is not None:
        return special(data)
    known = _messages().get(name, {})
    found: dict[str, Any] = {}
    for number, value in _parts(data):
        field = known.get(number)
        if field is None:
            continue  # the server's own, or of a newer version
        if field.is_map:
            entry = dict(_parts(_bytes(value)))
            item = _value(field.type, entry.get(2, b""), depth) if 2 in entry or field.type in "sy" else None
            found.setdefault(field.name, {})[_text(entry.get(1, b""))] = item
            continue
        item = _value(field.type, value, depth)
        if field.name in _INLINE:
            found |= item
        elif field.is_list:
            found.setdefault(field.name, []).append(item)
        elif _says_something(name, field, item):
            found[field.name] = item
    return found


def _says_something(message: str, field: _Field, value: Any) -> bool:
    if value is None or value == "":
        return False
    if value == {}:
        return message == "core.v1.VolumeSource" or field.name in ("selector", "labelSelector", "podSelector")
    if (value is False or value == 0) and not isinstance(value, (str, dict, list)):
        return field.name in _MEANT or (field.type == "util.intstr.IntOrString" and field.name != "targetPort")
    return True


def _value(kind: str, value: int | bytes, depth: int) -> Any:
    match kind:
        case "s":
            return _text(value)
        case "y":
            return base64.b64encode(_bytes(value)).decode()
        case "b":
            return bool(value)
        case "i":
            if not isinstance(value, int):
                raise NotProtobuf("a text where a number should be")
            return value - (1 << 64) if value >= 1 << 63 else value
        case "d":
            return None  # no field that we have is one
    return _message(kind, _bytes(value), depth + 1)


def _int_or_string(data: bytes) -> Any:
    found = dict(_parts(data))
    return _text(found.get(3, b"")) if found.get(1) else _value("i", found.get(2, 0), 0)


def _quantity(data: bytes) -> str:
    return _text(dict(_parts(data)).get(1, b""))


def _time(data: bytes) -> str | None:
    found = dict(_parts(data))
    if not found.get(1):
        return None
    seconds = _value("i", found[1], 0)
    if not -62_135_596_800 <= seconds < 253_402_300_800:
        raise NotProtobuf("a time that is none")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SPECIAL: dict[str, Any] = {
    "util.intstr.IntOrString": _int_or_string, "api.resource.Quantity": _quantity, "meta.v1.Time": _time,
}  # fmt: skip
