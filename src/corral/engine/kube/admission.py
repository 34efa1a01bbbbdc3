"""May this object be made here? Its namespace must be there and stay, and have room for it in its quotas."""

from collections.abc import Iterable

from corral.engine.context import Context
from corral.model.kube.config import LimitRange, Namespace, PriorityClass, ResourceQuota
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import KINDS, AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.rbac import ServiceAccount
from corral.model.kube.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from corral.protocol.replies import Rejected
from corral.protocol.requests import Caller
from corral.services import accounts, limitranges, quotas, rights, storage

#: Always there.
DEFAULT = "default"


class Together:
    """Objects that are put together count together: with those that come before each."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._more: dict[str, dict[str, int]] = {}  #: namespace -> billionths
        self._namespaces: set[str] = set()
        self._accounts: dict[ObjectKey, ServiceAccount] = {}

    def get(self, key: ObjectKey) -> AnyObject | None:
        """As it will be."""
        return self._accounts.get(key) or self._ctx.state.objects.get(key)

    def right(self, one: AnyObject, caller: Caller) -> Rejected | None:
        """A quota is set by an operator, or by whose namespace it is; the default namespace is nobody's."""
        if isinstance(one, Namespace) and one.metadata.name == DEFAULT and not caller.is_operator:
            return Rejected(error="only an operator changes the default namespace", code="denied")
        is_place = isinstance(one, StorageClass | PersistentVolume) and not caller.is_operator
        if is_place and (isinstance(one, StorageClass) or self._ctx.state.objects.get(one.key) is None):
            return Rejected(error="only an operator says where volumes are", code="denied")
        if isinstance(one, PriorityClass) and one.global_default:
            return self._second_default(one)
        if (
            not isinstance(one, ResourceQuota | LimitRange)
            or caller.is_operator
            or one.metadata.namespace in self._namespaces
        ):
            return None
        home = self._ctx.state.objects.get(ObjectKey("Namespace", "", one.metadata.namespace))
        if home is None or (home.creator is not None and home.creator.uid == caller.uid):
            return None
        why = "only an operator, or whose namespace it is, says how much may be in it"
        return Rejected(error=why, code="denied")

    def _second_default(self, one: PriorityClass) -> Rejected | None:
        for other in self._ctx.state.objects.of_kind("PriorityClass"):
            if isinstance(other, PriorityClass) and other.global_default and other.key != one.key:
                name = other.metadata.name
                why = f"PriorityClass {name} is already marked as default. Only one default can exist"
                return Rejected(error=why, code="denied")
        return None

    def refusal(self, one: AnyObject, old: AnyObject | None, uid: int) -> Rejected | None:
        """None: it counts from now on. `uid`: whose a new one is."""
        key = one.key
        if old is None and KINDS[key.kind].namespaced and (refused := self._namespace(key)) is not None:
            return refused
        if isinstance(one, Namespace):
            self._namespaces.add(key.name)
        if isinstance(one, Pod) and old is None and (why := self._account_problem(one, uid)):
            return Rejected(error=why, code="denied")
        if why := storage.growth_refusal(one, old, self._ctx.state.objects):
            return Rejected(error=why, code="denied")
        ranges = self._ranges(one)
        if (
            ranges
            and (old is None or isinstance(one, PersistentVolumeClaim))
            and (why := limitranges.refusal(one, ranges))
        ):
            return Rejected(error=why, code="denied")
        return self._quota(one, old)

    def filled(self, one: AnyObject, old: AnyObject | None) -> AnyObject:
        """A new Pod: with what the LimitRanges of its namespace add to it, and with the token of its account."""
        if isinstance(one, ServiceAccount):
            self._accounts[one.key] = one
        if old is not None or not isinstance(one, Pod):
            return one
        if self._ctx.config.api.listen and accounts.mounts_token(self, one):
            one = accounts.with_token(one)
        return limitranges.defaulted(one, self._ranges(one))

    def _account_problem(self, pod: Pod, uid: int) -> str:
        namespace, name = pod.metadata.namespace, accounts.account_of(pod)
        if ObjectKey("ServiceAccount", namespace, name) in self._accounts or not pod.spec.service_account_name:
            return ""
        always = self._ctx.config.kubernetes.authorization == "rbac"
        closed = rights.is_closed(self._ctx.state.objects, namespace, always=always)
        return accounts.lookup_problem(self, namespace, name, uid, closed=closed)

    def _ranges(self, one: AnyObject) -> list[LimitRange]:
        if not isinstance(one, Pod | PersistentVolumeClaim):
            return []
        found = self._ctx.state.objects.of_kind("LimitRange", one.metadata.namespace)
        return [each for each in found if isinstance(each, LimitRange)]

    def _namespace(self, key: ObjectKey) -> Rejected | None:
        found = self._ctx.state.objects.get(ObjectKey("Namespace", "", key.namespace))
        if found is None and key.namespace not in self._namespaces:
            return Rejected(error=f'namespaces "{key.namespace}" not found', code="no_namespace")
        if found is not None and found.metadata.deletion_timestamp:
            why = f"unable to create new content in namespace {key.namespace} because it is being terminated"
            return Rejected(error=why, code="denied")
        return None

    def _quota(self, one: AnyObject, old: AnyObject | None) -> Rejected | None:
        usage = self._ctx.state.objects.usage
        namespace = one.metadata.namespace
        used = usage.used.get(namespace)
        if used is None:
            return None
        more = self._more.setdefault(namespace, {})
        found = [self._ctx.state.objects.get(key) for key in sorted(usage.quotas[namespace])]
        known = [quota for quota in found if isinstance(quota, ResourceQuota)]
        if why := quotas.refusal(one, old, known, _Sum(used, more)):
            return Rejected(error=why, code="denied")
        before = quotas.amounts_of(old) if old is not None else {}
        for name, amount in quotas.amounts_of(one).items():
            more[name] = more.get(name, 0) + amount - before.get(name, 0)
        return None


class _Sum:
    def __init__(self, *parts: dict[str, int]) -> None:
        self._parts = parts

    def get(self, name: str, default: int = 0) -> int:
        return sum(part.get(name, 0) for part in self._parts) or default


def undeletable(ctx: Context, one: AnyObject, caller: Caller) -> Rejected | None:
    """The default namespace, and one with others' objects in it."""
    if not isinstance(one, Namespace):
        return None
    if one.metadata.name == DEFAULT:
        return Rejected(error="this namespace may not be deleted", code="denied")
    if not caller.is_operator:
        others = _others(ctx.state.objects.in_namespace(one.metadata.name), caller.uid)
        if others:
            return Rejected(error=f"others have objects in it: {', '.join(others)}", code="denied")
    return None


def _others(objects: Iterable[AnyObject], uid: int) -> list[str]:
    found = {one.creator.user or str(one.creator.uid) for one in objects if one.creator and one.creator.uid != uid}
    return sorted(found)[:5]
