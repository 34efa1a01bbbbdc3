"""What did the user type, and what do we print?

And how does a command start soon? For each module Python looks in several places and opens a file of its own; with the thirty
modules of an sbatch that is a sixth of its time. So bundle.py keeps the modules of all commands in one file, each with the time and
the size of its source. Those whose source is as it was come from there; others are imported as ever, and the bundle is made anew.
"""

import sys
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, SourceFileLoader
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, open, pread, stat

#: What the bundle is of. Other modules of ours are the daemons', and what is too large for a command.
PARTS = ("corral.cli.", "corral.client.", "corral.syntax.")
#: The file begins with this, then the length of the index in eight bytes, the index, and the code of the modules.
MARK: bytes = b"corral commands 1\n" + MAGIC_NUMBER + bytes([sys.flags.optimize])

_HEAD = len(MARK) + 8
_LARGEST_INDEX = 1 << 20


class Modules:
    """A finder and loader of what lies in the bundle."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.is_stale = True  #: the file is not there, or does not hold what it should
        #: name -> (is a package, source, its time and size, place and length of the code; no code: a library)
        self.index: dict[str, tuple[bool, str, int, int, int, int]] = {}
        try:
            self._fd = open(file, O_RDONLY | O_CLOEXEC)
            head = pread(self._fd, _HEAD, 0)
            self._start = _HEAD + int.from_bytes(head[-8:], "little")
            if head.startswith(MARK) and self._start < _LARGEST_INDEX:
                self.index = loads(pread(self._fd, self._start - _HEAD, _HEAD))
                self.is_stale = False
        except (OSError, ValueError, EOFError, TypeError):
            pass

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        entry = self.index.get(name)
        if entry is None:
            self.is_stale = self.is_stale or name.startswith(PARTS)
            return None
        is_package, source, time, size, _, length = entry
        try:
            found = stat(source)
        except OSError:
            found = None
        if found is None or found.st_mtime_ns != time or found.st_size != size:
            self.is_stale = True
            return None
        if not length:
            return _Spec(name, ExtensionFileLoader(name, source), origin=source)
        spec = _Spec(name, self, origin=source, is_package=is_package)  # type: ignore[arg-type] # a Loader has no need of more
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [source.rpartition("/")[0]]
        return spec

    def create_module(self, spec: object) -> None:
        """As Python does it."""

    def exec_module(self, module: object) -> None:
        name: str = module.__name__  # type: ignore[attr-defined]
        _, source, _, _, offset, length = self.index[name]
        try:
            code = loads(pread(self._fd, length, self._start + offset))
        except (OSError, ValueError, EOFError, TypeError):  # a disk that has lost a part of it
            self.is_stale = True
            code = SourceFileLoader(name, source).get_code(name)
        exec(code, module.__dict__)


_Spec = type(__spec__)
_here, _, _ = __file__.rpartition("/")
_name = (sys.argv or [""])[0].rpartition("/")[2].removesuffix(".py") if hasattr(sys, "argv") else ""

modules = Modules(f"{_here}/__pycache__/commands.{sys.implementation.cache_tag}.bundle")
if f"corral.cli.commands.{_name}" in modules.index:
    sys.meta_path.insert(0, modules)  # type: ignore[arg-type] # typing costs an import
