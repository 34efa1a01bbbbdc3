"""How do the modules of all commands come into the files which the package's first lines read?

They lie beside what Python itself keeps of compiled modules, and like that are made by whoever runs a command and may write there:
the bundle by the first command, a command's own file by the first that found all its modules in the bundle.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import find_spec

from corral.cli import MARK, PARTS, Modules

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from types import CodeType

    from corral.cli import Source

#: What commands import of Python's own, beside what has been loaded before them.
_OF_PYTHON = ("__future__", "_json", "_socket", "_struct", "fcntl", "resource", "select", "struct", "termios")


class _Changing(Exception):
    """A source is being changed just now."""


def write(modules: Modules) -> bool:
    """What is missing or stale, anew. False: it may not lie there."""
    directory = os.path.dirname(modules.file)
    if sys.dont_write_bytecode or not os.access(directory, os.W_OK):
        return False
    try:
        if modules.is_stale:
            return _put(modules.file, _bundle())
        return _put(modules.start_file, _start(modules))
    except (OSError, _Changing):
        return False


def _bundle() -> bytes:
    index: dict[str, tuple[Source, int, int]] = {}
    codes: list[bytes] = []
    size = 0
    for name, file, is_package in (*_own(), *_pythons()):
        source, compiled = _compiled(name, file, is_package)
        code = marshal.dumps(compiled) if compiled is not None else b""
        index[name] = source, size, len(code)
        codes.append(code)
        size += len(code)
    head = marshal.dumps(index)
    return b"".join((MARK, len(head).to_bytes(8, "little"), head, *codes))


def _start(modules: Modules) -> bytes:
    """What was there before the command itself began is always there; what came later may be, and so may what came at other times."""
    first: list[tuple[str, Source, CodeType]] = []
    later = dict(modules.later)
    for place, name in enumerate(modules.loaded):
        is_package, file, _, _ = modules.source(name)
        source, compiled = _compiled(name, file, is_package)
        if compiled is not None and place < modules.at_first:
            first.append((name, source, compiled))
        else:
            later[name] = source, marshal.dumps(compiled) if compiled is not None else b""
    return MARK + marshal.dumps((first, later))


def _compiled(name: str, file: str, is_package: bool) -> tuple[Source, CodeType | None]:
    """Without code: a library."""
    before = os.stat(file)
    is_library = file.endswith(tuple(EXTENSION_SUFFIXES))
    code = None if is_library else SourceFileLoader(name, file).get_code(name)
    if os.stat(file).st_mtime_ns != before.st_mtime_ns:
        raise _Changing
    return (is_package, file, before.st_mtime_ns, before.st_size), code


def _put(path: str, data: bytes) -> bool:
    part = f"{path}.{os.getpid()}"
    with open(part, "xb") as file:
        os.fchmod(file.fileno(), os.stat(__file__).st_mode & 0o666)  # whoever may read the source may read it
        file.write(data)
    os.replace(part, path)
    return True


def _own() -> list[tuple[str, str, bool]]:
    """Name, file, and whether it is a package."""
    top = os.path.dirname(os.path.dirname(__file__))
    found = [("corral.errors", f"{top}/errors.py", False)]
    for part in PARTS:
        first = part.removesuffix(".").rpartition(".")[2]
        for directory, below, names in os.walk(f"{top}/{first}"):
            below[:] = [name for name in below if name.isidentifier() and name != "__pycache__"]
            package = directory.removeprefix(f"{os.path.dirname(top)}/").replace("/", ".")
            for name in names:
                stem, dot, suffix = name.rpartition(".")
                if dot and suffix == "py" and stem.isidentifier():
                    module = package if stem == "__init__" else f"{package}.{stem}"
                    found.append((module, f"{directory}/{name}", stem == "__init__"))
    return sorted(found)


def _pythons() -> list[tuple[str, str, bool]]:
    specs = [find_spec(name) for name in _OF_PYTHON]
    return [(spec.name, spec.origin, False) for spec in specs if spec is not None and spec.has_location and spec.origin]
