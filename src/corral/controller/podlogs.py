"""What has a container of a Pod said? Its node is asked, past the engine as in images.py."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count

from corral.model.kube.meta import ObjectMeta
from corral.protocol.orders import AnyOrder, ReadLog
from corral.protocol.reports import AnyReport, LogRead

#: Seconds that a node may take to answer.
PATIENCE = 5.0


class PodLogs:
    """Questions under way."""

    def __init__(self, term: int, send: Callable[[str, AnyOrder], None]) -> None:
        self._term, self._send = term, send
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[LogRead]] = {}

    async def read(
        self, node: str, pod: ObjectMeta, container: str, number: int, *, offset: int = 0,
        last_lines: int | None = None, most: int = 262144, wait: float = 0.0, since: float = 0.0, with_times: bool = False,
    ) -> LogRead | None:  # fmt: skip
        """`number`: the restart count of the run. With `wait` it answers as soon as there is something beyond `offset`.

        None: the node does not answer.
        """
        query = next(self._numbers)
        future: asyncio.Future[LogRead] = asyncio.get_running_loop().create_future()
        self._waiting[query] = future
        order = ReadLog(
            term=self._term, node=node, query=query, namespace=pod.namespace, name=pod.name, uid=pod.uid,
            container=container, number=number, offset=offset, last_lines=last_lines, most=most, wait=wait,
            since=since, with_times=with_times,
        )  # fmt: skip
        try:
            self._send(node, order)
            return await asyncio.wait_for(future, PATIENCE + wait)
        except TimeoutError:
            return None
        finally:
            del self._waiting[query]

    def taken_from(self, reports: Iterable[AnyReport]) -> list[AnyReport]:
        """Those that are for others."""
        rest: list[AnyReport] = []
        for report in reports:
            if not isinstance(report, LogRead):
                rest.append(report)
            elif (future := self._waiting.get(report.query)) is not None and not future.done():
                future.set_result(report)
        return rest
