"""What is Caddy told to do?"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from corral.gateway.proxying import Settings
from corral.gateway.routes import caddy_config, host_names, listeners, names
from corral.model.cluster import GatewayConfig
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import Certificate, IngressRoute, PathRoute, PortRoute, ServiceRoute, Target, Traffic

_SETTINGS = Settings(
    config=GatewayConfig(), caddy=Path("/g/caddy.sock"), pointers=Path("/g/pointers.sock"), waiting=Path("/g/waiting"),
    login=Path("/g/login.sock"), http_port=8080, https_port=8443,
    listen={port: [f"fd/{port}"] for port in (8080, 8443, *range(28000, 28010))},
)  # fmt: skip


def service(name: str = "web", *targets: Target, **fields: Any) -> ServiceRoute:
    port = PortRoute(
        port=80, name="http", listen=fields.pop("listen", 28000), targets=targets, speech=fields.pop("speech", "http")
    )
    return ServiceRoute(namespace="default", name=name, ports=(port,), **fields)


def config(*services: ServiceRoute, ingresses: tuple[IngressRoute, ...] = ()) -> dict[str, Any]:
    return caddy_config(services, ingresses, _SETTINGS)


def proxy(*services: ServiceRoute) -> dict[str, Any]:
    found: dict[str, Any] = config(*services)["apps"]["http"]["servers"]["default/web:80"]["routes"][-1]["handle"][-1]
    return found


def test_replicas_come_and_go_without_a_new_configuration() -> None:
    assert config(service()) == config(service("web", Target("10.0.0.1", 9000), Target("10.0.0.2", 9000)))


def test_what_sticks_to_very_many_replicas_has_them_in_the_configuration() -> None:
    many = tuple(Target("10.0.0.1", 9000 + number) for number in range(30))
    sticky = proxy(service("web", *many, traffic=Traffic(sticky="cookie", sticky_name="c")))
    assert len(sticky["upstreams"]) == 30
    assert "dynamic_upstreams" not in sticky


def test_nothing_that_may_have_been_processed_is_sent_again() -> None:
    assert proxy(service())["load_balancing"]["retry_match"] == [{"method": ["NEVER"]}]


def test_shares_of_traffic_are_by_chance_and_not_by_what_is_in_flight() -> None:
    weighted = service("web", Target("a", 1, 9), Target("b", 1, 1))
    assert proxy(weighted)["load_balancing"]["selection_policy"] == {"policy": "random"}


def test_grpc_is_http_2_without_tls() -> None:
    assert proxy(service("web", speech="h2c"))["transport"]["versions"] == ["h2c", "2"]


@pytest.mark.parametrize(
    ("traffic", "policy"),
    [
        (Traffic(), {"policy": "least_conn"}),
        (Traffic(balancing="round-robin"), {"policy": "round_robin"}),
        (
            Traffic(sticky="cookie", sticky_name="c"),
            {"policy": "cookie", "name": "c", "fallback": {"policy": "least_conn"}},
        ),
        (
            Traffic(sticky="header", sticky_name="X"),
            {"policy": "header", "field": "X", "fallback": {"policy": "least_conn"}},
        ),
        (Traffic(sticky="client-ip"), {"policy": "client_ip_hash"}),
    ],
)
def test_how_a_replica_is_chosen(traffic: Traffic, policy: dict[str, Any]) -> None:
    assert proxy(service("web", traffic=traffic))["load_balancing"]["selection_policy"] == policy


def test_a_port_that_cannot_be_had_is_left_out() -> None:
    assert listeners([service()], _SETTINGS) == {8080, 8443, 28000}
    settings = msgspec.structs.replace(_SETTINGS, listen={8080: ["fd/8080"]})
    servers = caddy_config([service()], [], settings)["apps"]["http"]["servers"]
    assert set(servers) == {"shared"}


# ------------------------------------------------------------------------------------------------------------ Ingress


def ingress(*paths: PathRoute, **fields: Any) -> IngressRoute:
    return IngressRoute(namespace="default", name="i", paths=paths, **fields)


def pair(name: str) -> tuple[str, str]:
    """A certificate that its own key has signed, and the key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    ).sign(key, hashes.SHA256())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), text.decode()


def leads_to(found: dict[str, Any], host: str, path: str, server: str = "shared") -> str:
    """The service behind it, as Caddy would find it: the first route that matches."""
    by_handler = {str([{"handler": "invoke", "name": f"default/{name}:80"}]): name for name in ("a", "b", "c")}
    return _first(found["apps"]["http"]["servers"][server]["routes"][1:], host, path, by_handler)


def _first(routes: list[dict[str, Any]], host: str, path: str, by_handler: dict[str, str]) -> str:
    for route in routes:
        match = route.get("match", [{}])[0]
        if "host" in match and not any(_is_host(one, host) for one in match["host"]):
            continue
        if any(_is_host(one, host) for never in match.get("not", ()) for one in never["host"]):
            continue
        if "path_regexp" in match and not re.search(match["path_regexp"]["pattern"], path):
            continue
        if route["handle"][0]["handler"] == "subroute":
            if below := _first(route["handle"][0]["routes"], host, path, by_handler):
                return below
            continue
        return by_handler.get(str(route["handle"]), route["handle"][0].get("status_code", "?"))
    return ""


