"""Does the quick way give what json gives?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.client import quickjson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_is_written_is_read_again(value):
    assert quickjson.decode(quickjson.encode(value)) == value
    assert json.loads(quickjson.encode(value)) == value
    assert quickjson.decode(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", '{"a"}', "1 2", "{} x"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        quickjson.decode(text)


def test_what_json_cannot_say_is_a_type_error():
    with pytest.raises(TypeError):
        quickjson.encode({"a": object()})
