"""How do the modules of all commands come into one file (which the package's first lines read)?

It lies beside what Python itself keeps of compiled modules, and like that is made by whoever runs a command and may write there.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import find_spec

from corral.cli import MARK, PARTS, Modules

#: What commands import of Python's own, beside what has been loaded before them.
_OF_PYTHON = ("__future__", "_json", "_socket", "_struct", "fcntl", "resource", "select", "struct", "termios")

_Entry = tuple[bool, str, int, int, int, int]


def write(modules: Modules) -> bool:
    """Anew. False: it may not lie there."""
    directory = os.path.dirname(modules.file)
    if sys.dont_write_bytecode or not os.access(directory, os.W_OK):
        return False
    index: dict[str, _Entry] = {}
    codes: list[bytes] = []
    size = 0
    for name, source, is_package in (*_own(), *_pythons()):
        before = os.stat(source)
        is_library = source.endswith(tuple(EXTENSION_SUFFIXES))
        code = b"" if is_library else marshal.dumps(SourceFileLoader(name, source).get_code(name))
        if os.stat(source).st_mtime_ns != before.st_mtime_ns:
            return False  # it is being changed just now
        index[name] = is_package, source, before.st_mtime_ns, before.st_size, size, len(code)
        codes.append(code)
        size += len(code)
    head = marshal.dumps(index)
    part = f"{modules.file}.{os.getpid()}"
    try:
        with open(part, "xb") as file:
            os.fchmod(file.fileno(), os.stat(__file__).st_mode & 0o666)  # whoever may read the source may read it
            file.write(b"".join((MARK, len(head).to_bytes(8, "little"), head, *codes)))
        os.replace(part, modules.file)
    except OSError:
        return False
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
