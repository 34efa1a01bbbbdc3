"""What do the annotations of Services and Ingresses say, and which are refused?"""

import pytest

from corral.model.kube.meta import ObjectMeta
from corral.model.kube.network import Service, ServiceSpec
from corral.protocol.routes import Traffic
from corral.services.balancing import problems, traffic_of, traffic_of_service


def test_they_are_read() -> None:
    found = traffic_of(
        {
            "corral.dev/load-balancing": "round-robin",
            "corral.dev/sticky": "header=X-User",
            "corral.dev/max-body": "10Mi",
            "corral.dev/timeout": "500ms",
            "corral.dev/max-requests-per-replica": "8",
            "unrelated/annotation": "x",
        }
    )
    assert found == Traffic(
        balancing="round-robin",
        sticky="header",
        sticky_name="X-User",
        max_body=10 << 20,
        timeout=0.5,
        most_per_replica=8,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("load-balancing", "fastest"), ("sticky", "header"), ("sticky", "cookie=a b"), ("sticky", "client-ip=3"), ("max-body", "0"),
        ("max-body", "much"), ("timeout", "-1s"), ("timeout", "soon"), ("max-requests-per-replica", "0"), ("auth", "password"),
        ("auth", "token"), ("rate-limit", "5"), ("no-such-thing", "1"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused(key: str, value: str) -> None:
    assert [where for where, _ in problems({f"corral.dev/{key}": value})] == [f"corral.dev/{key}"]


def test_an_ingress_has_its_own() -> None:
    assert problems({"corral.dev/ssl-redirect": "false"}, of_ingress=True) == []
    assert problems({"corral.dev/ssl-redirect": "false"})
    assert problems({"corral.dev/sticky": "cookie"}, of_ingress=True)


def test_session_affinity_is_by_the_clients_address_unless_an_annotation_says_otherwise() -> None:
    spec = ServiceSpec(session_affinity="ClientIP")
    assert traffic_of_service(Service(spec=spec)).sticky == "client-ip"
    meta = ObjectMeta(annotations={"corral.dev/sticky": "cookie"})
    assert traffic_of_service(Service(spec=spec, metadata=meta)).sticky == "cookie"
