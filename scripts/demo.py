"""Plays a session on a cluster of ten virtual nodes and checks all that it claims: what `make demo` runs.

    scripts/demo.py                     shows the session
    scripts/demo.py --record FILE       writes the typed commands and their output as well, for session_svg.py

The cluster lives in a temporary directory of its own, so that several demos can run at once. It ends with a non-zero status,
saying what was expected, as soon as something is not as it should be; whatever happens, the cluster is stopped.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from terminal import Terminal

ROOT = Path(__file__).parent.parent
COMMANDS = Path(sys.executable).parent
NODES = ("--nodes=10", "--cpus=16", "--mem=64000", "--gpus=8", "--gpu-type=v100", "--prefix=dgx0180")
SHELL = (
    "srun", "--ntasks=5", "--nodes=1", "--cpus-per-task=2", "--partition=batch", "--time=4:00:00", "--gres=gpu:1",
    "--pty", "/bin/bash",
)  # fmt: skip
CONFIG = """\
[scheduling]
time_limit_step = 1     # seconds; a job of two seconds is enough to see a time limit at work
[timeouts]
kill_wait = 2
"""
BOLD, GREEN, DIM, RED, PLAIN = (
    ("\x1b[1m", "\x1b[32m", "\x1b[2m", "\x1b[31m", "\x1b[0m") if sys.stdout.isatty() else ("",) * 5
)


class Unexpected(Exception):
    """What was expected, and what there was."""


def expect(is_so: object, what: str, there_was: str = "") -> None:
    if not is_so:
        raise Unexpected(f"expected: {what}" + (f"\nthere was:\n{there_was}" if there_was else ""))


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        expect(time.monotonic() < deadline, f"{what}, within {seconds:g} s")
        time.sleep(0.02)
    return value


class Session:
    """A user's terminal on a fresh cluster."""

    def __init__(self, base: Path) -> None:
        self.state, self.work = base / "state", base / "work"
        self.recording: list[str] = []
        self.work.mkdir()
        self.state.mkdir()
        (self.state / "corral.toml").write_text(CONFIG)
        shutil.copytree(ROOT / "examples", self.work / "examples")
        kept = {
            name: value for name, value in os.environ.items() if not re.match("SLURM|SBATCH|SRUN|SALLOC|CORRAL", name)
        }
        self.environment = {
            **kept,
            "PATH": f"{COMMANDS}:{kept.get('PATH', os.defpath)}",
            "CORRAL_ENDPOINT": f"unix://{self.state}/corral.sock",
            "TERM": "dumb",
            "HOME": str(base / "home"),
        }
        self._make_home(base / "home")

    def _make_home(self, home: Path) -> None:
        """A prompt that is the same everywhere. Only root can give a virtual node a host name of its own."""
        home.mkdir()
        host = r"\h" if os.geteuid() == 0 else "$SLURMD_NODENAME"
        (home / ".bashrc").write_text(f"PS1='\\u@{host}:\\W\\$ '\nbind 'set enable-bracketed-paste off'\n")

    # -- what is shown

    def remark(self, text: str) -> None:
        self.recording += ["", f"# {text}"]
        print(f"\n{DIM}# {text}{PLAIN}", flush=True)

    def typed(self, command: str, where: str = "$") -> None:
        self.recording.append(f"{where} {command}")
        print(f"{GREEN}{where}{PLAIN} {BOLD}{command}{PLAIN}", flush=True)

    def show(self, text: str) -> None:
        if text.rstrip("\n"):
            self.recording += text.rstrip("\n").splitlines()
            print(text.rstrip("\n"), flush=True)

    # -- what is done

    def quiet(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *command: str, status: int = 0, shown: str = "") -> str:
        """Type a command, show what it prints, expect its exit status; the output."""
        self.typed(shown or " ".join(command))
        done = self.quiet(*command)
        self.show(done.stdout + done.stderr)
        expect(done.returncode == status, f"exit status {status} of {command[0]}, not {done.returncode}", done.stderr)
        return done.stdout + done.stderr

    def submit(self, *command: str) -> str:
        words = self.run(*command).split()
        expect(words[:3] == ["Submitted", "batch", "job"], "Submitted batch job N", " ".join(words))
        return words[3]

    def wait_for(self, job: str, state: str, seconds: float = 60.0) -> None:
        def has_ended() -> bool:
            found = self.quiet("sacct", "-n", "-X", "-P", "-o", "State", "-j", job).stdout.strip()
            expect(found.split(" ")[0] in (state, "PENDING", "RUNNING", "COMPLETING"), f"job {job} {state}", found)
            return found.startswith(state) and not self.quiet("squeue", "-h", "-j", job).stdout

        wait_until(has_ended, f"job {job} {state}", seconds)


