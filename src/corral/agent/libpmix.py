"""How is libpmix, a C library, told of a step and asked for what its tasks need? By ctypes, in a process of its own.

Only what a launcher must do: start the library's server, describe the step (register_nspace), admit the local tasks
(register_client), get their variables (setup_fork), and answer when they meet at a fence. The layouts are those of PMIx 4's
pmix_common.h. The library calls back in a thread of its own.
"""

import ctypes
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, byref, c_bool, c_char, c_char_p, c_int, c_size_t, c_uint16, c_uint32, c_void_p
from typing import Any

NAME = "libpmix.so.2"
SUCCESS, NOT_FOUND, NOT_SUPPORTED, SUCCEEDED_AT_ONCE = 0, -46, -47, -157
WILDCARD = 0xFFFFFFFE
_BOOL, _STRING, _INT, _UINT16, _UINT32, _INFO, _DATA_ARRAY, _RANK = 1, 3, 6, 13, 14, 24, 39, 40
_LAST_INFO = 2


class PmixError(Exception):
    """The library said no."""


class Proc(ctypes.Structure):
    _fields_ = [("nspace", c_char * 256), ("rank", c_uint32)]


class _DataArray(ctypes.Structure):
    _fields_ = [("type", c_uint16), ("size", c_size_t), ("array", c_void_p)]


class _Data(ctypes.Union):
    _fields_ = [
        ("flag", c_bool),
        ("string", c_char_p),
        ("integer", c_int),
        ("uint16", c_uint16),
        ("uint32", c_uint32),
        ("darray", POINTER(_DataArray)),
        ("room", c_char * 24),
    ]


class _Value(ctypes.Structure):
    _fields_ = [("type", c_uint16), ("data", _Data)]


class _Info(ctypes.Structure):
    _fields_ = [("key", c_char * 512), ("flags", c_uint32), ("value", _Value)]


#: What a value is: its type, and the field of the union it goes to.
_KINDS = {
    "bool": (_BOOL, "flag"), "string": (_STRING, "string"), "int": (_INT, "integer"), "uint16": (_UINT16, "uint16"),
    "uint32": (_UINT32, "uint32"), "rank": (_RANK, "uint32"),
}  # fmt: skip
Entry = tuple[str, str, Any]

_OpDone = CFUNCTYPE(None, c_int, c_void_p)
_ModexDone = CFUNCTYPE(None, c_int, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p)
_Connected = CFUNCTYPE(c_int, POINTER(Proc), c_void_p, c_void_p, c_void_p)
_Abort = CFUNCTYPE(c_int, POINTER(Proc), c_void_p, c_int, c_char_p, POINTER(Proc), c_size_t, c_void_p, c_void_p)
_Fence = CFUNCTYPE(c_int, POINTER(Proc), c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p)
_DirectModex = CFUNCTYPE(c_int, POINTER(Proc), c_void_p, c_size_t, c_void_p, c_void_p)
_MODULE_FUNCTIONS = 28


