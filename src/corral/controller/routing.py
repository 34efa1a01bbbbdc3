"""What is told to gateways: where does each service lead now, and what has changed since a version?

The table follows the committed events. Of each only the services that it concerns are worked out anew: a Service itself, or those whose
selector means a changed Pod. Gateways wait for the next change (long poll) and are told only what is new to them.
"""

import asyncio
import functools
from collections.abc import Callable

from corral.controller.watchers import Published
from corral.engine.kubeobjects import Objects
from corral.model.kube.config import Secret
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Ingress, Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.rbac import RoleBinding
from corral.protocol.events import ObjectsChanged
from corral.protocol.routes import IngressRoute, Routes, ServiceRoute
from corral.services import balancing, endpoints, ingresses, rights

#: So many removals are remembered; who has missed more is told everything.
_REMOVED_KEPT = 10_000


class RoutingTable:
    """Of one controller. `objects`: as they are now."""

    def __init__(
        self,
        objects: Callable[[], Objects],
        term: int,
        opened: Callable[[Secret], dict[str, str]] = lambda one: one.data,
        *,
        always_closed: Callable[[], bool] = lambda: False,
    ) -> None:
        """`opened`: the values of a Secret in plain text. `always_closed`: do roles count in every namespace?"""
        self._objects = objects
        self._open = opened
        self._always_closed = always_closed
        self._term = term
        self._number = 0  #: of the last change
        self._told: dict[ObjectKey, tuple[int, ServiceRoute | IngressRoute]] = {}  #: with the number of its last change
        self._removed: dict[ObjectKey, int] = {}
        self._forgotten = 0  #: removals up to this number are not known any more
        self._services: dict[tuple[str, str, str], set[ObjectKey]] = {}  #: namespace, label, value -> who selects by it
        self._selectors: dict[ObjectKey, dict[str, str]] = {}
        self._members: dict[ObjectKey, frozenset[ObjectKey]] = {}  #: Pods -> the services that mean them
        self._readers: dict[ObjectKey, set[ObjectKey]] = {}  #: Secrets -> who reads them
        self._dirty: set[ObjectKey] = set()
        self._changed = asyncio.Event()
        self._rebuild()

    # -- from the record

    def _rebuild(self) -> None:
        """After the start, and after the engine has been built anew."""
        self._seen = self._objects()
        for kind in ("Service", "Ingress", "Pod"):
            for one in self._seen.everywhere(kind):
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
        elif isinstance(one, Ingress):
            self._dirty.add(one.key)
        elif isinstance(one, Secret):
            self._dirty.update(self._readers.get(one.key, ()))
        elif isinstance(one, RoleBinding):
            self._on_members(one.metadata.namespace)
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
        elif key.kind == "Ingress":
            self._dirty.add(key)
        elif key.kind == "RoleBinding":
            self._on_members(key.namespace)
        elif key.kind == "Secret":
            self._dirty.update(self._readers.get(key, ()))
        elif key.kind == "Pod":
            self._dirty.update(self._members.pop(key, frozenset()))

    def _on_members(self, namespace: str) -> None:
        """Whose Pods take traffic may be another matter now."""
        self._dirty.update(one.key for one in self._objects().of_kind("Service", namespace))

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
            return self._routes([route for _, (_, route) in sorted(self._told.items())], full=True)
        if since == self._number:
            return None
        return self._routes(
            [route for _, (changed, route) in sorted(self._told.items()) if changed > since],
            removed=tuple(key for key, changed in sorted(self._removed.items()) if changed > since),
        )

    def _routes(
        self, found: list[ServiceRoute | IngressRoute], *, full: bool = False, removed: tuple[ObjectKey, ...] = ()
    ) -> Routes:
        return Routes(
            version=self.version,
            full=full,
            services=tuple(one for one in found if isinstance(one, ServiceRoute)),
            ingresses=tuple(one for one in found if isinstance(one, IngressRoute)),
            removed=removed,
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
            if isinstance(one, Service):
                pods = objects.pods_selected(key.namespace, one.spec.selector) if one.spec.selector else []
                self._note(key, endpoints.route(one, pods, self._tokens(one), is_shared=self._is_shared(key.namespace)))
            elif isinstance(one, Ingress):
                for name in ingresses.secrets_of(one):
                    self._readers.setdefault(ObjectKey("Secret", key.namespace, name), set()).add(key)
                opened = functools.partial(self._opened, key.namespace)
                self._note(key, ingresses.route(one, opened, self._tokens(one)))
            elif self._told.pop(key, None) is not None:
                self._number += 1
                self._removed[key] = self._number
        while len(self._removed) > _REMOVED_KEPT:
            self._forgotten = self._removed.pop(next(iter(self._removed)))

    def _is_shared(self, namespace: str) -> bool:
        return rights.is_closed(self._objects(), namespace, always=self._always_closed())

    def _note(self, key: ObjectKey, route: ServiceRoute | IngressRoute) -> None:
        if (known := self._told.get(key)) is None or known[1] != route:
            self._number += 1
            self._told[key] = self._number, route
            self._removed.pop(key, None)

    def _tokens(self, one: Service | Ingress) -> tuple[str, ...]:
        """Those that let in, where the annotations name a Secret."""
        name = one.metadata.annotations.get(balancing.AUTH_SECRET, "")
        if not name:
            return ()
        self._readers.setdefault(ObjectKey("Secret", one.metadata.namespace, name), set()).add(one.key)
        values = self._opened(one.metadata.namespace, name) or {}
        return tuple(sorted({value.strip() for value in values.values()} - {""}))

    def _opened(self, namespace: str, name: str) -> dict[str, str] | None:
        found = self._objects().get(ObjectKey("Secret", namespace, name))
        return self._open(found) if isinstance(found, Secret) else None


def _index(namespace: str, selector: dict[str, str]) -> tuple[str, str, str]:
    """By which label a service is found: one of its selector's is enough."""
    label = min(selector)
    return namespace, label, selector[label]
