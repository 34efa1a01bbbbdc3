"""How does an agent answer the orders about images: fetch one, say which are there, remove one?"""

import asyncio
import os

from corral.agent.identity import Identity
from corral.agent.imageruntimes import CannotFetch, Reader
from corral.agent.images import Images
from corral.agent.outbox import Outbox
from corral.agent.spool import Spool
from corral.daemon import clock
from corral.protocol.orders import FetchImage, ListImages, RemoveImage
from corral.protocol.reports import ImageFetched, ImagesTold

#: Seconds between two words on how far a fetch is.
_PROGRESS_SECONDS = 2.0


class ImageKeeper:
    """Each order is a task; a fetch that is ordered again while it is under way joins it."""

    def __init__(self, agent: str, images: Images | None, outbox: Outbox, spool: Spool) -> None:
        self._agent, self._images, self._outbox, self._spool = agent, images, outbox, spool
        self._tasks: set[asyncio.Task[None]] = set()

    def obey(self, order: FetchImage | ListImages | RemoveImage) -> None:
        work = self._fetch(order) if isinstance(order, FetchImage) else self._look(order)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, order: FetchImage) -> None:
        if self._images is None:
            return
        said = 0.0

        def tell(**what: object) -> None:
            report = ImageFetched(
                agent=self._agent, node=order.node, job=order.job, restart=order.restart, query=order.query,
                image=order.image, **what,  # type: ignore[arg-type]
            )  # fmt: skip
            self._outbox.tell(report)

        def say(words: str) -> None:
            nonlocal said
            if clock.monotonic() - said >= _PROGRESS_SECONDS:
                said = clock.monotonic()
                tell(progress=words)

        try:
            await self._images.ensure(order.image, Reader(Identity(order.owner)), say)
        except CannotFetch as error:
            tell(done=True, problem=str(error))
        except Exception as error:
            tell(done=True, problem=f"cannot fetch {order.image}: {error!r}")
        else:
            tell(done=True)

    async def _look(self, order: ListImages | RemoveImage) -> None:
        images, removed, problem = self._images, 0, ""
        if images is None:
            return
        if isinstance(order, RemoveImage):
            try:
                removed = await asyncio.to_thread(images.forget, order.image, self._in_use())
            except OSError as error:
                problem = f"{order.image}: {error.strerror}"
        found = tuple(await asyncio.to_thread(images.all))
        told = ImagesTold(
            agent=self._agent, node=order.node, query=order.query, images=found, removed=removed, problem=problem
        )
        self._outbox.tell(told)

    def _in_use(self) -> set[str]:
        """Digests of images that steps here, and named containers of jobs, are of."""
        found = set()
        for pattern in ("steps/*/*/image", "boxes/*/*/*/of"):
            for path in self._spool.root.glob(pattern):
                try:
                    found.add(os.path.basename(os.path.dirname(path.read_text())))
                except OSError:
                    continue
        return found
