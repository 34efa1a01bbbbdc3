"""As whom does a Pod's container run? As who made the Pod; root's Pods also as others, if they say so."""

from typing import Any

from corral.errors import UsageError
from corral.model.capabilities import plain
from corral.model.kube.pod import Container, Pod


def check(pod: Pod) -> None:
    """Raises UsageError for what the creator of the Pod may not."""
    owner = pod.creator
    assert owner is not None
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        uid, gid = _asked(pod, container)
        if owner.uid != 0 and uid not in (None, owner.uid):
            raise UsageError(
                reason=f"securityContext.runAsUser {uid} of container {container.name}: its Pod is {owner.user}'s, "
                f"so it runs as {owner.user} ({owner.uid})"
            )
        if owner.uid != 0 and gid not in (None, owner.gid):
            raise UsageError(
                reason=f"securityContext.runAsGroup {gid} of container {container.name}: "
                f"it runs in {owner.user}'s group ({owner.gid})"
            )
        if wrong := _beyond(pod, container, owner.uid if uid is None else uid):
            raise UsageError(
                reason=f"securityContext.capabilities.add of container {container.name}: {', '.join(wrong)}: it runs as an "
                "ordinary user, who may be given IPC_LOCK and, with a network of its own, NET_BIND_SERVICE"
            )
        context = container.security_context
        if context is not None and context.read_only_root_filesystem and not container.image:
            raise UsageError(
                reason=f"securityContext.readOnlyRootFilesystem of container {container.name}: "
                "without an image it is a process of the node, and has no file system of its own"
            )
        if not_root(pod, container) and (uid if uid is not None else owner.uid) == 0:
            raise UsageError(
                reason=f"securityContext.runAsNonRoot of container {container.name}: its Pod is root's, so it runs as root"
            )


def _beyond(pod: Pod, container: Container, uid: int) -> list[str]:
    """Capabilities that it asks for and cannot have. Root's are root's."""
    context = container.security_context
    if uid == 0 or context is None or context.capabilities is None:
        return []
    given = {"IPC_LOCK"} if pod.spec.host_network else {"IPC_LOCK", "NET_BIND_SERVICE"}
    return [name for name in context.capabilities.add if plain(name) not in given]


def _asked(pod: Pod, container: Container) -> tuple[int | None, int | None]:
    own, of_pod = container.security_context, pod.spec.security_context
    uid = own.run_as_user if own is not None else None
    gid = own.run_as_group if own is not None else None
    if of_pod is not None:
        uid = of_pod.run_as_user if uid is None else uid
        gid = of_pod.run_as_group if gid is None else gid
    return uid, gid


def not_root(pod: Pod, container: Container) -> bool:
    own, of_pod = container.security_context, pod.spec.security_context
    if own is not None and own.run_as_non_root is not None:
        return own.run_as_non_root
    return bool(of_pod is not None and of_pod.run_as_non_root)


def run_as(pod: Pod, container: Container) -> tuple[int, int] | None:
    """None: as the creator of the Pod."""
    uid, gid = _asked(pod, container)
    owner = pod.creator
    if owner is None or (uid in (None, owner.uid) and gid in (None, owner.gid)):
        return None
    uid = owner.uid if uid is None else uid
    if gid is None:
        gid = owner.gid if uid == owner.uid else 0  # as Kubernetes: group 0 where none is said
    return uid, gid


def more_groups(pod: Pod) -> tuple[int, ...]:
    return pod.spec.security_context.supplemental_groups if pod.spec.security_context is not None else ()


def given_up(pod: Pod, container: Container) -> dict[str, Any]:
    """Fields of PodRun: what its processes do without."""
    own = container.security_context
    profile = own.seccomp_profile if own is not None else None
    if profile is None and pod.spec.security_context is not None:
        profile = pod.spec.security_context.seccomp_profile
    found: dict[str, Any] = {}
    if profile is not None and profile.type == "RuntimeDefault":
        found["filter_calls"] = True
    if own is not None and own.allow_privilege_escalation is False:
        found["no_new_privileges"] = True
    if own is not None and own.capabilities is not None:
        added = tuple(plain(name) for name in own.capabilities.add)
        found |= {"drop": tuple(plain(name) for name in own.capabilities.drop), "keep": added}
        found["locks_memory"] = "IPC_LOCK" in added or "ALL" in added
    return found


def groups(pod: Pod) -> tuple[int, ...]:
    of_pod = pod.spec.security_context
    return (of_pod.fs_group,) if of_pod is not None and of_pod.fs_group is not None else ()
