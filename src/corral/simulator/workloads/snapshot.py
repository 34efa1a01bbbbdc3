"""What would become of a live cluster's jobs: those that wait and run in a `corral snapshot`?

How long they will run nobody knows: each for a share of its time limit (all of it, unless said otherwise), and those without a limit for a
share of a day. A running job that is past its share ends at once.
"""

from pathlib import Path

import msgspec

from corral.engine import snapshotfile
from corral.engine.snapshotfile import SnapshotFile
from corral.engine.state import ClusterState
from corral.errors import BadWorkload
from corral.model.cluster import ClusterConfig
from corral.model.job import ENDED, UNLIMITED, JobKind
from corral.model.node import Drain, DrainOwner
from corral.simulator.workloads.work import Work

#: For jobs without a limit.
A_DAY = 86400.0


class LiveCluster(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    time: float  #: of the snapshot
    config: ClusterConfig
    file: SnapshotFile
    works: dict[int, Work]  #: by job id: how long each runs from its start on

    def state(self) -> ClusterState:
        """Its tables, anew each time: a simulation changes them."""
        return self.file.state()


def read(path: Path, share: float = 1.0) -> LiveCluster:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadWorkload(
            file=path, line=1, column=1, problem=f"the file cannot be read: {error.strerror or error}"
        ) from None
    file = snapshotfile.load(data, str(path))
    # All are launched as scripts are: what an srun or salloc would run is not in a snapshot.
    specs = tuple((number, msgspec.structs.replace(spec, kind=JobKind.BATCH, step=None)) for number, spec in file.specs)
    file = msgspec.structs.replace(file, specs=specs)
    known = dict(specs)
    works: dict[int, Work] = {}
    for job in file.jobs:
        if job.state not in ENDED:
            limit = A_DAY if job.time_limit >= UNLIMITED else float(job.time_limit)
            works[job.id] = Work(
                number=job.id, submit=job.submit_time, seconds=max(1.0, limit * share), spec=known[job.spec_id],
                user=job.owner.user,
            )  # fmt: skip
    return LiveCluster(name=path.name, time=file.time, config=file.configuration, file=file, works=works)


def without(live: LiveCluster, partitions: set[str], nodes: set[str]) -> LiveCluster:
    """Only these are left: jobs that wait for others go to the default one, and other nodes take no new job."""
    default = next(part.name for part in live.config.partition if part.name in partitions)
    default = next((p.name for p in live.config.partition if p.default and p.name in partitions), default)

    def left(names: str) -> str:
        kept = ",".join(name for name in names.split(",") if name in partitions)
        return kept if kept or not names else default

    gone = Drain(owner=DrainOwner.ADMIN, reason="its partition is gone", since=live.time)
    file = msgspec.structs.replace(
        live.file,
        jobs=tuple(
            msgspec.structs.replace(job, partition=left(job.partition)) if job.is_pending else job
            for job in live.file.jobs
        ),
        specs=tuple((n, msgspec.structs.replace(spec, partition=left(spec.partition))) for n, spec in live.file.specs),
        nodes=tuple(
            node if node.name in nodes else msgspec.structs.replace(node, drains=(*node.drains, gone))
            for node in live.file.nodes
        ),
    )
    return msgspec.structs.replace(live, file=file)
