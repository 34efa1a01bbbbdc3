"""What did the user type, and what do we print?

And how does a command start soon? For each module Python looks in several places and opens a file of its own; with the thirty
modules of an sbatch that is a sixth of its time. So bundle.py keeps two files. One is a command's own: the modules that it always
begins with, which are read and run here in one go, and those that it went on to import the last time. The other holds the modules
of all commands, for what is missing in the first. Each module counts only while its source has the time and size that it was made
from; others are imported as ever, and the files are made anew.
"""

import sys
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, SourceFileLoader
from gc import set_threshold
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, close, fstat, open, pread, stat

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

#: What the bundle is of. Other modules of ours are the daemons', and what is too large for a command.
PARTS = ("corral.cli.", "corral.client.", "corral.syntax.")
#: Each file begins with this. The bundle goes on with the length of its index in eight bytes, the index, and the code of the modules.
MARK: bytes = b"corral commands 2\n" + MAGIC_NUMBER + bytes([sys.flags.optimize])

_HEAD = len(MARK) + 8
_LARGEST_INDEX = 1 << 20
#: Objects made until Python looks for some that hold each other: few commands make so many.
_COLLECT_AFTER = 50_000

#: Is it a package, its source, that one's time and size.
Source = tuple[bool, str, int, int]


class Modules:
    """A finder and loader of what lies in the two files."""

    def __init__(self, directory: str, command: str) -> None:
        tag = sys.implementation.cache_tag
        self.file = f"{directory}/commands.{tag}.bundle"
        self.start_file = f"{directory}/{command}.{tag}.start"
        self.is_stale = False  #: the bundle is not there, or does not hold what it should
        self.wants_start = True  #: the same of the command's own file
        self.loaded: list[str] = []  #: what came from either, in the order in which it was there
        self.at_first = 0  #: so many of them before the command itself began
        #: name -> where its code lies in the bundle, and how long it is. No code: a library.
        self.index: dict[str, tuple[Source, int, int]] = {}
        self.later: dict[str, tuple[Source, bytes]] = {}  #: the same of the command's own file
        self._first: dict[str, Source] = {}
        self._has_index = False
        self._fd = -1
        self._start = 0

    def begin(self) -> None:
        """Run what the command always begins with."""
        try:
            fd = open(self.start_file, O_RDONLY | O_CLOEXEC)
            data = pread(fd, fstat(fd).st_size, 0)
            close(fd)
            if not data.startswith(MARK):
                return
            first, later = loads(memoryview(data)[len(MARK) :])
        except (OSError, ValueError, EOFError, TypeError):
            return
        if not all(_is_current(source) for _, source, _ in first):
            return
        self.wants_start, self.later = False, later
        made: list[tuple[str, ModuleType, CodeType]] = []
        for name, source, code in first:
            module = sys.modules[name] = _Module(name)
            module.__file__, module.__spec__, module.__loader__ = source[1], self._spec(name, source), self  # type: ignore[assignment]
            if source[0]:
                module.__path__ = [source[1].rpartition("/")[0]]
            self._first[name] = source
            made.append((name, module, code))
        for place, (name, module, code) in enumerate(made):
            try:
                exec(code, module.__dict__)
                parent, _, last = name.rpartition(".")
                if parent:
                    setattr(sys.modules[parent], last, module)
            except Exception:  # whoever imports it the usual way will see why
                for name, _, _ in made[place:]:
                    sys.modules.pop(name, None)
                self.wants_start = True
                return
            self.loaded.append(name)

    def now(self) -> None:
        """The command itself begins."""
        self.at_first = len(self.loaded)

    def holds(self, name: str) -> bool:
        """Is there such a module?"""
        return name in sys.modules or name in self._known()

    def source(self, name: str) -> Source:
        """Of one that was loaded."""
        return self._first.get(name) or (self.later[name] if name in self.later else self.index[name])[0]

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name in self.later:
            source = self.later[name][0]
            if _is_current(source):
                return self._spec(name, source)
            del self.later[name]
        is_ours = f"{name}.".startswith(PARTS) or name == "corral.errors"
        if not is_ours and self._first:
            return None  # one of Python's own that is needed seldom
        if name not in self._known():
            self.is_stale = self.is_stale or is_ours
            return None
        source = self.index[name][0]
        if not _is_current(source):
            self.is_stale = True
            return None
        self.wants_start = True  # what it imported this time it may import the next time
        return self._spec(name, source)

    def create_module(self, spec: object) -> None:
        """As Python does it."""

    def exec_module(self, module: object) -> None:
        name: str = module.__name__  # type: ignore[attr-defined]
        try:
            code = loads(self.later[name][1] if name in self.later else self._code(name))
        except (OSError, ValueError, EOFError, TypeError):  # a disk that has lost a part of it
            self.is_stale = True
            code = SourceFileLoader(name, module.__file__ or "").get_code(name)  # type: ignore[attr-defined]
        exec(code, module.__dict__)
        self.loaded.append(name)

    def _code(self, name: str) -> bytes:
        _, offset, length = self.index[name]
        return pread(self._fd, length, self._start + offset)

    def _known(self) -> dict[str, tuple[Source, int, int]]:
        """The bundle's index, which is read when somebody wants it."""
        if not self._has_index:
            self._has_index = True
            try:
                self._fd = open(self.file, O_RDONLY | O_CLOEXEC)
                head = pread(self._fd, _HEAD, 0)
                self._start = _HEAD + int.from_bytes(head[-8:], "little")
                if head.startswith(MARK) and self._start < _LARGEST_INDEX:
                    self.index = loads(pread(self._fd, self._start - _HEAD, _HEAD))
            except (OSError, ValueError, EOFError, TypeError):
                pass
            self.is_stale = self.is_stale or not self.index
        return self.index

    def _spec(self, name: str, source: Source) -> "ModuleSpec":
        is_package, file, _, _ = source
        if not file.endswith(".py"):
            self.loaded.append(name)
            return _Spec(name, ExtensionFileLoader(name, file), origin=file)
        spec = _Spec(name, self, origin=file, is_package=is_package)  # type: ignore[arg-type] # a Loader has no need of more
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec


def _is_current(source: Source) -> bool:
    _, file, time, size = source
    try:
        found = stat(file)
    except OSError:
        return False
    return found.st_mtime_ns == time and found.st_size == size


_Spec = type(__spec__)
_Module = type(sys)
_here, _, _ = __file__.rpartition("/")
_name = (sys.argv or [""])[0].rpartition("/")[2].removesuffix(".py") if hasattr(sys, "argv") else ""

modules = Modules(f"{_here}/__pycache__", _name)
if _name.isidentifier():
    modules.begin()
    if modules.holds(f"corral.cli.commands.{_name}"):
        sys.meta_path.insert(0, modules)  # type: ignore[arg-type] # typing costs an import
        set_threshold(_COLLECT_AFTER)
