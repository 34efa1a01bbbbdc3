"""How much of each GPU is free, in thousandths, and beside whom may a share of it be?

A line for each row of the table, a column for each GPU of a node. A GPU that one job has whole is at 0; one that nobody has is at 1000,
and only such a one is given whole.
"""

from collections.abc import Sequence

import numpy as np

from corral.model.gres import WHOLE, GresShare
from corral.model.node import NodeInventory
from corral.scheduler.columns import BoolColumn, IntColumn

#: Who has shares of a GPU: nobody yet, or anybody may.
NOBODY, ANYBODY = -2, -1


class GpuColumns:
    def __init__(self, inventories: Sequence[NodeInventory]) -> None:
        counts = [sum(one.count for one in node.gres if one.name == "gpu") for node in inventories]
        shape = (len(inventories), max(counts, default=0))
        self.there: BoolColumn = np.arange(shape[1]) < np.array(counts, np.int64).reshape(-1, 1)
        self.free: IntColumn = np.where(self.there, WHOLE, 0)  #: thousandths
        self.sharing: IntColumn = np.zeros(shape, np.int64)  #: how many shares of it are held
        self.owner: IntColumn = np.full(shape, NOBODY, np.int64)  #: the user whose they are
        self.types: dict[str, BoolColumn] = {}
        self.shards: IntColumn = np.zeros(
            shape[0], np.int64
        )  #: into how many shards each GPU of the row is counted; 0 = none
        self.changed: IntColumn = np.zeros(shape[0], np.int64)  #: when the row did so last, by `moment`
        self.moment = 0
        self._total: IntColumn = self.free.sum(axis=1)
        self._summed: IntColumn = self.changed.copy()  #: as of when
        for row, node in enumerate(inventories):
            at = 0
            for device in node.gres:
                if device.name == "gpu":
                    self.types.setdefault(device.type, np.zeros(shape, np.bool_))[row, at : at + device.count] = True
                    at += device.count
            shards = sum(one.count for one in node.gres if one.name == "shard")
            self.shards[row] = shards // counts[row] if counts[row] else 0

    def copy(self) -> "GpuColumns":
        other = GpuColumns.__new__(GpuColumns)
        other.__dict__.update(self.__dict__)
        for column in ("free", "sharing", "owner", "changed", "_total", "_summed"):
            setattr(other, column, getattr(self, column).copy())
        return other

    def totals(self) -> IntColumn:
        """What is free of all GPUs of each row. Not to be changed."""
        stale = (self._summed != self.changed).nonzero()[0]
        if len(stale):
            self._total[stale] = self.free[stale].sum(axis=1)
            self._summed[stale] = self.changed[stale]
        return self._total

    def of_type(self, type: str) -> BoolColumn:
        """Which GPUs are of it; "" = all."""
        if not type:
            return self.there
        found = self.types.get(type)
        return found if found is not None else np.zeros_like(self.there)

    def thousandths(self, milli: int, shards: int) -> IntColumn:
        """What a share is on each row; 0 = the row's GPUs are not counted in shards (or not in so many)."""
        if milli:
            return np.full(len(self.shards), milli, np.int64)
        there = (self.shards > 0) & (shards <= self.shards)
        found: IntColumn = np.where(there, shards * WHOLE // np.maximum(1, self.shards), 0)
        return found

    def counted(self, row: int, milli: int) -> int:
        """As how many shards of this row so many thousandths count."""
        each = int(self.shards[row]) or WHOLE
        return -(-milli * each // WHOLE)

    def usable(self, wanted: IntColumn, type: str, owner: int) -> BoolColumn:
        """Which GPUs have room for a share, of so many thousandths on each row, of this owner's."""
        fits = (self.free >= wanted[:, None]) & (wanted > 0)[:, None] & self.of_type(type)
        if owner != ANYBODY or (self.owner >= 0).any():
            fits &= (self.owner == NOBODY) | (self.owner == owner)
        return fits

    def problem(self, row: int, share: GresShare, owner: int) -> str:
        """Why this share is not free; "" = it is."""
        for unit in share.indices:
            if not 0 <= unit < self.free.shape[1] or share.milli > self.free[row, unit]:
                return f"{share.milli} thousandths of GPU {unit} are not free"
            if self.owner[row, unit] not in (NOBODY, owner):
                return f"GPU {unit} has shares of another user"
        return ""

    def change(self, row: int, share: GresShare, sign: int, owner: int) -> tuple[int, int]:
        """Shares are taken or given back. Which GPUs nobody has any more, and which had been nobody's (bit masks)?"""
        emptied = begun = 0
        for unit in share.indices:
            if not 0 <= unit < self.free.shape[1] or not self.there[row, unit]:
                continue
            if sign > 0 and not self.sharing[row, unit]:
                begun |= 1 << unit
                self.owner[row, unit] = owner
            self.free[row, unit] -= sign * share.milli
            self.sharing[row, unit] += sign
            if not self.sharing[row, unit]:
                emptied |= 1 << unit
                self.owner[row, unit] = NOBODY
        return emptied, begun

    def change_whole(self, row: int, units: Sequence[int], sign: int) -> None:
        self.free[row, [unit for unit in units if unit < self.free.shape[1]]] = 0 if sign > 0 else WHOLE

    def touch(self, row: int) -> None:
        """Something on the row has changed."""
        self.moment += 1
        self.changed[row] = self.moment
