"""`corral exec`: a command in a Pod's container that runs."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from corral.cli.corral.kube.logs import container_of, pods_behind
from corral.cli.corral.kube.session import Session, add_options
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    parser = ArgumentParser(
        prog="corral exec", usage="corral exec [-it] [-c CONTAINER] (POD | KIND/NAME) -- COMMAND ...",
        description="Run a command in a container of a Pod that runs: as its user, within its limits, with its GPUs.",
    )  # fmt: skip
    parser.add_argument("what", metavar="POD|KIND/NAME")
    parser.add_argument("--container", "-c", default="", metavar="NAME")
    parser.add_argument("--stdin", "-i", action="store_true", help="pass what is typed on")
    parser.add_argument("--tty", "-t", action="store_true", help="with a terminal")
    parser.add_argument("--quiet", "-q", action="store_true", help="only what the command says")
    add_options(parser)
    given = parser.parse_args(arguments)
    if not command:
        raise Exit(1, "error: you must specify at least one command for the container: corral exec POD -- COMMAND")
    session = Session(given)
    kind, slash, name = given.what.partition("/")
    resource = session.resource(kind if slash else "pods")
    pod = pods_behind(session, resource, name if slash else given.what)[0]
    meta, status = pod["metadata"], pod.get("status") or {}
    container = container_of(pod, given.container)
    known = [one["name"] for field in ("initContainers", "containers") for one in pod["spec"].get(field) or ()]
    if container not in known:
        raise Exit(1, f"Error from server (BadRequest): container {container} is not valid for pod {meta['name']}")
    if status.get("phase") in ("Succeeded", "Failed"):
        raise Exit(1, f"error: cannot exec into a container in a completed pod; current phase is {status['phase']}")
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    state: Json = next((one["state"] for one in statuses if one["name"] == container), {})
    if "running" not in state or not status.get("job"):
        raise Exit(1, f'error: unable to upgrade connection: container not found ("{container}")')
    from corral.cli.corral.into import beside

    words = ["--jobid", str(status["job"]), "--overlap", "-N1", "-n1", "--mem=0", f"--container-name={container}:exec"]
    if given.tty and sys.stdin.isatty():
        words.append("--pty")
    elif given.tty:
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
    if not given.stdin:
        words += ["--input", "none"] if "--pty" not in words else []
    if session.endpoint:
        os.environ["CORRAL_ENDPOINT"] = session.endpoint
    program = beside("srun")
    os.execvp(program, [program, *words, "--", *command])
