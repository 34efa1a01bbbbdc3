"""What does a shepherd's process keep from one step to the next?"""

from collections.abc import Mapping

from corral.agent import cgroup
from corral.agent.control import ShepherdSettings
from corral.agent.identity import rlimits_to_set
from corral.agent.notices import Notices
from corral.agent.reactor import Reactor
from corral.agent.vfork import Spawn
from corral.agent.viewing import view_of


class Kit:
    """Made once in each process, after its fork; for one step at a time."""

    def __init__(self, settings: ShepherdSettings, spawn: Spawn | None) -> None:
        self.settings, self.spawn = settings, spawn
        self.view = spawn.view if spawn is not None else view_of(settings)
        self.reactor = Reactor()
        self.notices = Notices(self.reactor)
        self._group: cgroup.Group | None = None  #: rests
        self._user = -1  #: whose it was
        self._limits: Mapping[str, tuple[int, int]] | None = None
        self._to_set: list[tuple[int, tuple[int, int]]] = []

    def begin_step(self, directory: str) -> None:
        self.reactor.clear()
        self.notices.of_step(directory)

    def resting_group(self, user: int) -> cgroup.Group | None:
        """For the next step, which sees to it from now on. Whatever it has counted is of the same user's jobs."""
        if user != self._user:
            self.close()
        group, self._group = self._group, None
        return group

    def leave_group(self, group: cgroup.Group, user: int, *, may_rest: bool) -> None:
        """A step is over. may_rest: and its job, so that nobody else needs what is the job's."""
        if may_rest and group.rest():
            self._group, self._user = group, user
        else:
            group.remove()

    def close(self) -> None:
        if self._group is not None:
            self._group.remove()
            self._group = None

    def rlimits(self, limits: Mapping[str, tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
        """Those that are to be set in a task: its user's jobs mostly come with the same ones."""
        if limits != self._limits:
            self._limits, self._to_set = limits, rlimits_to_set(limits)
        return self._to_set
