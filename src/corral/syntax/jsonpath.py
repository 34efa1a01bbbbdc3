"""What does kubectl's JSONPath give of an object: {.items[*].metadata.name}, {range ...}{end}, ?(@.type=="Ready")?"""

from __future__ import annotations

import json
import re
from typing import Any

Json = Any


class BadPath(ValueError):
    """Says where the template makes no sense."""


_TOKEN = re.compile(
    r"""(?P<recursive>\.\.)|(?P<wild>\.?\*|\.\[\*\]|\[\*\])|\.(?P<name>(?:\\.|[^\s.\[\]{}()'"|,=<>!\\])+)"""
    r"""|\[(?P<inside>(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]'"])*)\]""",
    re.X,
)
_FILTER = re.compile(r"""\?\(\s*(?P<left>.+?)\s*(?:(?P<op>==|!=|<=|>=|<|>|=~)\s*(?P<right>.+?)\s*)?\)\Z""")


def values(path: str, root: Json) -> list[Json]:
    """Of one path such as .metadata.name or $.items[0]; a missing one gives nothing."""
    text = path.strip().removeprefix("$").removeprefix("@")
    if text in ("", "."):
        return [root]
    if text[0] not in ".[":
        text = "." + text
    found, at = [root], 0
    recursive = False
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadPath(f"cannot be read from {text[at:]!r} on")
        at = token.end()
        if token["recursive"]:
            found = [below for one in found for below in _all_below(one)]
            recursive = True
            if at < len(text) and text[at] not in ".[*":
                text = text[:at] + "." + text[at:]
            continue
        if token["wild"]:
            found = [item for one in found for item in _items(one)]
        elif token["name"]:
            name = re.sub(r"\\(.)", r"\1", token["name"])
            found = [one[name] for one in found if isinstance(one, dict) and name in one]
        else:
            found = [item for one in found for item in _inside(one, token["inside"] or "")]
        recursive = False
    if recursive:
        raise BadPath("nothing follows ..")
    return found


def _items(one: Json) -> list[Json]:
    return list(one) if isinstance(one, list) else list(one.values()) if isinstance(one, dict) else []


def _all_below(one: Json) -> list[Json]:
    return [one, *(below for item in _items(one) for below in _all_below(item))]


def _inside(one: Json, text: str) -> list[Json]:
    text = text.strip()
    if text.startswith("?"):
        return [item for item in _items(one) if _holds(text, item)]
    found: list[Json] = []
    for word in _words(text):
        if word[:1] in "'\"" and word[-1:] == word[:1]:
            name = re.sub(r"\\(.)", r"\1", word[1:-1])
            found += [one[name]] if isinstance(one, dict) and name in one else []
        elif re.fullmatch(r"-?\d*(?::-?\d*){1,2}", word):
            if isinstance(one, list):
                found += one[slice(*(int(part) if part else None for part in word.split(":")))]
        elif re.fullmatch(r"-?\d+", word):
            index = int(word)
            if isinstance(one, list):
                if not -len(one) <= index < len(one):
                    raise BadPath(f"array index out of bounds: index {index}, length {len(one)}")
                found.append(one[index])
        else:
            raise BadPath(f"invalid array index {word}")
    return found


def _words(text: str) -> list[str]:
    return [word.strip() for word in re.findall(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]+""", text) if word.strip()]


def _holds(text: str, item: Json) -> bool:
    found = _FILTER.match(text)
    if found is None:
        raise BadPath(f"not a filter: {text!r}")
    left = _operand(found["left"], item)
    if found["op"] is None:
        return bool(left)
    right = _operand(found["right"], item)
    if not left or not right:
        return found["op"] == "!=" and bool(left) != bool(right)
    a, b = left[0], right[0]
    match found["op"]:
        case "==":
            return bool(a == b)
        case "!=":
            return bool(a != b)
        case "=~":
            raise BadPath("=~ is not supported: use grep")
    if (
        isinstance(a, bool)
        or isinstance(b, bool)
        or (type(a) is str and type(b) is not str)
        or (type(b) is str and type(a) is not str)
    ):
        return False
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[found["op"]])


def _operand(text: str, item: Json) -> list[Json]:
    if text.startswith(("@", "$")):
        return values(text, item)
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return [re.sub(r"\\(.)", r"\1", text[1:-1])]
    try:
        return [json.loads(text)]
    except ValueError:
        raise BadPath(f"neither a path nor a value: {text!r}") from None


def text_of(value: Json) -> str:
    """As kubectl prints it: text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# -- templates


def rendered(template: str, root: Json) -> str:
    """{...} are replaced, all else stays."""
    if "{" not in template:
        template = "{" + template + "}"
    parts = re.findall(r"""\{((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^{}'"])*)\}|([^{]+)|(\{)""", template)
    words = [
        ("text", plain) if plain else ("bad", "") if open_ else ("path", inside.strip())
        for inside, plain, open_ in parts
    ]
    if any(kind == "bad" for kind, _ in words):
        raise BadPath("unclosed action")
    out, at = _run(words, 0, root, root, False)
    if at != len(words):
        raise BadPath("not in range, nothing to end")
    return out


def _run(words: list[tuple[str, str]], at: int, root: Json, here: Json, in_range: bool) -> tuple[str, int]:
    out: list[str] = []
    while at < len(words):
        kind, text = words[at]
        at += 1
        if kind == "text":
            out.append(text)
        elif text == "end":
            if not in_range:
                raise BadPath("not in range, nothing to end")
            return "".join(out), at
        elif text.startswith("range"):
            items = values(text[5:].strip(), root if text[5:].strip().startswith("$") else here)
            after = _skipped(words, at)
            for item in items:
                out.append(_run(words, at, root, item, True)[0])
            at = after
        elif text[:1] in "'\"":
            out.append(_quoted(text))
        else:
            found = values(text, root if text.startswith("$") else here)
            out.append(" ".join(map(text_of, found)))
    if in_range:
        raise BadPath("unterminated range")
    return "".join(out), at


def _skipped(words: list[tuple[str, str]], at: int) -> int:
    depth = 1
    while at < len(words):
        kind, text = words[at]
        at += 1
        if kind == "path" and text.startswith("range"):
            depth += 1
        elif kind == "path" and text == "end":
            depth -= 1
            if not depth:
                return at
    raise BadPath("unterminated range")


def _quoted(text: str) -> str:
    inside = text[1:-1]
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), inside)
