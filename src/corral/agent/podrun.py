"""What is particular to a step that is a run of a Pod's container: its log, its environment, its command?

What a container says lies in PODS/NODE/NAMESPACE_NAME_UID/CONTAINER/NUMBER.log, a file for each run, as the kubelet has it.
"""

import os
import pwd
import re
import socket

from corral.agent.addressfile import path_in, translated
from corral.agent.netrecord import Net, net_of
from corral.agent.servicevariables import api_variables, service_variables
from corral.agent.tasks import TaskPlan
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import HOST_IP, POD_IP, PodRun
from corral.syntax.rawbytes import restored

#: Of what it has said at last, so much is told when it has ended (Kubernetes' FallbackToLogsOnError).
_LAST_BYTES, _LAST_LINES = 2048, 80
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")


def directory_of(pods: str, node: str, namespace: str, name: str, uid: str) -> str:
    return f"{pods}/{node}/{namespace}_{name}_{uid}"


def log_path(run: PodRun, node: str, pods: str) -> str:
    return f"{directory_of(pods, node, run.namespace, run.name, run.uid)}/{run.container}/{run.number}.log"


def last_words(path: str) -> str:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            data = file.read()
    except OSError:
        return ""
    lines = data.decode(errors="replace").splitlines()
    if size > _LAST_BYTES and len(lines) > 1:
        lines = lines[1:]  # not all of it is there
    return "\n".join(lines[-_LAST_LINES:])


def ip_of(host: str) -> str:
    """The node's address as a number: of the interface by which it reaches others, where the engine knows a name."""
    if host.replace(".", "").isdigit() or ":" in host:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # nothing is sent
            return str(sock.getsockname()[0])
        except OSError:
            return host


def network_of(order: LaunchStep, boxes: str) -> tuple[int, int]:
    """Descriptors of its Pod's network namespace, and of the user namespace that this belongs to; -1 = there is none. Raises OSError."""
    net = net_of(boxes, order.node, order.key.job, order.key.restart)
    if net is None:
        return -1, -1
    flags = os.O_RDONLY | os.O_CLOEXEC
    return os.open(net.path, flags), os.open(net.users, flags) if net.users else -1


def close(network: tuple[int, int]) -> None:
    for fd in network:
        if fd >= 0:
            os.close(fd)


def environment(order: LaunchStep, given: dict[str, str], *, has_network: bool, address: str) -> dict[str, str]:
    """The variables of its Pod, over those that every step has."""
    run = order.pod
    assert run is not None
    result = {} if order.spec.container is not None else _of_account(order)
    result |= given
    if run.tty:
        result.setdefault("TERM", "xterm")
    for index, port in enumerate(run.ports):
        number = str(port.port if has_network else port.host_port)
        if not index:
            result["PORT"] = number
        if port.name:
            result[f"CORRAL_PORT_{port.name.upper().replace('-', '_')}"] = number
    for one in run.variables:
        value = restored(one.value)
        if one.is_literal:
            result[one.name] = value.replace(POD_IP, address).replace(HOST_IP, ip_of(run.host_ip))
        else:
            result[one.name] = expanded(value, result)
    return result


def _of_account(order: LaunchStep) -> dict[str, str]:
    """What a program without an image finds: the node's PATH, its user's home."""
    owner = order.job.owner
    try:
        home, shell = pwd.getpwuid(owner.uid)[5:7]
    except KeyError:
        home, shell = "/", "/bin/sh"
    path = os.environ.get("PATH") or _SYSTEM_PATH
    return {"PATH": path, "HOME": home, "SHELL": shell or "/bin/sh", "USER": owner.user, "LOGNAME": owner.user}


def expanded(text: str, variables: dict[str, str]) -> str:
    """$(NAME) is the variable's value, if there is such a one; $$(NAME) is $(NAME)."""

    def value(found: re.Match[str]) -> str:
        word = found[1]
        return "$" if word == "$" else variables.get(word[1:-1], found[0])

    return _REFERENCE.sub(value, text)


def _services(order: LaunchStep, net: Net | None, boxes: str) -> dict[str, str]:
    """Which services there are; of a gateway that cannot be reached from its network, nothing is said."""
    assert order.pod is not None
    host = order.pod.gateway_host if net is not None else ""
    if host and net is not None and not net.address:
        return {}
    known = translated(path_in(os.path.dirname(boxes))) if order.services else frozenset()
    return service_variables(order.services, of_pod=True, host=host, translated=known)


def complete(plan: TaskPlan, order: LaunchStep, network: tuple[int, int], boxes: str) -> None:
    """With its Pod's variables, also in its command, and in its Pod's network."""
    plan.network = network
    assert order.pod is not None
    net = net_of(boxes, order.node, order.key.job, order.key.restart)
    address = net.address if net is not None and net.address else ip_of(order.pod.host_ip)
    if order.api is not None:
        plan.environment |= api_variables(order.api.url, own_network=network[0] >= 0)
    plan.environment |= _services(order, net, boxes)
    plan.environment = environment(order, plan.environment, has_network=network[0] >= 0, address=address)
    plan.argv = [expanded(word, plan.environment) for word in plan.argv]
