"""By which address others reach this machine."""

import pytest

from corral.agent.inventory import address_towards


@pytest.mark.parametrize(
    "url", ["", "nats://127.0.0.1:4222", "tls://[::1]:4222", "nats://", "nats://nowhere.invalid:4222", "::"]
)
def test_a_server_on_this_machine_or_nowhere_tells_no_address(url: str) -> None:
    assert address_towards(url) == ""
