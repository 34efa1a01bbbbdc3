"""Hosts that share nothing: network namespaces and what a cable carries between them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.cluster.live import COMMANDS, wait_until

HEAD, PORT, API = "10.77.0.1", 4222, "https://10.77.0.1:6820"
EDGE, HTTP = "10.77.9.1", 8080


class Host:
    """A network namespace in which programs run."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory = name, directory / name
        self.directory.mkdir()
        self._namespace = f"corral-{os.getpid()}-{name}"
        self.daemons: list[subprocess.Popen[bytes]] = []

    def create(self) -> None:
        done = subprocess.run(["ip", "netns", "add", self._namespace], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        self.ip("link", "set", "lo", "up")

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "delete", self._namespace], capture_output=True)

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self._namespace, *arguments], check=True, capture_output=True)

    def join(self, other: "Host", network: str, *, to: str = "default", name: str = "up0") -> None:
        """A cable between the two: `other` gets .1, this one .2, and reaches `to` by it."""
        ends = ["link", "add", name, "type", "veth", "peer", "name", f"to-{self.name}", "netns", other._namespace]
        self.ip(*ends)
        other.ip("addr", "add", f"{network}.1/30", "dev", f"to-{self.name}")
        other.ip("link", "set", f"to-{self.name}", "up")
        self.ip("addr", "add", f"{network}.2/30", "dev", name)
        self.ip("link", "set", name, "up")
        self.ip("route", "add", to, "via", f"{network}.1")

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._namespace}", *words]

    def start(self, *words: str, **variables: str) -> None:
        if not self.daemons:
            self._first = words, variables
        with open(self.directory / "words", "ab") as output:
            command = self.command(str(COMMANDS / words[0]), *words[1:])
            self.daemons.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment() | variables))

    def kill_daemon(self) -> None:
        """The one that was started first."""
        daemon = self.daemons.pop(0)
        daemon.kill()
        daemon.wait()

    def start_again(self) -> None:
        words, variables = self._first
        self.start(*words, **variables)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.command(*words), cwd=self.directory, env=environment(), capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}{self.words()}"
        return done.stdout.strip()

    def words(self) -> str:
        path = self.directory / "words"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def connections(self) -> set[str]:
        """Where its TCP sockets lead to; "listen" for one that waits to be called."""
        lines = self.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
        fields = [line.split() for line in lines if "local_address" not in line]
        waiting, gone = "0A", ("06", "07", "08")
        return {"listen" if field[3] == waiting else _address(field[2]) for field in fields if field[3] not in gone}


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host[-8:]))) + f":{int(port, 16)}"


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "CORRAL_"))}
    return {**kept, "PATH": f"{COMMANDS}:{os.environ['PATH']}"}


class ThreeHosts:
    def __init__(self, directory: Path) -> None:
        self.head, self.n1, self.n2, self.edge = (Host(name, directory) for name in ("head", "n1", "n2", "edge"))
        self.hosts = (self.head, self.n1, self.n2, self.edge)
        self.endpoint = f"unix://{self.head.directory}/state/corral.sock"

    def wire(self) -> None:
        for host in self.hosts:
            host.create()
        self.head.ip("addr", "add", f"{HEAD}/32", "dev", "lo")
        self.n1.join(self.head, "10.77.1")
        self.n2.join(self.head, "10.77.2")
        self.edge.ip("addr", "add", f"{EDGE}/32", "dev", "lo")
        own = {self.head: HEAD, self.n1: "10.77.1.2", self.n2: "10.77.2.2"}
        for number, (host, address) in enumerate(own.items(), 3):
            host.join(self.edge, f"10.77.{number}", to=EDGE, name="edge0")
            self.edge.ip("route", "add", address, "via", f"10.77.{number}.2")

    def start(self) -> None:
        config = self.head.directory / "corral.toml"
        authority, pair = certificate(self.head.directory)
        config.write_text(
            f'cluster = "three"\nstate_dir = "{self.head.directory}/state"\n'
            f'[nats]\nlisten = "0.0.0.0:{PORT}"\nadvertise = "tls://{HEAD}:{PORT}"\nca = "{authority}"\n{pair}'
            f'[api]\nlisten = "0.0.0.0:6820"\nadvertise = "{API}"\n{pair}'
            f'[proxy]\nlisten = "0.0.0.0:6821"\nadvertise = "https://{HEAD}:6821"\n'
            f'[gateway]\nstart = false\nlisten = "{EDGE}"\nhttp_port = {HTTP}\n'
        )
        self.head.start("corral", "controller", "--config", str(config))
        wait_until((self.head.directory / "state" / "controller.ready").exists, what=self.head.words())
        for host in (self.n1, self.n2):
            token = host.directory / "node.token"
            token.write_text(self.on_head("corral", "token", "node", host.name))
            config = host.directory / "corral.toml"
            config.write_text(
                f'cluster = "three"\nstate_dir = "{host.directory}/state"\n'
                f'[nats]\nurl = "tls://{HEAD}:{PORT}"\ncredentials = "{token}"\nca = "{authority}"\n'
            )
            host.start("corral", "agent", "--config", str(config), "--name", host.name)
        wait_until(lambda: self.on_head("sinfo", "-h", "-t", "idle", "-o%D") == "2", what="two idle nodes")

    def on_head(self, *words: str) -> str:
        return self.head.run("env", f"CORRAL_ENDPOINT={self.endpoint}", *words)

    def stop(self) -> None:
        for host in reversed(self.hosts):
            subprocess.run(
                ["corral", "down", "--dir", f"{host.directory}/state"], env=environment(), capture_output=True
            )
            for daemon in host.daemons:
                daemon.send_signal(signal.SIGKILL)
                daemon.wait()
            host.delete()


def certificate(directory: Path) -> tuple[Path, str]:
    """The file of an authority of our own, and the configuration's lines that name a certificate of it."""
    certificate, key = directory / "head.pem", directory / "head.key"
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=head -keyout {key} -out {certificate}"
    alternative = ("-addext", f"subjectAltName=IP:{HEAD}")
    subprocess.run(["openssl", *words.split(), *alternative], check=True, capture_output=True)
    return certificate, f'certificate = "{certificate}"\nkey = "{key}"\n'
