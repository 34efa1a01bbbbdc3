"""Feature constraints."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidFeatures
from corral.syntax.features import Features, alternatives, counts, matches, names, parse, satisfied


def chains(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from(["&", "|"]).map(lambda mark: f"({mark.join(parts)})")
    )


CONSTRAINTS = st.recursive(st.sampled_from("abcd"), chains, max_leaves=8)


@pytest.mark.parametrize(
    ("text", "features", "fits"),
    [
        ("a", "a", True), ("a", "b", False), ("a&b", "a", False), ("a&b", "ab", True), ("a|b", "b", True),
        ("a,b", "a", False), ("(a|b)&c", "a", False), ("(a|b)&c", "bc", True), ("a&(b|c)", "ac", True),
        ("[a|b]", "b", True), ("[a|b]&c", "b", False), ("[a*2&b*4]", "b", True), ("[a*2&b*4]", "c", False),
    ],
)  # fmt: skip
def test_a_node_matches_by_its_features(text: str, features: str, fits: bool) -> None:
    assert matches(parse(text), set(features)) is fits


def test_and_and_or_are_read_from_the_left() -> None:
    assert parse("a|b&c") == parse("(a|b)&c")
    assert parse("a&b|c") == parse("(a&b)|c")


def test_a_count_leaves_the_other_nodes_free() -> None:
    wanted = parse("a*2&b")
    assert matches(wanted, {"b"})
    assert not matches(wanted, {"a"})
    assert satisfied(wanted, [{"a", "b"}, {"a", "b"}, {"b"}])
    assert not satisfied(wanted, [{"a", "b"}, {"b"}, {"b"}])
    assert [(str(part), count) for part, count in counts(wanted)] == [("a", 2)]


def test_brackets_of_alternatives_want_one_for_all_nodes() -> None:
    wanted = parse("[rack1|rack2]&gpu")
    assert [str(choice) for choice in alternatives(wanted)] == ["rack1&gpu", "rack2&gpu"]
    assert satisfied(wanted, [{"rack2", "gpu"}, {"rack2", "gpu"}])
    assert not satisfied(wanted, [{"rack1", "gpu"}, {"rack2", "gpu"}])


def test_brackets_of_counts_give_each_node_to_one_term() -> None:
    wanted = parse("[a*1&b*2]")
    assert satisfied(wanted, [{"a"}, {"b"}, {"b"}])
    assert satisfied(wanted, [{"a", "b"}, {"b"}, {"b"}])
    assert not satisfied(wanted, [{"a", "b"}, {"b"}])
    assert not satisfied(wanted, [{"a"}, {"b"}, {"b"}, {"c"}])


def test_the_names_are_there_to_be_checked() -> None:
    assert names(parse("[(b&a)|c]&a")) == ["b", "a", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "", "(a", "a)", "a&", "&a", "a||b", "a b", "a*0", "a*", "a*x", "[a", "a]", "[a&b]", "[[a]]", "[a*1&b]", "()", "!a",
        "a*2*3", "(a*2)*2", "[a]&[b]", "(" * 50 + "a" + ")" * 50, "[a*1|b*2]",
    ],
)  # fmt: skip
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(InvalidFeatures):
        parse(text)


@pytest.mark.parametrize(
    "text", ["a*2&b*4", "[rack1|rack2]", "[rack1*2&rack2*4]", "(a|b)&c", "[(a&b)|c]&d", "(a|b)*2&c"]
)
def test_a_constraint_is_written_as_it_was(text: str) -> None:
    assert str(parse(text)) == text


@given(CONSTRAINTS)
@settings(max_examples=60)
def test_what_is_written_is_read_back(text: str) -> None:
    wanted: Features = parse(text)
    again = parse(str(wanted))
    assert again == wanted
    assert satisfied(wanted, [set("ab"), set("c")]) == (matches(wanted, set("ab")) and matches(wanted, set("c")))
