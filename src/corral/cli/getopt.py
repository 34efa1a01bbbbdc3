"""How do the commands read -n4, -n 4, --ntasks=4 and --nta 4? As glibc's getopt_long does, with its messages.

Python's own getopt and argparse differ in what they accept and in every message, and argparse takes 10 ms to import.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    #: long name, short letter ("" = none), and whether it takes a value
    Known = tuple[str, str, int]

NO, REQUIRED, OPTIONAL = 0, 1, 2


class GetoptError(Exception):
    """What getopt_long prints, without the program's name."""


def parse(
    argv: list[str], known: Iterable[Known], permute: bool = False
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """The options by their long names (or letter, where they have none) with their values, and what is left.

    The first word that is no option ends the options, unless `permute`: then options may follow it.
    """
    table = list(known)
    letters = {letter: (name or letter, argument) for name, letter, argument in table if letter}
    found: list[tuple[str, str | None]] = []
    left: list[str] = []
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--":
            return found, left + argv[at:]
        if word.startswith("--"):
            text, equals, value = word[2:].partition("=")
            name, argument = _long(text, word[2:], table)
            given: str | None = value if equals else None
            if equals and argument == NO:
                raise GetoptError(f"option '--{name}' doesn't allow an argument")
            if not equals and argument == REQUIRED:
                if at == len(argv):
                    raise GetoptError(f"option '--{name}' requires an argument")
                given = argv[at]
                at += 1
            found.append((name, given))
        elif word.startswith("-") and word != "-":
            rest = word[1:]
            while rest:
                letter, rest = rest[0], rest[1:]
                if letter not in letters:
                    raise GetoptError(f"invalid option -- '{letter}'")
                name, argument = letters[letter]
                given = None
                if argument != NO and rest:
                    given, rest = rest, ""
                elif argument == REQUIRED:
                    if at == len(argv):
                        raise GetoptError(f"option requires an argument -- '{letter}'")
                    given = argv[at]
                    at += 1
                found.append((name, given))
        elif permute:
            left.append(word)
        else:
            return found, argv[at - 1 :]
    return found, left


#: Options that Slurm itself does not have take nothing away from what its own may be shortened to.
_LEAST = {
    f"{no}container-{what}": len(f"{no}container-")
    for no in ("", "no-")
    for what in (
        "entrypoint", "env", "image", "mount-home", "mounts", "name", "readonly", "remap-root", "save", "workdir", "writable",
    )
}  # fmt: skip


def _long(text: str, written: str, table: list[Known]) -> tuple[str, int]:
    """The option of this name, or the only one that begins so."""
    candidates = []
    for name, letter, argument in table:
        if name == text:
            return name, argument
        if name and name.startswith(text) and len(text) >= _LEAST.get(name, 0):
            candidates.append((name, letter, argument))
    if not candidates:
        raise GetoptError(f"unrecognized option '--{written}'")
    first = candidates[0]
    if any((letter, argument) != first[1:] or not letter for _, letter, argument in candidates[1:]):
        names = " ".join(f"'--{name}'" for name, _, _ in candidates)
        raise GetoptError(f"option '--{written}' is ambiguous; possibilities: {names}")
    return first[0], first[2]
