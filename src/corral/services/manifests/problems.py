"""What is wrong in a manifest, and where? In Kubernetes' words."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from corral.errors import InvalidManifest

#: More than so many are not told at once.
_MOST = 30


class Problem(NamedTuple):
    """`field` is a path as in spec.template.spec.containers[0].ports[1].name; `reason` one of Kubernetes' causes, or Unsupported."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return (
            self.message
            if self.message.startswith("unknown field") or not self.field
            else f"{self.field}: {self.message}"
        )


class Problems:
    """Collected, so that all are told at once. The same one is not told twice."""

    def __init__(self) -> None:
        self.found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        return together(tuple(self.found))

    def add(self, field: str, reason: str, message: str) -> None:
        self.found[Problem(_carried(field), reason, _carried(message))] = None

    def at(self, field: str) -> bool:
        """Has it, or something within it, been found wrong already?"""
        return any(one.field == field or one.field.startswith((f"{field}.", f"{field}[")) for one in self.found)

    def invalid(self, field: str, value: Any, why: str) -> None:
        self.add(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}")

    def required(self, field: str, why: str = "") -> None:
        self.add(field, "FieldValueRequired", f"Required value{': ' if why else ''}{why}")

    def choice(self, field: str, value: Any, choices: Iterable[Any]) -> None:
        text = ", ".join(json.dumps(one) for one in choices)
        self.add(field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {text}")

    def duplicate(self, field: str, value: Any) -> None:
        self.add(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")

    def missing(self, field: str, value: Any) -> None:
        self.add(field, "FieldValueNotFound", f"Not found: {_shown(value)}")

    def forbidden(self, field: str, why: str) -> None:
        self.add(field, "FieldValueForbidden", f"Forbidden: {why}")

    def long(self, field: str, value: str, most: int) -> None:
        self.add(field, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")

    def unsupported(self, field: str, why: str) -> None:
        """Kubernetes knows it, Corral does not."""
        self.add(field, "FieldValueUnsupported", f"not supported by Corral: {why}")

    def type(self, field: str, value: Any, wanted: str) -> None:
        self.add(field, "FieldValueTypeInvalid", f"Invalid value: {_shown(value)}: must be {wanted}")

    def unknown(self, field: str, near: str = "") -> None:
        hint = f' (did you mean "{near}"?)' if near else ""
        self.add(field, "FieldValueInvalid", f'unknown field "{field}"{hint}')

    def refuse(self, kind: str, name: str, namespace: str = "") -> NoReturn:
        raise refusal(kind, name, namespace, tuple(self.found))


def refusal(kind: str, name: str, namespace: str, problems: tuple[Problem, ...]) -> InvalidManifest:
    return InvalidManifest(kind=kind, name=name, namespace=namespace, problems=problems, text=together(problems))


def together(problems: tuple[Problem, ...]) -> str:
    """In one line, as Kubernetes writes it."""
    told = [str(one) for one in problems[:_MOST]]
    if len(problems) > _MOST:
        told.append(f"and {len(problems) - _MOST} more")
    return told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."


def _carried(text: str) -> str:
    """Halves of characters, which a manifest may have, cannot be told."""
    return text if text.isascii() else text.encode(errors="replace").decode()
