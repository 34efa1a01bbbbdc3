"""What does `describe` say of each kind?"""

from __future__ import annotations

from corral.cli.corral.kube.apply import LAST_APPLIED
from corral.cli.corral.kube.printing import aligned
from corral.cli.corral.kube.session import query

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corral.cli.corral.kube.session import Session
    from corral.cli.corral.kube.targets import Target

    Json = dict[str, Any]

NONE = "<none>"
Pairs = list[tuple[str, "str | list[str]"]]


def lines_of(session: Session, target: Target, one: Json) -> list[str]:
    meta = one["metadata"]
    pairs: Pairs = [("Name", meta["name"])]
    if meta.get("namespace"):
        pairs.append(("Namespace", meta["namespace"]))
    special = _KINDS.get(target.resource.kind)
    head = special(session, one) if special else []
    labels: Pairs = [("Labels", _map(meta.get("labels"))), ("Annotations", _map(_annotations(meta)))]
    begins: Pairs = [("CreationTimestamp", when(meta.get("creationTimestamp")))] if special else []
    if meta.get("deletionTimestamp"):
        grace = meta.get("deletionGracePeriodSeconds")
        begins.append(("Status", f"Terminating (lasts {ago(meta['deletionTimestamp'])})"))
        if grace is not None:
            begins.append(("Termination Grace Period", f"{grace}s"))
    owner = next((found for found in meta.get("ownerReferences") or () if found.get("controller", True)), None)
    if owner is not None:
        labels.append(("Controlled By", f"{owner['kind']}/{owner['name']}"))
    if special:
        return written([*pairs, *begins, *labels, *head])
    rest: Pairs = [("API Version", one["apiVersion"]), ("Kind", one["kind"])]
    lines = written([*pairs, *labels, *rest])
    return lines + _generic(
        {name: value for name, value in one.items() if name not in ("apiVersion", "kind", "metadata")}, ""
    )


def written(pairs: Pairs) -> list[str]:
    """Names in one column; a value of several lines below its first; a list under its name where it is said so by ""."""
    width = max((len(name) for name, value in pairs if not _is_block(value)), default=0) + 1
    lines = []
    for name, value in pairs:
        if isinstance(value, list):
            if _is_block(value):
                lines += [f"{name}:", *value[1:]]
                continue
            first, *more = value or [NONE]
            lines.append(f"{name + ':':{width}}  {first}")
            lines += [" " * (width + 2) + line for line in more]
        else:
            lines.append(f"{name + ':':{width}}  {value}".rstrip())
    return lines


def _is_block(value: str | list[str]) -> bool:
    return isinstance(value, list) and value[:1] == [""]


def _map(found: Json | None, between: str = "=") -> list[str]:
    return [f"{name}{between}{value}" for name, value in sorted((found or {}).items())] or [NONE]


def _annotations(meta: Json) -> Json:
    found = meta.get("annotations") or {}
    return {name: str(value).strip()[:200] for name, value in found.items() if name != LAST_APPLIED}


def when(text: str | None) -> str:
    """Mon, 02 Jan 2006 15:04:05 +0000"""
    if not text:
        return "<unset>"
    from datetime import datetime

    return datetime.fromisoformat(text).astimezone().strftime("%a, %d %b %Y %H:%M:%S %z")


def ago(text: str | None) -> str:
    if not text:
        return "<unknown>"
    import time
    from datetime import datetime

    from corral.syntax.age import format_age

    return format_age(time.time() - datetime.fromisoformat(text).timestamp())


def selector(found: Json | None) -> str:
    words = [f"{name}={value}" for name, value in sorted(((found or {}).get("matchLabels") or {}).items())]
    for one in (found or {}).get("matchExpressions") or ():
        values = f" ({','.join(one.get('values') or ())})" if one.get("values") else ""
        words.append(f"{one['key']} {one['operator'].lower()}{values}")
    return ",".join(words) or NONE


