"""What does a container need for its job's GPUs beside their files? The Container Device Interface says it: libraries to mount, variables.

Specifications (YAML or JSON, as `nvidia-ctk cdi generate` writes them) lie in /etc/cdi and /var/run/cdi; the later directory wins. Of each
the devices count whose files or names the step holds, and then what the specification says for all of its devices.

A container here is a mount namespace and no runtime, so no hook is run. What NVIDIA's hooks do for programs to find the driver is done by
ourselves: links that are named are made, and each mounted library gets the link by which programs look for it (its SONAME), as ldconfig
would. The rest is named in the step's standard error.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from glob import glob
from typing import Any

import msgspec

from corral.model.allocation import NodeShare
from corral.model.container import Mount
from corral.model.gres import GresDevice

_FLAGS = {"ro", "nosuid", "nodev", "noexec"}
#: Hooks that change nothing where /dev and /proc are the node's own.
_NEEDLESS = {"chmod", "disable-device-node-modification"}
#: What is the node's own, whatever an image's links say.
_NEVER = ("/dev", "/proc", "/sys")


class Edits(msgspec.Struct, frozen=True):
    """What is changed in a container."""

    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()  #: (what it says, where it is)
    folders: tuple[str, ...] = ()  #: in which libraries are to be found
    notes: tuple[str, ...] = ()  #: for the user: hooks that are not run, files that are not understood

    def make_links(self) -> None:
        """In the container's root. What is there already stays."""
        for says, place in self.links:
            if not _is_inside(place):
                continue
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(says, place)
            except FileExistsError:
                continue

    def variables(self, environment: dict[str, str], image: str) -> dict[str, str]:
        """With what is said for the container. Folders in which programs of the image look anyway must not come before others of theirs."""
        found = environment | dict(self.environment)
        more = [folder for folder in self.folders if not _is_usual(f"{image}{folder}")]
        if more:
            known = [folder for folder in found.get("LD_LIBRARY_PATH", "").split(":") if folder]
            found["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys((*known, *more)))
        return found


class Held(msgspec.Struct, frozen=True):
    """One device that the step holds."""

    uuid: str
    files: tuple[str, ...]  #: its own, and those that it needs beside


def edits_for(directories: Iterable[str], held: Sequence[Held], common: Sequence[str] = ()) -> Edits:
    """`common`: files of a driver, which say nothing of a device."""
    if not held:
        return Edits()
    devices, problems = _read(directories)
    least: dict[tuple[str, ...], tuple[_Device, _Specification]] = {}
    for (_, name), (device, specification) in sorted(devices.items(), key=lambda one: one[0]):
        files = _files_of(device)
        if _is_held(name, set(files) - set(common), held):
            least.setdefault(tuple(sorted(files)), (device, specification))  # one GPU: by its number and by its UUID
    edits = [device.edits for device, _ in least.values()]
    general = {id(specification): specification.edits for _, specification in least.values()}
    return _merged([*edits, *general.values()], problems)


def held_by(share: NodeShare, devices: Sequence[GresDevice]) -> list[Held]:
    """With files of their own, in the order in which they are counted."""
    units = {("gpu" if one.name == "shard" else one.name, index) for one in share.gres for index in one.indices}
    found, first = [], dict[str, int]()
    for device in devices:
        begin = first.get(device.name, 0)
        first[device.name] = begin + device.count
        for place, file in enumerate(device.files):
            if (device.name, begin + place) in units:
                more = device.more_files[place] if place < len(device.more_files) else ()
                found.append(Held(device.uuids[place] if place < len(device.uuids) else "", (file, *more)))
    return found


# ---------------------------------------------------------------------------------------------------- specifications


class _Node(msgspec.Struct, rename="camel"):
    path: str
    host_path: str = ""


class _Mount(msgspec.Struct, rename="camel"):
    host_path: str
    container_path: str
    options: list[str] = []


class _Hook(msgspec.Struct, rename="camel"):
    path: str
    args: list[str] = []


class _Edits(msgspec.Struct, rename="camel"):
    env: list[str] = []
    device_nodes: list[_Node] = []
    mounts: list[_Mount] = []
    hooks: list[_Hook] = []


class _Device(msgspec.Struct):
    name: str
    edits: _Edits = msgspec.field(default_factory=_Edits, name="containerEdits")


class _Specification(msgspec.Struct):
    kind: str
    devices: list[_Device]
    edits: _Edits = msgspec.field(default_factory=_Edits, name="containerEdits")


def _read(
    directories: Iterable[str],
) -> tuple[dict[tuple[str, str], tuple[_Device, _Specification]], list[str]]:
    """By kind and name; and what is wrong with files."""
    import yaml

    found: dict[tuple[str, str], tuple[_Device, _Specification]] = {}
    problems = []
    for directory in directories:
        for path in sorted(glob(f"{directory}/*.yaml") + glob(f"{directory}/*.json")):
            try:
                with open(path) as file:
                    tree = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                one = msgspec.convert(_without_nothing(tree), _Specification, strict=False)
            except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
                problems.append(f"{path} is not understood: {str(error).splitlines()[0]}")
                continue
            found |= {(one.kind, device.name): (device, one) for device in one.devices}
    return found, problems


def _without_nothing(tree: Any) -> Any:
    """`mounts:` with nothing behind is as if it were not there; numbers that are meant as names are text."""
    if isinstance(tree, dict):
        return {str(key): _without_nothing(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [_without_nothing(value) for value in tree]
    return str(tree) if isinstance(tree, (int, float)) else tree


def _is_held(name: str, nodes: set[str], held: Sequence[Held]) -> bool:
    """Not `all`, nor any other that has more than one; of a sliced GPU not the whole."""
    return any(
        (name == one.uuid != "")
        or (one.files[0] in nodes and nodes <= set(one.files) and (len(one.files) == 1 or len(nodes) > 1))
        for one in held
    )


def _files_of(device: _Device) -> list[str]:
    return [node.host_path or node.path for node in device.edits.device_nodes]


def _merged(edits: Iterable[_Edits], problems: Sequence[str]) -> Edits:
    mounts: dict[str, Mount] = {}
    environment: dict[str, str] = {}
    links: dict[str, str] = {}
    folders: list[str] = []
    notes = list(problems)
    for one in edits:
        environment |= {name: value for name, _, value in (text.partition("=") for text in one.env)}
        for mount in one.mounts:
            if os.path.exists(mount.host_path) and mount.container_path.startswith("/"):
                flags = tuple(word for word in mount.options if word in _FLAGS)
                mounts[mount.container_path] = Mount(mount.host_path, mount.container_path, flags)
        for hook in one.hooks:
            _do(hook, links, folders, notes)
    wanted = set(folders)
    for target, bound in mounts.items():
        folder, _, file = target.rpartition("/")
        if folder in wanted and (name := soname_of(bound.source)) and name != file:
            links.setdefault(f"{folder}/{name}", file)
    made = tuple((says, place) for place, says in links.items())
    known = tuple(dict.fromkeys(folders)), tuple(dict.fromkeys(notes))
    return Edits(tuple(mounts.values()), tuple(environment.items()), made, *known)


def _do(hook: _Hook, links: dict[str, str], folders: list[str], notes: list[str]) -> None:
    arguments = hook.args
    options = [
        (words[0].lstrip("-"), words[2] or (arguments[at + 1] if at + 1 < len(arguments) else ""))
        for at, word in enumerate(arguments)
        if (words := word.partition("="))[0].startswith("--")
    ]
    if "update-ldcache" in arguments:
        folders += [value for name, value in options if name == "folder"]
    elif "create-symlinks" in arguments:
        for says, _, place in (value.partition("::") for name, value in options if name == "link"):
            if place.startswith("/"):
                links[place] = says
    elif not _NEEDLESS.intersection(arguments):
        notes.append(f"this hook is not run: {' '.join([hook.path, *arguments[1:]])}")


def _is_usual(folder: str) -> bool:
    """Does the image's own linker look there? Then the image's own libraries are there."""
    return any(os.path.lexists(f"{folder}/{name}") for name in ("libc.so.6", "libstdc++.so.6"))


def _is_inside(place: str) -> bool:
    """Is it in the container's own files, whatever links there are on the way?"""
    real = os.path.realpath(os.path.dirname(place))
    return not any(real == path or real.startswith(f"{path}/") for path in _NEVER)


# ---------------------------------------------------------------------------------------------------- libraries

_LOAD, _DYNAMIC = 1, 2
_STRING_TABLE, _SONAME = 5, 14


def soname_of(path: str) -> str:
    """By which name programs look for this library (64-bit ELF); "" = it has none, or is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:5] != b"\x7fELF\x02":
                return ""
            order = "<" if head[5] == 1 else ">"
            at, size, count = *struct.unpack_from(f"{order}Q", head, 32), *struct.unpack_from(f"{order}HH", head, 54)
            file.seek(at)
            table = file.read(size * count)
            parts = [struct.unpack_from(f"{order}IIQQQQ", table, size * number) for number in range(count)]
            loaded = [(place, address, length) for kind, _, place, address, _, length in parts if kind == _LOAD]
            _, _, place, _, _, length = next(part for part in parts if part[0] == _DYNAMIC)
            file.seek(place)
            entries = dict(reversed(list(struct.iter_unpack(f"{order}QQ", file.read(length // 16 * 16)))))
            address = entries[_STRING_TABLE]
            offset = next(place + address - base for place, base, length in loaded if base <= address < base + length)
            file.seek(offset + entries[_SONAME])
            return file.read(256).partition(b"\0")[0].decode()
    except (OSError, struct.error, StopIteration, KeyError, ValueError):
        return ""
