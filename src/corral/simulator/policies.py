"""Under which policy is simulated: a built-in name, or the [scheduling] and [priority] of a corral.toml?"""

from pathlib import Path

import msgspec

from corral.config import cluster
from corral.model.cluster import ClusterConfig, Scheduling

#: Limits in traces are seconds, so none is rounded up to whole minutes.
PLAIN = Scheduling(time_limit_step=1)

BUILT_IN = {
    "fcfs": msgspec.structs.replace(PLAIN, backfill=False),
    "easy": msgspec.structs.replace(PLAIN, backfill="easy"),
    "conservative": msgspec.structs.replace(PLAIN, backfill="conservative"),
    "default": PLAIN,
    "pack": msgspec.structs.replace(PLAIN, placement="pack"),
    "spread": msgspec.structs.replace(PLAIN, placement="spread"),
}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    config: ClusterConfig


def policy_of(text: str) -> Policy:
    """A built-in one, else a file."""
    if text in BUILT_IN:
        return Policy(name=text, config=ClusterConfig(scheduling=BUILT_IN[text]))
    path = Path(text)
    return Policy(name=path.stem, config=cluster.load(path))