def _is_host(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return pattern == host


def test_hosts_and_paths_lead_as_kubernetes_says() -> None:
    found = config(
        *(service(name, listen=28000 + index) for index, name in enumerate("abc")),
        ingresses=(
            ingress(
                PathRoute(service="a", port=80, host="x.org", path="/"),
                PathRoute(service="b", port=80, host="x.org", path="/api"),
                PathRoute(service="c", port=80, host="x.org", path="/api/v1", exact=True),
                PathRoute(service="b", port_name="http", host="*.x.org", path="/"),
                PathRoute(service="c", port=80),
            ),
        ),
    )
    expected = {
        ("x.org", "/"): "a", ("x.org", "/apifoo"): "a", ("x.org", "/API"): "a", ("x.org", "/api"): "b",
        ("x.org", "/api/"): "b", ("x.org", "/api/v1"): "c", ("x.org", "/api/v1/"): "b", ("y.x.org", "/"): "b",
        ("z.y.x.org", "/"): "c", ("other", "/api"): "c", ("a.default.corral", "/api"): "a",
    }  # fmt: skip
    assert {place: leads_to(found, *place) for place in expected} == expected


def test_an_ingress_without_a_host_has_nothing_of_another_namespaces_hosts() -> None:
    found = config(
        *(service(name, listen=28000 + index) for index, name in enumerate("abc")),
        ingresses=(
            ingress(PathRoute(service="a", port=80, host="x.org", path="/api"), PathRoute(service="b", port=80)),
            IngressRoute(namespace="other", name="i", paths=(PathRoute(service="c", port=80, path="/"),)),
        ),
    )
    assert leads_to(found, "x.org", "/api") == "a"
    assert leads_to(found, "x.org", "/login") == "b"
    assert leads_to(found, "y.org", "/login") == "503"  # the other's, whose service is not there


def test_of_two_that_say_the_same_the_older_counts() -> None:
    services = [service(name, listen=28000 + index) for index, name in enumerate("abc")]
    path = PathRoute(service="a", port=80, host="x.org", path="/")
    young = ingress(path, created=2.0)
    old = IngressRoute(
        namespace="default", name="old", created=1.0, paths=(msgspec.structs.replace(path, service="b"),)
    )
    assert leads_to(config(*services, ingresses=(young, old)), "x.org", "/") == "b"
    assert leads_to(config(*services, ingresses=(old, young)), "x.org", "/") == "b"


def test_a_host_among_thousands_is_found_in_few_steps() -> None:
    paths = [PathRoute(service="a", port=80, host=f"h{number}.org", path="/") for number in range(20_000)]
    found = config(*(service(name, listen=28000 + index) for index, name in enumerate("abc")),
                   ingresses=(ingress(*paths, PathRoute(service="b", port=80)),))  # fmt: skip
    assert leads_to(found, "h0.org", "/") == leads_to(found, "h19999.org", "/") == "a"
    assert leads_to(found, "none.org", "/") == "b"
    assert len(found["apps"]["http"]["servers"]["shared"]["routes"]) < 200


def test_a_name_is_one_name_whatever_the_domain_is() -> None:
    for domain in ("cluster.local", "svc.cluster.local", "svc", "corral"):
        hosts = host_names(service("web"), GatewayConfig(domain=domain))
        assert len(set(hosts)) == len(hosts)


def test_a_path_without_a_service_says_so() -> None:
    found = config(
        *(service(name, listen=28000 + index) for index, name in enumerate("abc")),
        ingresses=(ingress(PathRoute(service="nobody", port=80, host="x.org", path="/")),),
    )
    assert leads_to(found, "x.org", "/") == "503"
    assert leads_to(found, "y.org", "/") == "404"


def test_what_has_tls_is_sent_there_and_gets_its_certificate() -> None:
    certificate, key = pair("x.org")
    found = config(
        service("a"), service("b", listen=28001), service("c", listen=28002),
        ingresses=(
            ingress(
                PathRoute(service="a", port=80, host="x.org", path="/"),
                PathRoute(service="b", port=80, host="y.org", path="/"),
                certificates=(
                    Certificate(hosts=("x.org",), certificate=certificate, key=key), Certificate(hosts=("y.org",)),
                    Certificate(hosts=("z.org",), certificate=certificate, key="another's"),
                ),
            ),
        ),
    )  # fmt: skip
    assert leads_to(found, "x.org", "/") == "308"
    assert leads_to(found, "x.org", "/", "shared-tls") == "a"
    tls = found["apps"]["tls"]
    assert [one["certificate"] for one in tls["certificates"]["load_pem"]] == [certificate]
    assert {"y.org", "z.org"} <= set(tls["certificates"]["automate"])
    policies = found["apps"]["http"]["servers"]["shared-tls"]["tls_connection_policies"]
    assert policies == [{"match": {"sni": ["x.org"]}, "certificate_selection": {"any_tag": ["default/i"]}}, {}]
    assert "x.org" not in tls["certificates"]["automate"]


def test_requests_of_a_host_are_counted_for_the_one_service_that_it_leads_to() -> None:
    one = ingress(
        PathRoute(service="a", host="x.org", path="/"),
        PathRoute(service="a", host="y.org", path="/"),
        PathRoute(service="b", host="y.org", path="/b"),
    )
    found = names([service("a")], [one], GatewayConfig())
    key = ObjectKey("Service", "default", "a")
    assert (found["shared", "x.org"], found["shared", "a.default.corral"], found["default/a:80", ""]) == (key, key, key)
    assert ("shared", "y.org") not in found
