"""How far down the queue does a cycle go? The bounds of [scheduling]: who gets a planned start, and who is looked at behind others."""

from corral.model.cluster import Scheduling
from corral.scheduler.snapshot import QueueKey, Waiting


class Depth:
    """What has been counted so far."""

    def __init__(self, policy: Scheduling, waiting: dict[int, Waiting], now: float) -> None:
        self.policy, self.waiting, self.now = policy, waiting, now
        self.most = policy.backfill_max_jobs if policy.backfill is True else float("inf")
        self.planned = 0
        self._planned_in: dict[str, int] = {}
        self._looked_at: dict[tuple[str, object], int] = {}
        self.is_bounded = bool(
            policy.backfill_max_per_user or policy.backfill_max_per_partition or policy.backfill_max_per_association
        )

    def trial(self, plans: bool | None) -> "Depth":
        """To try something out; `plans`: any number of starts may be planned, or none."""
        other = Depth(self.policy, self.waiting, self.now)
        other.most, other.planned = self.most, self.planned
        other._planned_in, other._looked_at = self._planned_in.copy(), self._looked_at.copy()
        if plans is not None:
            other.most, other._planned_in = (float("inf") if plans else 0), {}
        return other

    def may_hold_up(self, key: QueueKey) -> bool:
        """Is it important enough, and has it waited long enough, to get a planned start?"""
        if -key[0] < self.policy.backfill_min_priority:
            return False
        least = self.policy.backfill_min_age
        return not least or self.now - self.waiting[key[2]].since >= least

    def has_room(self, partition: str) -> bool:
        """May another start be planned?"""
        most = self.policy.backfill_plans_per_partition
        return self.planned < self.most and (not most or self._planned_in.get(partition, 0) < most)

    def on_plan(self, partition: str, count: int = 1) -> None:
        self.planned += count
        self._planned_in[partition] = self._planned_in.get(partition, 0) + count

    def is_beyond(self, key: QueueKey, partition: str) -> bool:
        """Have enough jobs of its user, partition or association been looked at that wait behind others? Else it is counted."""
        policy = self.policy
        counted: list[tuple[str, object, int]] = [("partition", partition, policy.backfill_max_per_partition)]
        if policy.backfill_max_per_user or policy.backfill_max_per_association:
            whose = self.waiting[key[2]]
            counted.append(("user", whose.user, policy.backfill_max_per_user))
            counted.append(("association", whose.association, policy.backfill_max_per_association))
        bounded = [(kind, name, most) for kind, name, most in counted if most]
        if any(self._looked_at.get((kind, name), 0) >= most for kind, name, most in bounded):
            return True
        for kind, name, _ in bounded:
            self._looked_at[kind, name] = self._looked_at.get((kind, name), 0) + 1
        return False
