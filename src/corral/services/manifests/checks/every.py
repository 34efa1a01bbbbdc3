"""Which checks are for which kind?"""

from collections.abc import Callable
from typing import Any

from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.services.manifests.checks import (
    config,
    limits,
    metadata,
    network,
    pipeline,
    pod,
    rbac,
    scaling,
    storage,
    workload,
)
from corral.services.manifests.problems import Problems


def _pod(one: Pod, problems: Problems) -> None:
    pod.check(one.spec, "spec", problems)


_CHECKS: dict[str, Callable[[Any, Problems], None]] = {
    "Pod": _pod,
    "Deployment": workload.deployment,
    "ReplicaSet": workload.replica_set,
    "StatefulSet": workload.stateful_set,
    "DaemonSet": workload.daemon_set,
    "Job": workload.job,
    "CronJob": workload.cron_job,
    "Service": network.service,
    "Ingress": network.ingress,
    "HorizontalPodAutoscaler": scaling.check,
    "ConfigMap": config.config_map,
    "Secret": config.secret,
    "ResourceQuota": config.quota,
    "PodDisruptionBudget": config.budget,
    "PriorityClass": config.priority,
    "LimitRange": limits.check,
    "StorageClass": storage.storage_class,
    "PersistentVolume": storage.volume,
    "PersistentVolumeClaim": storage.claim,
    "ServiceAccount": rbac.account,
    "Role": rbac.role,
    "ClusterRole": rbac.role,
    "RoleBinding": rbac.binding,
    "ClusterRoleBinding": rbac.binding,
    "Pipeline": pipeline.check,
    "PipelineRun": pipeline.check_run,
}


def check(one: AnyObject, problems: Problems) -> None:
    metadata.check(one, problems)
    rule = _CHECKS.get(type(one).__name__)
    if rule is not None:
        rule(one, problems)
