"""Autoscalers in the engine: who is scaled when, what is recorded, and what a restart forgets."""

import msgspec
from tests.builders import OPERATOR
from tests.unit.services.hpa import hpa, in_flight

from corral.engine.effects import Effects
from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig
from corral.model.kube.meta import LabelSelector, ObjectKey, ObjectMeta
from corral.model.kube.network import Service, ServiceSpec
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import PodTemplateSpec, TemplateMeta
from corral.model.kube.scaling import HorizontalPodAutoscaler
from corral.model.kube.workload import Deployment, DeploymentSpec
from corral.protocol.requests import Caller, PutObjects, ReportLoad, ServiceLoad

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
LABELS = {"app": "web"}


def deployment(replicas: int, name: str = "web") -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(
            replicas=replicas, selector=LabelSelector(match_labels={"app": name}),
            template=PodTemplateSpec(metadata=TemplateMeta(labels={"app": name})),
        ),
    )  # fmt: skip


def service(name: str = "web") -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(selector={"app": name}))


class Site:
    def __init__(self, *objects: AnyObject, now: float = 1000.0) -> None:
        self.now = now
        self.engine = Engine(ClusterConfig())
        self.records: list[object] = []
        self.took(self.engine.handle(PutObjects(objects=objects), now, ANN))

    def took(self, effects: Effects) -> None:
        self.records += effects.records

    def report(self, in_flight: float = 0.0, held: int = 0, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1.0
            loads = (ServiceLoad(namespace="default", service="web", in_flight=in_flight, held=held),)
            busy = loads if in_flight or held else ()
            self.took(self.engine.handle(ReportLoad(gateway="g", services=busy), self.now, OPERATOR))
            self.took(self.engine.tick(self.now))

    @property
    def replicas(self) -> int:
        found = self.engine.state.objects.get(ObjectKey("Deployment", "default", "web"))
        assert isinstance(found, Deployment)
        return found.spec.replicas

    @property
    def hpa(self) -> HorizontalPodAutoscaler:
        found = self.engine.state.objects.get(ObjectKey("HorizontalPodAutoscaler", "default", "web"))
        assert isinstance(found, HorizontalPodAutoscaler)
        return found

    def said(self, kind: str) -> str:
        return next(one.reason for one in self.hpa.status.conditions if one.type == kind)


def test_load_scales_the_deployment_up_and_the_status_tells_it() -> None:
    site = Site(deployment(1), service(), hpa(in_flight(10)))
    site.report(in_flight=60.0, seconds=3)
    assert site.replicas == 6
    assert (site.hpa.status.desired_replicas, site.said("ScalingActive")) == (6, "ValidMetricFound")


def test_a_request_that_waits_is_looked_at_at_once() -> None:
    site = Site(deployment(0), service(), hpa(in_flight(10), low=0))
    site.report(seconds=5)
    assert site.replicas == 0
    site.report(in_flight=1.0, held=1)
    assert site.replicas == 1


def test_steady_load_writes_nothing_into_the_record() -> None:
    site = Site(deployment(3), service(), hpa(in_flight(10)))
    site.report(in_flight=29.0, seconds=20)
    site.records.clear()
    site.report(in_flight=29.5, seconds=50)
    assert site.records == []


def test_a_target_that_is_not_there_is_looked_for_again() -> None:
    site = Site(service(), hpa(in_flight(10), low=3))
    assert site.said("AbleToScale") == "FailedGetScale"
    site.took(site.engine.handle(PutObjects(objects=(deployment(1),)), site.now, ANN))
    site.report(seconds=20)
    assert site.replicas == 3


def test_two_autoscalers_of_one_target_do_nothing() -> None:
    other = hpa(in_flight(10), low=5)
    other = msgspec.structs.replace(other, metadata=ObjectMeta(name="other", namespace="default"))
    site = Site(deployment(1), service(), hpa(in_flight(10)), other)
    site.report(in_flight=60.0, seconds=20)
    assert (site.replicas, site.said("ScalingActive")) == (1, "AmbiguousSelector")


def test_only_an_operator_reports_load() -> None:
    site = Site(deployment(0), service(), hpa(in_flight(10), low=0))
    loads = (ServiceLoad(namespace="default", service="web", in_flight=9.0, held=9),)
    site.took(site.engine.handle(ReportLoad(gateway="g", services=loads), site.now, ANN))
    assert site.replicas == 0


def test_requests_of_a_service_over_two_deployments_are_counted_once_altogether() -> None:
    labels = {name: {"app": "web", "track": name} for name in ("web", "canary")}
    both = [
        Deployment(
            metadata=ObjectMeta(name=name, namespace="default"),
            spec=DeploymentSpec(
                replicas=replicas, selector=LabelSelector(match_labels=labels[name]),
                template=PodTemplateSpec(metadata=TemplateMeta(labels=labels[name])),
            ),
        )
        for name, replicas in (("web", 3), ("canary", 1))
    ]  # fmt: skip
    other = hpa(in_flight(10), high=100)
    target = msgspec.structs.replace(other.spec.scale_target_ref, name="canary")
    other = msgspec.structs.replace(
        other,
        metadata=ObjectMeta(name="canary", namespace="default"),
        spec=msgspec.structs.replace(other.spec, scale_target_ref=target),
    )
    site = Site(*both, service(), hpa(in_flight(10), high=100), other)
    site.report(in_flight=80.0, seconds=60)
    canary = site.engine.state.objects.get(ObjectKey("Deployment", "default", "canary"))
    assert isinstance(canary, Deployment)
    assert 8 <= site.replicas + canary.spec.replicas <= 10  # each rounds up, and would want 8 for all of it
    assert site.replicas > canary.spec.replicas
