"""What is a Pipeline: steps that need one another, with parameters and artifacts? Corral's own kind."""

from typing import Any

from corral.model.kube.meta import Condition, KubeObject, Schema


class PipelineParameter(Schema, frozen=True, kw_only=True):
    name: str
    value: str = ""


class PipelineStep(Schema, frozen=True, kw_only=True):
    """Exactly one of `job` (a batch script with its sbatch options) and `apply` (a manifest)."""

    name: str
    needs: tuple[str, ...] = ()
    script: str = ""
    options: tuple[str, ...] = ()  #: sbatch's
    apply: dict[str, Any] | None = None  #: a manifest; done when it is rolled out
    retries: int = 0
    timeout_seconds: int | None = None


class PipelineSpec(Schema, frozen=True, kw_only=True):
    parameters: tuple[PipelineParameter, ...] = ()
    artifacts: str = ""  #: a directory on the shared file system; each run has one below it
    steps: tuple[PipelineStep, ...] = ()
    schedule: str = ""
    suspend: bool = False
    history_limit: int = 10


class StepStatus(Schema, frozen=True, kw_only=True):
    name: str
    phase: str = "Pending"  #: Pending, Running, Succeeded, Failed, Skipped
    job: int = 0
    attempts: int = 0
    message: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0


class PipelineStatus(Schema, frozen=True, kw_only=True):
    phase: str = "Pending"
    run: int = 0
    steps: tuple[StepStatus, ...] = ()
    start_time: float = 0.0
    completion_time: float = 0.0
    last_schedule_time: float = 0.0
    conditions: tuple[Condition, ...] = ()


class Pipeline(KubeObject, frozen=True, kw_only=True):
    spec: PipelineSpec = PipelineSpec()
    status: PipelineStatus = PipelineStatus()
