"""What happens to a request before the engine sees it: scripts and environments go to the store, limits hold."""

import msgspec

from corral.controller.people import with_members
from corral.model.cluster import Limits
from corral.model.container import Container, Mount
from corral.model.job import JobSpec, StdioSpec, StepSpec
from corral.protocol.blobs import environment_digest, script_digest
from corral.protocol.replies import Rejected
from corral.protocol.requests import (
    AnyRequest,
    CancelJobs,
    ChangeAccounts,
    ClearTriggers,
    CompleteJob,
    CreateHetStep,
    CreatePartition,
    CreateReservation,
    CreateStep,
    DeleteNodes,
    DeletePartition,
    DeleteReservation,
    HetPart,
    HoldJobs,
    NewClusterNodes,
    NewJob,
    NotifyJob,
    RebootNodes,
    Reconfigure,
    ReleaseJobs,
    ReportLoad,
    RequeueJobs,
    ResumeJobs,
    SetTrigger,
    SignalStep,
    SubmitJobs,
    SuspendJobs,
    TopJobs,
    UpdateJob,
    UpdateNodes,
    UpdatePartition,
    UpdateReservation,
    UpdateStep,
)  # fmt: skip

#: More jobs than this in one request would hold up everyone else.
MAX_JOBS = 100_000


