"""Where in a .sif file is its root file system, and what does an image that apptainer made say of its environment?

A .sif file has a header (at byte 32: SIF_MAGIC) and a table of descriptors, of which one is the primary system partition: a squashfs, which
unsquashfs reads where it lies. Variables are lines of shell in the image: those that only set one are read, no line is run.
"""

import os
import re
import struct
from pathlib import Path

from corral.model.container import ImageConfig

#: Launch script, magic, version, machine, id; then made, changed, free and all descriptors, where they are and how long.
_HEADER = struct.Struct("<32s10s3s3s16s6q")
#: Kind, in use?, id, group, link; where, how long, padded; made, changed, user, group; name; and what is the kind's own.
_DESCRIPTOR = struct.Struct("<i?3I3q4q128s384s")
_PARTITION = struct.Struct("<2i")
_IS_PARTITION, _PRIMARY = 0x4004, 2
_SQUASHFS = 1
_OTHERS = {2: "ext3", 3: "an archive", 4: "raw", 5: "encrypted"}
_MOST_DESCRIPTORS, _MOST_TEXT = 1000, 1 << 20

_RUNSCRIPT = "/.singularity.d/runscript"
_EXPORT = re.compile(r"export ([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_DEFAULT = re.compile(r'"\$\{[A-Za-z_][A-Za-z0-9_]*:-"(.*)"\}"')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|([^\s"\'`;&|<>()]*)')
_EXPANSION = re.compile(r"\\([\"$`\\])|\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


class NotReadable(Exception):
    """In words for the user."""


def root_offset(fd: int) -> int:
    """Where its squashfs begins. Raises NotReadable."""
    try:
        *_, total, start, _size = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
    except struct.error:
        raise NotReadable("it is cut off") from None
    if not 0 < total <= _MOST_DESCRIPTORS:
        raise NotReadable(f"it has {total} descriptors")
    table = os.pread(fd, total * _DESCRIPTOR.size, start)
    for number in range(len(table) // _DESCRIPTOR.size):
        kind, is_used, *_, offset, _length, _padded, _made, _changed, _uid, _gid, _name, own = _DESCRIPTOR.unpack_from(
            table, number * _DESCRIPTOR.size
        )
        system, part = _PARTITION.unpack_from(own)
        if kind == _IS_PARTITION and is_used and part == _PRIMARY:
            if system != _SQUASHFS:
                raise NotReadable(f"its file system is no squashfs ({_OTHERS.get(system, system)})")
            return int(offset)
    raise NotReadable("it has no root file system")


def config_of(root: Path) -> ImageConfig:
    """Of the files of an image; what it runs by itself is its entry point."""
    known: dict[str, str] = {}
    for name in ("10-docker2singularity.sh", "90-environment.sh"):
        for line in text_in(root, f".singularity.d/env/{name}").splitlines():
            _set(known, line.strip())
    entry = (_RUNSCRIPT,) if os.path.isfile(f"{root}{_RUNSCRIPT}") else ()
    return ImageConfig(environment=tuple(f"{name}={value}" for name, value in known.items()), entrypoint=entry)


def text_in(root: Path, name: str) -> str:
    """Of a file of an image; "" = there is none, or its path leads out of the image: it may be no file of whoever made that."""
    path = os.path.realpath(root / name)
    if not path.startswith(f"{os.path.realpath(root)}/"):
        return ""
    try:
        with open(path, errors="replace") as file:
            return file.read(_MOST_TEXT)
    except OSError:
        return ""


def _set(known: dict[str, str], line: str) -> None:
    found = _EXPORT.fullmatch(line)
    if found is None:
        return
    name, text = found.groups()
    default = _DEFAULT.fullmatch(text)
    if default is not None:  # which counts unless the job has the variable: so it is with every image's
        known[name] = _expanded(default[1], known)
    elif (value := _QUOTED.fullmatch(text)) is not None and "`" not in text and "$(" not in text:
        known[name] = value[2] if value[2] is not None else _expanded(value[1] or value[3] or "", known)


def _expanded(text: str, known: dict[str, str]) -> str:
    return _EXPANSION.sub(lambda found: found[1] or known.get(found[2] or found[3] or "", ""), text)
