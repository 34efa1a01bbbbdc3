"""sdiag against what the real one printed of the same figures."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import FakeCluster, golden

from corral.cli import diagnosis


def figures(text: str) -> dict[str, Any]:
    """What the controller would have told, had it been the real one."""

    def found(pattern: str) -> int:
        match = re.search(pattern, text)
        return int(match[1]) if match else 0

    main, _, backfill = text.partition("Backfilling stats")
    calls = re.findall(r"\t(\S+) +\( *(\d+)\) count:(\d+) +ave_time:\d+ +total_time:(\d+)", text)
    ours = {name: key for key, (name, _) in reversed(diagnosis.SLURM_CALLS.items())}

    def number(name: str, of: str) -> int:
        match = re.search(rf"\t{re.escape(name)}: +(\d+)", of)
        return int(match[1]) if match else 0

    def depth(last: str, mean: str, count: int, of: str) -> dict[str, int]:
        return {"last": number(last, of), "sum": number(mean, of) * count}

    cycles, fills = number("Total cycles", main), number("Total cycles", backfill)
    return {
        "time": found(r"output at .*\((\d+)\)"), "since": found(r"Data since .*\((\d+)\)"),
        "in_work": found(r"Server thread count: +(\d+)"),
        "orders": 0, "orders_by_kind": {}, "orders_first": [], "transactions": 0, "clock_latency": found(r"gettimeofday\(\): (\d+)"),
        "jobs": {name: found(rf"Jobs {name}: +(\d+)") for name in ("submitted", "started", "completed", "canceled", "failed")},
        "pending": found(r"Jobs pending: +(\d+)"), "running": found(r"Jobs running: +(\d+)"),
        "cycle": {
            "last": number("Last cycle", main), "max": number("Max cycle", main), "count": cycles,
            "sum": number("Mean cycle", main) * cycles, "depth": {"last": 0, "sum": number("Mean depth cycle", main) * cycles},
            "queue_length": number("Last queue length", main),
        },
        "backfill": {
            "last": number("Last cycle", backfill), "max": number("Max cycle", backfill), "count": fills,
            "sum": number("Mean cycle", backfill) * fills, "jobs_ever": 0, "jobs": 0, "jobs_last": 0,
            "when": found(r"Last cycle when: .*\((\d+)\)"), "depth": depth("Last depth cycle", "Depth Mean", fills, backfill),
            "tries": depth("Last depth cycle (try sched)", "Depth Mean (try depth)", fills, backfill),
            "queue": depth("Last queue length", "Queue length mean", fills, backfill),
            "table": depth("Last table size", "Mean table size", fills, backfill),
        },
        "requests": [{"name": ours[name], "count": int(n), "sum": int(total)} for name, _, n, total in calls if name.isupper()],
        "users": [{"user": name, "uid": int(uid), "count": int(n), "sum": int(t)} for name, uid, n, t in calls if name.islower()],
    }  # fmt: skip


def stamped(text: str) -> list[str]:
    """When the states were counted is now, with us; requests that are as frequent stand in no certain order."""
    lines = re.sub(r"Job states ts: .*", "Job states ts:", text).split("\n")
    calls = sorted(line for line in lines if "ave_time:" in line)
    return [calls.pop(0) if "ave_time:" in line else line for line in lines]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.statistics = figures(golden("sdiag/default.txt"))
        yield fake


@pytest.mark.parametrize("file", ["default", "reset"])
def test_it_prints_what_slurm_prints(cluster: FakeCluster, file: str) -> None:
    expected = golden(f"sdiag/{file}.txt")
    cluster.statistics = figures(expected)
    done = cluster.run("sdiag")
    assert (stamped(done.stdout), done.stderr, done.returncode) == (stamped(expected), "", 0)


@pytest.mark.parametrize(
    ("option", "column"), [("-i", r"\( *(\d+)\)"), ("-t", r"total_time:(\d+)"), ("-T", r"ave_time:(\d+)")]
)
def test_requests_are_sorted(cluster: FakeCluster, option: str, column: str) -> None:
    text = cluster.run("sdiag", option).stdout.partition("by message type\n")[2].partition("\n\n")[0]
    shown = [int(number) for number in re.findall(column, text)]
    assert shown == sorted(shown, reverse=option != "-i")
    assert len(shown) > 2


def test_orders_that_wait_are_named(cluster: FakeCluster) -> None:
    cluster.statistics |= {"orders_by_kind": {"LaunchStep": 2}, "orders_first": [["LaunchStep", "n1"], ["Other", "n2"]]}
    assert cluster.run("sdiag").stdout.endswith(
        "Pending RPC statistics\n\tREQUEST_LAUNCH_TASKS                    ( 6001) count:2     \n\nPending RPCs\n"
        "\t 1: REQUEST_LAUNCH_TASKS                 n1\n\t 2: CORRAL_OTHER                         n2\n"
    )


def test_the_shape_of_json_is_that_of_the_data_parser(cluster: FakeCluster) -> None:
    document = json.loads(cluster.run("sdiag", "--json").stdout)
    assert list(document["statistics"]) == golden("data_parser/statistics.txt").split()
    assert document["statistics"]["schedule_cycle_total"] == cluster.statistics["cycle"]["count"]
    assert set(document["statistics"]["rpcs_by_message_type"][0]) == {
        "message_type", "type_id", "count", "average_time", "total_time",
    }  # fmt: skip
