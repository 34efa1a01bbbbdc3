"""How does an agent answer the orders about Pods' volumes: write files anew, remove the directory of a claim?"""

import asyncio

from corral.agent import claimdirs, volumefiles
from corral.agent.outbox import Outbox
from corral.agent.podplace import pod_place
from corral.protocol.orders import RemoveDirectory, WriteFiles
from corral.protocol.reports import DirectoryRemoved, FilesWritten


class ClaimDirectories:
    """Each order to remove one is a task; one that comes again while it is being done is dropped."""

    def __init__(self, agent: str, outbox: Outbox) -> None:
        self._agent, self._outbox = agent, outbox
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def obey(self, order: RemoveDirectory) -> None:
        if order.path not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._remove(order))
            self._tasks[order.path] = task
            task.add_done_callback(lambda done: self._tasks.pop(order.path, None))

    async def _remove(self, order: RemoveDirectory) -> None:
        problem = await asyncio.to_thread(claimdirs.removed, order.path, order.uid, order.gid)
        told = DirectoryRemoved(agent=self._agent, node=order.node, volume=order.volume, problem=problem)
        self._outbox.tell(told)


class VolumeFiles:
    """Each order to write them anew is a task."""

    def __init__(self, agent: str, boxes: str, outbox: Outbox) -> None:
        self._agent, self._boxes, self._outbox = agent, boxes, outbox
        self._tasks: set[asyncio.Task[None]] = set()

    def obey(self, order: WriteFiles) -> None:
        task = asyncio.get_running_loop().create_task(self._write(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, order: WriteFiles) -> None:
        problem = ""
        try:
            await asyncio.to_thread(
                volumefiles.rewrite, order.volumes, pod_place(self._boxes, order.node, order.job, order.restart)
            )
        except (OSError, volumefiles.BadPath) as error:
            problem = str(error)
        told = FilesWritten(agent=self._agent, node=order.node, job=order.job, digest=order.digest, problem=problem)
        self._outbox.tell(told)
