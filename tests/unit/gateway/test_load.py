"""What do Caddy's numbers say?"""

from corral.gateway.load import address_of, counted

_METRICS = """
caddy_http_request_duration_seconds_count{code="200",handler="reverse_proxy",host="_other",method="GET",server="default/web:80"} 3
caddy_http_request_duration_seconds_count{code="200",handler="reverse_proxy",host="_other",method="POST",server="default/web:80"} 4
caddy_http_request_duration_seconds_count{code="502",handler="reverse_proxy",host="_other",method="GET",server="default/web:80"} 2
caddy_http_request_duration_seconds_count{code="404",handler="static_response",host="_other",method="GET",server="shared"} 1
caddy_http_request_duration_seconds_count{code="200",handler="reverse_proxy",host="web.default.corral",method="GET",server="shared"} 1e+06
caddy_http_request_duration_seconds_bucket{code="200",handler="reverse_proxy",host="a",method="GET",server="b",le="0.1"} 9
"""


def test_requests_are_counted_by_server_and_host() -> None:
    found = counted(_METRICS)
    assert {place: (one.requests, one.failed) for place, one in found.items()} == {
        ("default/web:80", "_other"): (9, 2),
        ("shared", "web.default.corral"): (1_000_000, 0),
    }


def test_replicas_are_known_by_their_addresses() -> None:
    names = ["7f000001.i.:80", "fd000000000000000000000000000001.i.:80", "10.0.0.1:80", "unix//run/x"]
    assert [address_of(name) for name in names] == ["127.0.0.1:80", "[fd00::1]:80", "10.0.0.1:80", ""]
