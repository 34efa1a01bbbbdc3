"""How soon does a controller answer others while one Deployment of thousands of Pods is applied, scaled and deleted?

    python bench/crowd.py [--deployments 5000] [--pods 5000] [--nodes 200]

The state is made without daemons (services.py) and written into a store; a controller starts on it. Its nodes are not there: they hear
nothing and say nothing, so what is to end there never does, and is told so again and again. `squeue -j` and `sbatch` are whole processes;
"asked" is what squeue asks, over a connection that stays.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import services
from clusters import until
from responsive import timed

from corral.client.connection import Connection
from corral.protocol import requests as rq
from corral.store.choice import open_store

CONFIG = """\
cluster = "bench"
[timeouts]
node = 1e6
[[partition]]
name = "batch"
default = true
"""


def prepare(directory: Path, count: int, nodes: int) -> None:
    """So many Deployments of one Pod each, that run."""
    engine = services.cluster(nodes)
    now = time.time() - 3600
    me = rq.Caller(uid=os.getuid(), gid=os.getgid(), user="me", group="me")
    for at in range(0, count, 500):
        wanted = tuple(services.deployment(f"web{number}", 1) for number in range(at, min(at + 500, count)))
        engine.handle(rq.PutObjects(objects=wanted), now, me)
        services.settle(engine, now)
    while engine.wants_cycle and services.cycle(engine, now):
        services.settle(engine, now)
    services.ready(engine, now)
    services.settle(engine, now)
    (directory / "corral.toml").write_text(CONFIG)
    store = open_store("", directory / "corral.db")
    store.next_term()
    store.write_snapshot(engine.state.dump(), 0, set()).result()
    store.close()


class Asker:
    """Asks what squeue asks, all the time, and notes how long that took."""

    def __init__(self, endpoint: str, environment: dict[str, str]) -> None:
        self.phase, self.found = "", dict[str, dict[str, list[float]]]()
        self._endpoint, self._environment, self._ended = endpoint, environment, threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._ask, self._run)]

    def __enter__(self) -> "Asker":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _note(self, what: str, seconds: float) -> None:
        self.found.setdefault(self.phase, {}).setdefault(what, []).append(seconds)

    def _ask(self) -> None:
        with Connection(self._endpoint) as one:
            while not self._ended.wait(0.02):
                began = time.perf_counter()
                one.request("GET", "/v1/jobs?ids=1&fields=id,state")
                self._note("asked", time.perf_counter() - began)

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            self._note("squeue -j", timed(["squeue", "-h", "-j", "1"], self._environment))
            self._note("sbatch", timed(["sbatch", "-H"], self._environment, "#!/bin/sh\ntrue\n"))


def manifest(pods: int) -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {pods}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: main, command: [serve]}}
"""


def is_done(environment: dict[str, str], replicas: str) -> bool:
    """So many Pods are there ("" = there is no such Deployment any more)."""
    words = ["corral", "get", "deployment", "web", "-o", "jsonpath={.status.replicas}"]
    found = subprocess.run(
        words, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return found.stdout == replicas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--nodes", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corral-crowd-") as name:
        directory = Path(name)
        prepare(directory, given.deployments, given.nodes)
        endpoint = f"unix://{directory}/corral.sock"
        programs = Path(sys.executable).parent
        environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}", CORRAL_ENDPOINT=endpoint)
        command = [sys.executable, "-m", "corral.controller", "--dir", str(directory), "--config"]
        controller = subprocess.Popen([*command, str(directory / "corral.toml")], env=environment)

        def corral(*words: str, text: str = "") -> None:
            subprocess.run(
                ["corral", *words], env=environment, check=True, input=text, text=True, stdout=subprocess.DEVNULL
            )

        def until_done(replicas: str) -> None:
            until(lambda: is_done(environment, replicas), 600, 2.0)
            time.sleep(5.0)

        try:
            until(lambda: (directory / "corral.sock").exists() and subprocess.run(
                ["squeue", "-h", "-j", "1"], env=environment, capture_output=True, check=False).returncode in (0, 1), 120)  # fmt: skip
            with Asker(endpoint, environment) as asker:
                asker.phase = "at rest"
                time.sleep(10)
                asker.phase = "applied"
                corral("apply", "-f", "-", text=manifest(given.pods))
                until_done(str(given.pods))
                asker.phase = "scaled down"
                corral("scale", "deployment", "web", f"--replicas={given.pods // 2}")
                until_done(str(given.pods // 2))
                asker.phase = "deleted"
                corral("delete", "deployment", "web")
                until_done("")
        finally:
            controller.send_signal(signal.SIGTERM)
            controller.wait(60)
    print(f"{given.deployments} Deployments of one Pod are there, and one of {given.pods} is")
    for phase, whats in asker.found.items():
        for what, times in sorted(whats.items()):
            times.sort()
            share = times[int(len(times) * 0.95)]
            print(
                f"{phase:<12} {what:<10} {statistics.median(times) * 1000:6.0f} ms in the middle, {share * 1000:6.0f} ms for 19 of 20,"
                f" {times[-1] * 1000:6.0f} ms at most, of {len(times)}"
            )  # fmt: skip


if __name__ == "__main__":
    main()
