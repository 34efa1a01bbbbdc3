"""`corral logs`: what a Pod's containers have said; of a number, what a job has written."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser

from corral.cli.corral.kube.session import Resource, Session, add_options, query, told
from corral.cli.run import Exit, say
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]

#: Of Pods that are chosen by labels, only so much, as kubectl.
_TAIL_OF_MANY = 10


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    if given.what[:1].isdigit() and "/" not in given.what:
        return _of_job(given)
    if given.since and given.since_time:
        raise Exit(1, "error: at most one of --since and --since-time is given")
    if given.stderr:
        raise Exit(1, "corral: error: --stderr is for jobs: a container has one log")
    if bool(given.what) == bool(given.selector):
        raise Exit(1, "error: expected 'logs [-f] (POD | TYPE/NAME) [-c CONTAINER]', or -l LABELS")
    session = Session(given)
    pods = _pods(session, given)
    runs = [(pod, name) for pod in pods for name in _containers(pod, given)]
    if not runs:
        say(f"No resources found in {session.namespace} namespace.\n")
        return 0
    prefix = given.prefix
    if given.follow and len(runs) > 1:
        if len(runs) > given.max_log_requests:
            raise Exit(
                1, f"error: you are attempting to follow {len(runs)} log streams, but maximum allowed concurrency is "
                f"{given.max_log_requests}, use --max-log-requests to increase the limit",
            )  # fmt: skip
        threads = [
            threading.Thread(target=_shown, args=(session, given, pod, name, prefix), daemon=True) for pod, name in runs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 0
    return max(_shown(session, given, pod, name, prefix) for pod, name in runs)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral logs",
        description="What the containers of a Pod have said (POD, deployment/NAME, -l LABELS), or a job (42) has written.",
    )
    parser.add_argument("what", nargs="?", default="", metavar="POD|KIND/NAME|JOB")
    parser.add_argument("container_name", nargs="?", default="", metavar="CONTAINER")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until it ends")
    parser.add_argument("--container", "-c", default="", metavar="NAME")
    parser.add_argument("--all-containers", action="store_true", help="of all its containers")
    parser.add_argument("--previous", "-p", action="store_true", help="of the run before this one")
    parser.add_argument("--tail", "--lines", type=int, default=None, metavar="N", help="the last so many lines")
    parser.add_argument("--limit-bytes", type=int, default=0, metavar="N")
    parser.add_argument("--selector", "-l", default="", metavar="LABELS")
    parser.add_argument("--prefix", action="store_true", help="say before each line whose it is")
    parser.add_argument(
        "--max-log-requests", type=int, default=5, metavar="N", help="follow at most so many at once (5)"
    )
    parser.add_argument("--timestamps", action="store_true", help="say before each line when it was said")
    parser.add_argument("--since", default="", metavar="TIME", help="only what was said in the last 5s, 2m, 3h")
    parser.add_argument(
        "--since-time", default="", metavar="WHEN", help="only what was said since then: 2030-01-31T16:00:00Z"
    )
    parser.add_argument(
        "--stderr", action="store_true", help="of a job: its standard error, where that is another file"
    )
    add_options(parser)
    return parser


def _of_job(given: Namespace) -> int:
    from corral.cli.corral import into

    if given.timestamps or given.since or given.since_time:
        raise Exit(
            1, "corral: error: --timestamps, --since: what a job has written is a file of its own, without times"
        )
    words = [given.what]
    if given.follow:
        words.append("-f")
    lines = given.tail
    if lines is None and (given.namespace or "").isdigit():  # of a job -n is how many lines, as for tail
        lines = int(given.namespace)
    if lines is not None:
        words.append(f"-n{lines}")
    if given.stderr:
        words.append("--stderr")
    return into.logs(words)


def _pods(session: Session, given: Namespace) -> list[Json]:
    pods = session.resource("pods")
    if given.selector:
        items: list[Json] = session.request("GET", pods.path(session.namespace) + query(labelSelector=given.selector))[
            "items"
        ]
        return items
    kind, slash, name = given.what.partition("/")
    if not slash:
        return [session.request("GET", pods.path(session.namespace, given.what))]
    return pods_behind(session, session.resource(kind), name)[:1]


def pods_behind(session: Session, resource: Resource, name: str) -> list[Json]:
    """A Pod by its name, or those of what keeps them, the ready ones first."""
    one = session.request("GET", resource.path(session.namespace, name))
    if resource.kind == "Pod":
        return [one]
    spec = one.get("spec") or {}
    labels = spec.get("selector") or {}
    if resource.kind == "Service":
        chosen = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    else:
        from corral.cli.corral.kube.described import NONE, selector

        chosen = selector(labels)
        chosen = "" if chosen == NONE else chosen
    if not chosen:
        raise Exit(1, f"error: a {resource.kind} has no Pods of its own: name a Pod")
    found: list[Json] = session.request(
        "GET", session.resource("pods").path(session.namespace) + query(labelSelector=chosen)
    )["items"]
    if not found:
        raise Exit(1, f"error: no Pods are there for {resource.qualified}/{name}")
    return sorted(found, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"]))


def is_ready(pod: Json) -> bool:
    found = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)


def _containers(pod: Json, given: Namespace) -> list[str]:
    if given.all_containers:
        return [one["name"] for field in ("initContainers", "containers") for one in pod["spec"].get(field) or ()]
    return [container_of(pod, given.container or given.container_name)]


def container_of(pod: Json, name: str) -> str:
    if name:
        return name
    names = [one["name"] for one in pod["spec"]["containers"]]
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container", "")
    chosen: str = default if default in names else names[0]
    if len(names) > 1:
        others = [one["name"] for one in pod["spec"].get("initContainers") or ()]
        say(f'Defaulted container "{chosen}" out of: {", ".join(names + [f"{one} (init)" for one in others])}\n')
    return chosen


def _seconds(text: str) -> str:
    """As kubectl: 90, 5s, 1h30m."""
    if not text or text.isdigit():
        return text
    import re

    found = re.findall(r"([0-9.]+)(h|ms|m|s)", text)
    if "".join(number + unit for number, unit in found) != text:
        raise Exit(1, f"error: --since: 5s, 2m or 3h, not {text!r}")
    factors = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return str(max(1, round(sum(float(number) * factors[unit] for number, unit in found))))


def _shown(session: Session, given: Namespace, pod: Json, container: str, prefix: bool) -> int:
    from corral.client.connection import Connection, ConnectionBroken
    from corral.errors import Unreachable

    meta = pod["metadata"]
    tail = given.tail if given.tail is not None else _TAIL_OF_MANY if given.selector else None
    path = session.resource("pods").path(meta["namespace"], meta["name"], "log") + query(
        container=container, follow="true" if given.follow else "", previous="true" if given.previous else "",
        tailLines="" if tail is None or tail < 0 else str(tail), limitBytes=given.limit_bytes or "",
        timestamps="true" if given.timestamps else "", sinceSeconds=_seconds(given.since), sinceTime=given.since_time,
    )  # fmt: skip
    head = f"[pod/{meta['name']}/{container}] ".encode() if prefix else b""
    rest = b""
    try:
        with Connection(session.endpoint) as connection:
            for chunk in connection.chunks(path):
                if head:
                    *lines, rest = (rest + chunk).split(b"\n")
                    chunk = b"".join(head + line + b"\n" for line in lines)
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if rest:
                sys.stdout.buffer.write(head + rest)
                sys.stdout.buffer.flush()
    except Refused as error:
        say(told(error) + "\n")
        return 1
    except (OSError, ConnectionBroken, Unreachable) as error:
        say(f"corral: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
