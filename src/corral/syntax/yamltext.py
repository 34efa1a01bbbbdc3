"""What does a YAML text of manifests say, and how is a value written as YAML?

Read as Kubernetes does: dates stay text, 22:22 is no number in base sixty, and no small text becomes a large value (aliases are counted as
often as they stand for something).
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

#: Deeper, or of more values, no manifest is.
DEEPEST = 64
MOST_VALUES = 200_000


class NotYaml(ValueError):
    """Says why, and in which line."""


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers = {
        letter: [
            (tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] not in ("timestamp", "int", "float")
        ]
        for letter, found in _SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: Any) -> None:
        """<<: each key once, so that merges of merges do not grow."""
        super().flatten_mapping(node)
        once = {
            (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key): (key, item)
            for key, item in node.value
        }
        node.value = list(once.values())


class _Dumper(_SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    style = '"' if dumper.resolve(yaml.ScalarNode, text, (True, False)) != "tag:yaml.org,2002:str" else None
    style = "|" if "\n" in text and not re.search(r"[ \t]\n|[\x00-\x08\x0b-\x1f]", text) else style
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    list("-+0123456789."),
)
_Dumper.add_representer(str, _text)


def _integer(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    if re.fullmatch(r"[-+]?0[0-7]+", text):
        return int(text, 8)
    return int(text, 0)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def documents(text: str | bytes) -> list[Any]:
    """All that is in it, without empty ones."""
    try:
        _check_nesting(text)
        found = list(yaml.load_all(text, _Loader))
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise NotYaml(" ".join(str(error).split())) from None
    for one in found:
        check(one)
    return [one for one in found if one is not None]


def _check_nesting(text: str | bytes) -> None:
    """Before anything is built of it: libyaml's composer recurses in C."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"nested deeper than {DEEPEST} levels (line {event.start_mark.line + 1})")
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1


def check(found: Any) -> None:
    """Is it a value that JSON has, and of a size that a manifest may have?"""
    left = MOST_VALUES
    stack = [(found, 1)]
    while stack:
        one, depth = stack.pop()
        left -= 1
        if left < 0:
            raise NotYaml(f"more than {MOST_VALUES} values")
        if depth > DEEPEST:
            raise NotYaml(f"nested deeper than {DEEPEST} levels")
        if isinstance(one, dict):
            for name, item in one.items():
                if not isinstance(name, str):
                    raise NotYaml(f"a field's name must be a string, not {name!r}: put it in quotes")
                stack.append((item, depth + 1))
        elif isinstance(one, list):
            stack.extend((item, depth + 1) for item in one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise NotYaml(f"not a number that JSON has: {one}")
        elif not isinstance(one, (str, int, float, bool, type(None))):
            raise NotYaml(f"not a value that JSON has: {one!r}: put it in quotes")


def dumped(value: Any) -> str:
    """As kubectl writes it: fields by name, block style."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True, width=1 << 20
    )
    return text
