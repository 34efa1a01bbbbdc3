"""`corral notebook`: JupyterLab in a job, at a URL that works here; Ctrl-C (or `corral notebook stop`) ends it.

The server listens on its node's loopback only, at a port and with a token that are made here; the browser comes to it through the way of
`corral port-forward`.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from typing import Any

from corral.cli.corral.forward import Forwarder
from corral.cli.corral.into import beside, job_row
from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.run import Exit

NAME = "notebook"
#: Ports that servers of this kind are given.
_FIRST_PORT, _PORTS = 20_000, 12_000
_TRIES = 3
_PAUSE = 0.2


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["stop"]:
        return _stop(arguments[1:])
    parser = ArgumentParser(
        prog="corral notebook",
        description="Run JupyterLab in a job and reach it here. `corral notebook stop [JOB]` ends it from elsewhere. "
        "What follows -- goes to sbatch.",
    )
    parser.add_argument("--gpus", "-G", default="", metavar="N", help="GPUs, as for sbatch")
    parser.add_argument("--cpus", "-c", default="", metavar="N", help="CPUs")
    parser.add_argument("--mem", default="", metavar="SIZE", help="memory")
    parser.add_argument("--time", "-t", default="2:00:00", metavar="TIME", help="at the longest (default 2:00:00)")
    parser.add_argument("--partition", "-p", default="")
    parser.add_argument("--account", "-A", default="")
    parser.add_argument(
        "--image", default="", help="a container with JupyterLab in it; else `jupyter` of the job's PATH"
    )
    parser.add_argument("--command", default="jupyter lab", help="what starts it (default: jupyter lab)")
    parser.add_argument("--port", type=int, default=0, metavar="PORT", help="here (default: any that is free)")
    parser.add_argument(
        "--proxy",
        action="store_true",
        help="print an address at the controller, for a browser on any machine (corral proxy)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the URL")
    parser.add_argument("sbatch", nargs="*", metavar="-- OPTIONS")
    add_options(parser)
    given = parser.parse_args(arguments)
    if not 0 <= given.port < 65536:
        parser.error(f"--port: {given.port} is no port")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    os.environ["CORRAL_ENDPOINT"] = endpoint_of(given)  # for sbatch and scancel too
    token = secrets.token_urlsafe(24)
    for _ in range(_TRIES):
        remote = _FIRST_PORT + secrets.randbelow(_PORTS)
        job = _submit(given, token, remote)
        try:
            _wait(job)
            status = _serve(given, job, remote, token)
        finally:
            subprocess.run([beside("scancel"), "-Q", job], check=False)
        if status != _PORT_TAKEN:
            return status
    raise Exit(1, f"corral: error: no free port was found on the node in {_TRIES} tries")


_PORT_TAKEN = -1


def _interrupted(number: int, frame: object) -> None:
    """However it is ended, its job is ended too."""
    raise KeyboardInterrupt


def _submit(given: Namespace, token: str, remote: int) -> str:
    options = [
        f"--{name}={value}"
        for name, value in (
            ("gpus", given.gpus), ("cpus-per-task", given.cpus), ("mem", given.mem), ("time", given.time),
            ("partition", given.partition), ("account", given.account), ("container-image", given.image),
        )
        if value
    ]  # fmt: skip
    if given.image:
        options.append("--container-mount-home")
    log = os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "corral-notebooks")
    os.makedirs(log, mode=0o700, exist_ok=True)
    script = (
        f"#!/bin/sh\nexec {given.command} --no-browser --ip=127.0.0.1 --port={remote} --ServerApp.port_retries=0 "
        f'--ServerApp.base_url="{_base(given, "$SLURM_JOB_ID", remote)}" '
        f'--ServerApp.allow_root={"True" if os.geteuid() == 0 else "False"} --ServerApp.root_dir="$SLURM_SUBMIT_DIR"\n'
    )
    command = [beside("sbatch"), "--parsable", "-J", NAME, "-o", f"{log}/%j.log", *options, *given.sbatch]
    environment = os.environ | {"JUPYTER_TOKEN": token}
    done = subprocess.run(command, input=script, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Exit(done.returncode)
    return done.stdout.strip().partition(";")[0]


def _base(given: Namespace, job: str, remote: int) -> str:
    """Where the server's pages begin."""
    return f"/proxy/absolute/{job}/{remote}/" if given.proxy else "/"


