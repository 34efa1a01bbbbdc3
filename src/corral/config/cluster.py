"""What does this corral.toml say? An unknown key or a bad value is refused with its line."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from corral.config import checks, files
from corral.config.lines import KeyPath, line_of
from corral.config.quantities import with_plain_numbers
from corral.errors import ConfigError
from corral.model.cluster import ClusterConfig

_AT = re.compile(r" - at `\$([^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")


def load(path: str | Path | None) -> ClusterConfig:
    """The configuration in this file; without a file, the defaults."""
    if path is None:
        return ClusterConfig()
    path = Path(path)
    return parse(files.read(path), str(path))


def parse(text: str, name: str = files.NAME) -> ClusterConfig:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, name) from None
    try:
        config = msgspec.convert(with_plain_numbers(tree), ClusterConfig)
        checks.check(config, tree)
    except checks.BadValue as bad:
        raise ConfigError(file=name, line=line_of(text, bad.path), problem=bad.problem) from None
    except msgspec.ValidationError as error:
        path, problem = _understood(str(error), tree)
        raise ConfigError(file=name, line=line_of(text, path), problem=problem) from None
    return config


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, name: str) -> ConfigError:
    message, _, place = str(error).rpartition(" (at ")
    if place == "end of document)":
        number = len(text.splitlines())
    else:
        found = re.match(r"line (\d+)", place)
        number = int(found[1]) if found else 1
    return ConfigError(file=name, line=max(1, number), problem=f"this is not TOML: {message or error}")


def _understood(message: str, tree: dict[str, Any]) -> tuple[KeyPath, str]:
    """Where msgspec found the mistake, and what it is in our words."""
    place = _AT.search(message)
    path: KeyPath = _path(place[1]) if place else ()
    said = message[: place.start()] if place else message
    if unknown := _UNKNOWN.match(said):
        return (*path, unknown[1]), f"there is no key {_written((*path, unknown[1]))!r}{_hint(path, unknown[1])}"
    if missing := _MISSING.match(said):
        return path, f"{_written(path)!r} needs a key {missing[1]!r}"
    value = _value(tree, path)
    return path, f"{_written(path)!r} cannot be {value}: {said[:1].lower()}{said[1:]}"


def _path(text: str) -> KeyPath:
    return tuple(int(index) if index else key for key, index in re.findall(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]", text))


def _written(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _value(tree: Any, path: KeyPath) -> str:
    try:
        for part in path:
            tree = tree[part]
    except (LookupError, TypeError):
        return "this"
    return repr(tree)


def _hint(path: KeyPath, key: str) -> str:
    """Which key may have been meant."""
    record: Any = ClusterConfig
    for part in path:
        if isinstance(part, str):
            record = checks.record_behind(record, part)
    near = difflib.get_close_matches(key, getattr(record, "__struct_fields__", ()), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
