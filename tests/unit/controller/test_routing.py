"""What are gateways told, and when?"""

import pytest
from tests.gateway_kit import pod, service

from corral.controller.routing import RoutingTable
from corral.controller.watchers import Published
from corral.engine.kubeobjects import Objects
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.protocol.events import ObjectsChanged


class Told:
    """A table beside the objects that it tells of."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.table = RoutingTable(lambda: self.objects, term=3)
        self.version = ""

    def change(self, *objects: AnyObject, removed: tuple[ObjectKey, ...] = ()) -> None:
        event = ObjectsChanged(time=1.0, objects=objects, removed=removed, version=self.objects.version + 1)
        self.objects.apply(event)
        self.table.put(Published(1, event))

    def news(self) -> dict[str, list[str]] | None:
        """Service -> Pods behind its first port; None = nothing is new."""
        found = self.table.since(self.version)
        if found is None:
            return None
        self.version = found.version
        gone = {key.name: ["gone"] for key in (ObjectKey(*key) for key in found.removed)}
        return gone | {one.name: [target.pod for target in one.ports[0].targets] for one in found.services}


@pytest.fixture
def told() -> Told:
    return Told()


def test_who_knows_nothing_is_told_everything_and_then_only_what_is_new(told: Told) -> None:
    told.change(service("web", port=1), service("api", port=2), pod("web-1", 9))
    assert told.news() == {"web": ["web-1"], "api": []}
    assert told.news() is None
    told.change(pod("api-1", 9, app="api"))
    assert told.news() == {"api": ["api-1"]}


def test_what_changes_nothing_is_no_news(told: Told) -> None:
    told.change(service("web", port=1), pod("web-1", 9))
    told.news()
    told.change(pod("web-1", 9, annotations={"note": "x"}), pod("other", 9, app="other"))
    assert told.news() is None


def test_pods_come_and_go(told: Told) -> None:
    told.change(pod("web-1", 9), pod("web-2", 9))
    told.change(service("web", port=1))
    assert told.news() == {"web": ["web-1", "web-2"]}
    told.change(removed=(ObjectKey("Pod", "default", "web-1"),))
    assert told.news() == {"web": ["web-2"]}
    told.change(pod("web-2", 9, app="other"))
    assert told.news() == {"web": []}


def test_a_service_that_is_gone_is_told_once(told: Told) -> None:
    told.change(service("web", port=1))
    told.news()
    told.change(removed=(ObjectKey("Service", "default", "web"),))
    assert told.news() == {"web": ["gone"]}
    told.change(service("web", port=1))
    assert told.news() == {"web": []}


def test_a_version_of_another_controller_is_answered_with_everything(told: Told) -> None:
    told.change(service("web", port=1))
    found = told.table.since("2.1")
    assert found is not None
    assert found.full
    assert len(found.services) == 1


def test_an_engine_that_was_built_anew_is_followed(told: Told) -> None:
    told.change(service("web", port=1), pod("web-1", 9))
    told.news()
    told.objects = Objects()
    told.objects.put(service("web", port=1))
    told.change(service("api", port=2))
    assert told.news() == {"web": [], "api": []}
