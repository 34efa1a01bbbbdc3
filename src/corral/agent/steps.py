"""Which steps does this agent know, and how far is each?"""

import enum
from collections.abc import Iterator

from corral.model.step import BATCH, StepKey
from corral.protocol.pods import PodRun
from corral.protocol.reports import KnownStep


class Phase(enum.IntEnum):
    PREPARING = 0  #: the prolog runs
    LAUNCHED = 1  #: given to the spawner; not yet heard of
    RUNNING = 2  #: the shepherd says that all tasks have been started
    FINISHED = 3  #: the exit record is there, and not yet acknowledged


class LocalStep:
    """One launch on one node, from its order until its end is acknowledged."""

    __slots__ = ("cancelled", "finish_sequence", "key", "node", "pending", "phase", "pod", "since", "started")

    def __init__(self, node: str, key: StepKey, phase: Phase, since: float) -> None:
        self.node, self.key, self.phase = node, key, phase
        self.since = since  #: on the monotonic clock: when it came into this phase
        self.started = 0.0
        self.pod: PodRun | None = None  #: it is a run of a container
        self.cancelled = False  #: to be ended before it began
        self.pending: list[bytes] = []  #: control datagrams for a shepherd that is not listening yet
        self.finish_sequence = 0

    @property
    def is_batch(self) -> bool:
        return self.key.step == BATCH

    @property
    def is_over(self) -> bool:
        return self.phase is Phase.FINISHED


class StepTable:
    """All of them, found by key and by job."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, StepKey], LocalStep] = {}
        self._jobs: dict[tuple[str, int, int], dict[StepKey, LocalStep]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[LocalStep]:
        return iter(list(self._steps.values()))

    def get(self, node: str, key: StepKey) -> LocalStep | None:
        return self._steps.get((node, key))

    def add(self, step: LocalStep) -> None:
        self._steps[step.node, step.key] = step
        self._jobs.setdefault((step.node, step.key.job, step.key.restart), {})[step.key] = step

    def remove(self, step: LocalStep) -> None:
        self._steps.pop((step.node, step.key), None)
        of_job = self._jobs.get((step.node, step.key.job, step.key.restart), {})
        of_job.pop(step.key, None)
        if not of_job:
            self._jobs.pop((step.node, step.key.job, step.key.restart), None)

    def of_job(self, node: str, job: int, restart: int) -> list[LocalStep]:
        return list(self._jobs.get((node, job, restart), {}).values())

    def known(self) -> tuple[KnownStep, ...]:
        return tuple(KnownStep(step.node, step.key, step.is_over) for step in self._steps.values())
