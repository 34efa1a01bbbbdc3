"""A controller, two nodes and a gateway as hosts: network namespaces that share nothing but what a cable carries, and that in TLS.

n1 --(10.77.1.0/30)-- head --(10.77.2.0/30)-- n2        the head, which is 10.77.0.1, forwards nothing
 '----(10.77.4.0/30)-- edge --(10.77.5.0/30)--'         nor does the gateway's, which is 10.77.9.1, with a cable to the head too
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cluster.hosts_kit import API, EDGE, HEAD, HTTP, PORT, Host, ThreeHosts, environment
from tests.cluster.live import wait_until
from tests.cluster.pods_kit import Pods

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="there is no ip command (iproute2)"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command"),
]


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
    waits = "until getent hosts web.default.corral | grep -F 10.; do sleep 0.2; done"
    answers = f"until curl -sf http://web.default.corral:{HTTP}/; do sleep 0.2; done; curl -sf http://web/"
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
    named, short, answer, at_its_own_port, unknown = output.read_text().splitlines()
    own = hosts.on_head("corral", "get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert named.split()[0] in (EDGE, own)  # the gateway's while there is no rule yet
    assert short.split()[1:] == ["web.default.corral"]
    assert {answer, at_its_own_port} <= {"n1", "n2"}
    assert unknown == "none"
    hosts.on_head("corral", "delete", "-f", str(manifest))
    wait_until(lambda: hosts.on_head("squeue", "-h") == "")


TCP_SERVER = """
import os, signal, socketserver, sys
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(f"{sys.argv[1]} says {self.rfile.readline().decode().strip()}\\n".encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, request_queue_size = True, 100
Server(("", int(sys.argv[2])), Answer).serve_forever()
"""
TCP_CLIENT = """
import collections, pathlib, socket, sys, time
host, port, stop = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
heard = collections.Counter()
while not stop.exists():
    try:
        with socket.create_connection((host, port), 10) as sock:
            sock.sendall(b"hello\\n")
            heard[sock.makefile().readline().strip() or "nothing"] += 1
    except OSError as error:
        heard[str(error)] += 1
    pathlib.Path(sys.argv[4]).write_text("".join(f"{count} {words}\\n" for words, count in heard.items()))
    time.sleep(0.02)
"""


def _database(version: str, server: Path) -> list[dict[str, object]]:
    """A Deployment that speaks neither HTTP nor at its Service's port, with two of them. (Each node has two CPUs, perhaps.)"""
    ready = {"tcpSocket": {"port": "sql"}, "periodSeconds": 1}
    main = {
        "name": "main", "command": [sys.executable, str(server), version, "5000"], "readinessProbe": ready,
        "ports": [{"name": "sql", "containerPort": 5000}], "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [main]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "template": template}
    ports = [{"name": "mysql", "port": 3306, "targetPort": "sql"}, {"name": "tcp-too", "port": 99, "targetPort": 5000}]
    each = {"selector": {"app": "db"}, "clusterIP": "None", "ports": [{"port": 3306, "targetPort": "sql"}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"selector": {"app": "db"}, "ports": ports}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "each"}, "spec": each},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "db"}, "spec": spec},
    ]  # fmt: skip


def _apply(hosts: ThreeHosts, objects: list[dict[str, object]]) -> None:
    path = hosts.head.directory / "objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    hosts.on_head("corral", "apply", "-f", str(path))


def _rules(host: Host) -> list[str]:
    return [line for line in host.run("iptables-save").splitlines() if "CORRAL-SVC-" in line]


@pytest.mark.skipif(shutil.which("iptables") is None, reason="there is no iptables command")
def test_a_service_is_reached_at_its_own_port_while_what_is_behind_it_is_renewed(
    hosts: ThreeHosts, gateway: Host
) -> None:
    """By a plain job and a Pod with a network of its own; and the rules are as the Services are."""
    server, client, stop = (hosts.head.directory / name for name in ("server.py", "client.py", "stop"))
    server.write_text(TCP_SERVER)
    client.write_text(TCP_CLIENT)
    _apply(hosts, _database("one", server))
    pods = Pods(hosts.endpoint)
    wait_until(lambda: all(any("--dport 3306" in line for line in _rules(host)) for host in (hosts.n1, hosts.n2)))
    deployment = "/apis/apps/v1/namespaces/default/deployments/db"
    wait_until(lambda: pods.ask("GET", deployment)[1]["status"].get("readyReplicas") == 1)

    def words(host: str, port: int, name: str) -> list[str]:
        return [sys.executable, str(client), host, str(port), str(stop), str(hosts.head.directory / f"{name}.heard")]

    both = " ".join([*words("db", 3306, "job"), "&", *words("db.default.svc.cluster.local", 99, "other"), ";", "wait"])
    job = hosts.on_head("sbatch", "--parsable", "-w", "n2", "-o", "/dev/null", "--wrap", both)
    pods.put("own", {"name": "main", "command": words("db.default", 3306, "own")}, nodeName="n1", restartPolicy="Never")

    def heard(name: str) -> dict[str, int]:
        path = hosts.head.directory / f"{name}.heard"
        lines = path.read_text().splitlines() if path.exists() else []
        return {words: int(count) for count, _, words in (line.partition(" ") for line in lines)}

    names = ("job", "other", "own")
    wait_until(
        lambda: all("one says hello" in heard(name) for name in names), what=lambda: [heard(name) for name in names]
    )
    _apply(hosts, _database("two", server))
    wait_until(
        lambda: (now := pods.ask("GET", deployment)[1]["status"]).get("updatedReplicas") == 1 and now.get("replicas") == 1
    )  # fmt: skip
    wait_until(
        lambda: all("two says hello" in heard(name) for name in names), what=lambda: [heard(name) for name in names]
    )
    stop.touch()
    wait_until(lambda: hosts.on_head("sacct", "-n", "-X", "-P", "-o", "State", "-j", job) == "COMPLETED")
    pods.wait_phase("own", "Succeeded")
    pods.delete("own")
    for name in names:
        assert set(heard(name)) == {"one says hello", "two says hello"}

    say = "sock.sendall(b'hello\\n'); print(sock.makefile().readline())"
    once = f"import socket; sock = socket.create_connection(('each', 5000), 10); {say}"
    for node in ("n1", "n2"):  # one of them is its own
        assert hosts.on_head("srun", "-w", node, sys.executable, "-c", once) == "two says hello"

    hosts.n1.kill_daemon()
    other = {"selector": {"app": "db"}, "ports": [{"name": "tcp", "port": 7}]}
    _apply(hosts, [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "more"}, "spec": other}])
    wait_until(lambda: any("--dport 7 " in line for line in _rules(hosts.n2)))
    assert not any("--dport 7 " in line for line in _rules(hosts.n1))
    hosts.n1.start_again()
    wait_until(lambda: any("--dport 7 " in line for line in _rules(hosts.n1)))
    hosts.on_head("corral", "delete", "svc", "more", "db", "each")
    hosts.on_head("corral", "delete", "deploy", "db")
    wait_until(lambda: not _rules(hosts.n1) and not _rules(hosts.n2), what=lambda: [_rules(hosts.n1), _rules(hosts.n2)])
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
    (path,) = host.directory.glob("state/agent/*/boxes/*/*/.net")
    port: int = json.loads(path.read_text())["ports"][0][1]
    return port
