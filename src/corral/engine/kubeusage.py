"""How much of what quotas count is in a namespace? Kept where there is a quota, as objects come and go: nobody counts them all again."""

from collections.abc import Iterable

from corral.model.kube.config import ResourceQuota
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.services.quotas import amounts_of


class Usage:
    def __init__(self) -> None:
        self.used: dict[str, dict[str, int]] = {}  #: namespace -> what is counted -> billionths
        self.quotas: dict[str, dict[ObjectKey, None]] = {}  #: by namespace
        self.waiting: dict[str, dict[ObjectKey, None]] = {}  #: namespace -> whose new objects were refused

    def put(self, old: AnyObject | None, new: AnyObject | None, others: Iterable[AnyObject]) -> list[ObjectKey]:
        """In place of the old one; None = it is gone. Who is to be looked at: quotas, and who may go on. `others`: all in the namespace."""
        one = new if new is not None else old
        assert one is not None
        namespace = one.metadata.namespace
        if isinstance(one, ResourceQuota):
            self._put_quota(one.key, new, namespace, others)
        if namespace not in self.used:
            return list(self.waiting.pop(namespace, {}))  # the last quota is gone: nothing holds them
        if _is_same(old, new):
            return []
        used, has_less = self.used[namespace], False
        for sign, record in ((-1, old), (1, new)):
            for name, amount in (amounts_of(record) if record is not None else {}).items():
                used[name] = used.get(name, 0) + sign * amount
                has_less = has_less or (sign < 0 and amount > 0)
        touched = list(self.quotas[namespace])
        if has_less or isinstance(one, ResourceQuota):
            touched += self.waiting.pop(namespace, {})
        return touched

    def gone(self, key: ObjectKey) -> None:
        """It waits for nothing any more."""
        if (waiting := self.waiting.get(key.namespace)) is not None:
            waiting.pop(key, None)
            if not waiting:
                del self.waiting[key.namespace]

    def _put_quota(self, key: ObjectKey, new: AnyObject | None, namespace: str, others: Iterable[AnyObject]) -> None:
        quotas = self.quotas.setdefault(namespace, {})
        if new is None:
            quotas.pop(key, None)
        else:
            quotas[key] = None
        if not quotas:
            del self.quotas[namespace]
            self.used.pop(namespace, None)
        elif namespace not in self.used:
            used: dict[str, int] = {}
            for one in others:
                if one.key != key:
                    for name, amount in amounts_of(one).items():
                        used[name] = used.get(name, 0) + amount
            self.used[namespace] = used


def _is_same(old: AnyObject | None, new: AnyObject | None) -> bool:
    """Does it count as before? Most changes of Pods are of their status alone."""
    if isinstance(old, Pod) and isinstance(new, Pod):
        return old.spec is new.spec and old.has_ended == new.has_ended
    return False
