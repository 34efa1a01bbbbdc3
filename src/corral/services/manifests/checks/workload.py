"""Do Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs ask for what can be had?"""

from zoneinfo import ZoneInfo

from corral.errors import InvalidCron
from corral.model.kube.pod import IntOrString, PodTemplateSpec
from corral.model.kube.workload import (
    CronJob,
    DaemonSet,
    Deployment,
    DeploymentStrategy,
    Job,
    JobSpec,
    ReplicaSet,
    StatefulSet,
)
from corral.services.manifests.checks import metadata, pod, selectors, storage
from corral.services.manifests.problems import Problems
from corral.syntax import cron, kubenames

_MOST_INDEXES = 100_000
_FAILED = ("Never", "OnFailure")
_SELECTS = frozenset(("batch.kubernetes.io/controller-uid", "controller-uid"))
_HOURS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}


def deployment(one: Deployment, problems: Problems) -> None:
    spec = one.spec
    _served(spec.template, "Deployment", problems)
    selectors.check_template(spec.selector, spec.template, "Deployment", "spec", problems)
    at_least(problems, 0, {
        "spec.replicas": spec.replicas, "spec.minReadySeconds": spec.min_ready_seconds,
        "spec.revisionHistoryLimit": spec.revision_history_limit, "spec.progressDeadlineSeconds": spec.progress_deadline_seconds,
    })  # fmt: skip
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        problems.invalid(
            "spec.progressDeadlineSeconds", spec.progress_deadline_seconds, "must be greater than minReadySeconds"
        )
    _strategy(spec.strategy, problems)


def _strategy(strategy: DeploymentStrategy, problems: Problems) -> None:
    path = "spec.strategy.rollingUpdate"
    rolling = strategy.rolling_update
    if strategy.type == "Recreate" and rolling is not None:
        problems.forbidden(path, "may not be specified when strategy `type` is 'Recreate'")
    elif rolling is not None:
        amount(rolling.max_surge, f"{path}.maxSurge", problems)
        amount(rolling.max_unavailable, f"{path}.maxUnavailable", problems)
        if _share(rolling.max_unavailable) > 100:
            problems.invalid(f"{path}.maxUnavailable", rolling.max_unavailable, "must not be greater than 100%")
        if _is_none(rolling.max_surge) and _is_none(rolling.max_unavailable):
            problems.invalid(f"{path}.maxUnavailable", rolling.max_unavailable, "may not be 0 when `maxSurge` is 0")
    if strategy.type == "Canary":
        if not strategy.canary:
            problems.required("spec.strategy.canary", "must have at least one step when strategy `type` is 'Canary'")
        last = 0
        for index, step in enumerate(strategy.canary):
            place = f"spec.strategy.canary[{index}]"
            if not 1 <= step.weight <= 100:
                problems.invalid(f"{place}.weight", step.weight, "must be in the range 1-100")
            elif step.weight <= last:
                problems.invalid(f"{place}.weight", step.weight, "must be greater than that of the step before")
            last = step.weight
            at_least(problems, 0, {f"{place}.pauseSeconds": step.pause_seconds})
    elif strategy.canary:
        problems.forbidden("spec.strategy.canary", "may only be specified when strategy `type` is 'Canary'")


def replica_set(one: ReplicaSet, problems: Problems) -> None:
    _served(one.spec.template, "ReplicaSet", problems)
    selectors.check_template(one.spec.selector, one.spec.template, "ReplicaSet", "spec", problems)
    at_least(problems, 0, {"spec.replicas": one.spec.replicas, "spec.minReadySeconds": one.spec.min_ready_seconds})


def stateful_set(one: StatefulSet, problems: Problems) -> None:
    spec = one.spec
    names = tuple(one.metadata.name for one in spec.volume_claim_templates)
    _served(spec.template, "StatefulSet", problems, names)
    selectors.check_template(spec.selector, spec.template, "StatefulSet", "spec", problems)
    at_least(problems, 0, {
        "spec.replicas": spec.replicas, "spec.minReadySeconds": spec.min_ready_seconds,
        "spec.revisionHistoryLimit": spec.revision_history_limit,
        "spec.ordinals.start": spec.ordinals.start if spec.ordinals else 0,
    })  # fmt: skip
    storage.templates(spec.volume_claim_templates, "spec.volumeClaimTemplates", problems)
    if spec.service_name and (why := kubenames.subdomain(spec.service_name)):
        problems.invalid("spec.serviceName", spec.service_name, why)
    update = spec.update_strategy
    path = "spec.updateStrategy.rollingUpdate"
    if update.rolling_update is not None:
        if update.type == "OnDelete":
            problems.invalid(path, "", "only allowed for updateStrategy 'RollingUpdate'")
        at_least(problems, 0, {f"{path}.partition": update.rolling_update.partition})
        amount(update.rolling_update.max_unavailable, f"{path}.maxUnavailable", problems)
        if _is_none(update.rolling_update.max_unavailable):
            problems.invalid(f"{path}.maxUnavailable", update.rolling_update.max_unavailable, "cannot be 0")