# ---------------------------------------------------------------------------------------------------- the scenes


def an_idle_cluster(session: Session) -> None:
    text = session.run("sinfo")
    expect(re.search(r"batch\*\s+up\s+infinite\s+10\s+idle\s+dgx\[0180-0189\]", text), "ten idle nodes", text)
    text = session.run("squeue")
    expect(len(text.splitlines()) == 1, "an empty queue", text)


def a_shell_on_a_gpu(session: Session) -> None:
    session.remark("A shell on one GPU of the cluster, through a pseudo-terminal")
    session.typed(" ".join(SHELL))
    with Terminal(SHELL, session.environment, session.work, rows=40, columns=132) as terminal:
        prompt = terminal.read_until(r"\S+@(\S+):\S*[$#] $", "a prompt")
        expect(prompt[1] == "dgx0180", "a prompt on dgx0180", prompt[0])

        def type_in(command: str) -> str:
            session.typed(command, prompt[0].strip())
            text = terminal.command(command, re.escape(prompt[0]))
            session.show(text)
            return text

        text = type_in("echo $SLURM_JOB_ID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES")
        expect(re.fullmatch(r"\d+ dgx0180 [0-7]", text), "a job, its node, and one GPU", text)
        job = text.split()[0]
        expect(re.fullmatch(r"/dev/pts/\d+", type_in("tty")), "a terminal")
        expect(type_in("stty size") == "40 132", "a window of 40 rows and 132 columns")
        terminal.resize(50, 160)
        session.remark("The window is made larger")
        wait_until(lambda: terminal.command("stty size", re.escape(prompt[0])) == "50 160", "the new window size")
        expect(type_in("stty size") == "50 160", "a window of 50 rows and 160 columns")

        session.remark("Meanwhile, in another terminal")
        queue = session.run("squeue")
        expect(re.search(rf"\s{job}\s+batch\s+\S+\s+\S+\s+R\s.*dgx0180", queue), "the job, running on dgx0180", queue)
        nodes = session.run("sinfo")
        expect(re.search(r"1\s+mix\s+dgx0180", nodes), "one node in use", nodes)
        expect(re.search(r"9\s+idle\s+dgx\[0181-0189\]", nodes), "nine idle nodes", nodes)

        session.remark("Ctrl-C reaches the program, not srun")
        session.typed("sleep 1000", prompt[0].strip())
        terminal.write("sleep 1000\r")
        wait_until(lambda: _sleepers(session), "the sleep to run")
        terminal.write("\x03")
        terminal.read_until(re.escape(prompt[0]), "the prompt again")
        session.show("^C")
        expect(type_in("echo $?") == "130", "the sleep ended by SIGINT, and the shell still there")

        session.remark("scancel from the other terminal throws the user out")
        session.run("scancel", job)
        status = terminal.wait(20.0)
        session.show(terminal.rest())
        expect(status != 0, "srun to say by its exit status that it was ended")
    wait_until(
        lambda: not session.quiet("sinfo", "-h", "-t", "alloc,mix,comp", "-o%N").stdout.strip(),
        "all nodes idle again",
    )
    an_idle_cluster(session)


def _sleepers(session: Session) -> bool:
    mark = os.fsencode(f"CORRAL_ENDPOINT={session.environment['CORRAL_ENDPOINT']}")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            is_sleep = Path(f"/proc/{name}/cmdline").read_bytes() == b"sleep\x001000\0"
            if is_sleep and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def a_training_job(session: Session) -> None:
    session.remark("A training job on two nodes with four tasks each")
    job = session.submit("sbatch", "examples/train_digits.sh")
    wait_until(lambda: session.quiet("squeue", "-h", "-t", "R", "-j", job).stdout, "the job to run")
    session.run("squeue")
    session.wait_for(job, "COMPLETED")
    text = session.run("cat", f"slurm-{job}.out")
    reached = re.search(r"accuracy on \d+ held-out digits: ([\d.]+)", text)
    expect(reached and float(reached[1]) >= 93, "93 % or more of the held-out digits right", text)
    columns = "jobid,jobname,alloccpus,nnodes,state,exitcode"
    text = session.run("sacct", "-j", job, f"--format={columns}")
    rows = text.splitlines()[2:]
    expect(
        len(rows) >= 3 and all("COMPLETED" in row and " 0:0" in row for row in rows),
        "job and steps COMPLETED, 0:0",
        text,
    )