def _conditions(status: Json) -> list[tuple[str, str | list[str]]]:
    found = status.get("conditions")
    if not found:
        return []
    rows = [["  Type", "Status", "Reason"], ["  ----", "------", "------"]]
    rows += [[f"  {one['type']}", one["status"], one.get("reason", "")] for one in found]
    messages = [f"  {one['type']}: {one['message']}" for one in found if one.get("message")]
    return [("Conditions", ["", *aligned(rows).rstrip("\n").split("\n"), *messages])]


# -- Pods


def _pod(session: Session, one: Json) -> Pairs:
    spec, status = one["spec"], one.get("status") or {}
    node = spec.get("nodeName")
    pairs: Pairs = [("Node", f"{node}/{status['hostIP']}" if node and status.get("hostIP") else node or NONE)]
    if status.get("startTime"):
        pairs.append(("Start Time", when(status["startTime"])))
    pairs.append(("Status", status.get("phase", "")))
    pairs += [(name, status[wire]) for name, wire in (("Reason", "reason"), ("Message", "message")) if status.get(wire)]
    pairs.append(("IP", status.get("podIP") or ""))
    pairs.append(("Job", str(status.get("job") or NONE)))
    if spec.get("priorityClassName"):
        pairs.append(("Priority Class", spec["priorityClassName"]))
    for title, field, statuses in (
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
    ):
        if spec.get(field):
            known = {found["name"]: found for found in status.get(statuses) or ()}
            lines = [line for part in spec[field] for line in _container(part, known.get(part["name"]))]
            pairs.append((title, ["", *lines]))
    pairs += _conditions(status)
    if spec.get("volumes"):
        pairs.append(("Volumes", ["", *(line for volume in spec["volumes"] for line in _volume(volume))]))
    pairs.append(("QoS Class", status.get("qosClass", "")))
    pairs.append(("Node-Selectors", _map(spec.get("nodeSelector"))))
    tolerations = [
        f"{found.get('key', '')}{'=' + found['value'] if found.get('value') else ''}{':' + found['effect'] if found.get('effect') else ''}"
        + (" op=Exists" if found.get("operator") == "Exists" else "")
        for found in spec.get("tolerations") or ()
    ]
    pairs.append(("Tolerations", tolerations or [NONE]))
    return pairs


def _container(part: Json, status: Json | None) -> list[str]:
    pairs: Pairs = []
    if status is not None:
        pairs.append(("Container ID", status.get("containerID", "")))
    pairs.append(("Image", part.get("image") or NONE))
    ports = [f"{port['containerPort']}/{port.get('protocol', 'TCP')}" for port in part.get("ports") or ()]
    pairs.append(("Ports" if len(ports) > 1 else "Port", ", ".join(ports) or NONE))
    for title, field in (("Command", "command"), ("Args", "args")):
        if part.get(field):
            pairs.append((title, ["", *(f"  {word}" for word in part[field])]))
    if status is not None:
        pairs += _state("State", status.get("state") or {})
        if status.get("lastState"):
            pairs += _state("Last State", status["lastState"])
        pairs.append(("Ready", str(status.get("ready", False))))
        pairs.append(("Restart Count", str(status.get("restartCount", 0))))
    for title, field in (("Limits", "limits"), ("Requests", "requests")):
        found = (part.get("resources") or {}).get(field)
        if found:
            pairs.append((title, ["", *(f"  {name}: {value}" for name, value in sorted(found.items()))]))
    for title, field in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if part.get(field):
            pairs.append((title, _probe(part[field])))
    environment = [_variable(one) for one in part.get("env") or ()]
    pairs.append(("Environment", ["", *environment] if environment else NONE))
    mounts = [
        f"  {one['mountPath']} from {one['name']} ({'ro' if one.get('readOnly') else 'rw'})"
        for one in part.get("volumeMounts") or ()
    ]
    pairs.append(("Mounts", ["", *mounts] if mounts else NONE))
    return [f"  {part['name']}:", *(f"    {line}" for line in written(pairs))]