class SentStdio(StdioSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """StdioSpec as it is decoded: a field that there is not is a mistake. In the record it may be of another version."""


class SentMount(Mount, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Mount, likewise."""


class SentContainer(Container, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Container, likewise."""

    mounts: tuple[SentMount, ...] = ()


class SentStepSpec(StepSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """StepSpec, likewise."""

    stdio: SentStdio = SentStdio()
    container: SentContainer | None = None


class SentSpec(JobSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """JobSpec, likewise."""

    stdio: SentStdio = SentStdio()
    container: SentContainer | None = None
    step: SentStepSpec | None = None


class SentStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="CreateStep"):
    """CreateStep as it is decoded."""

    job: str
    spec: SentStepSpec
    environment: dict[str, str] = {}


class SentHetPart(HetPart, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """HetPart, likewise."""

    spec: SentStepSpec


class SentHetStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="CreateHetStep"):
    """CreateHetStep as it is decoded."""

    job: str
    parts: tuple[SentHetPart, ...]
    environment: dict[str, str] = {}


OtherRequest = (
    CancelJobs | HoldJobs | ReleaseJobs | RequeueJobs | SuspendJobs | ResumeJobs | UpdateJob | UpdateNodes | UpdatePartition
    | CreatePartition | DeletePartition | RebootNodes | DeleteNodes
    | CreateReservation | UpdateReservation | DeleteReservation
    | SentStep | SentHetStep | SignalStep | CompleteJob | Reconfigure | NewClusterNodes
    | SetTrigger | ClearTriggers | TopJobs | NotifyJob | UpdateStep
    | ChangeAccounts | ReportLoad
)  # fmt: skip


class SentJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """NewJob as it is decoded: the environment stays text until it is known to differ from the one before.

    Ten thousand jobs sent at once mostly have one environment; as dicts they would take 100 MB.
    """

    spec: SentSpec
    script: str = ""
    environment: msgspec.Raw = msgspec.Raw(b"{}")


class SentJobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="SubmitJobs"):
    """SubmitJobs as it is decoded."""

    jobs: tuple[SentJob, ...]
    user: str = ""
    group: str = ""
    crontab: str | None = None
    test_only: bool = False
    het: bool = False


AnySent = SentJobs | OtherRequest

_decoder = msgspec.json.Decoder(AnySent)
_environment = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.msgpack.Encoder().encode


def decode(body: bytes) -> AnySent:
    """From the API's JSON. Raises msgspec.ValidationError naming the field."""
    message: AnySent = _decoder.decode(body)
    return message


class Prepared(msgspec.Struct):
    """The request as the engine gets it, and what goes to the store beside its records."""

    message: AnyRequest
    blobs: dict[str, bytes] = {}


def prepare(message: AnySent, limits: Limits) -> Prepared | Rejected:
    match message:
        case SentJobs():
            return _Texts(limits).submit(message)
        case SentStep():
            return _Texts(limits).step(message)
        case SentHetStep():
            return _Texts(limits).het_step(message)
        case CreateReservation() | UpdateReservation():
            known = with_members(message)
            return known if isinstance(known, Rejected) else Prepared(known)
        case _:
            return Prepared(message)


class _Texts:
    """The texts of one request: equal ones are one, and a digest alone may stand for one that came before it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.blobs: dict[str, bytes] = {}
        self.last_script = ("", "")
        self.last_environment = (b"{}", "")

    def submit(self, message: SentJobs) -> Prepared | Rejected:
        if not message.jobs and message.crontab is None:
            return Rejected(error="jobs: at least one job is needed")
        if len(message.jobs) > MAX_JOBS:
            return Rejected(error=f"jobs: {len(message.jobs)} are too many for one request (at most {MAX_JOBS})")
        jobs = []
        for index, job in enumerate(message.jobs):
            prepared = self.job(job)
            if isinstance(prepared, str):
                return Rejected(error=prepared, index=index)
            jobs.append(prepared)
        request = SubmitJobs(
            jobs=tuple(jobs),
            user=message.user,
            group=message.group,
            crontab=message.crontab,
            test_only=message.test_only,
            het=message.het,
        )
        return Prepared(request, self.blobs)

    def step(self, message: SentStep) -> Prepared | Rejected:
        digest = self.keep_environment(message.environment) if message.environment else ""
        if digest is None:
            return Rejected(error=self.too_large("environment", self.limits.max_environment_bytes))
        spec = msgspec.structs.replace(message.spec, environment_digest=digest)
        return Prepared(CreateStep(job=message.job, spec=spec), self.blobs)

    def het_step(self, message: SentHetStep) -> Prepared | Rejected:
        digest = self.keep_environment(message.environment) if message.environment else ""
        if digest is None:
            return Rejected(error=self.too_large("environment", self.limits.max_environment_bytes))
        parts = tuple(
            HetPart(group=part.group, spec=msgspec.structs.replace(part.spec, environment_digest=digest))
            for part in message.parts
        )
        return Prepared(CreateHetStep(job=message.job, parts=parts), self.blobs)

    def job(self, job: SentJob) -> NewJob | str:
        """The job with digests in its spec; or what is wrong with it."""
        spec = job.spec
        script = self.script(job.script, spec.script_digest)
        if script is None:
            return self.too_large("script", self.limits.max_script_bytes)
        environment = self.environment(job.environment, spec.environment_digest)
        if environment is None:
            return self.too_large("environment", self.limits.max_environment_bytes)
        if (script and script not in self.blobs) or (environment and environment not in self.blobs):
            return "script_digest, environment_digest: only what was sent before in the same request can be named"
        changes: dict[str, object] = {}
        if spec.script_digest != script:
            changes["script_digest"] = script
        if spec.environment_digest != environment:
            changes["environment_digest"] = environment
        if spec.step is not None and spec.step.environment_digest != environment:
            changes["step"] = msgspec.structs.replace(spec.step, environment_digest=environment)
        new: JobSpec = msgspec.structs.replace(spec, **changes) if changes else spec
        return NewJob(spec=new, script=self.last_script[0] if script == self.last_script[1] else job.script)

    def script(self, script: str, digest: str) -> str | None:
        if not script:
            return digest
        if script != self.last_script[0]:
            data = script.encode("utf-8", "surrogatepass")
            if len(data) > self.limits.max_script_bytes:
                return None
            self.last_script = (script, script_digest(script))
            self.blobs[self.last_script[1]] = data
        return self.last_script[1]

    def environment(self, sent: msgspec.Raw, digest: str) -> str | None:
        text = bytes(sent)
        if text != self.last_environment[0]:
            environment = _environment.decode(text)
            if not environment:
                return digest
            kept = self.keep_environment(environment)
            if kept is None:
                return None
            self.last_environment = (text, kept)
        elif text == b"{}":
            return digest
        return self.last_environment[1]

    def keep_environment(self, environment: dict[str, str]) -> str | None:
        data = _encode(environment)
        if len(data) > self.limits.max_environment_bytes:
            return None
        digest = environment_digest(environment)
        self.blobs[digest] = data
        return digest

    @staticmethod
    def too_large(what: str, limit: int) -> str:
        return f"{what}: larger than {limit} bytes"
