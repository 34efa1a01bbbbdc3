"""Node lists; the expected texts are what Slurm 22.05's scontrol prints."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidHostlist
from corral.syntax.hostlist import MAX_HOSTS, expand, fold, fold_sorted, in_order

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,4}[0-9]{0,4}", fullmatch=True), max_size=30)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node[01-04,07]", "node01 node02 node03 node04 node07"),
        ("a[1-2]b[3-4]", "a1b3 a1b4 a2b3 a2b4"),
        ("n[1-2][3-4]", "n13 n14 n23 n24"),
        ("n1 n2", "n1 n2"),
        ("n1, n2", "n1 n2"),
        ("n[09-11]", "n09 n10 n11"),
        ("n[9-011]", "n9 n10 n11"),
        ("n[001-3]", "n001 n002 n003"),
        ("a[1-3,2]", "a1 a2 a3 a2"),
        ("[1-3]", "1 2 3"),
        ("10.0.0.[1-2]", "10.0.0.1 10.0.0.2"),
        ("n[1-2]-[3-4]", "n1-3 n1-4 n2-3 n2-4"),
        ("a,,b", "a b"),
        ("", ""),
        (",", ""),
        ("gpu[1-2].site", "gpu1.site gpu2.site"),
    ],
)
def test_a_list_stands_for_its_names(text: str, names: str) -> None:
    assert expand(text) == names.split()


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("n[3-1]", 3), ("n[1-2", 2), ("n1-2]", 5), ("n[]", 3), ("n[1,,2]", 5), ("n[1,]", 5), ("n[a-b]", 3), ("n[[1-2]]", 3),
        ("n[1-2-3]", 3), ("m1,n[x]", 6), ("n[-1]", 3), ("n[1-]", 3), ("n[١]", 3),
    ],
)  # fmt: skip
def test_a_malformed_list_is_refused_at_its_column(text: str, column: int) -> None:
    with pytest.raises(InvalidHostlist) as caught:
        expand(text)
    assert caught.value.column == column
    assert str(caught.value) == f"Not a node list: {text!r} (at column {column})."


@pytest.mark.parametrize("text", ["n[1-65537]", "n[1-300]x[1-300]", "n[1-65536],m", "n[1-9][1-9][1-99999999999]"])
def test_a_list_of_too_many_names_is_refused(text: str) -> None:
    with pytest.raises(InvalidHostlist):
        expand(text)


def test_the_longest_list_is_read() -> None:
    assert len(expand(f"n[1-{MAX_HOSTS}]")) == MAX_HOSTS


@pytest.mark.parametrize(
    ("names", "folded", "in_sorted_order"),
    [
        ("n1,n2,n3", "n[1-3]", "n[1-3]"),
        ("n3,n1,n2", "n[3,1-2]", "n[1-3]"),
        ("n01,n2,n03", "n[01,2,03]", "n[2,01,03]"),
        ("n1,n1,n2", "n[1,1-2]", "n[1,1-2]"),
        ("n9,n10,n11", "n[9-11]", "n[9-11]"),
        ("n09,n10,n11", "n[09-11]", "n[09-11]"),
        ("n099,n100", "n[099-100]", "n[099-100]"),
        ("n99,n100,n0100", "n[99-100,0100]", "n[99-100,0100]"),
        ("n099,n100,n1000", "n[099-100,1000]", "n[099-100,1000]"),
        ("n10,n9,n010", "n[10,9,010]", "n[9-10,010]"),
        ("a1b3,a1b4,a2b3,a2b4", "a1b[3-4],a2b[3-4]", "a1b[3-4],a2b[3-4]"),
        ("a10b1,a2b1", "a10b1,a2b1", "a2b1,a10b1"),
        ("a1x,a2x", "a1x,a2x", "a1x,a2x"),
        ("node,node1,node2", "node,node[1-2]", "node,node[1-2]"),
        ("n5,m5,n6", "n5,m5,n6", "m5,n[5-6]"),
        ("n1,m1,n2,m2", "n1,m1,n2,m2", "m[1-2],n[1-2]"),
        ("1,2,3", "[1-3]", "[1-3]"),
        ("a,B,b", "a,B,b", "B,a,b"),
        ("n1,n01,n001", "n[1,01,001]", "n[1,01,001]"),
        ("n1-1,n1-2", "n1-[1-2]", "n1-[1-2]"),
        ("", "", ""),
    ],
)
def test_names_are_folded_as_scontrol_does(names: str, folded: str, in_sorted_order: str) -> None:
    assert fold(names.split(",") if names else []) == folded
    assert fold_sorted(names.split(",") if names else []) == in_sorted_order


@given(NAMES)
@settings(max_examples=60)
def test_folding_loses_no_name_and_keeps_the_order(names: list[str]) -> None:
    assert expand(fold(names)) == names


@given(NAMES)
@settings(max_examples=40)
def test_sorting_only_changes_the_order(names: list[str]) -> None:
    assert sorted(in_order(names)) == sorted(names)
    assert fold_sorted(names) == fold_sorted(names[::-1])


def test_an_error_keeps_its_fields_on_the_way_out_of_another_process() -> None:
    with pytest.raises(InvalidHostlist) as caught:
        expand("n[")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.column, copy.exit_code, copy.message) == (2, 1, str(caught.value))
