"""Which autoscalers and which services are for these Pods? Kept up to date with the objects, so that nobody searches."""

from typing import Any

from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.objects import AnyObject
from corral.model.kube.scaling import HorizontalPodAutoscaler

_Label = tuple[str, str, str]  #: namespace, name, value


class Links:
    def __init__(self) -> None:
        self.autoscalers: dict[ObjectKey, dict[ObjectKey, None]] = {}  #: by what they scale
        self._services: dict[
            _Label, dict[str, dict[str, str]]
        ] = {}  #: by the first label of their selector: name -> selector

    def put(self, old: AnyObject | None, new: AnyObject | None) -> None:
        """In place of the old one, if there is one; None = it is gone."""
        if isinstance(old, HorizontalPodAutoscaler):
            _drop(self.autoscalers, _target(old), old.key)
        elif isinstance(old, Service) and old.spec.selector:
            _drop(self._services, _first(old), old.metadata.name)
        if isinstance(new, HorizontalPodAutoscaler):
            self.autoscalers.setdefault(_target(new), {})[new.key] = None
        elif isinstance(new, Service) and new.spec.selector:
            self._services.setdefault(_first(new), {})[new.metadata.name] = new.spec.selector

    def services_of(self, namespace: str, labels: dict[str, str]) -> list[str]:
        """The services that lead to Pods with these labels, by name."""
        found: list[str] = []
        for name, value in labels.items():
            for service, selector in self._services.get((namespace, name, value), {}).items():
                if selector.items() <= labels.items():
                    found.append(service)
        return sorted(found)

    def autoscalers_of(self, target: ObjectKey) -> list[ObjectKey]:
        return sorted(self.autoscalers.get(target, ()))


def _drop(index: dict[Any, dict[Any, Any]], word: object, name: object) -> None:
    found = index.get(word, {})
    found.pop(name, None)
    if not found:
        index.pop(word, None)


def _target(one: HorizontalPodAutoscaler) -> ObjectKey:
    ref = one.spec.scale_target_ref
    return ObjectKey(ref.kind, one.metadata.namespace, ref.name)


def _first(one: Service) -> _Label:
    name = min(one.spec.selector)
    return one.metadata.namespace, name, one.spec.selector[name]
