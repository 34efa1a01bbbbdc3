"""What keeps a job within its CPUs, memory and devices, and finds all its processes?

One small interface over the kernel's two versions. A step's group lies in its job's, and that in the agent's:
`<top>/corral-CLUSTER-AGENT-MARK/NODE.job_42.0/step_batch`. Only controllers that limit something are used: a job
that holds all of a machine costs one directory for freezing and finding.

Shepherds make and remove the groups; whoever removes the last step's group removes the job's.
"""

import os
from functools import cache
from glob import glob
from typing import Protocol

from corral.agent import cgroup_v1, cgroup_v2, cpus, gpu
from corral.agent.cgroup_files import Limits, read
from corral.agent.control import ShepherdSettings
from corral.model.allocation import NodeShare
from corral.model.step import STEP_NAMES, StepKey


class Group(Protocol):
    """The group of one step."""

    def entrances(self) -> list[tuple[str, int]]:
        """A process that writes 0 to each of these descriptors is inside; with the key in `own_files` for each."""

    def pids(self) -> list[int]: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""

    def memory_peak(self) -> int:
        """Bytes that its processes had at the most, without what is kept of files; 0 = not known."""

    def rest(self) -> bool:
        """Keep it, empty and as new, for a next step that is held to the same. False: that cannot be, remove it."""

    def serve(self, job: str, step: str, of_job: Limits, own: Limits) -> bool:
        """It has rested: from now on it is this step's. False: it does not do, and is removed."""

    def remove(self) -> None: ...


def machine_memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def limits_of(share: NodeShare, settings: ShepherdSettings, *, shares_cpus: bool = False) -> Limits:
    """What must be enforced for this share of this machine. shares_cpus: other jobs may have its CPUs, too."""
    real = None if settings.virtual or len(share.cpus) >= (os.cpu_count() or 1) else cpus.kernels(share.cpus)
    return Limits(
        cpus=real if "cpu" in settings.enforce else None,
        memory_mb=share.memory_mb
        if 0 < share.memory_mb < machine_memory_mb() and "memory" in settings.enforce
        else None,
        denied_devices=denied_devices(share, settings),
        processes=settings.isolation.max_processes or None,
        swap_percent=settings.isolation.swap_percent,
        soft_percent=settings.isolation.memory_soft_percent,
        cpu_share=len(share.cpus) if shares_cpus and "cpu" in settings.enforce and not settings.virtual else None,
    )


def denied_devices(share: NodeShare, settings: ShepherdSettings) -> tuple[str, ...]:
    """Files of the machine's devices that are not in this share; who has no GPU at all has no use for its driver's files either."""
    if settings.virtual or not settings.devices or "devices" not in settings.enforce:
        return ()
    held = {("gpu" if one.name == "shard" else one.name, index) for one in share.gres for index in one.indices}
    own: set[str] = set()
    others: list[str] = []
    first: dict[str, int] = {}
    for device in settings.devices:
        begin = first.get(device.name, 0)
        first[device.name] = begin + device.count
        for place, file in enumerate(device.files):
            files = (file, *(device.more_files[place] if place < len(device.more_files) else ()))
            if (device.name, begin + place) in held:
                own.update(files)
            else:
                others += files
    if not any(name == "gpu" for name, _ in held):
        others += gpu.control_files(settings.devices)
    return tuple(file for file in dict.fromkeys(others) if file not in own)


def version(settings: ShepherdSettings) -> int:
    """1 or 2, whichever can be used here; 0 = none."""
    return 0 if settings.cgroups == "off" else _version()


@cache
def _version() -> int:
    """This does not change while a process lives."""
    if os.geteuid() == 0 and cgroup_v1.is_usable():
        return 1
    return 2 if cgroup_v2.is_usable() else 0


def not_enforced(settings: ShepherdSettings) -> tuple[str, ...]:
    """What this machine cannot hold jobs to, in words for `corral status`."""
    which = version(settings)
    if which == 0:
        why = (
            "no cgroups"
            if os.geteuid() == 0 or settings.cgroups == "off"
            else "not root, and no control group of its own"
        )
        missing = [f"memory ({why})", f"devices ({why})"]
    else:
        controllers = cgroup_v1.controllers() if which == 1 else cgroup_v2.controllers()
        if which == 2 and cgroup_v2.keeps_devices():
            controllers.add("devices")
        missing = [name for name in ("cpuset", "memory", "devices", "freezer") if name not in controllers]
        kept = {"cpuset" if name == "cpu" else name for name in settings.enforce} | {"freezer", *missing}
        missing += [f"{name} (not configured)" for name in ("cpuset", "memory", "devices") if name not in kept]
    if settings.virtual:
        missing.insert(0, "cpuset (virtual nodes)")
    return tuple(missing)


