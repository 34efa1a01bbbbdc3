"""Whatever happens to Pods: no container runs twice at once, no port is given twice, every job has its Pod, and what is deleted goes."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.builders import ANN, Cluster, cluster, nodes

from corral.model.job import ENDED, JobKind
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import Container, ContainerPort, Pod, PodSpec, Probe, TCPSocketAction
from corral.model.step import EndCause, Step
from corral.protocol import reports as rp
from corral.protocol.requests import DeleteObjects, PutObjects

NAMES = ("a", "b", "c", "d")
PROBE = Probe(tcp_socket=TCPSocketAction(port=80))


def spec(policy: Any, has_init: bool, has_sidecar: bool, is_probed: bool) -> PodSpec:
    main = Container(
        name="main", command=("serve",), ports=(ContainerPort(container_port=80),),
        readiness_probe=PROBE if is_probed else None, liveness_probe=PROBE if is_probed else None,
    )  # fmt: skip
    inits = (Container(name="init", command=("prepare",)),) if has_init else ()
    if has_sidecar:
        inits += (Container(name="side", command=("help",), restart_policy="Always"),)
    return PodSpec(
        containers=(main, Container(name="other", command=("serve",))), init_containers=inits, restart_policy=policy
    )


class Pods(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.one: Cluster = cluster(nodes("n[1-2]", cpus=2), timeouts={"node": 60.0, "kill_wait": 5.0})
        self.time = 0.0

    def pods(self) -> list[Pod]:
        return [one for one in self.one.state.objects.everywhere("Pod") if isinstance(one, Pod)]

    def live(self) -> list[Step]:
        """Steps of Pods that run."""
        state = self.one.state
        return [step for job in sorted(state.active) for step in state.live_steps_of(job) if step.spec.pod_container]

    @rule(
        name=st.sampled_from(NAMES),
        policy=st.sampled_from(["Always", "OnFailure", "Never"]),
        flags=st.tuples(*[st.booleans()] * 3),
    )
    def put(self, name: str, policy: str, flags: tuple[bool, bool, bool]) -> None:
        if self.one.state.objects.get(ObjectKey("Pod", "default", name)) is None:
            made = Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec(policy, *flags))
            self.one.ask(PutObjects(objects=(made,)), ANN)
            self.one.cycle()

    @rule(name=st.sampled_from(NAMES), grace=st.sampled_from([None, 0, 3]))
    def delete(self, name: str, grace: int | None) -> None:
        self.one.ask(DeleteObjects(keys=(ObjectKey("Pod", "default", name),), grace_seconds=grace))

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        jobs = sorted(self.one.state.active)
        if jobs:
            self.one.cancel(jobs[which % len(jobs)])

    @rule(which=st.integers(0, 50))
    def started(self, which: int) -> None:
        if live := self.live():
            step = live[which % len(live)]
            self.one.report(
                rp.ContainerStarted(agent="agent", node=step.node_names[0], key=step.key, time=self.one.now)
            )

    @rule(
        which=st.integers(0, 50), code=st.sampled_from([0, 1]), signal=st.sampled_from([0, 0, 15]), late=st.booleans()
    )
    def ended(self, which: int, code: int, signal: int, late: bool) -> None:
        if live := self.live():
            step = live[which % len(live)]
            cause = EndCause.CANCELLED if signal else EndCause.EXITED
            self.one.finish(step.key.job, 0 if signal else code, signal, step=step.key.step, cause=cause)
            if late:
                self.one.report(rp.ContainerStarted(agent="agent", node=step.node_names[0], key=step.key))

    @rule(which=st.integers(0, 50), kind=st.sampled_from(["readiness", "liveness", "startup"]), ok=st.booleans())
    def probed(self, which: int, kind: Any, ok: bool) -> None:
        if live := self.live():
            step = live[which % len(live)]
            self.one.report(rp.ProbeResult(agent="agent", node=step.node_names[0], key=step.key, probe=kind, ok=ok))

    @rule(seconds=st.sampled_from([0.5, 2.0, 11.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.time += seconds
        self.one.at(self.time)
        self.one.cycle()

    @rule(node=st.sampled_from(["n1", "n2"]))
    def silent(self, node: str) -> None:
        """It is lost, and comes back."""
        self.one.silent.add(node)
        self.time += 70.0
        self.one.at(self.time)
        self.one.silent.discard(node)
        self.one.register()
        self.one.cycle()

    @rule()
    def known_again(self) -> None:
        """The agent has forgotten all: everything is sent again."""
        self.one.register(instance=str(self.time))

    @invariant()
    def no_container_runs_twice(self) -> None:
        runs = [(step.key.job, step.spec.pod_container) for step in self.live()]
        assert len(runs) == len(set(runs))

    @invariant()
    def no_port_is_given_twice(self) -> None:
        given = [
            (address.host, address.host_port)
            for pod in self.pods()
            if not pod.has_ended
            for address in pod.status.addresses
        ]
        assert len(given) == len(set(given))
        held = {(host, port) for host, ports in self.one.state.objects.pod_ports.items() for port in ports}
        assert held == set(given)

    @invariant()
    def each_job_that_lives_is_of_a_pod_that_lives(self) -> None:
        known = {pod.status.job: pod for pod in self.pods()}
        for job in self.one.state.jobs.values():
            if self.one.state.spec(job).kind is JobKind.POD and job.state not in ENDED:
                assert job.id in known
        for pod in self.pods():
            ready = {one.name for one in pod.status.container_statuses if one.ready}
            live = {step.spec.pod_container for step in self.live() if step.key.job == pod.status.job}
            assert ready <= live
            assert not (pod.status.ready_since and pod.has_ended)

    def teardown(self) -> None:
        if not hasattr(self, "one"):
            return
        self.one.check()
        for name in NAMES:
            self.one.ask(DeleteObjects(keys=(ObjectKey("Pod", "default", name),), grace_seconds=0))
        for _ in range(3):
            self.time += 2.0
            self.one.at(self.time)
        assert not self.pods()
        assert not self.one.state.active


Pods.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPods = Pods.TestCase
