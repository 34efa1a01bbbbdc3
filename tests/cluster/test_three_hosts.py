"""A controller, two nodes and a gateway as hosts: network namespaces that share nothing but what a cable carries, and that in TLS.

n1 --(10.77.1.0/30)-- head --(10.77.2.0/30)-- n2        the head, which is 10.77.0.1, forwards nothing
 '----(10.77.4.0/30)-- edge --(10.77.5.0/30)--'         nor does the gateway's, which is 10.77.9.1, with a cable to the head too
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cluster.live import COMMANDS, wait_until
from tests.cluster.pods_kit import Pods

HEAD, PORT, API = "10.77.0.1", 4222, "https://10.77.0.1:6820"
EDGE, HTTP = "10.77.9.1", 8080

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="there is no ip command (iproute2)"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command"),
]


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
        with open(self.directory / "words", "ab") as output:
            command = self.command(str(COMMANDS / words[0]), *words[1:])
            self.daemons.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment() | variables))

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


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeHosts]:
    three = ThreeHosts(tmp_path_factory.mktemp("three"))
    with ExitStack() as stack:
        stack.callback(three.stop)
        three.wire()
        three.start()
        yield three


def test_the_nodes_cannot_reach_each_other(hosts: ThreeHosts) -> None:
    done = (
        subprocess.run(hosts.n1.command("ping", "-c1", "-W1", "10.77.2.2"), capture_output=True)
        if shutil.which("ping")
        else None
    )
    assert done is None or done.returncode != 0


def test_srun_on_the_head_shows_what_tasks_on_both_nodes_print(hosts: ThreeHosts) -> None:
    text = hosts.on_head("srun", "-N2", "-l", "sh", "-c", "echo $SLURM_PROCID on $SLURMD_NODENAME")
    assert sorted(text.splitlines()) == ["0: 0 on n1", "1: 1 on n2"]


def test_srun_on_the_head_feeds_tasks_from_its_input(hosts: ThreeHosts) -> None:
    command = f"echo hello | CORRAL_ENDPOINT={hosts.endpoint} srun -w n2 cat"
    assert hosts.head.run("sh", "-c", command) == "hello"


def test_a_batch_job_runs_on_the_first_of_its_nodes(hosts: ThreeHosts) -> None:
    output = hosts.head.directory / "batch.out"
    script = "echo $SLURM_JOB_NODELIST $SLURMD_NODENAME; cat /proc/net/route | wc -l"
    job = hosts.on_head("sbatch", "--parsable", "-W", "-N2", "-o", str(output), "--wrap", script)
    assert output.read_text().splitlines()[0] == "n[1-2] n1"
    assert hosts.on_head("sacct", "-n", "-X", "-P", "-o", "State,ExitCode", "-j", job) == "COMPLETED|0:0"


def batch_on_n2(hosts: ThreeHosts, script: str) -> list[str]:
    output = hosts.head.directory / "inside.out"
    hosts.on_head("sbatch", "--parsable", "-W", "-w", "n2,n1", "-o", str(output), "--wrap", script)
    return output.read_text().splitlines()


def test_srun_inside_a_batch_job_reaches_the_controller_from_its_node(hosts: ThreeHosts) -> None:
    script = "hostname; echo hello | srun -l sh -c 'cat; echo $SLURMD_NODENAME; squeue -h -o %i'; echo status $?"
    job = hosts.on_head("sbatch", "--parsable", "-H", "--wrap", "true")  # somebody else's words are not ours
    lines = batch_on_n2(hosts, script)
    hosts.on_head("scancel", job)
    assert lines[0] == os.uname().nodename
    assert lines[-1] == "status 0"
    said = sorted(line for line in lines[1:-1] if "n" in line)
    assert said == ["0: n1", "1: n2"]
    assert "0: hello" in lines


def test_commands_inside_a_batch_job_know_their_cluster(hosts: ThreeHosts) -> None:
    script = "squeue -h -j $SLURM_JOB_ID -o '%i %T'; scontrol show job -o $SLURM_JOB_ID | grep -o 'JobState=[A-Z]*'; echo $CORRAL_ENDPOINT"
    lines = batch_on_n2(hosts, script)
    assert [line.split(" ")[-1] for line in lines] == ["RUNNING", "JobState=RUNNING", API]


def test_the_token_of_a_job_is_an_ordinary_users_and_ends_with_the_job(hosts: ThreeHosts) -> None:
    script = "scontrol update nodename=n1 state=drain reason=no 2>&1; echo $CORRAL_TOKEN"
    words, token = batch_on_n2(hosts, script)
    assert words == "slurm_update error: Invalid user id"
    authority = hosts.head.directory / "head.pem"
    outside = ("env", f"CORRAL_ENDPOINT={API}", f"CORRAL_CA={authority}", f"CORRAL_TOKEN={token}")
    done = subprocess.run(hosts.n1.command(*outside, "squeue"), env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "which has ended" in done.stderr


def test_an_agent_connects_to_nats_and_to_nothing_else(hosts: ThreeHosts) -> None:
    job = hosts.on_head("sbatch", "--parsable", "-N2", "--wrap", "sleep 300")
    wait_until(lambda: hosts.on_head("squeue", "-h", "-o%T", "-j", job) == "RUNNING")
    for host in (hosts.n1, hosts.n2):
        wait_until(lambda host=host: host.connections() == {f"{HEAD}:{PORT}"}, what=host.connections)  # type: ignore[misc]
    hosts.on_head("scancel", job)


def test_a_token_of_one_node_does_not_open_the_place_of_another(hosts: ThreeHosts) -> None:
    config = hosts.n1.directory / "liar.toml"
    text = (hosts.n1.directory / "corral.toml").read_text()
    config.write_text(text.replace("/state", "/liar"))
    for options in (("--name", "n3"), ("--name", "n2")):
        hosts.n1.start("corral", "agent", "--config", str(config), *options)
        assert hosts.n1.daemons.pop().wait(60) != 0
        assert "this token is for another agent or for other nodes" in hosts.n1.words()
    assert hosts.on_head("sinfo", "-h", "-N", "-o%N").split() == ["n1", "n2"]


PMI_CLIENT = """
import os
fd = os.fdopen(int(os.environ["PMI_FD"]), "r+b", buffering=0)
def say(text):
    fd.write(text.encode() + b"\\n")
    return fd.readline().decode().strip()
