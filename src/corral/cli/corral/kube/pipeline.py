"""`corral pipeline`: begin a run of a Pipeline, see how its runs fare, stop one."""

from __future__ import annotations

import time
from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.session import Session, add_options
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]

POLL_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="corral pipeline", description="Runs of Pipelines.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|status|stop")
    run = verbs.add_parser("run", help="begin a run", description="Begin a run of a Pipeline.")
    run.add_argument("name", metavar="PIPELINE")
    run.add_argument(
        "--param",
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="instead of its default; more than once",
    )
    run.add_argument("--wait", "-w", action="store_true", help="until it has ended; exit status 1 if it has failed")
    status = verbs.add_parser("status", help="the steps of a run", description="How do the steps of a run fare?")
    status.add_argument("name", metavar="RUN")
    stop = verbs.add_parser("stop", help="end a run", description="End a run: its jobs are cancelled, its record goes.")
    stop.add_argument("name", metavar="RUN")
    for one in (run, status, stop):
        add_options(one)
    given = parser.parse_args(arguments)
    session = Session(given)
    match given.verb:
        case "run":
            return _run(session, given)
        case "status":
            _show(_get(session, given.name))
        case _:
            session.request("DELETE", session.resource("pipelineruns").path(session.namespace, given.name))
            printing.out(f'pipelinerun.corral.dev "{given.name}" deleted\n')
    return 0


def _get(session: Session, name: str) -> Json:
    found: Json = session.request("GET", session.resource("pipelineruns").path(session.namespace, name))
    return found


def _run(session: Session, given: Namespace) -> int:
    parameters = []
    for word in given.param:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Exit(1, f"error: --param {word}: write NAME=VALUE")
        parameters.append({"name": name, "value": value})
    pipeline = session.request("GET", session.resource("pipelines").path(session.namespace, given.name))
    known = {one["name"] for one in pipeline["spec"].get("parameters", ())}
    for one in parameters:
        if one["name"] not in known:
            raise Exit(
                1,
                f"error: pipeline {given.name} has no parameter {one['name']} (it has: {', '.join(sorted(known)) or 'none'})",
            )
    document = {
        "apiVersion": "corral.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"generateName": f"{given.name}-"},
        "spec": {"pipeline": given.name, "parameters": parameters},
    }
    made = session.request("POST", session.resource("pipelineruns").path(session.namespace), document)
    name = made["metadata"]["name"]
    printing.out(f"pipelinerun.corral.dev/{name} created\n")
    if not given.wait:
        return 0
    told: dict[str, str] = {}
    while True:
        run = _get(session, name)
        for step in (run.get("status") or {}).get("steps", ()):
            if told.get(step["name"]) != (line := _line(step)):
                told[step["name"]] = line
                if step.get("phase", "Pending") != "Pending":
                    printing.out(line)
        phase = (run.get("status") or {}).get("phase", "Pending")
        if phase in ("Succeeded", "Failed"):
            printing.out(f"{name}: {phase}\n")
            if phase == "Failed":
                raise Exit(1, f"error: {name}: {run['status'].get('message', '')}")
            return 0
        time.sleep(POLL_SECONDS)


def _line(step: Json) -> str:
    job = f" (job {step['job']})" if step.get("job") else ""
    message = f": {step['message']}" if step.get("message") else ""
    return f"{step['name']}: {step.get('phase', 'Pending')}{job}{message}\n"


def _show(run: Json) -> None:
    status = run.get("status") or {}
    message = f": {status['message']}" if status.get("message") else ""
    printing.out(f"{run['metadata']['name']}: {status.get('phase', 'Pending')}{message}\n")
    for step in status.get("steps", ()):
        printing.out(f"  {_line(step)}")
