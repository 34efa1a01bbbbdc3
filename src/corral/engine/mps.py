"""What does --gres=mps:25 ask for? As in Slurm, so many hundredths of a GPU through MPS: --gres=gpu:0.25, where the fence is "mps"."""

from collections.abc import Iterable

import msgspec

from corral.model.cluster import ClusterConfig
from corral.model.gres import WHOLE, GresRequest
from corral.model.job import JobSpec, StepSpec
from corral.protocol.replies import Rejected

#: As how many units of gres/mps each GPU counts.
_EACH = 100


def of_job(config: ClusterConfig, spec: JobSpec) -> JobSpec | Rejected:
    step = spec.step
    if not any(map(_is_mps, spec.gres)) and not (step is not None and any(map(_is_mps, step.gres or ()))):
        return spec
    gres = _shares(config, spec.gres)
    if isinstance(gres, Rejected):
        return gres
    if step is not None:
        placed = of_step(config, step)
        if isinstance(placed, Rejected):
            return placed
        step = placed
    return msgspec.structs.replace(spec, gres=gres, step=step)


def of_step(config: ClusterConfig, spec: StepSpec) -> StepSpec | Rejected:
    if not any(map(_is_mps, spec.gres or ())):
        return spec
    gres = _shares(config, spec.gres or ())
    return gres if isinstance(gres, Rejected) else msgspec.structs.replace(spec, gres=gres)


def _is_mps(request: GresRequest) -> bool:
    return request.name == "mps"


def _shares(config: ClusterConfig, requests: Iterable[GresRequest]) -> tuple[GresRequest, ...] | Rejected:
    found = []
    for request in requests:
        if not _is_mps(request):
            found.append(request)
        elif config.gpu_sharing.fence != "mps" or "shard" not in config.gres_types:
            return _rejected("GPUs are not shared through MPS on this cluster ([gpu_sharing] fence)")
        elif request.count > _EACH or request.milli:
            return _rejected(f"mps:{request.amount} is more than one GPU, which is mps:{_EACH}")
        elif request.count:
            milli = request.count * WHOLE // _EACH
            found.append(GresRequest("gpu", request.type, 1, milli if milli < WHOLE else 0))
    return tuple(found)


def _rejected(problem: str) -> Rejected:
    return Rejected(error="Invalid generic resource (gres) specification", detail=problem)
