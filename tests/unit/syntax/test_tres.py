"""Trackable and generic resources."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidGres, InvalidShare, InvalidTres
from corral.model.gres import GresRequest
from corral.syntax.tres import Gres, format_gres, format_tres, parse, parse_gpus, parse_gres

AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "mem", "node", "billing", "gres/gpu", "gres/gpu:h100", "license/matlab"]),
    st.integers(0, 10**9),
)
WANTED = st.lists(
    st.builds(
        Gres, st.sampled_from(["gpu", "lic"]), st.sampled_from(["", "v100", "a100-80"]), st.integers(0, 64), st.just(0)
    )
)


def test_amounts_are_read_and_written() -> None:
    text = "cpu=4,mem=62.50G,node=1,billing=4,gres/gpu:h100=2"
    assert parse(text) == {"cpu": 4, "mem": 64000, "node": 1, "billing": 4, "gres/gpu:h100": 2}
    assert format_tres(parse(text)) == text
    assert parse("") == {}


@pytest.mark.parametrize("text", ["cpu", "cpu=", "=4", "cpu=x", "mem=4Q", "cpu=4,,mem=1", "cpu=-1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidTres):
        parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gpu", [("gpu", "", 1)]),
        ("gpu:2", [("gpu", "", 2)]),
        ("gpu:v100", [("gpu", "v100", 1)]),
        ("gpu:v100:2", [("gpu", "v100", 2)]),
        ("gres:gpu:1", [("gpu", "", 1)]),
        ("gres/gpu:1", [("gpu", "", 1)]),
        ("gpu:v100=2", [("gpu", "v100", 2)]),
        ("gpu:1,lic:2", [("gpu", "", 1), ("lic", "", 2)]),
        ("gpu:1K", [("gpu", "", 1024)]),
        ("gpu:0", [("gpu", "", 0)]),
        ("none", []),
        ("NONE", []),
    ],
)
def test_gres_options_are_read(text: str, wanted: list[tuple[str, str, int]]) -> None:
    assert [(one.name, one.type, one.count) for one in parse_gres(text)] == wanted


@pytest.mark.parametrize(
    "text", ["", ",", "gpu:", "gpu::2", "gpu:v100:2:3", "gpu:2:3", "gpu:-1", "gpu: 2", "2", "gpu:a b:1"]
)
def test_what_is_no_gres_is_refused(text: str) -> None:
    with pytest.raises(InvalidGres):
        parse_gres(text)


@pytest.mark.parametrize(
    ("text", "milli"),
    [("gpu:0.5", 500), ("gpu:v100:0.25", 250), ("gpu:0.001", 1), ("gpu:0.999", 999), ("gpu:0.100", 100)],
)
def test_a_fraction_is_a_share_of_one_gpu(text: str, milli: int) -> None:
    (one,) = parse_gres(text)
    assert (one.name, one.count, one.milli) == ("gpu", 1, milli)
    assert parse_gres(format_gres([one])) == [one]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gpu:0.0", "a share is more than nothing"),
        ("gpu:1.5", "a share is less than one GPU; whole ones are asked for as gpu:N"),
        ("gpu:1.0", "a share is less than one GPU; whole ones are asked for as gpu:N"),
        ("gpu:0.0005", "a GPU is shared in thousandths"),
    ],
)
def test_what_is_no_share_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidShare, match=problem):
        parse_gres(text)


def test_gpus_need_no_name() -> None:
    assert parse_gpus("4") == [Gres("gpu", "", 4)]
    assert parse_gpus("v100") == [Gres("gpu", "v100", 1)]
    assert parse_gpus("v100:2,a100:1") == [Gres("gpu", "v100", 2), Gres("gpu", "a100", 1)]
    for text in ("", "a:b:c", "gpu:v100:2", "gres:gpu:2", "gpu:2"):
        with pytest.raises(InvalidGres):
            parse_gpus(text)


def test_squeue_writes_a_prefix() -> None:
    assert format_gres(parse_gres("gpu:v100:2,lic"), prefix="gres:") == "gres:gpu:v100:2,gres:lic:1"


def test_it_fits_the_record_of_a_request() -> None:
    assert GresRequest(*parse_gres("gpu:v100:2")[0]) == GresRequest("gpu", "v100", 2)


@given(AMOUNTS)
@settings(max_examples=40)
def test_written_amounts_are_read_back(amounts: dict[str, int]) -> None:
    assert parse(format_tres(amounts)) == amounts


@given(WANTED)
@settings(max_examples=40)
def test_written_gres_are_read_back(wanted: list[Gres]) -> None:
    assert parse_gres(format_gres(wanted) or "none") == wanted
