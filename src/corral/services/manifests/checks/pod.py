"""Is a Pod's spec complete and without contradictions?"""

import ipaddress

from corral.model.capabilities import CAPABILITIES, plain
from corral.model.kube.pod import (
    Container,
    ContainerPort,
    HostAlias,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    SecurityContext,
)
from corral.services.manifests.checks import amounts, environment, metadata, placement, probes, volumes
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames

_PULL = ("Always", "IfNotPresent", "Never")
_MESSAGE = ("File", "FallbackToLogsOnError")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default")
_MOST_SECONDS = (1 << 31) - 1


def check_template(template: PodTemplateSpec, path: str, problems: Problems, claims: tuple[str, ...] = ()) -> None:
    metadata.labels(template.metadata.labels, f"{path}.metadata.labels", problems)
    metadata.annotations(template.metadata.annotations, f"{path}.metadata.annotations", problems)
    check(template.spec, f"{path}.spec", problems, claims)


def check(spec: PodSpec, path: str, problems: Problems, claims: tuple[str, ...] = ()) -> None:
    """`claims`: names of volumes that come from elsewhere."""
    if not spec.containers:
        problems.required(f"{path}.containers")
    parts = frozenset(one.name for one in (*spec.init_containers, *spec.containers))
    volumes.check(spec.volumes, parts, f"{path}.volumes", problems)
    names: set[str] = set()
    ports: set[tuple[str, str, int]] = set()
    for wire, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, one in enumerate(containers):
            place = f"{path}.{wire}[{index}]"
            if why := kubenames.label(one.name):
                problems.invalid(f"{place}.name", one.name, why)
            elif one.name in names:
                problems.duplicate(f"{place}.name", one.name)
            names.add(one.name)
            _check_container(one, spec, place, problems, claims)
            _check_ports(one.ports, ports, spec.host_network, f"{place}.ports", problems)
            if wire == "initContainers":
                _check_init(one, place, problems)
            elif one.restart_policy:
                problems.forbidden(f"{place}.restartPolicy", "may not be set for non-init containers")
    _check_words(spec, path, problems)
    _check_security(spec.security_context, f"{path}.securityContext", problems)
    placement.check(spec, path, problems)


def _check_words(spec: PodSpec, path: str, problems: Problems) -> None:
    if spec.termination_grace_period_seconds < 0:
        problems.invalid(
            f"{path}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds,
            "must be greater than or equal to 0",
        )  # fmt: skip
    deadline = spec.active_deadline_seconds
    if deadline is not None and not 1 <= deadline <= _MOST_SECONDS:
        problems.invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {_MOST_SECONDS}, inclusive")
    for wire, name in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if name and (why := kubenames.label(name)):
            problems.invalid(f"{path}.{wire}", name, why)
    for index, secret in enumerate(spec.image_pull_secrets):
        if why := kubenames.subdomain(secret.name):
            problems.invalid(f"{path}.imagePullSecrets[{index}].name", secret.name, why)
    for index, alias in enumerate(spec.host_aliases):
        _check_alias(alias, f"{path}.hostAliases[{index}]", problems)
    if spec.priority_class_name and (why := kubenames.subdomain(spec.priority_class_name)):
        problems.invalid(f"{path}.priorityClassName", spec.priority_class_name, why)
    if spec.service_account_name and (why := kubenames.subdomain(spec.service_account_name)):
        problems.invalid(f"{path}.serviceAccountName", spec.service_account_name, why)
    if spec.dns_policy == "None":
        problems.unsupported(
            f"{path}.dnsPolicy", "Pods resolve names as their node does, and services' names beside (ClusterFirst)"
        )
    elif spec.dns_policy not in _DNS:
        problems.choice(f"{path}.dnsPolicy", spec.dns_policy, _DNS)
    if spec.scheduler_name != "default-scheduler":
        problems.unsupported(f"{path}.schedulerName", "there is one scheduler: default-scheduler")


