"""What do running steps use now, as sstat shows it?"""

from typing import Any

from starlette.requests import Request

from corral.controller import values
from corral.controller.api import query
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.jobs import step_number
from corral.controller.api.privacy import sees_all
from corral.controller.api.service import Service
from corral.controller.api.usage_rows import shown
from corral.controller.samples import Sample
from corral.model.job import ENDED
from corral.model.step import Step
from corral.protocol.replies import JobRows

_FIELDS = ("job", "step", "text", "nodes", "ntasks", "usage", "pids", "missing")
#: Steps that one request may ask about.
_MOST = 10_000


async def get_usage(service: Service, request: Request) -> JobRows:
    """Of these steps (42.0,42.batch), as far as they run."""
    caller = caller_of(service, request)
    everybodys = sees_all(service, caller)
    steps: list[Step] = []
    refs = query.job_refs(request, "steps")
    if len(refs) > _MOST:
        raise Refusal(f"steps: more than {_MOST}")
    for ref in refs:
        step = service.state.steps.get(ref.job, {}).get(step_number(ref.step))
        job = service.state.jobs.get(ref.job)
        if step is None or job is None or step.state in ENDED or not (everybodys or job.owner.uid == caller.uid):
            continue
        steps.append(step)
    return JobRows(fields=_FIELDS, rows=[_row(sample) for sample in await service.samples.ask(steps)])


def _row(sample: Sample) -> list[Any]:
    step = sample.step
    nodes = {place.rank: node.share.node for node in step.nodes for place in node.tasks}
    missing = [node.share.node for node in step.nodes if not node.finished and node.share.node not in sample.pids]
    usage = shown(sample.used, lambda rank: nodes.get(rank, ""), step.node_names[0])
    return [
        step.key.job, step.key.step, step.text, values.fold(step.node_names), step.ntasks, usage, sample.pids, missing,
    ]  # fmt: skip


ROUTES = (("GET", "/v1/usage", get_usage),)
