"""What goes over the bus, into the store and through the API comes out as it went in."""

import functools
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corral.protocol import codec
from corral.protocol.events import AnyEvent, JobSubmitted
from corral.protocol.orders import AnyOrder
from corral.protocol.reports import AnyReport
from corral.protocol.requests import AnyRequest, SubmitJobs

#: Text without surrogates: what has none is what msgspec takes.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 62), 1 << 62),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: TEXT,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
}


@functools.cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type, as its fields say. Deferred, as records hold records; one for each type, as to make one takes long."""
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is Any:
        return TEXT
    if isinstance(kind, typing.NewType):
        return values_of(kind.__supertype__)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
        return st.tuples(*(values_of(argument) for argument in arguments))
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return st.deferred(lambda: st.builds(kind, **{name: values_of(hints[name]) for name in kind.__struct_fields__}))
    if isinstance(kind, type) and issubclass(kind, tuple):  # a NamedTuple
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: values_of(hints[name]) for name in hints})
    return st.sampled_from(list(kind))


def kinds(union: Any) -> list[Any]:
    return list(typing.get_args(union))


def named(kind: Any) -> str:
    return str(kind.__name__)


@pytest.mark.parametrize("kind", kinds(AnyEvent), ids=named)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_events(kind: Any, data: st.DataObject) -> None:
    event = data.draw(values_of(kind))
    assert codec.decode_event(codec.encode(event)) == event


@pytest.mark.parametrize("kind", kinds(AnyOrder), ids=named)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_orders(kind: Any, data: st.DataObject) -> None:
    order = data.draw(values_of(kind))
    assert codec.decode_order(codec.encode(order)) == order


@pytest.mark.parametrize("kind", kinds(AnyReport), ids=named)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_reports(kind: Any, data: st.DataObject) -> None:
    reports = [data.draw(values_of(kind)), data.draw(values_of(kind))]
    assert codec.decode_reports(codec.encode_reports(reports)) == reports


@pytest.mark.parametrize("kind", kinds(AnyRequest), ids=named)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_requests(kind: Any, data: st.DataObject) -> None:
    request = data.draw(values_of(kind))
    assert codec.decode_request(msgspec.json.encode(request)) == request


def test_an_unknown_field_of_a_request_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="nosuch"):
        codec.decode_request(b'{"type": "HoldJobs", "ids": ["1"], "nosuch": 1}')


def test_a_wrong_type_names_its_field() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.ids"):
        codec.decode_request(b'{"type": "HoldJobs", "ids": 1}')


def test_an_old_event_lacks_what_came_later() -> None:
    """A field that is left out has its default: so an old log stays readable."""
    old = {
        "type": "JobSubmitted",
        "time": 1.0,
        "job": {"id": 1, "spec_id": 1, "owner": {"uid": 1, "gid": 1, "user": "a", "group": "g"}},
        "spec": {},
    }
    event = codec.decode_event(msgspec.msgpack.encode(old))
    assert isinstance(event, JobSubmitted)
    assert event.job.restarts == 0


def test_what_a_later_version_adds_to_an_event_is_passed_over() -> None:
    event = codec.decode_event(
        msgspec.msgpack.encode({"type": "NodeRemoved", "time": 1.0, "name": "n1", "later": True})
    )
    assert msgspec.structs.asdict(event) == {"time": 1.0, "name": "n1"}


def test_a_small_job_is_small() -> None:
    from tests.builders import job

    request = SubmitJobs(jobs=())
    assert len(codec.encode(request)) < 40
    assert len(codec.encode(job())) < 60
