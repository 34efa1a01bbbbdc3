"""By which variables is a program told of the GPUs that are its own?

Where a job is fenced in, it sees its own GPUs only, and they are counted from 0. A slice of an NVIDIA GPU has no number that CUDA knows: it
goes by its UUID. On AMD's, HIP and OpenCL count what ROCR_VISIBLE_DEVICES has left, and CUDA_VISIBLE_DEVICES would be taken for HIP's.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from corral.model.devices import MIG
from corral.model.gres import GresDevice, uuids_of

#: All name the GPUs a program may use, for CUDA, OpenCL, ROCm and oneAPI. What a submitter has of them says nothing of a job.
GPU_VISIBILITY = (
    "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "HIP_VISIBLE_DEVICES",
)  # fmt: skip
_PLAIN = GPU_VISIBILITY[:4]


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """How the GPUs of this node are called."""

    renumber: bool = False  #: the job sees its own devices only, so they are counted from 0
    slices: tuple[str, ...] = ()  #: of each GPU its UUID, where some of them are slices
    is_amd: bool = False


PLAIN = Naming()


@lru_cache(maxsize=1)  # a shepherd asks for each task, and always the same
def naming_of(devices: tuple[GresDevice, ...], *, renumber: bool) -> Naming:
    gpus = [device for device in devices if device.name == "gpu"]
    uuids = uuids_of(gpus)
    return Naming(
        renumber=renumber,
        slices=uuids if any(uuid.startswith(MIG) for uuid in uuids) else (),
        is_amd=any(file.startswith("/dev/dri/") for device in gpus for file in device.files),
    )


def visible(own: Sequence[int], held: Sequence[int], naming: Naming) -> dict[str, str]:
    """`own`: of a task, among those that its step holds."""
    text = _ids(held.index(gpu) for gpu in own) if naming.renumber else _ids(own)
    if naming.is_amd:
        counted = _ids(range(len(own)))
        return {"ROCR_VISIBLE_DEVICES": text, "HIP_VISIBLE_DEVICES": counted, "GPU_DEVICE_ORDINAL": counted}
    names = [naming.slices[gpu] if gpu < len(naming.slices) else "" for gpu in own]
    if all(names):
        return dict.fromkeys(_PLAIN, text) | {"CUDA_VISIBLE_DEVICES": ",".join(names)}
    return dict.fromkeys(_PLAIN, text)


def _ids(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
