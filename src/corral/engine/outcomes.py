"""What has become of a request, for each of the jobs and elements that it names?

Elements of one array for which the same is to be said share a line, as in the real one: `42_1,3: Job has already finished`.
"""

from collections.abc import Callable

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.selection import Unknown, missing_of, targets_of, too_many
from corral.engine.state import ClusterState
from corral.errors import UsageError
from corral.model import ranges
from corral.model.job import Job, JobId
from corral.protocol.replies import Done
from corral.protocol.requests import Caller
from corral.syntax import arrayspec

NO_ERROR = "No error"
NO_SUCH_JOB = "Invalid job id specified"
NOT_YOURS = "Invalid user id"  #: said of updates and holds; of the rest it is DENIED
DENIED = "Access/permission denied"
FINISHED = "Job has already finished"
NO_LONGER_PENDING = "Job is no longer pending execution"

#: Does it to a job, or to these waiting elements of it; says what was wrong, None = nothing.
Act = Callable[[Job, tuple[int, ...] | None], str | None]


def may_touch(state: ClusterState, caller: Caller, job: Job) -> bool:
    """Its owner, operators, and coordinators of the account it is charged to."""
    return caller.is_operator or job.owner.uid == caller.uid or coordinates(state, caller, job)


def coordinates(state: ClusterState, caller: Caller, job: Job) -> bool:
    one = state.books.associations.get(job.association)
    return one is not None and state.books.coordinates(caller.user, one.account)


class Outcomes:
    """Collected while the request is carried out."""

    def __init__(self) -> None:
        self.plain: list[tuple[str, str]] = []
        self.arrays: dict[tuple[JobId, str], set[int]] = {}
        self.by_element = False  #: elements were named: their lines come in the order of the first of each

    def add(self, text: str, job: Job, elements: tuple[int, ...] | None, problem: str | None) -> None:
        if job.array_job_id is None:
            self.plain.append((text, problem or NO_ERROR))
            return
        if elements is None:
            elements = (
                (job.array_task_id,) if job.array_task_id is not None else tuple(ranges.members(job.array_waiting))
            )
        self.arrays.setdefault((job.array_job_id, problem or NO_ERROR), set()).update(elements)

    def missing(self, state: ClusterState, text: str) -> None:
        """Elements that were named and that there are not."""
        array, elements = missing_of(state, text)
        self.by_element = self.by_element or "_" in text
        if elements:
            self.arrays.setdefault((array, NO_SUCH_JOB), set()).update(elements)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Nothing at all when all went well."""
        found = [*self.plain]
        groups = list(self.arrays.items())
        if self.by_element:
            groups.sort(key=lambda group: (group[0][0], min(group[1])))
        for (array, problem), elements in groups:
            found.append((f"{array}_{','.join(arrayspec.runs(sorted(elements)))}", problem))
        return tuple(found) if any(problem != NO_ERROR for _, problem in found) else ()

    def reply(self) -> Done:
        lines = self.lines()
        errors = tuple(f"{what}: {problem}" for what, problem in lines if problem != NO_ERROR)
        return Done(errors=errors, outcomes=lines)


def for_each(
    ctx: Context, ids: tuple[str, ...], caller: Caller, out: Effects, act: Act, not_yours: str = DENIED
) -> None:
    """Do it to every job named; what goes wrong with one does not stop the others."""
    refused = too_many(ids)
    if refused is not None:
        out.reply = refused
        return
    outcomes = Outcomes()
    for text in dict.fromkeys(ids):
        try:
            found = targets_of(ctx.state, text)
        except UsageError:
            found = Unknown(text)
        if isinstance(found, Unknown) or any(target.step is not None for target in found):
            outcomes.plain.append((text, NO_SUCH_JOB))
            continue
        for target in found:
            job = ctx.state.jobs[target.job]
            problem = act(job, target.elements) if may_touch(ctx.state, caller, job) else not_yours
            outcomes.add(text, job, target.elements, problem)
        outcomes.missing(ctx.state, text)
    out.reply = outcomes.reply()
