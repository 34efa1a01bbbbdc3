#!/usr/bin/env python3
"""What does it cost a service's users when something dies or is taken away? A real cluster of three nodes with an agent each, three
replicas, a steady load.

    python bench/faults.py [--rate 500] [--times 1] [--only WORD ...]

Of each: requests that failed, the longest that one waited, how many were sent after the death and failed all the same, and how long it took
until three replicas on living nodes were ready again (of a lost node: after its timeout of 8 s).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.cluster.live import (  # noqa: E402
    killed,
    pid_of,
    wait_until,
)
from tests.cluster.test_service_faults import CONFIG, NODE_TIMEOUT, Faulty  # noqa: E402

#: What is above one replica may be preempted.
_PREEMPTING = """
[preemption]
type = "partition_prio"
mode = "CANCEL"
[[partition]]
name = "batch"
default = true
[[partition]]
name = "urgent"
priority_tier = 10
"""


def replica(one: Faulty) -> None:
    killed(int(min(one.programs_by_pid())))


def agent(one: Faulty) -> None:
    one.kill_agent("far")
    one.start_agent("far")


def controller(one: Faulty) -> None:
    killed(pid_of(one.directory / "controller.lock"))
    time.sleep(1)
    one.up("--nodes=near", "--cpus=4")


def caddy(one: Faulty) -> None:
    killed(int((one.directory / "gateway" / "caddy.pid").read_text()))


def gateway(one: Faulty) -> None:
    killed(pid_of(one.directory / "gateway" / "lock"))
    one.up("--nodes=near", "--cpus=4")


def node(one: Faulty) -> None:
    one.kill_node("far")


def silent(one: Faulty) -> None:
    one.kill_agent("far")


def drain(one: Faulty) -> None:
    one.run("scontrol", "update", "nodename=far", "state=drain", "reason=bench")
    wait_until(lambda: len(nodes := one.nodes()) == 3 and "far" not in nodes)
    wait_until(lambda: not one.text("squeue", "-h", "-w", "far"), what="nothing is left on it")
    one.run("scontrol", "update", "nodename=far", "state=resume")


def preemption(one: Faulty) -> None:
    go = one.work / "go"
    go.unlink(missing_ok=True)
    script = f"touch {one.work}/started; while [ ! -e {go} ]; do sleep 0.1; done"
    job = one.submit("-p", "urgent", "-N2", "--exclusive", "--wrap", script)
    wait_until((one.work / "started").exists, what="it has two of three nodes")
    wait_until(lambda: len(one.answers()) == 2, what="the third has two replicas")
    go.touch()
    one.wait_for(job, "COMPLETED")
    (one.work / "started").unlink()


DEATHS: dict[str, tuple[str, Callable[[Faulty], None]]] = {
    "replica": ("a replica is killed", replica),
    "agent": ("an agent is killed and started again", agent),
    "controller": ("the controller is killed and started again", controller),
    "gateway": ("the gateway is killed and started again", gateway),
    "caddy": ("Caddy is killed", caddy),
    "node": ("a node is gone with all that it runs", node),
    "silent": ("a node is silent, then comes back", silent),
    "drain": ("a node is drained, then resumed", drain),
    "preemption": ("two of three nodes are an urgent job's for a while", preemption),
}


def measure(one: Faulty, name: str, rate: float) -> None:
    words, kill = DEATHS[name]
    if name in ("node", "silent", "drain", "preemption"):
        one.spread()
    wait_until(lambda: len(one.answers()) == 3)
    command = [sys.executable, "-m", "tests.httpload", one.url, "--rate", str(rate), "--seconds", "300"]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    time.sleep(3)
    began = time.perf_counter()
    kill(one)
    done = time.perf_counter()
    lost = name in ("node", "silent")
    if lost:
        wait_until(lambda: len(nodes := one.nodes()) == 3 and "far" not in nodes)
    again = time.perf_counter() - began - (NODE_TIMEOUT if lost else 0)
    wait_until(lambda: len(one.answers()) == 3)
    if lost:
        one.start_agent("far")
        wait_until(lambda: len(one.programs_by_pid()) == 3)
    time.sleep(2)
    load.send_signal(signal.SIGTERM)
    found = json.loads(load.communicate()[0])
    later = "none sent later" if found["last_failed"] < done else f"the last {found['last_failed'] - done:.3f} s later"
    after = f"; replaced {again:.1f} s after the timeout" if lost else ""
    print(
        f"{rate:g} requests/s, {words:50} {found['failed']:4} of {found['requests']:6} failed, {later}; "
        f"{found['under_way_then']} were under way when the first failed; the longest took {found['most_ms']:.0f} ms{after}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--times", type=int, default=1, help="each so often")
    parser.add_argument("--only", nargs="*", default=list(DEATHS), choices=list(DEATHS))
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as directory:
        one = Faulty(Path(directory), CONFIG + _PREEMPTING)
        try:
            one.start()
            for name in given.only:
                for _ in range(given.times):
                    measure(one, name, given.rate)
        finally:
            one.stop()


if __name__ == "__main__":
    main()
