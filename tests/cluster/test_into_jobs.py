"""Into a job that runs: its ports, a shell, its files, what it has written."""

import hashlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.cluster.live import LiveCluster, wait_until

SERVER = """
import http.server, sys
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def running(cluster: LiveCluster, script: str, *options: str) -> str:
    job = cluster.submit("-o", f"{cluster.work}/job-%j.out", *options, "--wrap", script)
    cluster.wait_for(job, "RUNNING")
    return job


def written(cluster: LiveCluster, job: str) -> str:
    path = cluster.work / f"job-{job}.out"
    return path.read_text() if path.exists() else ""


def test_a_jobs_port_is_reached_from_here_by_many_at_once(cluster: LiveCluster) -> None:
    data = os.urandom(5_000_000)
    (cluster.work / "big").write_bytes(data)
    (cluster.work / "server.py").write_text(SERVER)
    job = running(cluster, f"cd {cluster.work}; exec python3 -u server.py 2>/dev/null")
    port = wait_until(lambda: written(cluster, job).strip())
    with subprocess.Popen(
        ["corral", "port-forward", job, f"0:{port}"], env=cluster.environment, cwd=cluster.work, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as forward:  # fmt: skip
        assert forward.stdout is not None
        assert forward.stderr is not None
        line = forward.stdout.readline()
        found = re.fullmatch(rf"Forwarding from (127\.0\.0\.1:\d+) -> dgx018\d:{port}\n", line)
        assert found, line
        with urllib.request.urlopen(f"http://{found[1]}/big", timeout=60) as answer:
            assert hashlib.sha256(answer.read()).digest() == hashlib.sha256(data).digest()
        clients = [subprocess.Popen(["curl", "-s", f"http://{found[1]}/big"], stdout=subprocess.PIPE) for _ in range(5)]
        assert [len(client.communicate()[0]) for client in clients] == [len(data)] * 5
        assert cluster.text("squeue", "-s", "-h", "-o", "%i", "-j", job) == f"{job}.batch"
        cluster.run("scancel", job)
        assert forward.wait(60) == 1
        assert "corral: " in forward.stderr.read()
    one = subprocess.run(
        ["corral", "port-forward", "9999", "80"], env=cluster.environment, capture_output=True, text=True, check=False
    )
    assert (one.returncode, one.stderr) == (1, "corral: error: 9999: Invalid job id specified\n")


def test_a_connection_as_standard_input_and_output(cluster: LiveCluster) -> None:
    (cluster.work / "server.py").write_text(SERVER)
    (cluster.work / "hello").write_text("hello")
    job = running(cluster, f"cd {cluster.work}; exec python3 -u server.py 2>/dev/null")
    port = wait_until(lambda: written(cluster, job).strip())
    done = subprocess.run(
        ["corral", "port-forward", "--stdio", job, port], env=cluster.environment, input=b"GET /hello HTTP/1.0\r\n\r\n",
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.endswith(b"\r\n\r\nhello")
    assert f"port-forward --stdio {job} 2222\n" in cluster.run("corral", "code", job).stdout
    cluster.run("scancel", job)


def test_a_shell_is_in_the_job_and_ends_with_it_in_the_end(cluster: LiveCluster) -> None:
    job = running(cluster, "sleep 300", "-G1", "-c2")
    words = cluster.text("corral", "ssh", job, "--", "sh", "-c", "echo $SLURM_JOB_ID $(hostname) $CUDA_VISIBLE_DEVICES")
    number, host, gpu = words.split()
    assert (number, host) == (job, cluster.text("squeue", "-h", "-o", "%N", "-j", job))
    assert gpu.isdigit()
    assert cluster.run("corral", "ssh", job, "--", "sh", "-c", "exit 7", check=False).returncode == 7
    cluster.run("scancel", job)
    assert cluster.run("corral", "ssh", job, "--", "true", check=False).returncode != 0


def test_files_go_in_and_out(cluster: LiveCluster, tmp_path: Path) -> None:
    job = running(cluster, "sleep 300")
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_text("data")
    (tmp_path / "there").mkdir()
    cluster.run("corral", "cp", f"{tmp_path}/tree", f"{job}:{tmp_path}/there")
    cluster.run("corral", "cp", f"{tmp_path}/tree/deep/file", f"{job}:{tmp_path}/there/name")
    cluster.run("corral", "cp", f"{job}:{tmp_path}/tree", f"{tmp_path}/out")
    for path in ("there/tree/deep/file", "there/name", "out/deep/file"):
        assert (tmp_path / path).read_text() == "data"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["name", "tree"]
    assert cluster.run("corral", "cp", f"{job}:/nowhere/x", str(tmp_path), check=False).returncode != 0
    wrong = cluster.run("corral", "cp", f"{tmp_path}/missing", f"{job}:/tmp", check=False)
    assert wrong.stderr == f"corral: error: {tmp_path}/missing: No such file or directory\n"
    cluster.run("scancel", job)


def test_what_it_writes_is_followed_to_its_end(cluster: LiveCluster) -> None:
    gate = cluster.work / "gate"
    job = running(cluster, f"echo one; until [ -e {gate} ]; do sleep 0.05; done; echo two")
    wait_until(lambda: written(cluster, job))
    assert cluster.text("corral", "logs", job) == "one"
    with subprocess.Popen(
        ["corral", "logs", "-f", job], env=cluster.environment, stdout=subprocess.PIPE, text=True
    ) as follow:
        assert follow.stdout is not None
        assert follow.stdout.readline() == "one\n"
        gate.touch()
        assert follow.stdout.read() == "two\n"
        assert follow.wait(60) == 0
    assert cluster.text("corral", "logs", "-n", "1", job) == "two"
    assert (
        cluster.run("corral", "logs", "9999", check=False).stderr == "corral: error: 9999: Invalid job id specified\n"
    )


def test_a_file_of_the_same_name_from_before_is_not_the_jobs(cluster: LiveCluster, tmp_path: Path) -> None:
    """As on another machine, which has its own /tmp."""
    job = cluster.submit(f"--output={tmp_path}/out", "--wrap", "echo mine")
    cluster.wait_for(job, "COMPLETED")
    assert cluster.text("corral", "logs", job) == "mine"
    os.utime(tmp_path / "out", (1, 1))
    old = cluster.run("corral", "logs", job, check=False)
    assert (old.returncode, old.stdout) == (1, "")
    assert old.stderr.startswith(f"corral: error: {tmp_path}/out is older than the job, which wrote on ")
    (tmp_path / "out").unlink()
    assert f"{tmp_path}/out is not on this machine" in cluster.run("corral", "logs", job, check=False).stderr


def test_a_job_without_steps_cannot_be_attached_to_and_it_says_what_can_be_done(cluster: LiveCluster) -> None:
    job = running(cluster, "sleep 300")
    refused = cluster.run("corral", "attach", job, check=False)
    assert refused.stderr == (
        f"corral: error: job {job} runs no step of srun's. What its script writes: corral logs -f {job}; "
        f"a shell in it: corral ssh {job}\n"
    )
    cluster.run("scancel", job)
    cluster.wait_for(job, "CANCELLED")
    assert (
        cluster.run("corral", "attach", job, check=False).stderr
        == f"corral: error: job {job} does not run (CANCELLED)\n"
    )


def test_words_come_to_a_shell_in_the_job_without_a_terminal(cluster: LiveCluster) -> None:
    job = running(cluster, "sleep 300")
    done = subprocess.run(
        ["corral", "ssh", job], input="echo $SLURM_JOB_ID; exit 3\n", env=cluster.environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert (done.stdout.splitlines()[-1], done.returncode) == (job, 3)
    assert "pty" not in done.stderr
    cluster.run("scancel", job)


def test_the_way_ends_when_its_other_end_has_died(cluster: LiveCluster) -> None:
    job = running(cluster, "exec sleep 600")
    with subprocess.Popen(
        ["corral", "port-forward", job, "0:80"], env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as forward:  # fmt: skip
        assert forward.stdout is not None
        assert forward.stderr is not None
        assert forward.stdout.readline().startswith("Forwarding from ")
        (pid,) = wait_until(lambda: list(cluster.directory.glob(f"agent/*/steps/*/{job}.-1*/pid")))
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert forward.wait(60) == 1
        assert re.fullmatch(r"corral: the way to dgx018\d is lost\n", forward.stderr.read())
    assert cluster.state(job) == "RUNNING"
    cluster.run("scancel", job)


def test_a_job_has_ports_of_its_own(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster("ports", 'step_ports = "23000-23003"\n')
    cluster.up("--nodes=1", "--cpus=8", "--mem=8000", "--prefix=n1")
    said = "echo $CORRAL_PORTS; srun sh -c 'echo $SLURM_STEP_RESV_PORTS'; sleep 300"
    job = running(cluster, said, "--ports=3")
    assert wait_until(lambda: len(lines := written(cluster, job).split()) == 2 and lines) == [
        "23000,23001,23002", "23000-23002",
    ]  # fmt: skip
    assert "   ResvPorts=23000-23002\n" in cluster.run("scontrol", "show", "job", job).stdout
    other = cluster.submit("--ports=2", "-o", "/dev/null", "--wrap", "true")
    wait_until(lambda: cluster.text("squeue", "-h", "-o", "%r", "-j", other) == "MpiPortsBusy")
    assert "2 ports free (--ports)" in cluster.run("corral", "why", other).stdout
    assert cluster.text("salloc", "--ports=1", "sh", "-c", "echo $CORRAL_PORTS").splitlines()[-1] == "23003"
    assert (
        cluster.run("srun", "--ports=1", "sh", "-c", "echo $CORRAL_PORTS $SLURM_STEP_RESV_PORTS").stdout
        == "23003 23003\n"
    )
    inside = cluster.run("srun", "--jobid", job, "--overlap", "--ports=1", "true", check=False)
    assert (inside.returncode, "--resv-ports" in inside.stderr) == (1, True)
    assert "more ports" in cluster.run("sbatch", "--ports=5", "--wrap", "true", check=False).stderr
    cluster.run("scancel", job)
    cluster.wait_for(other, "COMPLETED")


def test_top_shows_the_cluster_in_a_terminal_until_one_leaves(cluster: LiveCluster) -> None:
    ours, inner = pty.openpty()
    top = subprocess.Popen(
        ["corral", "top"], env={**cluster.environment, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"},
        stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    seen = b""

    def is_there() -> bool:
        nonlocal seen
        if select.select([ours], [], [], 0.05)[0]:
            try:
                seen += os.read(ours, 1 << 16)
            except OSError:
                pass  # it has gone
        return b"JOBID" in seen and b"10 nodes" in seen

    wait_until(is_there)
    os.write(ours, b"q")
    wait_until(lambda: is_there() and top.poll() is not None)
    assert top.returncode == 0
    os.close(ours)
    piped = cluster.run("corral", "top", check=False)
    assert (piped.returncode, piped.stderr) == (
        1,
        "corral: error: corral top is for a terminal; squeue and sinfo print\n",
    )


#: Says what it was told of the display, and what comes back from there.
WINDOW = """
import os, socket
host, _, number = os.environ["DISPLAY"].partition(":")
with socket.create_connection((host, 6000 + int(number.partition(".")[0]))) as display:
    display.sendall(b"window")
    display.shutdown(socket.SHUT_WR)
    print(host, display.recv(100).decode(), open(os.environ["XAUTHORITY"], "rb").read().hex()[-4:])
