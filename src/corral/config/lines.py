"""On which line of a TOML text is this key?"""

import re

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)


def line_of(text: str, path: KeyPath) -> int:
    """The line of the key, or of the table it is in; 1 when nothing of it is there."""
    best, best_length = 1, 0
    for number, found in _keys(text):
        length = _shared(found, path)
        if length > best_length:
            best, best_length = number, length
    return best


def _shared(found: KeyPath, path: KeyPath) -> int:
    """How much of the wanted path this key is; 0 when it is another one."""
    length = min(len(found), len(path))
    return length if found[:length] == path[:length] else 0


def _keys(text: str) -> list[tuple[int, KeyPath]]:
    """Every key and table header with its line."""
    found: list[tuple[int, KeyPath]] = []
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    open_quote, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if open_quote:
            open_quote = "" if line.count(open_quote) % 2 else open_quote
            continue
        if depth:
            depth += _depth(line)
            continue
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            elif table[:1] in counts:  # [partition.something] belongs to the last [[partition]]
                table = (table[0], counts[table[:1]], *table[1:])
            found.append((number, table))
        elif key := _KEY.match(line):
            found.append((number, (*table, *_parts(key[1]))))
            open_quote = next((q for q in ('"""', "'''") if key[2].count(q) % 2), "")
            depth = 0 if open_quote else _depth(key[2])
    return found


def _depth(line: str) -> int:
    """By how much brackets stay open."""
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|#.*", "", line)
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")


def _parts(text: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", text.strip()))
