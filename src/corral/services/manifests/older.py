"""How does a manifest of an older version read in the present one? HorizontalPodAutoscaler of autoscaling/v1."""

from typing import Any

_TARGET = "targetCPUUtilizationPercentage"


def present(document: dict[str, Any]) -> dict[str, Any]:
    """As it is, if it is of the present version."""
    if (document.get("apiVersion"), document.get("kind")) != ("autoscaling/v1", "HorizontalPodAutoscaler"):
        return document
    spec = document.get("spec")
    if not isinstance(spec, dict) or spec.get(_TARGET) is None:
        return document | {"apiVersion": "autoscaling/v2"}
    target = {"type": "Utilization", "averageUtilization": spec[_TARGET]}
    rest = {wire: value for wire, value in spec.items() if wire != _TARGET}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return document | {"apiVersion": "autoscaling/v2", "spec": rest | {"metrics": metrics}}