def daemon_set(one: DaemonSet, problems: Problems) -> None:
    spec = one.spec
    _served(spec.template, "DaemonSet", problems)
    selectors.check_template(spec.selector, spec.template, "DaemonSet", "spec", problems)
    at_least(problems, 0, {
        "spec.minReadySeconds": spec.min_ready_seconds, "spec.revisionHistoryLimit": spec.revision_history_limit,
    })  # fmt: skip
    update = spec.update_strategy
    path = "spec.updateStrategy.rollingUpdate"
    rolling = update.rolling_update
    if rolling is None:
        return
    if update.type == "OnDelete":
        problems.invalid(path, "", "only allowed for updateStrategy 'RollingUpdate'")
    amount(rolling.max_surge, f"{path}.maxSurge", problems)
    amount(rolling.max_unavailable, f"{path}.maxUnavailable", problems)
    surges, misses = not _is_none(rolling.max_surge), not _is_none(rolling.max_unavailable)
    if surges and misses:
        problems.invalid(path, f"{rolling.max_surge}", "may not be set when maxUnavailable is non-zero")
    if not surges and not misses:
        problems.required(path, "cannot be 0 when maxSurge is 0")
    if surges and any(port.host_port for each in spec.template.spec.containers for port in each.ports):
        problems.forbidden(f"{path}.maxSurge", "the new Pod could not have a hostPort that the old one has")


def job(one: Job, problems: Problems) -> None:
    job_spec(one.spec, "spec", problems)


def job_spec(spec: JobSpec, path: str, problems: Problems) -> None:
    pod.check_template(spec.template, f"{path}.template", problems)
    if spec.template.spec.restart_policy not in _FAILED:
        problems.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    at_least(problems, 0, {
        f"{path}.{wire}": value
        for wire, value in (
            ("completions", spec.completions), ("parallelism", spec.parallelism), ("backoffLimit", spec.backoff_limit),
            ("activeDeadlineSeconds", spec.active_deadline_seconds), ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        )
        if value is not None
    })  # fmt: skip
    if spec.selector is not None and not _SELECTS.issuperset(spec.selector.match_labels):
        problems.invalid(f"{path}.selector", spec.selector.match_labels, "`selector` will be auto-generated")
    if spec.completion_mode == "Indexed":
        if spec.completions is None:
            problems.required(f"{path}.completions", "when completion mode is Indexed")
        elif spec.completions > _MOST_INDEXES:
            problems.invalid(
                f"{path}.completions",
                spec.completions,
                f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed",
            )
        if spec.parallelism > _MOST_INDEXES:
            problems.invalid(
                f"{path}.parallelism",
                spec.parallelism,
                f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed",
            )


def cron_job(one: CronJob, problems: Problems) -> None:
    spec = one.spec
    schedule(spec.schedule, "spec.schedule", problems)
    if spec.time_zone and not is_zone(spec.time_zone):
        problems.invalid(
            "spec.timeZone", spec.time_zone, "unknown time zone: write Europe/Berlin or Etc/UTC, for instance"
        )
    at_least(problems, 0, {
        f"spec.{wire}": value
        for wire, value in (
            ("startingDeadlineSeconds", spec.starting_deadline_seconds),
            ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
            ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
        )
        if value is not None
    })  # fmt: skip
    template = spec.job_template
    metadata.labels(template.metadata.labels, "spec.jobTemplate.metadata.labels", problems)
    metadata.annotations(template.metadata.annotations, "spec.jobTemplate.metadata.annotations", problems)
    if template.spec.selector is not None:
        problems.invalid(
            "spec.jobTemplate.spec.selector", template.spec.selector.match_labels, "`selector` will be auto-generated"
        )
    job_spec(template.spec, "spec.jobTemplate.spec", problems)


def schedule(text: str, path: str, problems: Problems) -> None:
    """As cron's five fields, or @daily and the like."""
    if not text.strip():
        problems.required(path)
    elif text.startswith(("TZ=", "CRON_TZ=")):
        problems.invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone instead")
    elif text.startswith("@every"):
        problems.unsupported(path, "write five fields: */5 * * * * is every five minutes")
    elif text.startswith("@"):
        if text not in _HOURS:
            problems.choice(path, text, sorted(_HOURS))
    else:
        try:
            cron.next_after(text.replace("?", "*"), 0.0)
        except InvalidCron as error:
            problems.invalid(path, text, error.reason)


def is_zone(name: str) -> bool:
    if name.lower() == "local":
        return False
    try:
        ZoneInfo(name)
        return True
    except (ValueError, OSError, KeyError):
        return False


def _served(template: PodTemplateSpec, kind: str, problems: Problems, claims: tuple[str, ...] = ()) -> None:
    """Pods that are to run for ever. `claims`: volumes that they get beside those of the template."""
    pod.check_template(template, "spec.template", problems, claims)
    spec = template.spec
    if spec.restart_policy != "Always":
        problems.choice("spec.template.spec.restartPolicy", spec.restart_policy, ("Always",))
    if spec.active_deadline_seconds is not None:
        problems.forbidden(
            "spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )


def at_least(problems: Problems, least: int, values: dict[str, int]) -> None:
    for path, value in values.items():
        if value < least:
            problems.invalid(path, value, f"must be greater than or equal to {least}")


def amount(value: IntOrString, path: str, problems: Problems) -> None:
    """3 or 25%"""
    if isinstance(value, int):
        at_least(problems, 0, {path: value})
    elif not kubenames.is_percent(value):
        problems.invalid(path, value, "must be an integer or percentage (e.g '5%')")


def _is_none(value: IntOrString) -> bool:
    return value == 0 or (isinstance(value, str) and kubenames.is_percent(value) and int(value[:-1]) == 0)


def _share(value: IntOrString) -> int:
    return int(value[:-1]) if isinstance(value, str) and kubenames.is_percent(value) else 0