"""


def test_windows_of_tasks_come_to_the_display_here(cluster: LiveCluster) -> None:
    """A server in place of X's: the way of the bytes and of the cookie is the same."""
    (cluster.work / "window.py").write_text(WINDOW)
    (cluster.work / "bin").mkdir()
    xauth = cluster.work / "bin" / "xauth"
    xauth.write_text('#!/bin/sh\n[ "$1" = list ] && echo "$2  MIT-MAGIC-COOKIE-1  00c0ffee"\n')
    xauth.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1] - 6000

        def echo() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    sock.sendall(sock.recv(100).upper())

        threading.Thread(target=echo, daemon=True).start()
        before = dict(cluster.environment)
        variables = {"DISPLAY": f"127.0.0.1:{number}.0", "PATH": f"{cluster.work}/bin:{cluster.environment['PATH']}"}
        cluster.environment.update(variables)
        try:
            window = ("python3", f"{cluster.work}/window.py")
            assert cluster.text("srun", "--x11", *window) == "localhost WINDOW ffee"
            assert cluster.text("srun", "--x11=first", "-N2", *window).split("\n") == ["localhost WINDOW ffee"] * 2
            assert cluster.text("salloc", "-Q", "--x11", "srun", *window) == "localhost WINDOW ffee"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            cluster.environment.pop("DISPLAY")
            cluster.environment.update(before)
    wait_until(lambda: not list(Path("/tmp").glob(".Xauthority-*")))
