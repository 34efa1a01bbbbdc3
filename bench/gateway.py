#!/usr/bin/env python3
"""What does the gateway cost, how much does it take, and what is lost when something dies or is replaced under load?

    python bench/gateway.py [--only WORD ...] [--seconds 8] [--services 1000]

The real gateway and the real Caddy, with replicas that are local servers. The generator of load and the replicas have the same cores: only
Caddy's processor time per request says what it would take alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.cluster.test_gateway import World  # noqa: E402  (the repository must be on the path first)
from tests.gateway_kit import pod, service  # noqa: E402
from tests.ports import free_port  # noqa: E402
from tests.waiting import wait_until  # noqa: E402


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="corral-bench-") as directory:
        one = World(Path(directory))
        try:
            yield one
        finally:
            one.close()


@contextmanager
def go_replica() -> Iterator[int]:
    """A replica that costs little: a second Caddy."""
    from corral.gateway.caddy import program

    port = free_port()
    site = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True}}
    config = {
        "admin": {"disabled": True},
        "apps": {
            "http": {"servers": {"s": {**site, "routes": [{"handle": [{"handler": "static_response", "body": "ok"}]}]}}}
        },
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        process = subprocess.Popen([program(), "run", "--config", file.name], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> str:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError:
        return ""


def load(port: int, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.httpload", f"http://127.0.0.1:{port}/", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def result(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    return json.loads(process.communicate()[0])  # type: ignore[no-any-return]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(what: str, figure: str, goal: str = "-") -> None:
    print(f"{what:92} {figure:>40}   {goal}", flush=True)


def latency(seconds: float) -> None:
    with world() as one, go_replica() as replica:
        port = free_port()
        one.control.put(service(port=port), pod("web-1", replica))
        wait_until(lambda: answers(port) == "ok")
        added = []
        for _ in range(3):
            direct = result(load(replica, "--rate", "200", "--seconds", str(seconds / 3)))["p50_ms"]
            through = result(load(port, "--rate", "200", "--seconds", str(seconds / 3)))["p50_ms"]
            added.append(through - direct)
        say("latency added at the median, 200 requests/s", f"{statistics.median(added):.2f} ms", "< 1 ms")


def throughput(seconds: float) -> None:
    with world() as one, go_replica() as replica:
        port = free_port()
        one.control.put(service(port=port), pod("web-1", replica))
        wait_until(lambda: answers(port) == "ok")
        before, began = processor_seconds(one.gateway.caddy_pid), time.monotonic()
        if shutil.which("wrk"):
            said = subprocess.run(
                ["wrk", "-t1", "-c64", f"-d{int(seconds)}s", f"http://127.0.0.1:{port}/"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            rate = float(said.partition("Requests/sec:")[2].split()[0])
            number = rate * (time.monotonic() - began)
        else:
            found = result(load(port, "--connections", "64", "--seconds", str(seconds)))
            number = found["requests"]
            rate = number / seconds
        spent = processor_seconds(one.gateway.caddy_pid) - before
        say("requests/s, generator and replica on the same cores", f"{rate:,.0f} /s ({os.cpu_count()} cores)")
        say(
            "Caddy's processor time for a request; on two cores of its own",
            f"{1e6 * spent / number:.0f} us; {2 * number / spent:,.0f} /s", "5,000 /s",
        )  # fmt: skip


def verdict(seconds: float, services: int) -> None:
    """From the commit of a verdict at the controller until the first request goes elsewhere."""
    with world() as one:
        ports = range(10_000, 10_000 + services)
        first, second = one.backend("a"), one.backend("b")
        name = f"s{services // 2}"
        one.control.put(
            *(service(f"s{index}", port=port) for index, port in enumerate(ports)),
            *(pod(f"s{index}", first.port, app=f"s{index}") for index in range(services)),
        )
        port = ports[services // 2]
        wait_until(lambda: answers(port) == "a", 60)
        time.sleep(2 + services / 500)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        took = []
        for turn in range(20):
            wanted = "ba"[turn % 2]
            since = one.control.put(pod(name, (second if wanted == "b" else first).port, app=name))
            while True:
                connection.request("GET", "/")
                if connection.getresponse().read().decode() == wanted:
                    break
            took.append(time.monotonic() - since)
            time.sleep(0.1)
        say(
            f"verdict to traffic, {services} services (median, most of 20)",
            f"{1000 * statistics.median(took):.0f}, {1000 * max(took):.0f} ms", "100 ms",
        )  # fmt: skip


def faults(seconds: float) -> None:
    """500 requests/s to three replicas that take 10 ms each."""
    for what, goal in (
        ("nothing happens", "0"), ("a replica is killed", "those in flight on it"), ("replicas are replaced, one each 0.3 s", "0"),
        ("scaled from 3 to 1 and back", "0"), ("services are added, one each 0.5 s", "-"), ("caddy is killed", "those in flight"),
        ("the gateway is killed", "0"), ("the controller is killed", "0"),
    ):  # fmt: skip
        with world() as one:
            port = free_port()
            pods = [one.backend(name, seconds=0.01) for name in "abc"]
            one.control.put(service(port=port), *(pod(f"web-{each.name}", each.port) for each in pods))
            wait_until(lambda port=port: answers(port))
            running = load(port, "--rate", "500", "--seconds", str(seconds))
            time.sleep(1.5)
            happen(what, one, pods, running)
            found = result(running)
            outcomes = ", ".join(
                f"{count} {name}" for name, count in sorted(found["outcomes"].items()) if name != "200"
            )
            say(f"500 requests/s, {what}", f"{found['failed']} of {found['requests']} failed {outcomes}".strip(), goal)


def happen(what: str, one: World, pods: list[Any], running: subprocess.Popen[bytes]) -> None:
    if what == "a replica is killed":
        pods[0].stop()
        time.sleep(0.5)
        one.control.put(pod("web-a", pods[0].port, ready=False))
    elif what.startswith("replicas are replaced"):
        turn = 0
        while running.poll() is None:
            new = one.backend(f"n{turn}", seconds=0.01)
            old, name = pods[turn % 3], f"web-{'abc'[turn % 3]}"
            one.control.put(pod(f"{name}-{turn}", new.port))
            one.control.put(pod(name if turn < 3 else f"{name}-{turn - 3}", old.port, ready=False))
            time.sleep(0.3)
            old.stop()
            pods[turn % 3] = new
            turn += 1
    elif what.startswith("scaled"):
        while running.poll() is None:
            for ready in (False, True):
                one.control.put(*(pod(f"web-{each.name}", each.port, ready=ready) for each in pods[1:]))
                time.sleep(0.5)
    elif what.startswith("services are added"):
        turn = 0
        while running.poll() is None:
            one.control.put(service(f"more{turn}", port=free_port()))
            turn += 1
            time.sleep(0.5)
    elif what == "caddy is killed":
        os.kill(one.gateway.caddy_pid, 9)
    elif what == "the gateway is killed":
        one.gateway.kill()
        time.sleep(1)
        one.gateway.start()
    elif what == "the controller is killed":
        one.control.stop()
        time.sleep(1)
        one.control.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="latency, throughput, verdict, faults")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--services", type=int, default=1000)
    given = parser.parse_args()
    measures = {
        "latency": lambda: latency(given.seconds),
        "throughput": lambda: throughput(given.seconds),
        "verdict": lambda: [verdict(given.seconds, number) for number in (1, given.services)],
        "faults": lambda: faults(given.seconds),
    }
    for name, measure in measures.items():
        if not given.only or name in given.only:
            measure()


if __name__ == "__main__":
    main()
