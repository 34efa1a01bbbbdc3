"""--distribution, --cpu-bind and --gpu-bind: what is read comes out again, and what is none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.errors import InvalidBinding, InvalidDistribution
from corral.syntax import cpubind, distribution, gpubind

WORDS = ["", "block", "cyclic", "fcyclic"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("block", "block"), ("*", ""), ("*:block", "block:block"), ("block:block:cyclic", "block:block:cyclic"), ("plane=4", "plane=4"),
        ("cyclic,Pack", "cyclic,pack"), ("NoPack", "nopack"), ("block:*:fcyclic", "block:cyclic:fcyclic"), ("Arbitrary", "arbitrary"),
    ],
)  # fmt: skip
def test_a_distribution(text: str, written: str) -> None:
    assert str(distribution.parse(text)) == written


@given(
    st.sampled_from(["block", "cyclic", "arbitrary"]),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from(["", "pack"]),
)
def test_what_is_written_is_read_again(nodes: str, sockets: str, cores: str, pack: str) -> None:
    order = distribution.Distribution(nodes, 0, sockets or ("cyclic" if cores else ""), cores, pack)
    assert distribution.parse(str(order)) == order


@pytest.mark.parametrize(
    "text", ["", "bad", "plane", "plane=0", "plane=x", "block:bad", "a:b:c:d", "block,x", "block,pack,pack", "fcyclic"]
)
def test_no_distribution(text: str) -> None:
    if text:
        with pytest.raises(InvalidDistribution):
            distribution.parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cores", ("cores", (), False)), ("v,core", ("cores", (), True)), ("q", ("", (), False)), ("no", ("none", (), False)),
        ("map_cpu:0,0x4*2", ("map_cpu", (0, 4, 4), False)), ("verbose,mask_cpu:3,0xc", ("mask_cpu", (3, 12), True)),
    ],
)  # fmt: skip
def test_a_cpu_binding(text: str, wanted: tuple[str, tuple[int, ...], bool]) -> None:
    assert tuple(cpubind.parse(text)) == wanted
    assert cpubind.parse(str(cpubind.parse(text))) == cpubind.parse(text)


@pytest.mark.parametrize(
    "text",
    ["x", "map_cpu", "map_cpu:", "map_cpu:x", "mask_cpu:zz", "cores,x", "map_cpu:1*0", "map_cpu:1*99999", "boards"],
)
def test_no_cpu_binding(text: str) -> None:
    with pytest.raises(InvalidBinding):
        cpubind.parse(text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("single:1", [(4,), (5,), (6,), (4,)]), ("single:2", [(4,), (4,), (5,), (5,)]), ("per_task:1", [(4,), (5,), (6,), (4,)]),
        ("map_gpu:2,0", [(6,), (4,), (6,), (4,)]), ("map_gpu:7", [(4,)] * 4), ("mask_gpu:0x3,0x4", [(4, 5), (6,), (4, 5), (6,)]),
        ("closest", [()] * 4), ("none", [()] * 4), ("verbose,gpu:single:1", [(4,), (5,), (6,), (4,)]),
    ],
)  # fmt: skip
def test_which_of_three_gpus_four_tasks_see(text: str, seen: list[tuple[int, ...]]) -> None:
    assert [gpubind.chosen(gpubind.parse(text), (4, 5, 6), local) for local in range(4)] == seen


@pytest.mark.parametrize(
    "text", ["", "x", "single", "single:0", "per_task:x", "map_gpu:", "map_gpu:a", "mask_gpu:0x", "map_gpu:-1"]
)
def test_no_gpu_binding(text: str) -> None:
    with pytest.raises(InvalidBinding):
        gpubind.parse(text)
