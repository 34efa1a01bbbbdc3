"""What happens to a request before the engine sees it: scripts and environments go to the store, limits hold."""

import msgspec

from corral.model.cluster import Limits
from corral.model.job import JobSpec
from corral.protocol.blobs import environment_digest, script_digest
from corral.protocol.replies import Rejected
from corral.protocol.requests import AnyRequest, CreateStep, NewJob, SubmitJobs

#: More jobs than this in one request would hold up everyone else.
MAX_JOBS = 100_000

_encode = msgspec.msgpack.Encoder().encode
_NOTHING: dict[str, str] = {}


class Prepared(msgspec.Struct):
    """The request as the engine gets it, and what goes to the store beside its records."""

    message: AnyRequest
    blobs: dict[str, bytes] = {}


def prepare(message: AnyRequest, limits: Limits) -> Prepared | Rejected:
    match message:
        case SubmitJobs():
            return _Texts(limits).submit(message)
        case CreateStep():
            return _Texts(limits).step(message)
        case _:
            return Prepared(message)


class _Texts:
    """The texts of one request: equal ones are one, and a digest alone may stand for one that came before it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.blobs: dict[str, bytes] = {}
        self.last_script = ("", "")
        self.last_environment: tuple[dict[str, str], str] = (_NOTHING, "")

    def submit(self, message: SubmitJobs) -> Prepared | Rejected:
        if not message.jobs:
            return Rejected(error="jobs: at least one job is needed")
        if len(message.jobs) > MAX_JOBS:
            return Rejected(error=f"jobs: {len(message.jobs)} are too many for one request (at most {MAX_JOBS})")
        jobs = []
        for index, job in enumerate(message.jobs):
            prepared = self.job(job)
            if isinstance(prepared, str):
                return Rejected(error=prepared, index=index)
            jobs.append(prepared)
        return Prepared(msgspec.structs.replace(message, jobs=tuple(jobs)), self.blobs)

    def step(self, message: CreateStep) -> Prepared | Rejected:
        digest = self.environment(message.environment, message.spec.environment_digest)
        if digest is None:
            return Rejected(error=self.too_large("environment", self.limits.max_environment_bytes))
        spec = msgspec.structs.replace(message.spec, environment_digest=digest)
        return Prepared(msgspec.structs.replace(message, spec=spec, environment={}), self.blobs)

    def job(self, job: NewJob) -> NewJob | str:
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
        return NewJob(spec=new, script=job.script)

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

    def environment(self, environment: dict[str, str], digest: str) -> str | None:
        if not environment:
            return digest
        if environment != self.last_environment[0]:
            data = _encode(environment)
            if len(data) > self.limits.max_environment_bytes:
                return None
            self.last_environment = (environment, environment_digest(environment))
            self.blobs[self.last_environment[1]] = data
        return self.last_environment[1]

    @staticmethod
    def too_large(what: str, limit: int) -> str:
        return f"{what}: larger than {limit} bytes"