def jobs_that_end_badly(session: Session) -> None:
    session.remark("A job that fails, one that runs into its time limit, and one that asks for too much")
    fails, too_long = session.submit("sbatch", "examples/fails.sh"), session.submit("sbatch", "examples/too_long.sh")
    session.wait_for(fails, "FAILED")
    text = session.run("cat", f"slurm-{fails}.out")
    expect("no such file: train.csv" in text, "the job's own words", text)
    session.wait_for(too_long, "TIMEOUT")
    text = session.run("cat", f"slurm-{too_long}.out")
    expect("DUE TO TIME LIMIT" in text, "the reason of its end", text)
    expect("saving a checkpoint" in text, "the signal that it had asked for", text)
    text = session.run("sacct", "-X", "-j", f"{fails},{too_long}", "--format=jobid,jobname,state,exitcode,elapsed")
    expect(re.search(r"FAILED\s+3:0", text), "FAILED with 3:0", text)
    expect("TIMEOUT" in text, "TIMEOUT", text)
    too_large = session.submit("sbatch", "--nodes=11", "examples/hello.sh")
    wait_until(lambda: "None" not in session.quiet("squeue", "-h", "-o%r", "-j", too_large).stdout, "a reason")
    text = session.run("squeue")
    expect(re.search(rf"{too_large}\s.*\sPD\s.*11 \(Partition", text), "the job waiting, and the reason", text)
    session.run("scancel", too_large)


def a_service(session: Session) -> None:
    session.remark("A service of three replicas on the same nodes: each is a job")
    program = ["sh", "-c", "exec python3 -m http.server $PORT"]
    words = ["corral", "serve", "--name=web", "--replicas=3", "--port=8000", "--health=/", "--", *program]
    text = session.run(*words, shown=shlex.join(words))
    found = re.search(r"^http://\S+", text, re.MULTILINE)
    expect(found, "the URL of the service", text)
    assert found is not None
    url = found[0]
    with urllib.request.urlopen(url, timeout=20) as answer:
        expect(answer.status == 200, "an answer of the service")
    if shutil.which("curl"):
        session.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\\n", url)
    text = session.run("corral", "get", "pods", "-o", "wide")
    expect(len(re.findall(r"^web-\S+\s+1/1\s+Running", text, re.MULTILINE)) == 3, "three replicas that are ready", text)
    text = session.run("squeue")
    expect(len(re.findall(r"\bweb-\S+\s+\S+\s+R\s", text)) == 3, "three jobs that run", text)
    session.run("corral", "scale", "deployment/web", "--replicas=1")
    wait_until(lambda: session.quiet("squeue", "-h").stdout.count("web-") == 1, "one replica")
    session.run("corral", "delete", "deployment,service", "web")
    wait_until(lambda: not session.quiet("squeue", "-h").stdout, "an empty queue")


# ---------------------------------------------------------------------------------------------------- the whole


def play(session: Session) -> None:
    options = " ".join(NODES).replace("=", " ")
    session.run("corral", "up", "--dir", str(session.state), *NODES, shown=f"corral up {options}")
    for scene in (an_idle_cluster, a_shell_on_a_gpu, a_training_job, jobs_that_end_badly, a_service):
        scene(session)


def stop(session: Session) -> None:
    print()
    session.run("corral", "down", "--dir", str(session.state), shown="corral down")


def played(session: Session, record: Path | None) -> int:
    """Play in a process of its own, so that whatever becomes of it the cluster is stopped; the exit status."""
    try:
        play(session)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr, flush=True)
        return 130
    except (Unexpected, TimeoutError, subprocess.TimeoutExpired) as error:
        print(f"\n{RED}The demo failed.{PLAIN} {error}", file=sys.stderr)
        for log in sorted(session.state.glob("**/*.log")):
            lines = log.read_text(errors="replace").splitlines()[-5:]
            print(f"--- {log.relative_to(session.state)}", *lines, sep="\n", file=sys.stderr, flush=True)
        return 1
    if record:
        record.write_text("\n".join(session.recording).strip() + "\n")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Play a session on a cluster of ten virtual nodes.")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write the session as plain text")
    given = parser.parse_args()
    player = 0

    def pass_on(number: int, frame: object) -> None:
        try:
            if player:
                os.kill(player, number)
        except ProcessLookupError:
            pass  # it has ended meanwhile

    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for number in signals:
        signal.signal(number, pass_on)
    began = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="corral-demo-"))
    session = Session(base)
    player = os.fork()
    if player == 0:
        status = 1
        try:
            for number in signals:
                signal.signal(number, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            status = played(session, given.record)
        except KeyboardInterrupt:
            status = 130
        finally:
            sys.stdout.flush()
            os._exit(status)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    status = os.waitstatus_to_exitcode(os.waitpid(player, 0)[1])
    player = 0
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    stop(session)
    shutil.rmtree(base, ignore_errors=True)
    if status == 0:
        print(f"\nAll as expected, in {time.monotonic() - began:.1f} s.")
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
