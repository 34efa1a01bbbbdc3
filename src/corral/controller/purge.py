"""How does history that is old enough leave the store? A little at a time, and into an archive first where that is wanted.

What has been written to an archive and was not yet purged when the controller died is written once more, to another file: loading
both gives the same rows.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from corral.daemon import clock
from corral.daemon.logs import Log
from corral.errors import CorralError
from corral.model.cluster import Accounting, ClusterConfig
from corral.store import archive
from corral.store.interface import Batch, Purge, Store
from corral.store.rollup import HOUR

#: Seconds between two looks, and before the first.
INTERVAL, FIRST = 3600.0, 60.0
#: Runs or steps of one transaction, and the pause after it: users come first.
AT_ONCE, PAUSE = 1000, 0.2


class Purged(msgspec.Struct):
    jobs: int = 0
    steps: int = 0
    usage: int = 0
    events: int = 0
    files: list[str] = []


class Purger:
    """Looks every hour; sacctmgr can ask for it at any time."""

    def __init__(self, store: Store, config: Callable[[], ClusterConfig], log: Log) -> None:
        self._store, self._config, self._log = store, config, log
        self._lock = asyncio.Lock()
        self._steps_gone = 0.0

    async def run(self) -> None:
        await asyncio.sleep(FIRST)
        while True:
            try:
                purged = await self.purge(self._config().accounting)
                if purged != Purged():
                    self._log.info("purged", **msgspec.to_builtins(purged))
            except CorralError as error:
                self._log.error("the history could not be purged", error)
            await asyncio.sleep(INTERVAL)

    async def purge(self, rules: Accounting) -> Purged:
        """All that is due by these rules."""
        now, purged = clock.now(), Purged(files=[])
        async with self._lock:
            if rules.purge_jobs_after:
                await self._jobs(now - rules.purge_jobs_after, rules.archive_dir, purged)
            if rules.purge_steps_after:
                await self._steps(now - rules.purge_steps_after, rules.archive_dir, purged)
            if rules.purge_usage_after:
                before = int(now - rules.purge_usage_after) // HOUR * HOUR
                purged.usage = await asyncio.wrap_future(self._store.purge(Purge(usage_before=before)))
            if rules.purge_events_after:
                what = Purge(changes_before=now - rules.purge_events_after)
                purged.events = await asyncio.wrap_future(self._store.purge(what))
        return purged

    async def _jobs(self, before: float, directory: str, purged: Purged) -> None:
        while keys := await asyncio.to_thread(self._store.ended_before, before, AT_ONCE):
            if directory:
                runs = await asyncio.to_thread(self._store.runs_at, keys)
                steps = await asyncio.to_thread(self._store.steps_at, keys)
                path = await asyncio.to_thread(archive.write, Path(directory), self._config().cluster, runs, steps)
                purged.files.append(str(path))
            what = Purge(runs=tuple((key.job, key.restart) for key in keys))
            purged.jobs += await asyncio.wrap_future(self._store.purge(what))
            await asyncio.sleep(PAUSE)

    async def _steps(self, before: float, directory: str, purged: Purged) -> None:
        """Of runs that have ended; those up to `_steps_gone` have none any more."""
        after = self._steps_gone
        while keys := await asyncio.to_thread(self._store.ended_before, before, AT_ONCE, after):
            runs = await asyncio.to_thread(self._store.runs_at, keys)
            after = max((run.end for run in runs), default=before)
            steps = await asyncio.to_thread(self._store.steps_at, keys)
            if steps:
                if directory:
                    path = await asyncio.to_thread(archive.write, Path(directory), self._config().cluster, [], steps)
                    purged.files.append(str(path))
                what = Purge(steps=tuple((step.job, step.restart, step.step) for step in steps))
                purged.steps += await asyncio.wrap_future(self._store.purge(what))
            await asyncio.sleep(PAUSE)
        self._steps_gone = after

    async def load(self, path: Path) -> Purged:
        """Bring an archive back. What is there already is replaced by the same; the sums of hours have stayed as they were."""
        loaded, pages = Purged(files=[str(path)]), archive.read(path)
        async with self._lock:
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                runs, steps = page
                await asyncio.wrap_future(self._store.append(Batch(runs=runs, steps=steps)))
                loaded.jobs += len(runs)
                loaded.steps += len(steps)
        self._steps_gone = 0.0
        return loaded
