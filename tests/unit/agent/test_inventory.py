import os

from corral.agent.inventory import VirtualNodes, inventory_of_this_machine, topology, virtual_inventories
from corral.model.gres import GresDevice


def test_a_machine_has_the_cpus_and_memory_that_it_has() -> None:
    found = inventory_of_this_machine("n1", agent_start_time=5.0)
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.sockets * found.cores_per_socket * found.threads_per_core == found.cpus
    assert 0 < found.memory_mb <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert found.boot_time > 0
    assert not found.virtual


def test_sockets_cores_and_threads_are_counted() -> None:
    assert all(number >= 1 for number in topology())


def test_virtual_nodes_claim_what_they_are_told() -> None:
    gpus = (GresDevice(name="gpu", type="v100", count=8),)
    claimed = VirtualNodes(names=("n1", "n2"), cpus=16, sockets=2, memory_mb=64000, gres=gpus)
    first, second = virtual_inventories(claimed, agent_start_time=5.0)
    assert (first.name, second.name) == ("n1", "n2")
    assert (first.cpus, first.cores_per_socket, first.memory_mb, first.gres) == (16, 8, 64000, gpus)
    assert first.virtual
