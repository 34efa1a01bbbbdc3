"""What is a Pipeline: steps that need one another, with parameters and artifacts? And what is one run of it? Corral's own kinds."""

from typing import Any

from corral.model.kube.meta import KubeObject, Schema


class PipelineParameter(Schema, frozen=True, kw_only=True):
    name: str
    value: str = ""


class PipelineStep(Schema, frozen=True, kw_only=True):
    """Exactly one of `script` (a batch script, with sbatch's options) and `apply` (a manifest)."""

    name: str
    needs: tuple[str, ...] = ()
    script: str = ""
    options: tuple[str, ...] = ()  #: sbatch's
    #: what `corral apply` has read out of the options and the script's #SBATCH lines: {"spec": a JobSpec, "environment": {...}}
    job: dict[str, Any] | None = None
    apply: dict[str, Any] | None = None  #: done when it is rolled out
    retries: int = 0
    timeout_seconds: int | None = None


class PipelineSpec(Schema, frozen=True, kw_only=True):
    parameters: tuple[PipelineParameter, ...] = ()
    artifacts: str = ""  #: a directory on the shared file system; each run has one below it
    steps: tuple[PipelineStep, ...] = ()
    schedule: str = ""
    time_zone: str = ""
    suspend: bool = False
    history_limit: int = 10


class StepStatus(Schema, frozen=True, kw_only=True):
    name: str
    phase: str = "Pending"  #: Pending, Running, Succeeded, Failed, Skipped
    job: int = 0
    attempts: int = 0
    message: str = ""
    started_at: float = 0.0  #: the present attempt
    finished_at: float = 0.0


class PipelineStatus(Schema, frozen=True, kw_only=True):
    """Of its newest run; older ones are their own objects."""

    phase: str = "Pending"
    run: int = 0  #: the highest number given so far
    steps: tuple[StepStatus, ...] = ()
    start_time: float = 0.0
    completion_time: float = 0.0
    last_schedule_time: float = 0.0


class Pipeline(KubeObject, frozen=True, kw_only=True):
    spec: PipelineSpec = PipelineSpec()
    status: PipelineStatus = PipelineStatus()


class PipelineRunSpec(Schema, frozen=True, kw_only=True):
    """Who makes one names the Pipeline and the parameters that differ; steps and artifacts are as they are when it begins."""

    pipeline: str
    parameters: tuple[PipelineParameter, ...] = ()
    steps: tuple[PipelineStep, ...] = ()
    artifacts: str = ""


class PipelineRunStatus(Schema, frozen=True, kw_only=True):
    phase: str = "Pending"  #: Pending, Running, Succeeded, Failed
    message: str = ""
    steps: tuple[StepStatus, ...] = ()
    start_time: float = 0.0
    completion_time: float = 0.0


class PipelineRun(KubeObject, frozen=True, kw_only=True):
    spec: PipelineRunSpec
    status: PipelineRunStatus = PipelineRunStatus()

    @property
    def has_ended(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")
