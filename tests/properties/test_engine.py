"""Whatever is asked for and reported, in whatever order: nothing is given twice, and the record says it all."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import ANN, BOB, OPERATOR, Cluster, cluster, job, nodes

from corral.engine.state import ClusterState
from corral.model.job import ENDED, Job, JobId
from corral.protocol import requests as rq
from corral.protocol.codec import decode_event, encode
from corral.protocol.replies import Rejected

SHAPES = st.builds(
    job,
    cpus=st.integers(1, 5),
    time=st.integers(1, 200),
    nodes=st.sampled_from([None, 1, 2, (1, 3)]),
    memory_per_node_mb=st.sampled_from([None, 100, 900, 1200]),
    array=st.sampled_from(["", "", "0-3%2", "1,3,7"]),
    exclusive=st.booleans(),
    requeue=st.booleans(),
    hold=st.booleans(),
    dependency=st.sampled_from(["", "", "afterok:1", "singleton"]),
    reservation=st.sampled_from(["", "", "", "r", "s,r"]),
    licenses=st.sampled_from(["", "", "a", "a:2,b", "b:3"]),
)
RESERVATIONS = st.builds(
    dict,
    start=st.integers(0, 200),
    duration=st.integers(0, 300),
    flags=st.lists(
        st.sampled_from(
            [
                "MAINT",
                "OVERLAP",
                "IGNORE_JOBS",
                "FLEX",
                "HOURLY",
                "REPLACE",
                "TIME_FLOAT",
                "MAGNETIC",
                "NO_HOLD_JOBS_AFTER_END",
            ]
        ),
        max_size=3,
    ),
    where=st.sampled_from(
        [
            {"nodes": "n1"},
            {"nodes": "ALL"},
            {"node_counts": (2,)},
            {"core_counts": (3,)},
            {"nodes": "n[2-3]", "core_counts": (1, 4)},
        ]
    ),
    user=st.sampled_from(["ann", "bob", "-ann"]),
)
ACTIONS = st.one_of(
    st.tuples(st.just("reserve"), st.tuples(st.sampled_from(["r", "s", "t"]), RESERVATIONS)),
    st.tuples(st.just("unreserve"), st.sampled_from(["r", "s", "t"])),
    st.tuples(st.just("submit"), SHAPES),
    st.tuples(st.just("cycle"), st.none()),
    st.tuples(st.just("finish"), st.tuples(st.integers(0, 9), st.integers(0, 1))),
    st.tuples(st.just("ask"), st.tuples(st.integers(0, 9), st.integers(0, 7), st.sampled_from([ANN, BOB, OPERATOR]))),
    st.tuples(st.just("later"), st.integers(1, 120)),
    st.tuples(st.just("silent"), st.sampled_from(["n1", "n2", "n3"])),
    st.tuples(st.just("back"), st.sampled_from(["n1", "n2", "n3"])),
)
EASY = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def play(c: Cluster, actions: list[tuple[str, object]]) -> None:
    elapsed = 0.0
    for name, value in actions:
        match name, value:
            case "submit", spec:
                c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)))  # type: ignore[arg-type]
            case "cycle", _:
                c.cycle()
            case "finish", (int(which), int(code)):
                live = [i for i in c.running() if any(s.key.step < 0 for s in c.state.live_steps_of(JobId(i)))]
                if live:
                    c.finish(live[which % len(live)], code)
            case "ask", (int(which), int(kind), caller):
                ids = (str(1 + which % max(1, c.state.next_job_id - 1)),)
                requests = (
                    rq.CancelJobs(selection=rq.JobSelection(ids=ids)), rq.HoldJobs(ids=ids), rq.ReleaseJobs(ids=ids),
                    rq.RequeueJobs(ids=ids), rq.SuspendJobs(ids=ids), rq.ResumeJobs(ids=ids),
                    rq.UpdateJob(id=ids[0], changes={"timelimit": "5"}),
                    rq.UpdateJob(id=ids[0], changes={"licenses": "a:2"}),
                )  # fmt: skip
                c.ask(requests[kind], caller)
            case "reserve", (str(known), dict(wish)):
                fields = rq.ReservationFields(
                    start_time=c.now + wish["start"], duration=wish["duration"], flags=rq.Names(names=tuple(wish["flags"])),
                    users=rq.Names(names=(wish["user"],)), **wish["where"],
                )  # fmt: skip
                c.ask(rq.CreateReservation(name=known, fields=fields), OPERATOR)
            case "unreserve", str(known):
                c.ask(rq.DeleteReservation(name=known), OPERATOR)
            case "later", int(seconds):
                elapsed += seconds
                c.at(elapsed)
            case "silent", str(node):
                c.silent.add(node)
            case "back", str(node):
                c.silent.discard(node)
                c.register(node)
        c.check()


def told(state: ClusterState) -> dict[JobId, Job]:
    """The jobs without what every cycle finds anew."""
    plain = {"expected_start": 0.0, "expected_nodes": "", "reason_text": "", "priority": 0}
    return {
        number: msgspec.structs.replace(found, **plain, reason=found.reason if found.state in ENDED else "None")
        for number, found in state.jobs.items()
    }


@EASY
@given(st.lists(ACTIONS, max_size=40))
def test_nothing_is_given_twice_and_states_agree(actions: list[tuple[str, object]]) -> None:
    c = cluster(nodes("n[1-3]", cpus=4), licenses={"a": 3, "b": 3})
    play(c, actions)
    for found in c.state.jobs.values():
        if found.state in ENDED:
            assert found.end_time >= found.start_time
            assert found.id not in c.state.ledger.holders
        else:
            assert (found.id in c.state.ledger.holders) == found.is_active


@EASY
@given(st.lists(ACTIONS, max_size=40), st.integers(0, 200))
def test_the_record_gives_the_same_state_from_any_snapshot_on(actions: list[tuple[str, object]], at: int) -> None:
    c = cluster(nodes("n[1-3]", cpus=4), licenses={"a": 3, "b": 3})
    play(c, actions)
    state = ClusterState()
    for number, event in enumerate(c.events):
        if number == at:
            state = ClusterState.load(state.dump())
        state.apply(decode_event(encode(event)))
    assert told(state) == told(c.state)
    assert state.ledger.holders == c.state.ledger.holders
    assert (state.ledger.free_cpus == c.state.ledger.free_cpus).all()
    assert (state.ledger.free_memory == c.state.ledger.free_memory).all()
    assert state.next_job_id == c.state.next_job_id


@EASY
@given(st.lists(ACTIONS, max_size=20), SHAPES, st.sampled_from(["nodelist", "partition", "gres", "constraint"]))
def test_a_refused_request_changes_nothing(actions: list[tuple[str, object]], spec: object, wrong: str) -> None:
    c = cluster(nodes("n[1-3]", cpus=4), licenses={"a": 3, "b": 3})
    play(c, actions)
    before, events = c.state.dump(), len(c.events)
    bad = {"nodelist": "n9", "partition": "none", "constraint": "no&such", "gres": (("licence", "", 1),)}[wrong]
    if wrong == "gres":
        from corral.model.gres import GresRequest

        bad = (GresRequest("licence", "", 1),)
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=msgspec.structs.replace(spec, **{wrong: bad})),)))  # type: ignore[type-var]
    assert isinstance(reply, Rejected)
    assert len(c.events) == events
    assert c.state.dump() == before
