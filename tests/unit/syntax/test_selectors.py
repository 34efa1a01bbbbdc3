"""Which labels does a selector choose?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.syntax import selectors
from corral.syntax.selectors import Requirement


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a in (b, c)", {"a": "c"}, True),
        ("a notin (b,c)", {"a": "c"}, False),
        ("a notin (b)", {}, True),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a=b,c=d", {"a": "b"}, False),
        ("k8s.io/a=b", {"k8s.io/a": "b"}, True),
    ],
)
def test_labels(text, labels, matches):
    assert all(one.matches(labels) for one in selectors.labels(text)) == matches


@pytest.mark.parametrize("text", ["=", "a=b=c", "a in b", "a in (b", ",", "a,,b", "-a", "a b", "a=" + "x" * 30_000])
def test_what_is_no_selector(text):
    with pytest.raises(selectors.NotASelector):
        selectors.labels(text)


_word = st.from_regex(r"[a-z]([a-z0-9.-]*[a-z0-9])?", fullmatch=True)


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda key, values: Requirement(key, "in", tuple(sorted(values))), _word, st.sets(_word, min_size=1)
            ),
            st.builds(lambda key: Requirement(key, "!"), _word),
            st.builds(lambda key: Requirement(key, "exists"), _word),
        )
    )
)
def test_what_is_written_is_read_back(found):
    assert selectors.labels(selectors.format_labels(tuple(found))) == tuple(found)
