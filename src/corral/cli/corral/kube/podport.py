"""Which job, container and port are meant by a Pod's port: POD, or KIND/NAME, or a Service's own port?"""

from __future__ import annotations

from corral.cli.corral.kube.logs import pods_behind
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.corral.kube.session import Session

    Json = dict[str, Any]


def target(session: Session, what: str, ports: list[int]) -> tuple[str, str, list[int]]:
    """Job, container (they all have one network; "" = its node's), and in the order of these ports those of the Pod."""
    kind, slash, name = what.partition("/")
    resource = session.resource(kind if slash else "pods")
    name = name if slash else what
    pod = pods_behind(session, resource, name)[0]
    status = pod.get("status") or {}
    running = [one["name"] for one in status.get("containerStatuses") or () if "running" in one["state"]]
    if not running or not status.get("job"):
        phase = status.get("phase")
        raise Exit(1, f"error: unable to forward port because pod is not running. Current status={phase}")
    if resource.kind == "Service":
        service = session.request("GET", resource.path(session.namespace, name))
        ports = [_of_service(service, pod, port) for port in ports]
    return str(status["job"]), running[0] if status.get("podIP") else "", ports


def _of_service(service: Json, pod: Json, port: int) -> int:
    """Behind the Service's port."""
    for one in service["spec"].get("ports") or ():
        if one["port"] == port:
            wanted = one.get("targetPort", port)
            for container in pod["spec"]["containers"]:
                for known in container.get("ports") or ():
                    if wanted in (known.get("name"), known["containerPort"]):
                        return int(known["containerPort"])
            return int(wanted) if isinstance(wanted, int) else port
    raise Exit(1, f"error: Service {service['metadata']['name']} does not have a service port {port}")
