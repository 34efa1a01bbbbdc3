"""`corral serve`: a program as a service: replicas of it behind one URL, checked, and as many as the load needs."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.apply import apply_one
from corral.cli.corral.kube.delete import duration
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import Target, target_of
from corral.cli.run import Exit, say

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]

_PLACES = ("partition", "account", "qos", "reservation", "constraint")


def main(arguments: list[str]) -> int:
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    given = _parser().parse_args(arguments)
    if not command and not given.image:
        raise Exit(
            1,
            "corral: error: the program is missing: corral serve --name web --port 8000 -- python -m http.server 8000",
        )
    manifests = [deployment(given, command), service(given)]
    if given.autoscale:
        manifests.append(autoscaler(given))
    if given.print:
        from corral.syntax import yamltext

        printing.out("---\n".join(map(yamltext.dumped, manifests)))
        return 0
    session = Session(given)
    targets = []
    for document in manifests:
        target = target_of(session, "corral serve", document)
        _, word = apply_one(session, "corral serve", target, document, "")
        say(f"{target.title} {word}\n")
        targets.append(target)
    if given.no_wait:
        return 0
    ends = time.monotonic() + duration(given.timeout)
    _until_ready(session, targets[0], ends)
    url = _url(session, targets[1], ends)
    _until_answers(url, given.health or "/", ends)
    printing.out(f"{url}\n")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral serve", usage="corral serve --name NAME --port PORT [OPTIONS] -- COMMAND ...",
        description="Run a program as a service: makes (or changes) a Deployment, a Service and, with --autoscale, a "
        "HorizontalPodAutoscaler, waits until it answers, and prints its URL. `corral delete deploy,svc,hpa NAME` ends it.",
    )  # fmt: skip
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True, help="where the program listens (it also finds it in $PORT)")
    parser.add_argument("--replicas", "-r", type=int, default=1, metavar="N")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="of each replica")
    parser.add_argument("--cpus", default="", metavar="N", help="of each replica (1)")
    parser.add_argument("--mem", default="", metavar="SIZE", help="of each replica, at most: 16Gi")
    parser.add_argument("--health", default="", metavar="PATH", help="it is ready, and alive, while this answers")
    parser.add_argument("--image", default="", help="run it in this container image")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--autoscale", default="", metavar="MIN-MAX", help="as many replicas as the load needs; MIN may be 0"
    )
    parser.add_argument(
        "--target", type=int, default=0, metavar="N", help="requests in flight on each replica to aim at (default 8)"
    )
    parser.add_argument("--workdir", default="", metavar="DIR", help="without an image: here")
    for name in _PLACES:
        parser.add_argument(f"--{name}", default="", help="as of a job")
    parser.add_argument("--print", action="store_true", help="only print the manifests")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it answers")
    parser.add_argument("--timeout", default="5m", metavar="TIME", help="wait at most so long (5m)")
    add_options(parser)
    return parser


def _meta(given: Namespace) -> Json:
    meta: Json = {"name": given.name, "labels": {"app": given.name}}
    if given.namespace:
        meta["namespace"] = given.namespace
    return meta


def deployment(given: Namespace, command: list[str]) -> Json:
    container: Json = {"name": "main", "ports": [{"containerPort": given.port, "name": "http"}]}
    if given.image:
        container["image"] = given.image
    if command:
        container["command"] = command
    if given.workdir or not given.image:
        container["workingDir"] = os.path.abspath(given.workdir or os.getcwd()) if not given.image else given.workdir
    if given.env:
        container["env"] = [_variable(text) for text in given.env]
    requests: Json = {}
    limits: Json = {}
    if given.cpus:
        requests["cpu"] = given.cpus
    if given.mem:
        requests["memory"] = limits["memory"] = given.mem
    if given.gpus:
        limits["nvidia.com/gpu"] = given.gpus
    if requests or limits:
        container["resources"] = {name: found for name, found in (("requests", requests), ("limits", limits)) if found}
    get = (
        {"httpGet": {"path": given.health, "port": given.port}} if given.health else {"tcpSocket": {"port": given.port}}
    )
    container["readinessProbe"] = {**get, "periodSeconds": 2}
    if given.health:
        # Loading a model takes its time: until it has answered once, nothing is counted against it.
        container["startupProbe"] = {**get, "periodSeconds": 2, "failureThreshold": 900}
        container["livenessProbe"] = {**get, "periodSeconds": 10, "failureThreshold": 3}
    template: Json = {"metadata": {"labels": {"app": given.name}}, "spec": {"containers": [container]}}
    places = {f"corral.dev/{name}": getattr(given, name) for name in _PLACES if getattr(given, name)}
    if places:
        template["metadata"]["annotations"] = places
    spec: Json = {"selector": {"matchLabels": {"app": given.name}}, "template": template}
    if not given.autoscale:
        if given.replicas < 0:
            raise Exit(1, f"corral: error: --replicas: {given.replicas} is less than 0")
        spec["replicas"] = given.replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(given), "spec": spec}


def _variable(text: str) -> Json:
    name, equal, value = text.partition("=")
    if not name:
        raise Exit(1, f"corral: error: --env: NAME=VALUE, not {text!r}")
    return {"name": name, "value": value if equal else os.environ.get(name, "")}


def service(given: Namespace) -> Json:
    spec = {"selector": {"app": given.name}, "ports": [{"name": "http", "port": 80, "targetPort": given.port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(given), "spec": spec}


def autoscaler(given: Namespace) -> Json:
    low, dash, high = given.autoscale.partition("-")
    if not low.isdigit() or (dash and not high.isdigit()) or int(high or low) < max(1, int(low)):
        raise Exit(1, f"corral: error: --autoscale: MIN-MAX is needed, such as 1-8, not {given.autoscale!r}")
    target = {"type": "AverageValue", "averageValue": str(given.target or 8)}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": _meta(given),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": given.name},
            "minReplicas": int(low), "maxReplicas": int(high or low),
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": "requests_in_flight"}, "target": target}}],
        },
    }  # fmt: skip


# -- until it answers


def _until_ready(session: Session, target: Target, ends: float) -> None:
    from corral.cli.corral.kube.rollout import progress
    from corral.cli.corral.kube.waiting import until

    def holds(one: Json) -> bool:
        return progress("Deployment", one)[1]

    try:
        until(session, target, holds, ends)
    except Exit as end:
        raise Exit(1, *end.lines, *_troubles(session, target)) from None


def _troubles(session: Session, target: Target) -> list[str]:
    """What its Pods say of themselves."""
    path = session.resource("pods").path(target.namespace) + query(labelSelector=f"app={target.name}")
    lines = []
    for pod in session.request("GET", path)["items"]:
        status = pod.get("status") or {}
        name = pod["metadata"]["name"]
        for one in status.get("containerStatuses") or ():
            found = one["state"].get("waiting") or one["state"].get("terminated")
            if found:
                lines += [
                    f"pod/{name}: {found.get('reason', 'waits')}",
                    *(found.get("message") or "").splitlines()[-10:],
                ]
            elif not one.get("ready") and one["state"].get("running"):
                lines.append(
                    f"pod/{name} runs, and nothing answers yet as its probe wants it: `corral describe pod {name}`"
                )
                if not status.get("podIP"):
                    lines.append(
                        "it shares its node's network (`corral status` says why): its program is to listen on $PORT"
                    )
        if status.get("phase") == "Pending" and status.get("job"):
            lines.append(f"pod/{name} waits: `corral why {status['job']}` says what for")
    return lines


def _url(session: Session, target: Target, ends: float) -> str:
    from corral.cli.corral.kube.waiting import until

    found = until(session, target, lambda one: bool((one.get("status") or {}).get("url")), ends)
    return str(found["status"]["url"])


def _until_answers(url: str, path: str, ends: float) -> None:
    """A gateway that is elsewhere may not be reachable from here: then its replicas' readiness is enough."""
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    while True:
        try:
            with urlopen(url.rstrip("/") + path, timeout=5):
                return
        except HTTPError as error:
            if error.code < 500:
                return
            problem = f"{error.code} {error.reason}"
        except (URLError, OSError) as error:
            problem = str(error)
        if time.monotonic() > ends:
            raise Exit(1, f"corral: error: {url} does not answer: {problem}")
        time.sleep(0.1)