rank = os.environ["PMI_RANK"]
say("cmd=init pmi_version=1 pmi_subversion=1")
say(f"cmd=put kvsname=x key=k{rank} value={os.environ['SLURMD_NODENAME']}")
say("cmd=barrier_in")
print(rank, *(say(f"cmd=get kvsname=x key=k{other}").rpartition("=")[2] for other in range(4)))
say("cmd=finalize")
"""


def test_mpi_tasks_learn_of_each_other_where_no_node_reaches_another(hosts: ThreeHosts) -> None:
    (hosts.head.directory / "pmi.py").write_text(PMI_CLIENT)
    program = f"{hosts.head.directory}/pmi.py"
    said = hosts.on_head("srun", "--mpi=pmi2", "-D", "/", "-N2", "-n4", "--ntasks-per-node=2", sys.executable, program)
    assert sorted(said.splitlines()) == [f"{rank} n1 n1 n2 n2" for rank in range(4)]


# ---------------------------------------------------------------------- into jobs, from a machine that has a token and nothing else


@pytest.fixture
def outside(hosts: ThreeHosts) -> Callable[..., list[str]]:
    """A command on a machine that reaches the head alone, and has files of its own: none of them is the job's."""
    authority = hosts.head.directory / "head.pem"
    token = hosts.on_head("corral", "token", "user")
    variables = (f"CORRAL_ENDPOINT={API}", f"CORRAL_CA={authority}", f"CORRAL_TOKEN={token}")

    def command(*words: str, hiding: str = "/mnt") -> list[str]:
        alone = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', hiding]
        return hosts.n1.command("env", *variables, *alone, *words)

    return command