def _state(title: str, state: Json) -> Pairs:
    for word in ("running", "waiting", "terminated"):
        if word in state:
            found = state[word]
            more: Pairs = []
            for name, wire in (
                ("  Reason", "reason"), ("  Message", "message"), ("  Exit Code", "exitCode"), ("  Signal", "signal"),
            ):  # fmt: skip
                if wire in found:
                    more.append((name, str(found[wire]).rstrip("\n").split("\n")))
            more += [
                (name, when(found[wire]))
                for name, wire in (("  Started", "startedAt"), ("  Finished", "finishedAt"))
                if wire in found
            ]
            return [(title, word.capitalize()), *more]
    return [(title, "Waiting")]


def _probe(probe: Json) -> str:
    if "httpGet" in probe:
        get = probe["httpGet"]
        kind = (
            f"http-get {get.get('scheme', 'HTTP').lower()}://{get.get('host', '')}:{get['port']}{get.get('path', '/')}"
        )
    elif "tcpSocket" in probe:
        kind = f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']}"
    elif "grpc" in probe:
        kind = f"grpc <pod>:{probe['grpc']['port']} {probe['grpc'].get('service', '')}".rstrip()
    else:
        kind = f"exec [{' '.join((probe.get('exec') or {}).get('command') or ())}]"
    return (
        f"{kind} delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s #success={probe.get('successThreshold', 1)} #failure={probe.get('failureThreshold', 3)}"
    )


def _variable(one: Json) -> str:
    source = one.get("valueFrom")
    if not source:
        return f"  {one['name']}: {one.get('value', '')}"
    kind, found = next(iter(source.items()))
    if kind == "secretKeyRef":
        text = f"<set to the key '{found['key']}' in secret '{found['name']}'>"
    elif kind == "configMapKeyRef":
        text = f"<set to the key '{found['key']}' of config map '{found['name']}'>"
    else:
        text = f"({found.get('fieldPath') or found.get('resource')})"
    return f"  {one['name']}: {text}"


def _volume(volume: Json) -> list[str]:
    kind = next((name for name in volume if name != "name"), "")
    pairs: Pairs = [("Type", kind[:1].upper() + kind[1:])]
    pairs += [
        (name[:1].upper() + name[1:], str(value))
        for name, value in (volume.get(kind) or {}).items()
        if not isinstance(value, (list, dict))
    ]
    return [f"  {volume['name']}:", *(f"    {line}" for line in written(pairs))]


# -- what keeps Pods


def _template(template: Json) -> tuple[str, list[str]]:
    spec = template["spec"]
    lines = [f"  {line}" for line in written([("Labels", _map((template.get("metadata") or {}).get("labels")))])]
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(field):
            lines += [f"  {title}:", *(f" {line}" for part in spec[field] for line in _container(part, None))]
    volumes = [f"   {volume['name']}" for volume in spec.get("volumes") or ()]
    lines += ["  Volumes:", *volumes] if volumes else [f"  Volumes:  {NONE}"]
    return "Pod Template", ["", *lines]


def _owns(one: Json, other: Json) -> bool:
    return any(owner["uid"] == one["metadata"]["uid"] for owner in other["metadata"].get("ownerReferences") or ())


