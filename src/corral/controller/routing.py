"""What is told to gateways: where does each service lead now, and what has changed since a version?

The table follows the committed events. Of each only the services that it concerns are worked out anew: a Service itself, or those whose
selector means a changed Pod. Gateways wait for the next change (long poll) and are told only what is new to them.
"""

import asyncio
from collections.abc import Callable

from corral.controller.watchers import Published
from corral.engine.kubeobjects import Objects
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.protocol.events import ObjectsChanged
from corral.protocol.routes import Routes, ServiceRoute
from corral.services import endpoints

#: So many removals are remembered; who has missed more is told everything.
_REMOVED_KEPT = 10_000


class RoutingTable:
    """Of one controller. `objects`: as they are now."""

    def __init__(self, objects: Callable[[], Objects], term: int) -> None:
        self._objects = objects
        self._term = term
        self._number = 0  #: of the last change
        self._told: dict[ObjectKey, tuple[int, ServiceRoute]] = {}  #: with the number of its last change
        self._removed: dict[ObjectKey, int] = {}
        self._forgotten = 0  #: removals up to this number are not known any more
        self._services: dict[tuple[str, str, str], set[ObjectKey]] = {}  #: namespace, label, value -> who selects by it
        self._selectors: dict[ObjectKey, dict[str, str]] = {}
        self._members: dict[ObjectKey, frozenset[ObjectKey]] = {}  #: Pods -> the services that mean them
        self._dirty: set[ObjectKey] = set()
        self._changed = asyncio.Event()
        self._rebuild()

    # -- from the record

    def _rebuild(self) -> None:
        """After the start, and after the engine has been built anew."""
        self._seen = self._objects()
        for one in self._seen.everywhere("Service"):
            self._on_object(one)
        for one in self._seen.everywhere("Pod"):
            self._on_object(one)
        self._dirty.update(self._told)
        self._changed.set()

    def put(self, published: Published) -> None:
        """An event has been committed."""
        event = published.event
        if isinstance(event, ObjectsChanged):
            for one in event.objects:
                self._on_object(one)
            for key in event.removed:
                self._on_removed(ObjectKey(*key))
            if self._dirty:
                self._changed.set()

    def _on_object(self, one: AnyObject) -> None:
        if isinstance(one, Service):
            key = one.key
            if self._selectors.get(key) != one.spec.selector:
                self._unselect(key)
                self._selectors[key] = one.spec.selector
                if one.spec.selector:
                    self._services.setdefault(_index(key.namespace, one.spec.selector), set()).add(key)
                    for pod in self._objects().pods_selected(key.namespace, one.spec.selector):
                        self._members[pod.key] = self._members.get(pod.key, frozenset()) | {key}
            self._dirty.add(key)
        elif isinstance(one, Pod):
            meant = self._meaning(one)
            before = self._members.get(one.key, frozenset())
            self._dirty.update(meant | before)
            if meant:
                self._members[one.key] = meant
            else:
                self._members.pop(one.key, None)

    def _on_removed(self, key: ObjectKey) -> None:
        if key.kind == "Service":
            self._unselect(key)
            self._dirty.add(key)
        elif key.kind == "Pod":
            self._dirty.update(self._members.pop(key, frozenset()))

    def _unselect(self, key: ObjectKey) -> None:
        before = self._selectors.pop(key, None)
        if before:
            index = _index(key.namespace, before)
            self._services[index].discard(key)
            if not self._services[index]:
                del self._services[index]

    def _meaning(self, pod: Pod) -> frozenset[ObjectKey]:
        """The services whose selector means this Pod."""
        labels = pod.metadata.labels
        return frozenset(
            key
            for label, value in labels.items()
            for key in self._services.get((pod.metadata.namespace, label, value), ())
            if self._selectors[key].items() <= labels.items()
        )

    # -- to gateways

    @property
    def version(self) -> str:
        return f"{self._term}.{self._number}"

    def since(self, version: str) -> Routes | None:
        """What has changed since then; everything, where that is not known; None = nothing has."""
        self._work_out()
        term, _, number = version.partition(".")
        since = int(number) if term == str(self._term) and number.isdigit() else -1
        if not self._forgotten <= since <= self._number:
            routes = tuple(route for _, (_, route) in sorted(self._told.items()))
            return Routes(version=self.version, full=True, services=routes)
        if since == self._number:
            return None
        return Routes(
            version=self.version,
            services=tuple(route for _, (changed, route) in sorted(self._told.items()) if changed > since),
            removed=tuple(key for key, changed in sorted(self._removed.items()) if changed > since),
        )

    async def wait(self, seconds: float) -> None:
        """Until something may have changed."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            pass

    def _work_out(self) -> None:
        objects = self._objects()
        if objects is not self._seen:
            self._rebuild()
        self._changed.clear()
        due, self._dirty = sorted(self._dirty), set()
        for key in due:
            one = objects.get(key)
            if not isinstance(one, Service):
                if self._told.pop(key, None) is not None:
                    self._number += 1
                    self._removed[key] = self._number
                continue
            pods = objects.pods_selected(key.namespace, one.spec.selector) if one.spec.selector else []
            route = endpoints.route(one, pods)
            if (known := self._told.get(key)) is None or known[1] != route:
                self._number += 1
                self._told[key] = self._number, route
                self._removed.pop(key, None)
        while len(self._removed) > _REMOVED_KEPT:
            self._forgotten = self._removed.pop(next(iter(self._removed)))


def _index(namespace: str, selector: dict[str, str]) -> tuple[str, str, str]:
    """By which label a service is found: one of its selector's is enough."""
    label = min(selector)
    return namespace, label, selector[label]