def ran(command: list[str], given: bytes = b"") -> bytes:
    done = subprocess.run(command, input=given, env=environment(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def on_n2(hosts: ThreeHosts, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    jobs: list[str] = []

    def submit(script: str) -> str:
        job = hosts.on_head("sbatch", "--parsable", "-w", "n2", "-o", f"{tmp_path}/out", "--wrap", script)
        jobs.append(job)
        wait_until(lambda: hosts.on_head("squeue", "-h", "-o%T", "-j", job) == "RUNNING")
        return job

    yield submit
    hosts.on_head("scancel", *jobs)


def test_files_go_into_a_job_and_out_of_it(
    outside: Callable[..., list[str]], on_n2: Callable[[str], str], tmp_path: Path
) -> None:
    job = on_n2("sleep 300")
    data = os.urandom(300_000)
    script = f"cat > /mnt/here && corral cp /mnt/here {job}:{tmp_path}/there && corral cp {job}:{tmp_path}/there /mnt/back && cat /mnt/back"
    assert ran(outside("sh", "-c", script), data) == data
    assert (tmp_path / "there").read_bytes() == data
    assert ran(outside("corral", "ssh", job, "--", "sh", "-c", "echo $SLURMD_NODENAME")) == b"n2\n"


def test_what_a_job_writes_is_followed(
    outside: Callable[..., list[str]], on_n2: Callable[[str], str], tmp_path: Path
) -> None:
    job = on_n2(f"echo one; until [ -e {tmp_path}/gate ]; do sleep 0.05; done; echo two")
    command = outside("corral", "logs", "-f", job, hiding=str(tmp_path))
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as follow:
        assert follow.stdout is not None
        assert follow.stdout.readline() == "one\n"
        (tmp_path / "gate").touch()
        assert follow.stdout.read() == "two\n"


def test_a_step_is_seen_and_typed_into(
    hosts: ThreeHosts, outside: Callable[..., list[str]], on_n2: Callable[[str], str], tmp_path: Path
) -> None:
    job = on_n2(
        f"sleep 300 | srun sh -c 'while read line; do echo said $line; [ $line != end ] || exit 3; done' > {tmp_path}/step"
    )
    wait_until(lambda: f"{job}.0" in hosts.on_head("squeue", "-s", "-h", "-o%i"))
    for words in (("corral", "attach", job), ("sattach", f"{job}.0")):
        with subprocess.Popen(
            outside(*words), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as attached:
            assert attached.stdin is not None
            assert attached.stdout is not None
            attached.stdin.write(b"hello\n")
            attached.stdin.flush()
            assert attached.stdout.readline() == b"said hello\n"
            attached.kill()
    hosts.on_head("scancel", job)


def test_a_jobs_port_is_reached_by_forwarding(
    outside: Callable[..., list[str]], on_n2: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "page").write_text("served")
    job = on_n2(f"cd {tmp_path} && exec {sys.executable} -m http.server --bind 127.0.0.1 18080")
    asked = b"GET /page HTTP/1.0\r\n\r\n"
    command = outside("corral", "port-forward", "--stdio", job, "18080")
    wait_until(
        lambda: subprocess.run(command, input=asked, env=environment(), capture_output=True).stdout.endswith(
            b"\r\n\r\nserved"
        )
    )


VISIT = """
import http.cookiejar, ssl, sys, urllib.request
jar = http.cookiejar.CookieJar()
context = ssl.create_default_context(cafile=sys.argv[2])
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(jar))
print(opener.open(sys.argv[1], timeout=60).geturl())
print(opener.open(sys.argv[1].partition("?")[0] + "page", timeout=60).read().decode())
print(*(f"{one.path} {one.secure}" for one in jar))
"""


def test_a_jobs_page_is_seen_in_a_browser_by_https(
    hosts: ThreeHosts, outside: Callable[..., list[str]], on_n2: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "page").write_text("served")
    job = on_n2(f"cd {tmp_path} && echo $$ > up && exec {sys.executable} -m http.server --bind 127.0.0.1 18081")
    wait_until((tmp_path / "up").exists)
    path = f"/proxy/{job}/18081/"

    def seen() -> list[str]:
        url = ran(outside("corral", "proxy", job, "18081")).decode().strip()
        assert url.startswith(f"https://{HEAD}:6821{path}?corral_login=")
        visit = outside(sys.executable, "-c", VISIT, url, str(hosts.head.directory / "head.pem"))
        return subprocess.run(visit, env=environment(), capture_output=True, text=True).stdout.splitlines()

    assert wait_until(seen) == [f"https://{HEAD}:6821{path}", "served", f"{path} True"]


def test_a_program_is_sent_to_its_node(outside: Callable[..., list[str]], tmp_path: Path) -> None:
    made = r'printf "#!/bin/sh\necho sent to \$SLURMD_NODENAME\n" > /mnt/program && chmod +x /mnt/program'
    assert ran(outside("sh", "-c", f"{made} && srun --bcast={tmp_path}/program -w n2 /mnt/program")) == b"sent to n2\n"


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        command: [sh, -c, "cd $(mktemp -d); echo $SLURMD_NODENAME > index.html; exec python3 -m http.server 8000"]
        ports: [{containerPort: 8000}]
        readinessProbe: {httpGet: {port: 8000, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
"""


@pytest.fixture(scope="module")
def gateway(hosts: ThreeHosts) -> Host:
    """On a host of its own, that knows the controller by HTTPS and a token alone."""
    edge = hosts.edge
    config = edge.directory / "corral.toml"
    (edge.directory / "token").write_text(hosts.on_head("corral", "token", "user"))
    config.write_text(f'state_dir = "{edge.directory}/state"\n[gateway]\nlisten = "{EDGE}"\nhttp_port = {HTTP}\n')
    files = {"CORRAL_CA": f"{hosts.head.directory}/head.pem", "CORRAL_TOKEN_FILE": f"{edge.directory}/token"}
    edge.start("corral", "gateway", "--config", str(config), CORRAL_ENDPOINT=API, **files)
    return edge


def test_a_service_on_both_nodes_is_reached_through_the_gateway(hosts: ThreeHosts, gateway: Host) -> None:
    """By its name too, in a job that was there before the first service."""
    output = hosts.head.directory / "named.out"
    waits = "until getent hosts web.default.corral; do sleep 0.2; done"
    answers = f"until curl -sf http://web.default.corral:{HTTP}/; do sleep 0.2; done"
    script = f"{waits}; getent hosts web; {answers}; getent hosts head.invalid || echo none"
    job = hosts.on_head("sbatch", "--parsable", "-w", "n2", "-o", str(output), "--wrap", script)
    wait_until(lambda: hosts.on_head("squeue", "-h", "-o%T", "-j", job) == "RUNNING")
    manifest = hosts.head.directory / "web.yaml"
    manifest.write_text(WEB)
    hosts.on_head("corral", "apply", "-f", str(manifest))
    url = wait_until(lambda: hosts.on_head("corral", "get", "svc", "web", "-o", "jsonpath={.status.ports[0].url}"))
    heard: set[str] = set()

    def from_both() -> bool:
        done = subprocess.run(hosts.n1.command("curl", "-sf", "-m", "5", url), capture_output=True, text=True)
        heard.add(done.stdout.strip())
        return {"n1", "n2"} <= heard

    wait_until(from_both, what=gateway.words())
    wait_until(lambda: hosts.on_head("sacct", "-n", "-X", "-P", "-o", "State", "-j", job) == "COMPLETED")
    named, short, answer, unknown = output.read_text().splitlines()
    assert (named.split(), short.split()) == ([EDGE, "web.default.corral"], [EDGE, "web.default.corral"])
    assert answer in ("n1", "n2")
    assert unknown == "none"
    hosts.on_head("corral", "delete", "-f", str(manifest))
    wait_until(lambda: hosts.on_head("squeue", "-h") == "")


@pytest.mark.skipif(shutil.which("iptables") is None, reason="there is no iptables command")
def test_a_pod_is_reached_from_another_host_and_reaches_it(hosts: ThreeHosts) -> None:
    """Both its network and its host's are behind a port of the host."""
    pods = Pods(hosts.endpoint)
    fetch = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1], timeout=60).status)"
    outwards = f"import socket; socket.create_connection(('{HEAD}', {PORT}), 60); print('out')"
    script = f'{sys.executable} -c "{outwards}"; exec {sys.executable} -m http.server 8000 --directory /usr/share'
    main = {"name": "main", "command": ["/bin/sh", "-c", script], "ports": [{"containerPort": 8000}]}
    probe = {"httpGet": {"port": 8000}}
    pods.put("web", main | {"readinessProbe": probe}, nodeName="n1", terminationGracePeriodSeconds=1)
    pods.wait_ready("web")
    url = f"http://10.77.1.2:{_port_of(hosts.n1)}/"
    assert hosts.head.run(sys.executable, "-c", fetch, url) == "200"
    (log,) = hosts.n1.directory.glob("state/agent/*/pods/*/default_web_*/main/0.log")
    assert "out\n" in log.read_text()
    pods.delete("web")
    pods.wait_gone("web")


def _port_of(host: Host) -> int:
    import json

    (path,) = host.directory.glob("state/agent/*/boxes/*/*/.net")
    port: int = json.loads(path.read_text())["ports"][0][1]
    return port
