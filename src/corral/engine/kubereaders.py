"""Whose volumes have files of this ConfigMap or Secret? Kept up to date with the objects, so that nobody searches."""

from collections.abc import Iterator
from typing import Any

from corral.model.kube.config import ConfigMap, Secret
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import KeyToPath, Pod, Volume


def named_by(volume: Volume) -> Iterator[tuple[str, str, tuple[KeyToPath, ...], bool]]:
    """Of its ConfigMaps and Secrets: kind, name, items, is it optional?"""
    if (one := volume.config_map) is not None:
        yield "ConfigMap", one.name, one.items, one.optional
    if (other := volume.secret) is not None:
        yield "Secret", other.secret_name, other.items, other.optional
    for source in volume.projected.sources if volume.projected is not None else ():
        if (part := source.config_map) is not None:
            yield "ConfigMap", part.name, part.items, part.optional
        if (hidden := source.secret) is not None:
            yield "Secret", hidden.name, hidden.items, hidden.optional


def has_files(volume: Volume) -> bool:
    """Are its files the cluster's to write?"""
    return any(one is not None for one in (volume.config_map, volume.secret, volume.downward_api, volume.projected))


def sources_of(pod: Pod) -> list[ObjectKey]:
    """ConfigMaps and Secrets of which its volumes have files."""
    return [
        ObjectKey(kind, pod.metadata.namespace, name) for one in pod.spec.volumes for kind, name, _, _ in named_by(one)
    ]


def has_any(pod: Pod) -> bool:
    return any(has_files(one) for one in pod.spec.volumes)


class Readers:
    def __init__(self) -> None:
        self.of: dict[ObjectKey, dict[ObjectKey, None]] = {}  #: ConfigMap or Secret -> Pods that have not ended

    def put(self, old: AnyObject | None, new: AnyObject | None) -> list[ObjectKey]:
        """In place of the old one; None = it is gone. The Pods that are to be looked at because of that."""
        one = new if new is not None else old
        if isinstance(one, ConfigMap | Secret):
            return list(self.of.get(one.key, ()))
        if isinstance(one, Pod) and one.spec.volumes:
            self._put_pod(old, new)
        return []

    def _put_pod(self, old: Any, new: Any) -> None:
        if old is not None and new is not None and old.has_ended == new.has_ended:
            return
        one = new if new is not None else old
        for source in sources_of(one):
            if new is not None and not new.has_ended:
                self.of.setdefault(source, {})[one.key] = None
            elif (found := self.of.get(source)) is not None:
                found.pop(one.key, None)
                if not found:
                    del self.of[source]