class Server:
    """The library's server in this process. `on_fence` and `on_abort` are called in the library's thread."""

    def __init__(
        self, entries: Sequence[Entry], on_fence: Callable[[bytes], None], on_abort: Callable[[int, str], None]
    ) -> None:
        self._library = ctypes.CDLL(NAME)
        self._on_fence, self._on_abort = on_fence, on_abort
        self._waiting: list[tuple[int, int]] = []  #: at fences: the library's function and its argument
        self._kept: list[Any] = []  # what the library may look at for as long as it lives
        connected = _Connected(lambda proc, server, done, data: SUCCEEDED_AT_ONCE)
        functions: list[Any] = [
            connected, connected, _Abort(self._abort), _Fence(self._fence), _DirectModex(lambda *arguments: NOT_FOUND),
        ]  # fmt: skip
        module = (c_void_p * _MODULE_FUNCTIONS)(*(ctypes.cast(function, c_void_p) for function in functions))
        self._kept += [functions, module]
        infos = self._infos(entries)
        _check("PMIx_server_init", self._library.PMIx_server_init(byref(module), infos, c_size_t(len(infos))))

    # ------------------------------------------------------------------ the step

    def register(self, nspace: str, local: int, entries: Sequence[Entry]) -> None:
        infos = self._infos(entries)
        self._wait_for(
            "PMIx_server_register_nspace",
            lambda done: self._library.PMIx_server_register_nspace(
                nspace.encode(), c_int(local), infos, c_size_t(len(infos)), done, None
            ),
        )

    def admit(self, nspace: str, rank: int, uid: int, gid: int) -> dict[str, str]:
        """One local task; its variables."""
        proc = Proc(nspace.encode(), rank)
        self._wait_for(
            "PMIx_server_register_client",
            lambda done: self._library.PMIx_server_register_client(byref(proc), uid, gid, None, done, None),
        )
        variables = POINTER(c_char_p)()
        _check("PMIx_server_setup_fork", self._library.PMIx_server_setup_fork(byref(proc), byref(variables)))
        found, index = {}, 0
        while variables and variables[index]:
            name, _, value = variables[index].decode("utf-8", "surrogateescape").partition("=")
            found[name] = value
            index += 1
        return found

    def regex(self, function: str, text: str) -> str:
        """The library's own short form of a list of nodes, or of ranks per node."""
        result = c_char_p()
        _check(function, getattr(self._library, function)(text.encode(), byref(result)))
        data = result.value or b""
        return f"raw:{text}" if data.startswith(b"blob") else data.decode()

    def finish(self) -> None:
        self._library.PMIx_server_finalize()

    # ------------------------------------------------------------------ fences

    def _fence(
        self, procs: Any, count: int, infos: Any, ninfos: int, data: int | None, size: int, done: int, argument: int
    ) -> int:
        if count != 1 or procs[0].rank != WILDCARD:
            return NOT_SUPPORTED  # a part of the step
        self._waiting.append((done, argument))
        self._on_fence(ctypes.string_at(data, size) if data and size else b"")
        return SUCCESS

    def pass_fence(self, data: bytes) -> None:
        """The oldest one is over: this is what all nodes have brought."""
        done, argument = self._waiting.pop(0)
        buffer = ctypes.create_string_buffer(data, len(data)) if data else None
        self._kept.append(buffer)
        _ModexDone(done)(SUCCESS, ctypes.cast(buffer, c_void_p) if buffer else None, len(data), argument, None, None)

    def _abort(
        self, proc: Any, server: Any, status: int, words: bytes | None, procs: Any, count: int, done: int, argument: int
    ) -> int:
        self._on_abort(status, (words or b"").decode(errors="replace"))
        return SUCCEEDED_AT_ONCE

    # ------------------------------------------------------------------ values

    def _infos(self, entries: Sequence[Entry]) -> Any:
        infos = (_Info * len(entries))()
        for info, (key, kind, value) in zip(infos, entries, strict=True):
            info.key = key.encode()
            if kind == "infos":
                inner = self._infos(value)
                array = _DataArray(_INFO, len(inner), ctypes.cast(inner, c_void_p))
                info.value.type = _DATA_ARRAY
                info.value.data.darray = ctypes.pointer(array)
                self._kept += [inner, array]
                continue
            info.value.type, field = _KINDS[kind]
            setattr(info.value.data, field, value.encode() if kind == "string" else value)
        if len(entries):
            infos[len(entries) - 1].flags = _LAST_INFO
        self._kept.append(infos)
        return infos

    def _wait_for(self, what: str, call: Callable[[Any], int]) -> None:
        from threading import Event

        ended, status = Event(), [SUCCESS]

        def on_done(code: int, argument: int | None) -> None:
            status[0] = code
            ended.set()

        done = _OpDone(on_done)
        self._kept.append(done)
        code = call(done)
        if code == SUCCESS:
            ended.wait(10.0)
            code = status[0] if ended.is_set() else -24
        _check(what, 0 if code == SUCCEEDED_AT_ONCE else code)


def _check(what: str, code: int) -> None:
    if code != SUCCESS:
        raise PmixError(f"{what}: error {code}")
