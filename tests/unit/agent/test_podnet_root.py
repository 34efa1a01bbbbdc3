"""Are the ports of a Pod its own, whatever others have left on the machine? With the real ip and iptables."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.ports import free_port

from corral.agent.podnet_root import RootNetworks

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not (os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables")),
        reason="needs root, ip and iptables",
    ),
]


def rules(port: int) -> list[str]:
    done = subprocess.run(
        ["iptables", "-w", "-t", "nat", "-S", "CORRAL-PODS"], capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if f"--dport {port} " in line]


def test_the_rules_of_a_network_that_is_gone_do_not_lead_to_nowhere(tmp_path: Path) -> None:
    """Its agent was killed with it, and never came back."""
    networks, port = RootNetworks("10.213.0.0/16"), free_port()
    names = [f"corral-test-{port}-{number}.0" for number in (1, 2)]

    asyncio.run(networks.make(names[0], str(tmp_path), (("TCP", port, 80),)))
    subprocess.run(["ip", "netns", "del", names[0]], check=True)
    net = asyncio.run(RootNetworks("10.213.0.0/16").make(names[1], str(tmp_path), (("TCP", port, 80),)))
    try:
        (rule,) = rules(port)
        assert f"--comment {names[1]} " in rule.replace('"', "")
    finally:
        asyncio.run(networks.remove(net))
    assert not rules(port)
