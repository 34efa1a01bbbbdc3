"""What the tasks of a step have used, measured on real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NodeSide, wait_until

from corral.agent import cgroup_v1, cgroup_v2
from corral.agent.control import Sample, Sampled
from corral.model.job import StdioSpec
from corral.model.usage import Amount, Usage

MEGABYTE = 1 << 20
BURN = "import time; end = time.process_time() + {0}\nwhile time.process_time() < end: pass"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeSide]:
    side = NodeSide(tmp_path)
    yield side
    side.close()


def used_by(node: NodeSide, *argv: str, **given: object) -> Usage:
    key = node.step(*argv, **given)  # type: ignore[arg-type]
    return node.finished(key).used


def amount(used: Usage, kind: str) -> Amount:
    found = used.of(kind)
    assert found is not None
    return found


def test_cpu_time_is_exact_although_nobody_looked(node: NodeSide) -> None:
    used = used_by(node, "python3", "-c", BURN.format(0.2), sample_seconds=0)
    assert 200_000 <= used.user_us + used.system_us < 2_000_000
    assert amount(used, "cpu").total == (used.user_us + used.system_us) // 1000


def test_memory_of_a_short_task_is_seen(node: NodeSide) -> None:
    used = used_by(node, "python3", "-c", "bytearray(60 << 20)", sample_seconds=0)
    assert 60 * MEGABYTE < amount(used, "mem").most < 120 * MEGABYTE
    assert amount(used, "vmem").most >= amount(used, "mem").most


def test_bytes_are_counted_of_children_too(node: NodeSide) -> None:
    line = "head -c 3000000 /dev/zero > big; cat big > /dev/null"
    used = used_by(node, "sh", "-c", line, sample_seconds=0)
    assert amount(used, "written").total >= 6_000_000  # head wrote them, cat did
    assert amount(used, "read").total >= 6_000_000


def test_several_processes_of_a_task_are_added_up_while_they_run(node: NodeSide) -> None:
    one = "python3 -c 'import sys; b = bytearray(30 << 20); print(1, flush=True); sys.stdin.read()' < go"
    os.mkfifo(node.work_dir / "go")
    key = node.step("sh", "-c", f"{one} & {one} & wait", sample_seconds=0, stdio=StdioSpec(stdout="there"))
    with open(node.work_dir / "go", "w"):
        wait_until(lambda: (node.work_dir / "there").read_text() == "1\n1\n")
        node.tell(key, Sample(query=1))
        node._notice(Sampled, key)
    assert amount(node.finished(key).used, "mem").most > 60 * MEGABYTE


def test_the_tasks_with_most_and_least_are_named(node: NodeSide) -> None:
    line = 'exec python3 -c "b = bytearray((1 + $SLURM_PROCID) * 20 << 20)"'
    used = used_by(node, "sh", "-c", line, ntasks=3, sample_seconds=0)
    memory = amount(used, "mem")
    assert (used.tasks, memory.most_rank, memory.least_rank) == (3, 2, 0)
    assert memory.most > memory.least + 30 * MEGABYTE


def test_what_outlives_its_parent_counts_as_well(node: NodeSide) -> None:
    burn = BURN.format(0.3)
    line = f"(setsid sh -c \"python3 -c '{burn}'; touch over\" &); until test -e over; do sleep 0.05; done"
    used = used_by(node, "sh", "-c", line, sample_seconds=0)
    assert used.user_us + used.system_us > 300_000


def test_a_small_task_is_not_taken_for_a_large_one(node: NodeSide) -> None:
    used = used_by(node, "sleep", "1.3", sample_seconds=1)
    assert 0 < amount(used, "mem").most < 6 * MEGABYTE


@pytest.mark.skipif(
    os.geteuid() != 0 or "memory" not in cgroup_v1.controllers() | cgroup_v2.controllers(),
    reason="needs root, and control groups that limit memory",
)
def test_processes_that_nobody_has_seen_together_are_known_to_the_control_group(tmp_path: Path) -> None:
    node = NodeSide(tmp_path, virtual=False, cgroups="auto")
    one = "python3 -c 'bytearray(60 << 20)'"
    try:
        used = used_by(node, "sh", "-c", f"{one} & {one} & {one} & wait", memory_mb=400, sample_seconds=0)
    finally:
        node.close()
    assert 70 * MEGABYTE < amount(used, "mem").most < 400 * MEGABYTE


def test_a_running_task_is_asked_what_it_uses_now(node: NodeSide) -> None:
    code = "import time; b = bytearray(50 << 20); print('there', flush=True); del b; print('gone', flush=True); time.sleep(60)"
    key = node.step("python3", "-c", code, sample_seconds=0, stdio=StdioSpec(stdout="out"))
    wait_until(lambda: "gone" in (node.work_dir / "out").read_text() if (node.work_dir / "out").exists() else False)
    node.tell(key, Sample(query=7))
    sampled = node._notice(Sampled, key)
    memory = amount(sampled.used, "mem")
    assert (sampled.query, sampled.used.tasks, memory.most_rank) == (7, 1, 0)
    assert 0 < memory.total < 40 * MEGABYTE
    assert sampled.pids == node.started(key)
