"""What do the handlers of the API work with?"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec

from corral.auth.peer import owner_named
from corral.controller import kubeendpoints, kubenodes
from corral.controller.derivedobjects import DerivedObjects
from corral.controller.images import Images
from corral.controller.kubeevents import KubeEvents
from corral.controller.loop import Loop
from corral.controller.objecthistory import History
from corral.controller.perform import Performer
from corral.controller.podlogs import PodLogs
from corral.controller.proxykeeper import ProxyKeeper
from corral.controller.purge import Purger
from corral.controller.routing import RoutingTable
from corral.controller.samples import Samples
from corral.controller.secretkeeper import SecretKeeper
from corral.controller.submission import AnySent, SentJobs, prepare
from corral.controller.watchers import Watchers
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.model.cluster import ClusterConfig
from corral.model.kube.meta import KubeObject
from corral.model.kube.objects import AnyObject
from corral.protocol.replies import HetStepCreated, Rejected, Reply, StepCreated
from corral.protocol.requests import Caller, SetTrigger
from corral.store.interface import Store

K = TypeVar("K", bound=KubeObject)


class Service:
    """One controller, as its API sees it."""

    def __init__(
        self, *, config: ClusterConfig, loop: Loop, store: Store, watchers: Watchers, performer: Performer, log: Log,
        token_key: bytes | None, facts: Callable[[], dict[str, Any]], secrets: SecretKeeper | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.loop = loop
        self.store = store
        self.watchers = watchers
        self.performer = performer
        self.log = log
        self.token_key = token_key
        self._secrets = secrets
        self.reconfigure: Callable[[Caller], Awaitable[Reply]] | None = None
        self.purger = Purger(store, lambda: self.config, log)
        self.samples = Samples(performer.term, performer.send)
        self.images = Images(performer.term, performer.send)
        self.pod_logs = PodLogs(performer.term, performer.send)
        self.routing: RoutingTable | None = None
        self.proxy: ProxyKeeper | None = None
        self.facts = facts  #: what /v1/ping tells of this controller
        self.explaining = asyncio.Semaphore(1)  #: one answer to "why" at a time: the controller has other work
        objects = loop.state.objects
        self.history = History(list(objects.by_key.values()), objects.version)
        self.sessions = 0  #: of exec, under way
        self.kube_events = KubeEvents(clock.now())
        self.history.on_change = self.kube_events.see
        self.derived = {
            "Node": DerivedObjects(lambda: kubenodes.all_nodes(self.state), clock.now()),
            "Endpoints": DerivedObjects(lambda: kubeendpoints.all_endpoints(*self._services()), clock.now()),
            "EndpointSlice": DerivedObjects(lambda: kubeendpoints.all_slices(*self._services()), clock.now()),
        }
        watchers.tell(self.history)
        self.accounts: tuple[object, bytes] = (None, b"")  #: the answer to GET /v1/accounts, and as of which change

    def opened(self, one: K) -> K:
        """A Secret as it was applied, for who may see it."""
        return one if self._secrets is None else cast("K", self._secrets.opened(cast("AnyObject", one)))

    def heard(self) -> dict[str, float]:
        """When each node was last heard of."""
        return self.loop.heard()

    @property
    def state(self) -> Any:
        return self.loop.state

    @property
    def now(self) -> float:
        return clock.now()

    def history_of(self, kind: str) -> History:
        """For who watches objects of this kind."""
        if (derived := self.derived.get(kind)) is not None:
            history: History = derived.history
            return history
        return self.kube_events.history if kind == "Event" else self.history

    def _services(self) -> tuple[Any, bool]:
        return self.state.objects, self.config.kubernetes.authorization == "rbac"

    async def ask(self, message: AnySent, caller: Caller, key: str = "") -> Reply:
        prepared = prepare(message, self.config.limits)
        if isinstance(prepared, Rejected):
            return prepared
        if isinstance(message, SetTrigger) and os.getuid() not in (0, caller.uid):
            detail = "The controller does not run as root, so that it runs programs of its own user only."
            return Rejected(error="Access/permission denied", code="denied", detail=detail)
        owner = None
        if isinstance(message, SentJobs) and (
            message.user not in ("", caller.user) or message.group not in ("", caller.group)
        ):
            owner = owner_named(message.user or caller.user, message.group)
            if owner is None:
                who = f"user {message.user!r}" + (f" with group {message.group!r}" if message.group else "")
                return Rejected(error="Invalid user id", detail=f"There is no {who} on the controller's host.")
        reply = await self.loop.ask(prepared.message, caller, key, prepared.blobs, owner)
        if isinstance(reply, StepCreated) and reply.access is None:
            return msgspec.structs.replace(reply, access=self.performer.access(reply.step.key))
        if isinstance(reply, HetStepCreated):
            access = self.performer.access
            steps = tuple(msgspec.structs.replace(one, access=access(one.step.key)) for one in reply.steps)
            return msgspec.structs.replace(reply, steps=steps)
        return reply
