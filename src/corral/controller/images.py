"""Which images have the nodes, and what becomes of it when they are told to fetch or to remove one? As samples.py: past the engine."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count

from corral.daemon import clock
from corral.model.job import Owner
from corral.protocol.orders import AnyOrder, FetchImage, ListImages, RemoveImage
from corral.protocol.reports import AnyReport, ImageFetched, ImagesTold

#: Seconds that nodes may take to say what they have; a fetch that says nothing for so long has stalled.
PATIENCE = 10.0
_STALLED = 60.0
#: Seconds until a fetch is ordered again, in case the order was lost.
_AGAIN = 10.0

Answer = ImageFetched | ImagesTold


class _Query:
    def __init__(self, nodes: Iterable[str]) -> None:
        self.waiting = set(nodes)
        self.answers: dict[str, Answer] = {}
        self.last_heard = clock.monotonic()
        self.done = asyncio.Event()


class Images:
    """Questions and orders under way."""

    def __init__(self, term: int, send: Callable[[str, AnyOrder], None]) -> None:
        self._term, self._send = term, send
        self._numbers = count(1)
        self._queries: dict[int, _Query] = {}

    async def shown(self, nodes: list[str]) -> dict[str, ImagesTold]:
        """What they have; a node that does not answer is missing."""
        answers = await self._ask(nodes, lambda node, n: ListImages(term=self._term, node=node, query=n), PATIENCE)
        return {node: told for node, told in answers.items() if isinstance(told, ImagesTold)}

    async def removed(self, nodes: list[str], image: str) -> dict[str, ImagesTold]:
        answers = await self._ask(
            nodes, lambda node, n: RemoveImage(term=self._term, node=node, query=n, image=image), _STALLED
        )
        return {node: told for node, told in answers.items() if isinstance(told, ImagesTold)}

    async def fetched(self, nodes: list[str], image: str, owner: Owner) -> dict[str, ImageFetched]:
        answers = await self._ask(
            nodes,
            lambda node, n: FetchImage(term=self._term, node=node, query=n, image=image, owner=owner),
            _STALLED,
            again=True,
        )
        return {node: told for node, told in answers.items() if isinstance(told, ImageFetched) and told.done}

    async def _ask(
        self, nodes: list[str], order: Callable[[str, int], AnyOrder], patience: float, *, again: bool = False
    ) -> dict[str, Answer]:
        query, number = _Query(nodes), next(self._numbers)
        self._queries[number] = query
        try:
            while query.waiting:
                for node in sorted(query.waiting):
                    self._send(node, order(node, number))
                try:
                    await asyncio.wait_for(query.done.wait(), _AGAIN if again else patience)
                except TimeoutError:
                    if not again or clock.monotonic() - query.last_heard > patience:
                        break
        finally:
            del self._queries[number]
        return query.answers

    def taken_from(self, reports: Iterable[AnyReport]) -> list[AnyReport]:
        """Those that are for others."""
        rest: list[AnyReport] = []
        for report in reports:
            if isinstance(report, ImagesTold) or (isinstance(report, ImageFetched) and report.query):
                self._heard(report)
            else:
                rest.append(report)
        return rest

    def _heard(self, report: Answer) -> None:
        query = self._queries.get(report.query)
        if query is None or report.node not in query.waiting:
            return
        query.last_heard = clock.monotonic()
        query.answers[report.node] = report
        if isinstance(report, ImageFetched) and not report.done:
            return
        query.waiting.discard(report.node)
        if not query.waiting:
            query.done.set()
