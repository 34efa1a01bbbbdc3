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
    not_run: tuple[str, ...] = ()  #: hooks

    def __bool__(self) -> bool:
        return bool(self.mounts or self.environment or self.links or self.folders or self.not_run)

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

    def variables(self, environment: dict[str, str]) -> dict[str, str]:
        """With what is said for the container."""
        found = environment | dict(self.environment)
        if self.folders:
            known = [folder for folder in found.get("LD_LIBRARY_PATH", "").split(":") if folder]
            found["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys((*known, *self.folders)))
        return found


class Held(msgspec.Struct, frozen=True):
    """One device that the step holds."""

    uuid: str
    files: tuple[str, ...]  #: its own, and those that it needs beside


def edits_for(directories: Iterable[str], held: Sequence[Held], common: Sequence[str] = ()) -> Edits:
    """`common`: files of a driver, which say nothing of a device."""
    found: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    for specification, devices in _read(directories).values() if held else ():
        mine = {name: device for name, device in devices.items() if _is_held(name, device, held, set(common))}
        if mine:
            found += [device.get("containerEdits") or {} for device in _least(mine)]
            chosen.append(specification.get("containerEdits") or {})
    return _merged([*found, *chosen])


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


def _read(directories: Iterable[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By kind: the specification, and its devices by name."""
    import yaml

    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for directory in directories:
        for path in sorted(glob(f"{directory}/*.yaml") + glob(f"{directory}/*.json")):
            try:
                with open(path) as file:
                    specification = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            except (OSError, yaml.YAMLError):
                continue
            if not isinstance(specification, dict) or not isinstance(specification.get("devices"), list):
                continue
            devices = {str(d.get("name")): d for d in specification["devices"] if isinstance(d, dict)}
            _, known = found.get(str(specification.get("kind")), ({}, {}))
            found[str(specification.get("kind"))] = specification, known | devices
    return found


def _is_held(name: str, device: dict[str, Any], held: Sequence[Held], common: set[str]) -> bool:
    """Not `all`, nor any other that has more than one; of a sliced GPU not the whole."""
    nodes = set(_files_of(device)) - common
    return any(
        (name == one.uuid != "")
        or (one.files[0] in nodes and nodes <= set(one.files) and (len(one.files) == 1 or len(nodes) > 1))
        for one in held
    )


def _files_of(device: dict[str, Any]) -> list[str]:
    nodes = (device.get("containerEdits") or {}).get("deviceNodes") or []
    return [str(node.get("hostPath") or node.get("path")) for node in nodes if isinstance(node, dict)]


def _least(devices: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One for each set of files: a GPU often stands there by its number and by its UUID."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for _, device in sorted(devices.items()):
        found.setdefault(tuple(sorted(_files_of(device))), device)
    return list(found.values())


def _merged(edits: Iterable[dict[str, Any]]) -> Edits:
    mounts: dict[str, Mount] = {}
    environment: dict[str, str] = {}
    links: dict[str, str] = {}
    folders: list[str] = []
    not_run: list[str] = []
    for one in edits:
        for text in one.get("env") or ():
            name, _, value = str(text).partition("=")
            environment[name] = value
        for mount in one.get("mounts") or ():
            source, target = str(mount.get("hostPath", "")), str(mount.get("containerPath", ""))
            flags = tuple(str(word) for word in mount.get("options") or () if word in _FLAGS)
            if os.path.exists(source) and target.startswith("/"):
                mounts[target] = Mount(source, target, flags)
        for hook in one.get("hooks") or ():
            _hook(hook, links, folders, not_run)
    wanted = set(folders)
    for mount in mounts.values():
        folder, _, file = mount.target.rpartition("/")
        if folder in wanted and (name := soname_of(mount.source)) and name != file:
            links.setdefault(f"{folder}/{name}", file)
    made = tuple((says, place) for place, says in links.items())
    return Edits(
        tuple(mounts.values()),
        tuple(environment.items()),
        made,
        tuple(dict.fromkeys(folders)),
        tuple(dict.fromkeys(not_run)),
    )


def _hook(hook: dict[str, Any], links: dict[str, str], folders: list[str], not_run: list[str]) -> None:
    arguments = [str(word) for word in hook.get("args") or ()]
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
        not_run.append(" ".join([str(hook.get("path", "")), *arguments[1:]]).strip())


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
