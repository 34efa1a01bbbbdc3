"""What becomes of services under faults? Deployments, StatefulSets and Jobs in the simulated cluster, checked after each turn.

Users change, scale and delete them while messages are lost and doubled, nodes vanish and come back, clocks are set, what Pods need is
deleted, quotas and budgets leave no room, and the controller dies amid rollouts. When all faults are over, everything must come to be as
it was last said; then it is deleted, and nothing may be left.
"""

import random
from collections import Counter
from collections.abc import Iterable

from corral.engine.effects import Effects
from corral.model.kube.config import PodDisruptionBudget
from corral.model.kube.meta import ObjectKey
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod
from corral.model.kube.workload import DaemonSet, Deployment, Job, ReplicaSet, StatefulSet
from corral.protocol import events as ev
from corral.protocol import replies
from corral.protocol import requests as rq
from corral.services import batchjob, budgets, podset, rollout
from corral.services.selectors import controller_of
from corral.simulator.faults import MORE_CHARACTERS
from corral.simulator.generate import Wish
from corral.simulator.loop import ANN, ROOT, START, Simulation
from corral.simulator.remains import check_remains
from corral.simulator.serviceworld import LAB, NEEDED, world_of

LOOK_SECONDS = 20.0
LOAD_SECONDS = 3.0
#: What stands in the way of others is taken away when the faults are over.
_OBSTACLES = ("ResourceQuota", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Service")
#: An operator says these.
OF_OPERATORS = ("Namespace", "PriorityClass", "ResourceQuota")
_KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")


class ServiceSimulation(Simulation):
    """After each turn the promises of services are checked, and what the nodes run."""

    characters = MORE_CHARACTERS
    has_more_to_do = True

    def __init__(self, seed: int) -> None:
        super().__init__(seed, world_of(random.Random(seed)))
        self.by_users: set[str] = set()  #: uids of Pods that users have deleted
        self.emptied = False
        self.available: dict[str, int] = {}  #: Pods of each Deployment, after the turn before
        self.adopting: set[str] = set()  #: Deployments that have got Pods of others, until they are within their bounds
        self.seen: Counter[str] = Counter()
        self.clock.after(self.world.span * 1.2 + LOOK_SECONDS, self.look)
        self.clock.after(LOAD_SECONDS, self.measure)

    def is_over(self) -> bool:
        if not (self.emptied and super().is_over()):
            return False
        assert self.engine is not None
        return all(key.kind == "Namespace" for key in self.engine.state.objects.by_key)

    def check_everything(self) -> None:
        super().check_everything()
        assert self.engine is not None
        check_remains(self.engine)

    def wish(self, wish: Wish) -> None:
        match wish.request:
            case rq.PutObjects(objects=(one,)):
                self.put(one)
                return
            case rq.DeleteObjects():
                if wish.request.propagation == "Orphan":
                    self.seen["orphaned"] += 1
                self.ask(wish.request)
                return
        if wish.what in ("delete_pod", "evict"):
            pods = [pod for pod in self.pods() if wish.what == "delete_pod" or pod.metadata.labels.get("app") == "web"]
            if pods:
                self.delete(pods[int(wish.pick * len(pods))], is_eviction=wish.what == "evict")
        else:
            super().wish(wish)

    def put(self, one: AnyObject) -> None:
        self.seen[one.key.kind] += 1
        self.ask(rq.PutObjects(objects=(one,)), ROOT if one.key.kind in OF_OPERATORS else ANN)

    def delete(self, pod: Pod, grace: int | None = None, *, is_eviction: bool = False) -> None:
        self.by_users.add(pod.metadata.uid)
        self.ask(rq.DeleteObjects(keys=(pod.key,), grace_seconds=grace, is_eviction=is_eviction), ANN)

    def acknowledge(self, request: rq.AnyRequest, reply: replies.AnyReply) -> None:
        super().acknowledge(request, reply)
        if isinstance(reply, replies.Rejected):
            self.seen[f"refused: {reply.error.split(':')[0]}"] += 1

    def pods(self) -> list[Pod]:
        return [pod for pod in self.all_of("Pod") if isinstance(pod, Pod)]

    def all_of(self, kind: str) -> Iterable[AnyObject]:
        return self.engine.state.objects.everywhere(kind) if self.engine is not None else ()

    def measure(self) -> None:
        """What a gateway says: now much, now nothing, and at times not a word."""
        if self.clock.now > START + self.world.span * 1.2:
            return
        self.clock.after(LOAD_SECONDS, self.measure)
        if self.engine is not None and any(self.all_of("HorizontalPodAutoscaler")) and self.chance.random() < 0.8:
            load = self.chance.choice((0.0, 3.0, 12.0, 40.0))
            service = rq.ServiceLoad(namespace="default", service="web", in_flight=load, requests=int(load))
            self.ask(rq.ReportLoad(gateway="gateway", services=(service,), seconds=LOAD_SECONDS))

    # -- at the end

    def look(self) -> None:
        """Is all as it was last said? Then it is deleted."""
        self.clock.after(LOOK_SECONDS, self.look)
        if self.engine is None or self.busy:
            return
        gone = {node for agent in self.gone for node in agent.own}
        for pod in self.pods():
            if pod.status.node in gone and podset.may_run_on(pod):
                self.delete(pod, 0)  # somebody has seen that the machine is no more
        if not self.emptied:
            self.heal()
            if self.is_settled():
                self.emptied = True
                self.remove(*_KINDS, *(type(one).__name__ for one in NEEDED))

    def heal(self) -> None:
        """Somebody sees what is missing and what is in the way."""
        self.remove(*_OBSTACLES)
        for one in (*NEEDED, LAB):
            if self.engine is not None and self.engine.state.objects.get(one.key) is None:
                self.put(one)

    def remove(self, *kinds: str) -> None:
        """All of them; of what others own only what has been left alone."""
        keys = tuple(
            ObjectKey(*one.key) for kind in kinds for one in self.all_of(kind) if controller_of(one.metadata) is None
        )
        if keys:
            self.ask(rq.DeleteObjects(keys=keys))

    def is_settled(self) -> bool:
        for one in self.all_of("Deployment"):
            assert isinstance(one, Deployment)
            wanted, status = one.spec.replicas, one.status
            if not wanted == status.available_replicas == status.updated_replicas == status.replicas:
                return False
        for one in self.all_of("StatefulSet"):
            assert isinstance(one, StatefulSet)
            if not one.spec.replicas == one.status.available_replicas == one.status.updated_replicas:
                return False
        for one in self.all_of("DaemonSet"):
            assert isinstance(one, DaemonSet)
            usable = sum(node.is_usable for node in self.engine.state.nodes.values()) if self.engine is not None else 0
            found = one.status
            if not usable == found.desired_number_scheduled == found.number_available == found.updated_number_scheduled:
                return False
        if any(any(self.all_of(kind)) for kind in _OBSTACLES):
            return False
        return all(batchjob.has_finished(one) for one in self.all_of("Job") if isinstance(one, Job))

    def why_stuck(self) -> str:
        lines = [super().why_stuck()]
        lines += [
            f"{one.key} {one.metadata.deletion_timestamp} {getattr(one, 'status', '')}" for one in self.all_of("Pod")
        ]
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "Job"):
            lines += [f"{one.key} {getattr(one, 'status', '')}" for one in self.all_of(kind)]
        return "\n".join(lines)

    # -- after each turn

    def write(self, effects: list[Effects]) -> None:
        super().write(effects)
        assert self.engine is not None
        assert not any(effect.problems for effect in effects), [effect.problems for effect in effects]
        ended: dict[str, Pod] = {}
        least: dict[str, int] = {}  #: how few replicas each Deployment wanted in this turn
        for record in (record for effect in effects for record in effect.records):
            if isinstance(record, ev.ObjectsChanged):
                for one in record.objects:
                    if isinstance(one, Deployment):
                        uid = one.metadata.uid
                        least[uid] = min(least.get(uid, one.spec.replicas), one.spec.replicas)
                    if (
                        isinstance(one, Pod)
                        and one.metadata.deletion_timestamp == record.time
                        and one.status.ready_since
                    ):
                        ended.setdefault(one.metadata.uid, one)
        for found in self.all_of("Deployment"):
            assert isinstance(found, Deployment)
            wanted = least.get(found.metadata.uid, found.spec.replicas)
            self.check_deployment(found, list(ended.values()), wanted)
        self.check_budgets([pod for pod in ended.values() if pod.metadata.uid not in self.by_users])
        if self.chance.random() < 0.005:
            self.snapshot = (self.engine.state.dump(), len(self.record))
        self.check_daemons()
        self.check_processes()
        self.check_jobs()

    def check_deployment(self, one: Deployment, ended: list[Pod], wanted: int) -> None:
        assert self.engine is not None
        objects = self.engine.state.objects
        sets = {found.metadata.uid: found for found in objects.owned(one.metadata.uid) if isinstance(found, ReplicaSet)}
        pods = [pod for uid in sets for pod in objects.pods_of(uid) if podset.is_active(pod)]
        surge, unavailable = rollout.bounds(one)
        leaving = sum(map(podset.is_leaving, pods))
        is_within = len(pods) <= one.spec.replicas + surge + leaving
        if one.metadata.uid not in self.available and not is_within:
            self.adopting.add(one.metadata.uid)
        if is_within:
            self.adopting.discard(one.metadata.uid)
        assert is_within or one.metadata.uid in self.adopting, f"{len(pods)} Pods of {one.key}"
        taken = [
            pod for pod in ended
            if (owner := controller_of(pod.metadata)) is not None and owner.uid in sets
            and pod.metadata.uid not in self.by_users
        ]  # fmt: skip
        minimum = one.spec.min_ready_seconds
        # One more than its set wants stays for its drain only, and goes when that is over.
        available = sum(
            min(sum(podset.is_available(pod, minimum, self.now) for pod in objects.pods_of(uid) if podset.is_active(pod)),
                found.spec.replicas)
            for uid, found in sets.items()
        )  # fmt: skip
        least = min(wanted - unavailable, self.available.get(one.metadata.uid, 0))
        self.available[one.metadata.uid] = available
        counted = any(pod.status.ready_since + minimum <= self.now for pod in taken)
        if counted and not one.metadata.deletion_timestamp:
            self.seen["taken"] += 1
            assert available >= least, f"{available} of {one.key} are left available, and {least} must be"

    def check_budgets(self, ended: list[Pod]) -> None:
        """For a drain alone no more of them go than can be missed."""
        assert self.engine is not None
        for one in self.all_of("PodDisruptionBudget"):
            assert isinstance(one, PodDisruptionBudget)
            meant = [pod for pod in ended if budgets.means(one, pod)]
            if meant and all(map(podset.is_leaving, meant)):
                self.seen["drained under a budget"] += 1
                status = budgets.status_of(one, self.engine.state.objects, self.now)
                assert status.current_healthy >= status.desired_healthy, f"{status} after {len(meant)} were drained"

    def check_processes(self) -> None:
        """No name of a StatefulSet runs twice, on whatever node."""
        found: Counter[str] = Counter()
        for agent in self.agents:
            for step in agent.steps.values():
                if step.pod.startswith("db-") and not step.is_over:
                    found[step.pod] += 1
        for agent in self.agents:
            live = [step for step in agent.steps.values() if step.pod.startswith("exporter-") and not step.is_over]
            assert len(live) <= 2, f"{[step.pod for step in live]} run on one node"
        twice = [name for name, count in found.items() if count > 1]
        assert not twice, f"{twice} run twice"

    def check_daemons(self) -> None:
        """No node has more than one Pod of each of two revisions, and two only where the one may come beside the other."""
        found: dict[str, list[Pod]] = {}
        for pod in self.pods():
            owner = controller_of(pod.metadata)
            if owner is not None and owner.kind == "DaemonSet" and podset.is_active(pod):
                found.setdefault(pod.spec.node_name, []).append(pod)
                self.seen["daemons"] += 1
        for node, pods in found.items():
            hashes = [pod.metadata.labels["controller-revision-hash"] for pod in pods]
            assert len(set(hashes)) == len(hashes) <= 2, f"{len(pods)} Pods of a DaemonSet on {node}"

    def check_jobs(self) -> None:
        """No index has two Pods that count."""
        active = Counter(
            (owner.uid, batchjob.index_of(pod))
            for pod in self.pods()
            if podset.is_active(pod) and (owner := controller_of(pod.metadata)) is not None and owner.kind == "Job"
        )
        assert all(count == 1 for count in active.values()), f"{active}"


def run(seed: int) -> str:
    """One seed; a failure names it."""
    try:
        return ServiceSimulation(seed).run()
    except AssertionError as error:
        raise AssertionError(f"services, seed {seed}: {error}") from error
