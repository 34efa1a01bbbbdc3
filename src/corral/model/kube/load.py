"""What does a Pod use, and what has somebody else counted? Measurements by which replicas are scaled; none is recorded."""

import msgspec


class PodUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By resource (cpu in CPUs, memory in bytes, nvidia.com/gpu in GPUs), and by resource/container."""

    namespace: str
    pod: str
    used: dict[str, float]


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the Prometheus server to one query."""

    query: str
    value: float | None = None
    problem: str = ""  #: why there is no value
