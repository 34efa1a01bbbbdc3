"""How does an array's element get a record of its own?"""

import msgspec

from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.job import Job, JobId


def split(state: ClusterState, record: Job, element: int) -> tuple[Job, Job | None]:
    """(the element's record, what is left waiting). The last element takes over the record, and with it the array's own id."""
    rest = ranges.without(record.array_waiting, element)
    if not rest:
        return msgspec.structs.replace(record, array_task_id=element, array_waiting=()), None
    own = msgspec.structs.replace(record, id=JobId(state.next_job_id), array_task_id=element, array_waiting=())
    return own, msgspec.structs.replace(record, array_waiting=rest)


def part(state: ClusterState, record: Job, elements: tuple[int, ...]) -> tuple[Job, Job | None]:
    """(a record of just these elements, what is left). Several that share a fate cost as much as one."""
    if len(elements) == 1:
        return split(state, record, elements[0])
    if len(elements) == ranges.count(record.array_waiting):
        return record, None
    own = ranges.ranges_of(sorted(elements))
    rest = ranges.without_all(record.array_waiting, elements)
    apart = msgspec.structs.replace(record, id=JobId(state.next_job_id), array_waiting=own)
    return apart, msgspec.structs.replace(record, array_waiting=rest)


def has_room(state: ClusterState, record: Job) -> bool:
    """Does the throttle let one more element run now?"""
    return not record.array_throttle or room(state, record) > 0


def room(state: ClusterState, record: Job) -> int:
    """How many more elements the throttle lets run now."""
    if not record.array_throttle or record.array_job_id is None:
        return max(1, ranges.count(record.array_waiting))
    return max(0, record.array_throttle - state.array_active.get(record.array_job_id, 0))