def divide(settings: ShepherdSettings) -> None:
    """At the agent's start, before it starts anything."""
    if version(settings) == 2:
        cgroup_v2.divide()


def step_group(
    key: StepKey,
    node: str,
    job_share: NodeShare,
    step_share: NodeShare,
    settings: ShepherdSettings,
    *,
    shares_cpus: bool = False,
    cpu_millis: int = 0,
    resting: Group | None = None,
) -> Group | None:
    """Make the group of this step, with its limits; or take the one that has rested. None: there are no cgroups here."""
    which = version(settings)
    if which == 0:
        return None
    job_limits = limits_of(job_share, settings, shares_cpus=shares_cpus)
    step_limits = job_limits if step_share == job_share else limits_of(step_share, settings, shares_cpus=shares_cpus)
    # What the job is held to already needs no second limit.
    own = Limits(
        cpus=step_limits.cpus if step_limits.cpus != job_limits.cpus else None,
        memory_mb=step_limits.memory_mb if step_limits.memory_mb != job_limits.memory_mb else None,
        denied_devices=step_limits.denied_devices if step_limits.denied_devices != job_limits.denied_devices else (),
        swap_percent=job_limits.swap_percent,
        soft_percent=job_limits.soft_percent,
        cpu_millis=cpu_millis if cpu_millis and "cpu" in settings.enforce else None,
        cpu_share=step_limits.cpu_share,  # beside the job's other steps
    )
    job, step = group_names(key, node)
    if resting is not None and resting.serve(job, step, job_limits, own):
        return resting
    if which == 1:
        return cgroup_v1.GroupV1(settings.cgroup_name, job, step, job_limits, own)
    return cgroup_v2.GroupV2(settings.cgroup_name, job, step, job_limits, own)


def group_names(key: StepKey, node: str) -> tuple[str, str]:
    return f"{node}.job_{key.job}.{key.restart}", f"step_{STEP_NAMES.get(key.step, key.step)}"


def processes_of(key: StepKey, node: str, settings: ShepherdSettings) -> list[int]:
    """What is in the group of a step whose shepherd is dead."""
    which = version(settings)
    if which == 0:
        return []
    module = cgroup_v1 if which == 1 else cgroup_v2
    return module.processes(settings.cgroup_name, *group_names(key, node))


def remove_groups(key: StepKey, node: str, settings: ShepherdSettings) -> None:
    """Of a step whose shepherd is dead, when its processes are gone."""
    which = version(settings)
    if which:
        module = cgroup_v1 if which == 1 else cgroup_v2
        module.remove(settings.cgroup_name, *group_names(key, node))


def own_files(settings: ShepherdSettings) -> dict[str, str]:
    """Where this process is: the file through which it comes back, for each hierarchy."""
    which = version(settings)
    found: dict[str, str] = {}
    for line in read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if which == 1:
            found |= {name: f"{cgroup_v1.ROOT}/{name}{path.rstrip('/')}/tasks" for name in names.split(",")}
        elif which == 2 and not names:
            found["v2"] = f"{cgroup_v2.ROOT}{path.rstrip('/')}/cgroup.procs"
    return {name: path for name, path in found.items() if name in (*cgroup_v1.USED, "v2")}


def remove_resting(settings: ShepherdSettings) -> None:
    """What shepherds that were killed between two steps have left. One that lives misses its group, and makes another."""
    cgroup_v1.remove_resting(settings.cgroup_name)


def remove_base(settings: ShepherdSettings) -> None:
    """When the agent ends and no step of it runs on."""
    remove_resting(settings)
    for path in (*glob(f"{cgroup_v1.ROOT}/*/{settings.cgroup_name}"), f"{cgroup_v2.top()}/{settings.cgroup_name}"):
        try:
            os.rmdir(path)
        except OSError:
            pass  # it is not there, or somebody is in it
