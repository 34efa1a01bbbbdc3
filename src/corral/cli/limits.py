"""Which resource limits go with a job: Slurm propagates all of the submitting shell's."""

from __future__ import annotations

#: In Slurm's order.
KNOWN = ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS")


def current(which: str = "ALL") -> dict[str, list[int]]:
    """Soft and hard limit of this process; -1 = infinity. `which`: ALL, NONE or names with commas."""
    if which == "NONE":
        return {}
    import resource

    names = KNOWN if "ALL" in which.split(",") else which.split(",")
    return {name: list(resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))) for name in names if name in KNOWN}
