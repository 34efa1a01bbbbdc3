"""What does the text behind the --container-* options mean? The rules are pyxis'."""

from __future__ import annotations

from corral.cli.options.values import BadValue, flag

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _read(by: Callable[[str], Any], given: str, option: str) -> Any:
    from corral.errors import InvalidContainer

    if not given:
        raise BadValue(f"pyxis: --{option}: argument required")
    try:
        return by(given)
    except InvalidContainer as error:
        raise BadValue(f"pyxis: {error}") from None


def image(given: str, name: str) -> str:
    from corral.syntax import container

    def checked(text: str) -> str:
        if not container.is_file(text):
            container.reference(text)
        return text

    found: str = _read(checked, given, name)
    return found


def mounts(given: str, name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    from corral.syntax import container

    found: list[tuple[str, str, tuple[str, ...]]] = _read(container.mounts, given, name)
    return found


def container_name(given: str, name: str) -> tuple[str, str]:
    from corral.syntax import container

    found: tuple[str, str] = _read(container.name, given, name)
    return found


def variables(given: str, name: str) -> list[str]:
    from corral.syntax import container

    found: list[str] = _read(container.variables, given, name)
    return found


def path(given: str, name: str) -> str:
    found: str = _read(str, given, name)
    if name == "container-save" and found.endswith("/"):
        raise BadValue("pyxis: --container-save: target is a directory")
    return found


def yes(given: str, name: str) -> bool:
    return flag(given, name) if given else True


def no(given: str, name: str) -> bool:
    return not yes(given, name)


#: Options that say the opposite of each other share a value.
OPPOSITES = {
    "container-mount-home": "no-container-mount-home", "container-remap-root": "no-container-remap-root",
    "container-entrypoint": "no-container-entrypoint", "container-writable": "container-readonly",
}  # fmt: skip


def check(found: list[tuple[str, str | None]]) -> None:
    """Of one command line. Raises BadValue."""
    said = {name for name, _ in found}
    for one, other in OPPOSITES.items():
        if one in said and other in said:
            raise BadValue(f"pyxis: both --{one} and --{other} were specified")
