"""What `corral proxy` says of the address that it is given."""

import pytest

from corral.cli.corral.proxy import is_for_another_machine


@pytest.mark.parametrize(
    ("url", "endpoint", "is_so"),
    [
        ("http://5-8123.localhost:42427/", "https://head:6820", True),
        ("http://127.0.0.1:42427/proxy/5/8123/", "https://10.0.0.1:6820", True),
        ("http://5-8123.localhost:42427/", "https://localhost:6820", False),
        ("http://5-8123.localhost:42427/", "unix:///var/lib/corral/corral.sock", False),
        ("https://5-8123.proxy.example.org/", "https://head:6820", False),
    ],
)
def test_an_address_of_ones_own_machine_is_no_use_on_another(url: str, endpoint: str, is_so: bool) -> None:
    assert is_for_another_machine(url, endpoint) is is_so
