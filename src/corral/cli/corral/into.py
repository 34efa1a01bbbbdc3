"""`corral ssh`, `attach`, `logs`, `cp`, `code`: into a job that runs, from wherever its cluster can be reached.

All are steps of the job, under its limits and on its GPUs, as its user: srun starts them, beside what the job runs.
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import REMAINDER, ArgumentParser
from typing import TYPE_CHECKING

from corral.cli.run import Exit

if TYPE_CHECKING:
    from typing import Any, NoReturn


_IS_ON = ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")
#: Seconds between the clocks of machines that share files, at the most.
_CLOCKS_DIFFER = 60


def ssh(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral ssh",
        description="A shell (or a command) in a running job: on its node, within its limits, with its GPUs.",
    )
    parser.add_argument("job")
    parser.add_argument("command", nargs=REMAINDER, help="else a login shell")
    parser.add_argument("--node", "-w", default="", help="of the job; its first where it is not said")
    given = parser.parse_args(arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    is_terminal = sys.stdin.isatty() and (bool(not command) or sys.stdout.isatty())
    options = ["--pty"] if is_terminal else []
    _srun(given.job, given.node, [*options, *(command or [os.environ.get("SHELL") or "/bin/bash", "-l"])])


def attach(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral attach", description="See and type into a step that runs (sattach).")
    parser.add_argument("step", help="42.0; of a job's only srun the job's id will do")
    given = parser.parse_args(arguments)
    step = given.step if "." in given.step else f"{given.step}.{_only_step(given.step)}"
    os.execvp(beside("sattach"), ["sattach", step])


def _only_step(job: str) -> str:
    row = job_row(job)
    if row["state"] not in _IS_ON:
        raise Exit(1, f"corral: error: job {job} does not run ({row['state']})")
    steps = [step for step in _running_steps(job) if step.isdigit()]
    if len(steps) == 1:
        return steps[0]
    if steps:
        names = ", ".join(f"{job}.{step}" for step in steps)
        raise Exit(1, f"corral: error: job {job} has several steps that run ({names}): say which")
    raise Exit(
        1, f"corral: error: job {job} runs no step of srun's. What its script writes: corral logs -f {job}; a shell in it: "
        f"corral ssh {job}",
    )  # fmt: skip


def _running_steps(job: str) -> list[str]:
    from corral.client.connection import request

    return [str(step) for (step,) in request("GET", f"/v1/steps?job={job}&fields=step")["rows"]]


def logs(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral logs",
        description="What a batch job has written: from its file here, or else from its node while it runs.",
    )
    parser.add_argument("job")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until it ends")
    parser.add_argument("--lines", "-n", type=int, default=None, metavar="N", help="the last so many")
    parser.add_argument("--stderr", action="store_true", help="its standard error, where that is another file")
    given = parser.parse_args(arguments)
    row = job_row(given.job)
    path = row["stderr_path"] if given.stderr else row["stdout_path"]
    if not path or path == "/dev/null":
        raise Exit(1, f"corral: error: job {given.job} writes no file")
    last = "+1" if given.lines is None else str(given.lines)
    is_over = row["state"] not in ("PENDING", *_IS_ON)
    if _is_its_own(path, row):
        return _from_here(given, path, last)
    if is_over:
        problem = "is older than the job" if os.path.exists(path) else "is not on this machine"
        where = f", which wrote on {row['batch_host']}" if row["batch_host"] else ""
        raise Exit(1, f"corral: error: {path} {problem}{where}")
    if row["state"] == "PENDING" or not row["nodes"]:
        raise Exit(1, f"corral: error: job {given.job} has not begun ({row['why']})")
    _srun(given.job, row["batch_host"] or "", ["tail", "-n", last, *(["-F"] if given.follow else []), path])


def _is_its_own(path: str, row: dict[str, Any]) -> bool:
    """Is the job's file on this machine, and not another of that name, of before? Clocks may differ a little."""
    try:
        return os.stat(path).st_mtime >= (row["start_time"] or 0) - _CLOCKS_DIFFER
    except OSError:
        return False


def _from_here(given: Any, path: str, last: str) -> int:
    import time

    try:
        with open(path, "rb") as file:
            data = file.read()
            if not last.startswith("+"):
                data = b"".join(data.splitlines(keepends=True)[-int(last) :] if int(last) else [])
            _out(data)
            while given.follow:
                is_over = job_row(given.job)["state"] not in ("PENDING", *_IS_ON)
                while more := file.read(1 << 20):
                    _out(more)
                if is_over:
                    break
                time.sleep(0.3)
    except OSError as error:
        raise Exit(1, f"corral: error: {path}: {error.strerror}") from None
    return 0


