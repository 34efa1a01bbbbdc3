"""Are the files in a running Pod's volumes as the ConfigMaps, Secrets and labels that they are made of say now?

When one of these changes, the Pod's node is told to write them anew, until it says that it has. A container's own variables, and files that
are mounted by subPath, stay as they were when it began: so it is in Kubernetes. Tokens of its ServiceAccount
are made anew when four fifths of their life are over.
"""

import hashlib

from corral.engine import podfiles
from corral.engine.context import Context, Told
from corral.engine.effects import Effects
from corral.engine.kubereaders import has_any, has_files, sources_of
from corral.model.job import Job
from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import ContainerStatus, Pod
from corral.protocol.orders import WriteFiles
from corral.protocol.reports import FilesWritten
from corral.services import accounts

#: The order is sent again after so many seconds without an answer.
AGAIN_SECONDS = 10.0


def digest_of(ctx: Context, pod: Pod, now: float) -> str:
    """Of what its files are made of; of tokens, which one it is."""
    found = hashlib.sha256()
    for key in sources_of(pod):
        one = ctx.state.objects.get(key)
        found.update(f"{key}:{one.metadata.uid}:{one.metadata.generation}\n".encode() if one is not None else b"-\n")
    for token in accounts.tokens_of(pod):
        found.update(f"{int(_age(pod, now) // accounts.renewed_every(token))}\n".encode())
    for table in (pod.metadata.labels, pod.metadata.annotations):
        found.update(repr(sorted(table.items())).encode(errors="surrogatepass"))
    return found.hexdigest()[:16]


def _age(pod: Pod, now: float) -> float:
    return max(0.0, now - pod.status.start_time)


def _renewal(pod: Pod, now: float) -> float:
    """When the next of its tokens is made anew; 0.0 = it has none."""
    every = [accounts.renewed_every(token) for token in accounts.tokens_of(pod)]
    ages = [(_age(pod, now) // seconds + 1) * seconds for seconds in every]
    return pod.status.start_time + min(ages) if ages else 0.0


def launched(ctx: Context, pod: Pod, now: float) -> None:
    """A container of it begins, with its files as they are now."""
    if has_any(pod) and pod.key not in ctx.pod_files:
        ctx.pod_files[pod.key] = Told(digest_of(ctx, pod, now))


def refresh(ctx: Context, pod: Pod, job: Job, now: float, out: Effects) -> float:
    """When it is to be looked at again; 0.0 = when something changes."""
    if not has_any(pod) or not any(one.step >= 0 for one in _statuses(pod)):
        return 0.0
    told = ctx.pod_files.get(pod.key)
    if told is None:  # this controller is new: nobody knows what was told
        told = ctx.pod_files[pod.key] = Told("")
    digest = digest_of(ctx, pod, now)
    if told.written == digest:
        return _renewal(pod, now)
    if told.asked == digest and now < told.due:
        return told.due
    volumes = tuple(
        podfiles.volume_of(ctx, pod, one)
        for one in pod.spec.volumes
        if has_files(one) and not podfiles.missing_volume(ctx, pod, one)
    )
    if not volumes:
        told.written = digest
        return _renewal(pod, now)
    told.asked, told.due = digest, now + AGAIN_SECONDS
    order = WriteFiles(
        term=ctx.term, node=pod.status.node, job=job.id, restart=job.restarts, digest=digest, volumes=volumes
    )
    ctx.send(pod.status.node, order, out)
    return told.due


def _statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def on_written(ctx: Context, report: FilesWritten) -> None:
    key: ObjectKey | None = ctx.state.objects.pod_of_job.get(report.job)
    told = ctx.pod_files.get(key) if key is not None else None
    if told is not None and told.asked == report.digest and not report.problem:
        told.written = report.digest
