"""Which rule is for which kind?"""

from collections.abc import Callable
from typing import Any

from corral.services import batchjob, budgets, cronjob, deployment, pipeline, replicaset, statefulset, storage
from corral.services.changes import Change
from corral.services.view import View

#: A rule: the object, the others, the time in seconds since the epoch.
Rule = Callable[[Any, View, float], list[Change]]

RULES: dict[str, Rule] = {
    "CronJob": cronjob.reconcile,
    "Deployment": deployment.reconcile,
    "Job": batchjob.reconcile,
    "PersistentVolume": storage.reconcile_volume,
    "PersistentVolumeClaim": storage.reconcile_claim,
    "Pipeline": pipeline.reconcile,
    "PodDisruptionBudget": budgets.reconcile,
    "ReplicaSet": replicaset.reconcile,
    "StatefulSet": statefulset.reconcile,
}