def _check_alias(one: HostAlias, path: str, problems: Problems) -> None:
    try:
        ipaddress.ip_address(one.ip)
    except ValueError:
        problems.invalid(f"{path}.ip", one.ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    for index, name in enumerate(one.hostnames):
        if why := kubenames.subdomain(name):
            problems.invalid(f"{path}.hostnames[{index}]", name, why)


def _check_container(one: Container, spec: PodSpec, path: str, problems: Problems, claims: tuple[str, ...]) -> None:
    if not one.image and not one.command:
        problems.required(f"{path}.image", "or a command, which without an image runs as a process of the node")
    if one.image != one.image.strip():
        problems.invalid(f"{path}.image", one.image, "must not have leading or trailing whitespace")
    if one.image_pull_policy and one.image_pull_policy not in _PULL:
        problems.choice(f"{path}.imagePullPolicy", one.image_pull_policy, _PULL)
    if one.termination_message_policy not in _MESSAGE:
        problems.choice(f"{path}.terminationMessagePolicy", one.termination_message_policy, _MESSAGE)
    if one.working_dir and not one.working_dir.startswith("/"):
        problems.invalid(f"{path}.workingDir", one.working_dir, "must be an absolute path")
    environment.check(one.env, one.env_from, path, problems)
    amounts.check(one.resources, f"{path}.resources", problems)
    volumes.check_mounts(one, {volume.name for volume in spec.volumes}.union(claims), path, problems)
    probes.check(one, spec.termination_grace_period_seconds, path, problems)
    _check_security(one.security_context, f"{path}.securityContext", problems)


def _check_init(one: Container, path: str, problems: Problems) -> None:
    if one.restart_policy not in ("", "Always"):
        problems.choice(f"{path}.restartPolicy", one.restart_policy, ("Always",))
    if one.restart_policy == "Always":
        return
    for wire, given in (
        ("lifecycle", one.lifecycle),
        ("startupProbe", one.startup_probe),
        ("readinessProbe", one.readiness_probe),
        ("livenessProbe", one.liveness_probe),
    ):
        if given is not None:
            problems.forbidden(f"{path}.{wire}", "may not be set for init containers without restartPolicy=Always")


def _check_ports(
    ports: tuple[ContainerPort, ...], taken: set[tuple[str, str, int]], host: bool, path: str, problems: Problems
) -> None:
    names: set[str] = set()
    for index, one in enumerate(ports):
        place = f"{path}[{index}]"
        if one.name:
            if why := kubenames.port_name(one.name):
                problems.invalid(f"{place}.name", one.name, why)
            elif one.name in names:
                problems.duplicate(f"{place}.name", one.name)
            names.add(one.name)
        if one.protocol != "TCP":
            problems.unsupported(f"{place}.protocol", "ports of containers are TCP's")
        if one.host_ip not in ("", "0.0.0.0", "::"):
            problems.unsupported(f"{place}.hostIP", "ports are reached at all addresses of their node")
        if why := kubenames.port(one.container_port):
            problems.invalid(f"{place}.containerPort", one.container_port, why)
        if one.host_port:
            if why := kubenames.port(one.host_port):
                problems.invalid(f"{place}.hostPort", one.host_port, why)
            elif host and one.host_port != one.container_port:
                problems.invalid(
                    f"{place}.hostPort", one.host_port, "must match `containerPort` when `hostNetwork` is true"
                )
            if one.host_ip not in ("", "0.0.0.0"):
                problems.unsupported(f"{place}.hostIP", "ports of Pods are reached by all addresses of their node")
            key = (one.protocol, one.host_ip, one.host_port)
            if key in taken:
                problems.duplicate(f"{place}.hostPort", f"{one.protocol}/{one.host_ip}/{one.host_port}")
            taken.add(key)


def _check_security(one: PodSecurityContext | SecurityContext | None, path: str, problems: Problems) -> None:
    if one is None:
        return
    for wire, number in (
        ("runAsUser", one.run_as_user),
        ("runAsGroup", one.run_as_group),
        ("fsGroup", getattr(one, "fs_group", None)),
    ):
        if number is not None and not 0 <= number <= _MOST_SECONDS:
            problems.invalid(f"{path}.{wire}", number, f"must be between 0 and {_MOST_SECONDS}, inclusive")
    for index, group in enumerate(getattr(one, "supplemental_groups", ())):
        if not 0 <= group <= _MOST_SECONDS:
            problems.invalid(
                f"{path}.supplementalGroups[{index}]", group, f"must be between 0 and {_MOST_SECONDS}, inclusive"
            )
    if one.seccomp_profile is not None and one.seccomp_profile.type == "Localhost":
        problems.unsupported(f"{path}.seccompProfile.type", "there are RuntimeDefault and Unconfined")
    if isinstance(one, SecurityContext) and one.capabilities is not None:
        for wire, names in (("add", one.capabilities.add), ("drop", one.capabilities.drop)):
            for index, name in enumerate(names):
                if plain(name) not in (*CAPABILITIES, "ALL"):
                    problems.invalid(
                        f"{path}.capabilities.{wire}[{index}]", name, "no capability of Linux: NET_RAW, for instance"
                    )
    if one.run_as_non_root and one.run_as_user == 0:
        problems.invalid(f"{path}.runAsUser", 0, "must not be 0 when `runAsNonRoot` is true")