def _at_controller(job: str, remote: int, token: str) -> str:
    """The address, or "" and what is wrong with the proxy."""
    from corral.client.connection import request
    from corral.errors import Refused, Unreachable

    try:
        url: str = request("POST", "/v1/proxy", {"job": job, "port": remote, "absolute": True})["url"]
    except (Refused, Unreachable) as error:
        print(f"corral: error: the proxy: {error}", file=sys.stderr)
        return ""
    return url.replace("/?", f"/lab?token={token}&", 1)


def _wait(job: str) -> None:
    """Until it runs; while it waits, why."""
    said = ""
    while True:
        row = job_row(job)
        if row["state"] == "RUNNING":
            return
        if row["state"] not in ("PENDING", "CONFIGURING"):
            raise Exit(1, f"corral: error: job {job} has ended: {row['state']}{_tail(row)}")
        words = f"job {job} waits: {row['why']}" if row["state"] == "PENDING" else f"job {job}: {row['why']}"
        if row.get("expected_start"):
            words += f", planned for {time.strftime('%H:%M:%S', time.localtime(row['expected_start']))}"
        if words != said:
            said = words
            print(f"corral: {words}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)


def _tail(row: dict[str, Any]) -> str:
    try:
        with open(row["stdout_path"], encoding="utf-8", errors="replace") as file:
            lines = file.read().strip().splitlines()[-5:]
    except OSError:
        lines = []
    if not lines and row.get("reason_text"):
        lines = [row["reason_text"]]
    return "".join(f"\n  {line}" for line in lines)


def _serve(given: Namespace, job: str, remote: int, token: str) -> int:
    there = Namespace(job=job, node="", stdio=False, dir=given.dir, config=given.config)
    forwarder = Forwarder(there, [("127.0.0.1", given.port, remote)], is_quiet=True)
    here = f"http://127.0.0.1:{forwarder.ports[0]}{_base(given, job, remote)}"
    outcome: dict[str, bool] = {}

    def watch() -> None:
        """Say the URL as soon as it answers."""
        while not outcome:
            if _answers(f"{here}api/status?token={token}"):
                outcome["up"] = True
                url = (_at_controller(job, remote, token) if given.proxy else "") or f"{here}lab?token={token}"
                print(f"JupyterLab runs as job {job} on {forwarder.node}:\n\n    {url}\n\nCtrl-C ends it.", flush=True)
                if not given.no_browser and sys.stdout.isatty() and os.environ.get("DISPLAY"):
                    import webbrowser

                    webbrowser.open(url)
            time.sleep(_PAUSE)

    threading.Thread(target=watch, daemon=True).start()
    try:
        forwarder.run()
    except KeyboardInterrupt:
        print(f"\ncorral: job {job} is ended", file=sys.stderr)
        return 0
    was_up = outcome.setdefault("up", False)
    row = job_row(job)
    tail = _tail(row)
    if not was_up and "already in use" in tail:
        return _PORT_TAKEN
    if was_up:
        print(f"corral: job {job} has ended: {row['state']}", file=sys.stderr)
        return 0 if row["state"] in ("CANCELLED", "COMPLETED", "COMPLETING", "TIMEOUT") else 1
    raise Exit(1, f"corral: error: job {job} has ended: {row['state']}{tail}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _stop(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral notebook stop", description="End notebooks: this one, or all of yours.")
    parser.add_argument("job", nargs="?", default="")
    given = parser.parse_args(arguments)
    if given.job:
        row = job_row(given.job)
        if row["name"] != NAME:
            raise Exit(1, f"corral: error: job {given.job} is no notebook: it is {row['name']} (scancel ends it)")
    chosen = [given.job] if given.job else ["--me", "-n", NAME]
    return subprocess.run([beside("scancel"), *chosen], check=False).returncode
