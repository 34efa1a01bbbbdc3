"""Are probes and lifecycle handlers complete?"""

import msgspec

from corral.model.kube.pod import Container, HTTPGetAction, LifecycleHandler, Probe, TCPSocketAction
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_PROBES = (
    ("startupProbe", "startup_probe"),
    ("readinessProbe", "readiness_probe"),
    ("livenessProbe", "liveness_probe"),
)
_HANDLERS = ("exec", "http_get", "tcp_socket", "grpc", "sleep")


def check(one: Container, grace: int, path: str, problems: Problems) -> None:
    for wire, name in _PROBES:
        probe: Probe | None = getattr(one, name)
        if probe is not None:
            _check_probe(probe, wire, f"{path}.{wire}", problems)
    if one.lifecycle is not None:
        for wire, handler in (("postStart", one.lifecycle.post_start), ("preStop", one.lifecycle.pre_stop)):
            if handler is not None:
                _check_handler(handler, grace, f"{path}.lifecycle.{wire}", problems)


def _check_probe(probe: Probe, wire: str, path: str, problems: Problems) -> None:
    _check_action(probe, path, problems)
    if probe.grpc is not None and (why := kubenames.port(probe.grpc.port)):
        problems.invalid(f"{path}.grpc.port", probe.grpc.port, why)
    for field, value, least in (
        ("initialDelaySeconds", probe.initial_delay_seconds, 0),
        ("timeoutSeconds", probe.timeout_seconds, 1),
        ("periodSeconds", probe.period_seconds, 1),
        ("successThreshold", probe.success_threshold, 1),
        ("failureThreshold", probe.failure_threshold, 1),
    ):
        if value < least:
            problems.invalid(f"{path}.{field}", value, f"must be greater than or equal to {least}")
    if wire != "readinessProbe" and probe.success_threshold > 1:
        problems.invalid(f"{path}.successThreshold", probe.success_threshold, "must be 1")
    grace = probe.termination_grace_period_seconds
    if grace is not None and wire == "readinessProbe":
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace < 1:
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _check_handler(handler: LifecycleHandler, grace: int, path: str, problems: Problems) -> None:
    _check_action(handler, path, problems)
    if handler.sleep is not None and not 0 <= handler.sleep.seconds <= grace:
        why = f"must be non-negative and not more than terminationGracePeriodSeconds ({grace})"
        problems.invalid(f"{path}.sleep.seconds", handler.sleep.seconds, why)


def _check_action(given: msgspec.Struct, path: str, problems: Problems) -> None:
    actions = [name for name in _HANDLERS if getattr(given, name, None) is not None]
    if not actions:
        problems.required(path, "must specify a handler type")
    elif len(actions) > 1:
        problems.forbidden(path, "may not specify more than 1 handler type")
    run = getattr(given, "exec", None)
    if run is not None and not run.command:
        problems.required(f"{path}.exec.command")
    for wire, name in (("httpGet", "http_get"), ("tcpSocket", "tcp_socket")):
        action: HTTPGetAction | TCPSocketAction | None = getattr(given, name, None)
        if action is not None:
            check_port(action.port, f"{path}.{wire}.port", problems)
            if isinstance(action, HTTPGetAction):
                _check_http(action, f"{path}.{wire}", problems)


def _check_http(action: HTTPGetAction, path: str, problems: Problems) -> None:
    if not action.path:
        problems.required(f"{path}.path")
    for index, header in enumerate(action.http_headers):
        if not header.name or any(not 33 <= ord(letter) < 127 or letter == ":" for letter in header.name):
            problems.invalid(f"{path}.httpHeaders[{index}].name", header.name, "must be the name of an HTTP header")
        if any(letter in header.value for letter in "\r\n\0"):
            problems.invalid(f"{path}.httpHeaders[{index}].value", header.value, "must be one line")


def check_port(port: int | str, path: str, problems: Problems) -> None:
    """A number, or the name of a port of the container."""
    why = kubenames.port(port) if isinstance(port, int) else kubenames.port_name(port)
    if why:
        problems.invalid(path, port, why)
