"""How soon does a Service's address lead somewhere, also among 1,000 of them, and what does a connection through it cost? As root.

    python bench/addresses.py [--services 1000] [--rounds 10] [--connections 500]

A cluster of one machine is started, in a directory of its own. Times are by the clock, from the request to the controller's API until the
agent has written down that the rules are there; the connections are one after another, to the same port, by the address that is the
last of the chain's rules and without any.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from corral.client.connection import Connection

COMMANDS = Path(sys.executable).parent
now = time.perf_counter


class Bench:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.api = Connection(f"unix://{directory}/corral.sock", timeout=120)

    def names(self) -> dict[str, str]:
        try:
            (path,) = Path(self.directory).glob("agent/*/addresses")
            found: dict[str, str] = json.loads(path.read_text())["names"]
        except (ValueError, OSError):
            return {}
        return found

    def put(self, name: str, port: int = 9000) -> None:
        ports = [{"name": "tcp", "port": port}]
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"a": "b"}, "ports": ports},
        }
        self.api.call("POST", "/api/v1/namespaces/default/services", json.dumps(body).encode())

    def remove(self, name: str) -> None:
        self.api.call("DELETE", f"/api/v1/namespaces/default/services/{name}")

    def until(self, done: Callable[[dict[str, str]], bool]) -> None:
        while not done(self.names()):
            time.sleep(0.001)

    def one(self, rounds: int) -> tuple[list[float], list[float]]:
        """Seconds until one that is made has its rule, and until one that is deleted has none."""
        made, gone = [], []
        for number in range(rounds):
            name = f"one{number}"
            time.sleep(1.0)  # not together with the one before
            began = now()
            self.put(name)
            self.until(lambda names, name=name: f"{name}.default" in names)  # type: ignore[misc]
            made.append(now() - began)
            time.sleep(1.0)
            began = now()
            self.remove(name)
            self.until(lambda names, name=name: f"{name}.default" not in names)  # type: ignore[misc]
            gone.append(now() - began)
        return made, gone


def connections(host: str, port: int, count: int) -> float:
    """Microseconds each."""
    import socket

    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        with socket.create_connection((host, port), 5):
            times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def shown(what: str, seconds: list[float]) -> None:
    print(f"{what}: {statistics.median(seconds) * 1000:.0f} ms (most {max(seconds) * 1000:.0f})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=500)
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="corral-addresses-")
    environment = {**os.environ, "PATH": f"{COMMANDS}:{os.environ['PATH']}"}
    subprocess.run(
        ["corral", "up", "--dir", directory, "--nodes=1", "--cpus=4", "--mem=4G"], check=True, env=environment
    )
    try:
        bench = Bench(directory)
        bench.put("first")
        bench.until(lambda names: "first.default" in names)
        for what, seconds in zip(("made", "deleted"), bench.one(arguments.rounds), strict=True):
            shown(f"a Service is {what}, its rule follows", seconds)
        began = now()
        for number in range(arguments.services):
            bench.put(f"s{number}")
        asked = now() - began
        bench.until(lambda names: len(names) > arguments.services)
        print(
            f"{arguments.services} Services made one by one: {asked:.1f} s, all rules {now() - began - asked:.2f} s later"
        )
        for what, seconds in zip(("made", "deleted"), bench.one(arguments.rounds), strict=True):
            shown(f"beside them one is {what}, its rule follows", seconds)
        status = json.loads(bench.api.call("GET", "/api/v1/namespaces/default/services/first"))
        ports = json.loads((Path(directory) / "gateway" / "routes.json").read_text())["services"]
        listen = next(one["ports"][0]["listen"] for one in ports if one["name"] == "first")
        rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
        print(f"{rules.count('-j DNAT')} rules")
        names = bench.names()
        last = max(names, key=lambda name: rules.find(f"-d {names[name]}/32"))
        for what, host, port in (
            ("the gateway's port", "127.0.0.1", listen), ("the first rule", names[min(names)], 9000), ("the last rule", names[last], 9000),
        ):  # fmt: skip
            print(f"a connection by {what}: {connections(host, port, arguments.connections):.0f} us")
        assert status["spec"]["clusterIP"] == names["first.default"]
    finally:
        subprocess.run(["corral", "down", "--dir", directory], check=True, env=environment)


if __name__ == "__main__":
    main()
