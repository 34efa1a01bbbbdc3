"""A cluster of virtual nodes whose daemons can be killed one by one, and what its processes have left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.cluster import afterwards
from tests.waiting import PATIENCE, wait_until

from corral.agent.inventory import VirtualNodes
from corral.agent.main import AgentSetup
from corral.bus.credentials import ClusterKeys
from corral.bus.server import running_server
from corral.client.client import ClusterClient, job
from corral.client.objects import kind_of
from corral.errors import Refused
from corral.model.cluster import ApiConfig, ClusterConfig, NatsConfig, Timeouts
from corral.model.gres import GresDevice
from corral.protocol.requests import NewJob

CLUSTER, AGENT = "corral", "box"
NODES = tuple(f"dgx{number:04}" for number in range(180, 190))
#: In the environment of every job of a cluster: no other cluster's processes are taken for its own.
MARK = "CORRAL_TEST_CLUSTER"
_LIVE = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING")

Row = dict[str, Any]


class KillableCluster:
    """Controller, NATS server and one agent for ten nodes; whoever has been killed is started by `start` again.

    state_dir: the controller's; spool_dir: the agent's, elsewhere if need be.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        spool_dir: Path | None = None,
        cpus: int = 40,
        gpus: int = 0,
        config: Path | None = None,
    ) -> None:
        self.directory = state_dir
        self.spool_dir = spool_dir or state_dir
        self.endpoint = f"unix://{state_dir}/corral.sock"
        self._cpus, self._gpus, self._config = cpus, gpus, config
        self._words = Path(f"{self.spool_dir}-words")  # what the daemons say on standard error
        self.controller: subprocess.Popen[bytes] | None = None
        self.agent: subprocess.Popen[bytes] | None = None

    # -- start

    def start(self) -> None:
        """Whatever is not running."""
        afterwards.may_be_asked(self.directory, self.endpoint)
        self.start_controller()
        self.start_agent()

    def start_controller(self) -> None:
        if not _lives(self.controller):
            command = [sys.executable, "-m", "corral.controller.main", "--dir", str(self.directory)]
            self.controller = self._run(command + (["--config", str(self._config)] if self._config else []))

    def start_agent(self) -> None:
        if _lives(self.agent):
            return
        setup = self.spool_dir / "agent.json"
        if not setup.exists():
            self.wait_for_bus()
            setup.write_bytes(msgspec.json.encode(self._setup()))
        self.agent = self._run([sys.executable, "-m", "corral.agent.main", str(setup)])

    def _setup(self) -> AgentSetup:
        with self.client() as client:
            url = client.ping()["nats_url"]
        self.spool_dir.mkdir(parents=True, exist_ok=True)
        token = self.spool_dir / "agent.jwt"
        token.write_text(ClusterKeys.load(self.directory / "keys").agent_jwt(AGENT, NODES))
        config = ClusterConfig(
            cluster=CLUSTER,
            nats=NatsConfig(url=url, credentials=str(token)),
            api=ApiConfig(socket=f"{self.directory}/corral.sock"),
            timeouts=Timeouts(heartbeat=0.5),
        )
        gres = (GresDevice(name="gpu", type="v100", count=self._gpus),) if self._gpus else ()
        nodes = VirtualNodes(names=NODES, cpus=self._cpus, memory_mb=64000, gres=gres)
        return AgentSetup(config=config, name=AGENT, state_dir=str(self.spool_dir), virtual=nodes)

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with open(self._words, "ab") as words:
            return subprocess.Popen(command, stdout=words, stderr=words, stdin=subprocess.DEVNULL)

    def wait_for_bus(self) -> None:
        ready = self.directory / "controller.ready"
        wait_until(lambda: ready.exists() or not _lives(self.controller), what="controller ready")
        assert ready.exists(), f"the controller ended: {self.controller and self.controller.returncode} {self.words()}"

    def wait_for_nodes(self) -> None:
        with self.client() as client:
            wait_until(
                lambda: [n["state_text"] for n in client.nodes(["state_text"])] == ["idle"] * len(NODES),
                what="ten idle nodes",
            )

    def words(self) -> str:
        return self._words.read_text(errors="replace") if self._words.exists() else ""

    # -- kill

    def kill_controller(self) -> None:
        _kill(self.controller)

    def kill_agent(self) -> None:
        _kill(self.agent)

    def kill_nats(self) -> None:
        server = running_server(self.directory / "nats")
        if server is not None:
            try:
                os.kill(server.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_spawner(self) -> None:
        text = (self.spool_dir / "agent" / AGENT / "spawner").read_text().split()
        try:
            os.kill(int(text[0]), signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            pass

    def kill_shepherds(self) -> None:
        """Not a daemon: who watches a job's step. The job cannot survive this."""
        for file in (self.spool_dir / "agent" / AGENT).glob("steps/*/*/pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass

    def kill(self, whom: str) -> None:
        """One of them, or "all" at once."""
        for one in ("controller", "agent", "nats", "spawner") if whom == "all" else (whom,):
            getattr(self, f"kill_{one}")()

    # -- end

    def stop(self) -> None:
        """As an operator would; jobs that still run are killed."""
        for process in (self.agent, self.controller):
            if _lives(process):
                assert process is not None
                process.terminate()
        for process in (self.agent, self.controller):
            if process is not None:
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        server = running_server(self.directory / "nats")
        if server is not None:
            server.stop()

    def kill_processes_left(self) -> None:
        for pid in (*self.job_processes(), *self.daemon_processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # -- look

    @property
    def controller_pid(self) -> int:
        assert self.controller is not None
        return self.controller.pid

    def client(self) -> "Client":
        return Client(self.endpoint)

    def job_processes(self) -> list[int]:
        """Processes of the jobs, wherever they have gone."""
        return _processes_with("environ", f"{MARK}={self.directory}\0".encode())

    def daemon_processes(self) -> list[int]:
        """Processes that were started for this cluster's directory."""
        places = {os.fsencode(self.directory), os.fsencode(self.spool_dir)}
        return sorted({pid for place in places for pid in _processes_with("cmdline", place)} - {os.getpid()})

    def job(self, command: str, **more: Any) -> NewJob:
        """A job that costs little: no login shell, no environment but the mark."""
        environment = {"PATH": "/usr/bin:/bin", MARK: str(self.directory)}
        more = {"stdout": "/dev/null", "name": "small", **more}
        return job(command, environment=environment, work_dir="/tmp", cpus_per_task=1, **more)


class Client(ClusterClient):
    """The SDK, and two questions of tests. It is patient: a controller that was killed may take long to be back on a busy machine."""

    def _call(self, method: str, path: str, body: bytes = b"", key: str = "") -> bytes:
        try:
            return self._connection.call(method, path, body, key=key, retry_seconds=2 * PATIENCE)
        except Refused as error:
            raise kind_of(error) from None

    def ping(self) -> Row:
        found: Row = msgspec.json.decode(self._call("GET", "/v1/ping"))
        return found

    def states(self, ids: list[int] | None = None) -> dict[int, Row]:
        rows = self.jobs(["id", "state", "exit_code", "restarts", "alloc_detail"])
        return {row["id"]: row for row in rows if ids is None or row["id"] in set(ids)}


@contextmanager
def killable_cluster(state_dir: Path, **more: Any) -> Iterator[KillableCluster]:
    cluster = KillableCluster(state_dir, **more)
    try:
        cluster.start()
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.stop()
        cluster.kill_processes_left()


def _lives(process: "subprocess.Popen[bytes] | None") -> bool:
    return process is not None and process.poll() is None


def _kill(process: "subprocess.Popen[bytes] | None") -> None:
    if process is not None:
        process.kill()
        process.wait()


def _processes_with(file: str, text: bytes) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if text in Path(f"/proc/{name}/{file}").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found