def _out(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def cp(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral cp",
        description="Copy a file or a directory into a running job, or out of it: one of the two is JOB:PATH.",
    )
    parser.add_argument("source")
    parser.add_argument("dest")
    parser.add_argument("--node", "-w", default="", help="of the job; its first where it is not said")
    given = parser.parse_args(arguments)
    from_job, to_job = _place(given.source), _place(given.dest)
    if (from_job is None) == (to_job is None):
        parser.error("one of the two, and not both, is JOB:PATH")
    if to_job is not None:
        return _into(given, *to_job)
    assert from_job is not None
    return _out_of(given, *from_job)


def _place(text: str) -> tuple[str, str] | None:
    job, colon, path = text.partition(":")
    return (job, path or ".") if colon and job and job[0].isdigit() and "/" not in job else None


def _into(given: Any, job: str, path: str) -> int:
    """tar here, tar there; a directory that is there takes it under its own name."""
    import subprocess

    source = given.source.rstrip("/") or "/"
    if not os.path.lexists(source):
        raise Exit(1, f"corral: error: {source}: No such file or directory")
    parent, name = os.path.split(os.path.abspath(source))
    script = (
        'set -e; if [ -d "$1" ]; then dir=$1; name=$2; else dir=$(dirname "$1"); name=$(basename "$1"); fi; cd "$dir"; '
        'tmp=$(mktemp -d ./.corral-cp.XXXXXX 2>/dev/null) || { echo "corral: error: $1: cannot write there" >&2; exit 1; }; '
        ' trap \'rm -rf "$tmp"\' EXIT; tar -xf - -C "$tmp"; '
        'if [ -d "$name" ]; then cp -a "$tmp/$2/." "$name/"; else mv -f "$tmp/$2" "$name"; fi'
    )
    with subprocess.Popen(["tar", "-cf", "-", "-C", parent, name], stdout=subprocess.PIPE) as tar:
        done = subprocess.run(
            _command(job, given.node, ["sh", "-c", script, "cp", path, name]), stdin=tar.stdout, check=False
        )
    return done.returncode or tar.returncode


def _out_of(given: Any, job: str, path: str) -> int:
    import subprocess
    import tempfile

    dest = given.dest
    target, name = (dest, "") if os.path.isdir(dest) else os.path.split(dest)
    if not os.access(target or ".", os.W_OK | os.X_OK):
        problem = "Permission denied" if os.path.isdir(target or ".") else "No such file or directory"
        raise Exit(1, f"corral: error: {target or '.'}: {problem}")
    with tempfile.TemporaryDirectory(prefix=".corral-cp.", dir=target or ".") as part:
        script = 'cd "$(dirname "$1")" && exec tar -cf - "$(basename "$1")"'
        command = _command(job, given.node, ["sh", "-c", script, "cp", path])
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as srun:
            tar = subprocess.run(
                ["tar", "-xf", "-", "-C", part], stdin=srun.stdout, stderr=subprocess.DEVNULL, check=False
            )
        if srun.returncode or tar.returncode:
            return srun.returncode or tar.returncode
        for found in os.listdir(part):
            _put(os.path.join(part, found), os.path.join(target, name or found))
    return 0


def _put(new: str, place: str) -> None:
    """In the place of what is there; a directory into the one that is there."""
    try:
        if os.path.isdir(new) and not os.path.islink(new) and os.path.isdir(place):
            import shutil

            shutil.copytree(new, place, symlinks=True, dirs_exist_ok=True)
        else:
            os.replace(new, place)
    except OSError as error:
        raise Exit(1, f"corral: error: {place}: {error.strerror or error}") from None


def code(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral code",
        description="What VS Code's Remote-SSH needs to open a job: an entry for ~/.ssh/config. An sshd must run in the job, at this port.",
    )
    parser.add_argument("job")
    parser.add_argument("--port", type=int, default=2222, help="of the sshd in the job (default 2222)")
    given = parser.parse_args(arguments)
    row = job_row(given.job)
    corral = shlex.quote(beside("corral"))
    given_here = [f"{name}={shlex.quote(os.environ[name])}" for name in _WAY if os.environ.get(name)]
    prefix = f"env {' '.join(given_here)} " if given_here else ""
    print(f"Host corral-{given.job}")
    print(f"    User {row['user']}")
    print(f"    ProxyCommand {prefix}{corral} port-forward --stdio {given.job} {given.port}")
    print("    StrictHostKeyChecking no")
    print("    UserKnownHostsFile /dev/null")
    print(
        f"# Start it in the job: corral ssh {given.job} sh -c "
        '\'[ -e ~/.ssh/corral_host ] || ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/corral_host; '
        f"exec /usr/sbin/sshd -D -p {given.port} -h ~/.ssh/corral_host'",
        file=sys.stderr,
    )
    return 0


def job_row(text: str) -> dict[str, Any]:
    from corral.client.connection import request
    from corral.errors import Refused, Unreachable

    try:
        rows = request("GET", f"/v1/jobs/{text}")
    except Refused as error:
        raise Exit(1, f"corral: error: {text}: {error}") from None
    except Unreachable as error:
        raise Exit(1, f"corral: error: {error}") from None
    return dict(zip(rows["fields"], rows["rows"][0], strict=True))


#: What says where the cluster is; a token is not for a file that others may read.
_WAY = ("CORRAL_ENDPOINT", "CORRAL_CA", "CORRAL_TOKEN_FILE")


def _command(job: str, node: str, words: list[str]) -> list[str]:
    options = ["--jobid", job, "--overlap", "-N1", "-n1", "--mem=0", "--export=ALL", *(["-w", node] if node else [])]
    return [beside("srun"), *options, *words]


def _srun(job: str, node: str, words: list[str]) -> NoReturn:
    command = _command(job, node, words)
    os.execvp(command[0], command)


def beside(name: str) -> str:
    """The command of the same installation."""
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), name)
    return path if os.access(path, os.X_OK) else name
