"""Whose is a host?"""

import pytest

from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig
from corral.model.kube.config import Namespace
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.network import (
    HTTPIngressPath,
    HTTPIngressRule,
    Ingress,
    IngressBackend,
    IngressBackendPort,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
)
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects

ROOT = Caller(uid=0, gid=0, user="root", group="root", role="administrator")


def ingress(namespace, *hosts, tls=(), path="/"):
    backend = IngressBackend(service=IngressServiceBackend(name="web", port=IngressBackendPort(number=80)))
    http = HTTPIngressRule(paths=(HTTPIngressPath(path=path, backend=backend),))
    return Ingress(
        metadata=ObjectMeta(name="front", namespace=namespace),
        spec=IngressSpec(
            rules=tuple(IngressRule(host=host, http=http) for host in hosts),
            tls=(IngressTLS(hosts=tls),) if tls else (),
        ),
    )


def put(engine, one):
    return engine.handle(PutObjects(objects=(one,)), 10.0, ROOT).reply


@pytest.fixture
def engine():
    made = Engine(ClusterConfig())
    put(made, Namespace(metadata=ObjectMeta(name="other")))
    return made


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ingress("default", "shop.org"), ingress("other", "SHOP.org", path="/login")),
        (ingress("default", "*.shop.org"), ingress("other", "a.shop.org")),
        (ingress("default", "*.shop.org"), ingress("other", "*.shop.org")),
        (ingress("default", "shop.org"), ingress("other", "mine.org", tls=("shop.org",))),
        (ingress("default", "mine.org", tls=("shop.org",)), ingress("other", "shop.org")),
    ],
)
def test_a_host_is_that_of_the_namespace_that_has_named_it_first(engine, first, second):
    assert isinstance(put(engine, first), ObjectsPut)
    refused = put(engine, second)
    assert isinstance(refused, Rejected)
    assert "is another namespace's" in refused.error
    assert "default" in refused.detail
    engine.handle(DeleteObjects(keys=(ObjectKey("Ingress", "default", "front"),)), 11.0, ROOT)
    assert isinstance(put(engine, second), ObjectsPut)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ingress("default", "a.shop.org"), ingress("other", "*.shop.org")),
        (ingress("default", "*.shop.org"), ingress("other", "a.b.shop.org")),
        (ingress("default", ""), ingress("other", "")),
        (ingress("default", "shop.org"), ingress("default", "shop.org", path="/other")),
    ],
)
def test_what_takes_nobody_anything_is_free(engine, first, second):
    assert isinstance(put(engine, first), ObjectsPut)
    assert isinstance(put(engine, second), ObjectsPut)
