"""Which GPUs had this machine before, since it booted? A lost one must not change the numbers of the others: running jobs hold them.

When an agent starts and misses GPUs that an earlier one has found, and finds no other, it goes by what was found then; the watch
(gpuwatch.py) says that they are gone. A boot, or a GPU or slice that is new, makes the machine another one.
"""

import os

import msgspec

from corral.model.gres import GresDevice, uuids_of


class _Known(msgspec.Struct, frozen=True):
    boot_id: str
    devices: tuple[GresDevice, ...]


def remembered(path: str, boot_id: str, found: tuple[GresDevice, ...]) -> tuple[GresDevice, ...]:
    """What counts now; it is kept for the next time."""
    known = _read(path)
    if known is not None and known.boot_id == boot_id and boot_id:
        before, now = set(uuids_of(known.devices)), set(uuids_of(found))
        if now < before and "" not in before:
            return known.devices
    if uuids_of(found) or known is not None:
        _write(path, _Known(boot_id, found))
    return found


def _read(path: str) -> _Known | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=_Known)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: str, known: _Known) -> None:
    try:
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.json.encode(known))
        os.rename(f"{path}.new", path)
    except OSError:
        pass  # a full disk: the next start goes by what it finds