def _deployment(session: Session, one: Json) -> Pairs:
    spec, status = one["spec"], one.get("status") or {}
    words = ("updated", "total", "available", "unavailable")
    wires = ("updatedReplicas", "replicas", "availableReplicas", "unavailableReplicas")
    counts = [f"{status.get(wire, 0)} {word}" for wire, word in zip(wires, words, strict=True)]
    strategy = spec.get("strategy") or {}
    pairs: Pairs = [
        ("Selector", selector(spec.get("selector"))),
        ("Replicas", " | ".join([f"{spec.get('replicas', 1)} desired", *counts])),
        ("StrategyType", strategy.get("type", "RollingUpdate")),
        ("MinReadySeconds", str(spec.get("minReadySeconds", 0))),
    ]
    if rolling := strategy.get("rollingUpdate"):
        text = f"{rolling.get('maxUnavailable', '25%')} max unavailable, {rolling.get('maxSurge', '25%')} max surge"
        pairs.append(("RollingUpdateStrategy", text))
    pairs += [_template(spec["template"]), *_conditions(status)]
    owned = session.request("GET", session.resource("replicasets").path(one["metadata"]["namespace"]))["items"]
    mine = [found for found in owned if _owns(one, found)]
    shown = [
        f"{found['metadata']['name']} ({(found.get('status') or {}).get('replicas', 0)}/{found['spec'].get('replicas', 1)} "
        "replicas created)"
        for found in sorted(mine, key=lambda found: str(found["metadata"].get("creationTimestamp")))
    ]
    pairs.append(("OldReplicaSets", ", ".join(shown[:-1]) or NONE))
    pairs.append(("NewReplicaSet", shown[-1] if shown else NONE))
    return pairs


def _replicas(session: Session, one: Json) -> Pairs:
    spec, status = one["spec"], one.get("status") or {}
    pairs: Pairs = [("Selector", selector(spec.get("selector")))]
    if one["kind"] == "DaemonSet":
        wanted = (spec["template"].get("spec") or {}).get("nodeSelector") or {}
        pairs.append(("Node-Selector", ",".join(f"{name}={value}" for name, value in sorted(wanted.items())) or NONE))
        for word, field in (
            ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
            ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
            ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
            ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
            ("Number of Nodes Misscheduled", "numberMisscheduled"),
        ):
            pairs.append((word, str(status.get(field, 0))))
    else:
        pairs.append(("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 1)} desired"))
    if one["kind"] in ("StatefulSet", "DaemonSet"):
        pairs.append(("Update Strategy", (spec.get("updateStrategy") or {}).get("type", "RollingUpdate")))
    phases = dict.fromkeys(("Running", "Pending", "Succeeded", "Failed"), 0)
    labels = selector(spec.get("selector"))
    for pod in session.request(
        "GET", session.resource("pods").path(one["metadata"]["namespace"]) + query(labelSelector=labels)
    )["items"]:
        if _owns(one, pod):
            phase = (pod.get("status") or {}).get("phase", "Pending")
            phases[phase] = phases.get(phase, 0) + 1
    pairs.append(
        (
            "Pods Status",
            " / ".join(f"{count} {'Waiting' if phase == 'Pending' else phase}" for phase, count in phases.items()),
        )
    )
    return [*pairs, _template(spec["template"]), *_conditions(status)]


def _job(session: Session, one: Json) -> Pairs:
    spec, status = one["spec"], one.get("status") or {}
    pairs: Pairs = [
        ("Selector", selector(spec.get("selector"))),
        ("Parallelism", str(spec.get("parallelism", 1))),
        ("Completions", str(spec.get("completions", "<unset>"))),
        ("Completion Mode", spec.get("completionMode", "NonIndexed")),
        ("Suspend", str(spec.get("suspend", False)).lower()),
        ("Backoff Limit", str(spec.get("backoffLimit", 6))),
    ]
    if status.get("startTime"):
        pairs.append(("Start Time", when(status["startTime"])))
    if status.get("completionTime"):
        pairs.append(("Completed At", when(status["completionTime"])))
    counts = " / ".join(f"{status.get(word.lower(), 0)} {word}" for word in ("Active", "Succeeded", "Failed"))
    pairs.append(("Pods Statuses", counts))
    if status.get("completedIndexes"):
        pairs.append(("Completed Indexes", status["completedIndexes"]))
    return [*pairs, _template(spec["template"]), *_conditions(status)]


