"""How are the files of a ConfigMap's or Secret's volume written, so that a program never sees one half old and half new?

As the kubelet does it: the files lie in a directory of their own, `..data` is a link to it, and what a program opens are links through
that. New files are written to another directory; then the one link is replaced, at one moment.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence

from corral.protocol.pods import PodFile, PodVolume

_DATA, _NEW = "..data", "..data_tmp"


class BadPath(Exception):
    """A file would not be below its volume."""


def write(directory: str, files: Sequence[PodFile], owner: tuple[int, int] | None, *, for_group: bool = False) -> None:
    """Nothing, if they are so already. `owner`: whose they become; for_group: who may read them as owner may as group too."""
    if _are_there(directory, files):
        return
    before = os.readlink(f"{directory}/{_DATA}") if os.path.islink(f"{directory}/{_DATA}") else ""
    place = tempfile.mkdtemp(prefix="..", dir=directory)
    os.chmod(place, 0o755)
    for file in files:
        where = os.path.normpath(f"{place}/{file.path}")
        if not where.startswith(f"{place}/"):
            raise BadPath(file.path)
        os.makedirs(os.path.dirname(where), mode=0o755, exist_ok=True)
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            stream.write(file.value)
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, file.mode | (file.mode & 0o400) >> 3 if for_group else file.mode)
    link = f"{directory}/{_NEW}"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.basename(place), link)
    os.replace(link, f"{directory}/{_DATA}")
    _link(directory, {os.path.normpath(file.path).split("/")[0] for file in files})
    if before:
        shutil.rmtree(f"{directory}/{before}", ignore_errors=True)


def _are_there(directory: str, files: Sequence[PodFile]) -> bool:
    if not os.path.islink(f"{directory}/{_DATA}"):
        return False
    found = sum(len(names) for _, _, names in os.walk(f"{directory}/{_DATA}/"))
    if found != len({os.path.normpath(file.path) for file in files}):
        return False
    return all(_reads(f"{directory}/{_DATA}/{file.path}") == file.value for file in files)


def _reads(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def _link(directory: str, names: set[str]) -> None:
    """What is seen: links through ..data; none to what is not there any more."""
    for name in names:
        if not os.path.lexists(f"{directory}/{name}"):
            os.symlink(f"{_DATA}/{name}", f"{directory}/{name}")
    for name in os.listdir(directory):
        if name not in names and not name.startswith("..") and os.path.islink(f"{directory}/{name}"):
            os.unlink(f"{directory}/{name}")


def rewrite(volumes: Iterable[PodVolume], place: str) -> None:
    """Whose they are stays as it is. A volume that no container has mounted yet is written by the first that does."""
    for volume in volumes:
        directory = f"{place}/volumes/{volume.name}"
        data = f"{directory}/{_DATA}"
        if not os.path.islink(data):
            continue
        owners = [os.stat(f"{parent}/{name}") for parent, _, names in os.walk(f"{data}/") for name in names[:1]]
        whole = os.stat(directory)
        owner = (owners[0].st_uid, owners[0].st_gid) if owners and os.geteuid() == 0 else None
        write(directory, volume.files, owner, for_group=bool(whole.st_mode & 0o2000))