def _service(session: Session, one: Json) -> Pairs:
    spec, status = one["spec"], one.get("status") or {}
    pairs: Pairs = [
        (
            "Selector",
            ",".join(f"{name}={value}" for name, value in sorted((spec.get("selector") or {}).items())) or NONE,
        ),
        ("Type", spec.get("type", "ClusterIP")),
        ("IP", spec.get("clusterIP") or NONE),
    ]
    if status.get("url"):
        pairs.append(("URL", status["url"]))
    ends = _endpoints(session, one)
    for port in spec.get("ports") or ():
        protocol = port.get("protocol", "TCP")
        pairs.append(("Port", f"{port.get('name') or '<unset>'}  {port['port']}/{protocol}"))
        pairs.append(("TargetPort", f"{port.get('targetPort') or port['port']}/{protocol}"))
        if port.get("nodePort"):
            pairs.append(("NodePort", f"{port.get('name') or '<unset>'}  {port['nodePort']}/{protocol}"))
    pairs.append(("Pods", ",".join(ends) or NONE))
    pairs.append(("Session Affinity", spec.get("sessionAffinity", "None")))
    return [*pairs, *_conditions(status)]


def _endpoints(session: Session, one: Json) -> list[str]:
    """The Pods behind it that are ready."""
    wanted = one["spec"].get("selector")
    if not wanted:
        return []
    labels = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
    pods = session.request(
        "GET", session.resource("pods").path(one["metadata"]["namespace"]) + query(labelSelector=labels)
    )["items"]
    return [
        pod["metadata"]["name"]
        for pod in pods
        if any(
            found["type"] == "Ready" and found["status"] == "True"
            for found in (pod.get("status") or {}).get("conditions") or ()
        )
    ]


def _config_map(session: Session, one: Json) -> Pairs:
    lines = [""]
    for name, value in sorted((one.get("data") or {}).items()):
        lines += [f"{name}:", "----", *str(value).rstrip("\n").split("\n"), ""]
    pairs: Pairs = [("Data", lines if len(lines) > 1 else NONE)]
    if one.get("binaryData"):
        pairs.append(
            (
                "BinaryData",
                ["", *(f"{name}: {len(value) * 3 // 4} bytes" for name, value in sorted(one["binaryData"].items()))],
            )
        )
    return pairs


def _secret(session: Session, one: Json) -> Pairs:
    sizes = []
    for name, value in sorted((one.get("data") or {}).items()):
        sizes.append(f"{name}:  {len(value.rstrip('=')) * 3 // 4} bytes")
    return [("Type", one.get("type", "Opaque")), ("Data", ["", *sizes] if sizes else NONE)]


_KINDS: dict[str, Callable[[Session, Json], Pairs]] = {
    "Pod": _pod, "Deployment": _deployment, "ReplicaSet": _replicas, "StatefulSet": _replicas, "DaemonSet": _replicas,
    "Job": _job, "Service": _service,
    "ConfigMap": _config_map, "Secret": _secret,
}  # fmt: skip


# -- all others


def _title(wire: str) -> str:
    """minReplicas -> Min Replicas"""
    import re

    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", wire)
    return words[:1].upper() + words[1:]


def _generic(value: Any, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, dict):
        width = (
            max((len(_title(name)) for name, one in value.items() if not isinstance(one, (dict, list))), default=0) + 1
        )
        for name, one in sorted(value.items()):
            if isinstance(one, (dict, list)) and one:
                lines += [f"{indent}{_title(name)}:", *_generic(one, indent + "  ")]
            else:
                lines.append(f"{indent}{_title(name) + ':':{width}}  {one if one not in ({}, []) else NONE}")
    elif isinstance(value, list):
        for one in value:
            lines += _generic(one, indent) if isinstance(one, (dict, list)) else [f"{indent}{one}"]
    return lines
