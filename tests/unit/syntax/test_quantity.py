"""Kubernetes' quantities: exact, and written as it writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.errors import InvalidQuantity
from corral.syntax import quantity


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("500m", "500m"), ("0.5", "500m"), (0.5, "500m"), (2, "2"), ("1000m", "1"), ("1500m", "1500m"), ("1.5", "1500m"),
        ("1Gi", "1Gi"), ("1.5Gi", "1536Mi"), ("1024Ki", "1Mi"), ("1023Ki", "1023Ki"), ("512Mi", "512Mi"), ("0.5Ki", "512"),
        ("1e3", "1e3"), ("1E3", "1e3"), ("12e6", "12e6"), ("100000", "100k"), ("129e6", "129e6"), ("129M", "129M"),
        ("0", "0"), ("0Gi", "0"), ("-1", "-1"), ("+5", "5"), ("1.", "1"), (".5", "500m"), ("0.1n", "1n"), ("1E", "1E"), ("1Ei", "1Ei"),
        ("100u", "100u"), ("1.1Ki", "1126400m"), (1e21, None), ("", None), ("1 Gi", None), ("1gi", None), ("Mi", None), ("1K", None),
        ("0x10", None), ("1e", "1E"), ("1e9999", None), ("nan", None), ("1,5", None), ("٣", None),
    ],
)  # fmt: skip
def test_a_quantity_is_written_as_kubernetes_writes_it(given, shown):
    if shown is None or given == "1e":
        with pytest.raises(InvalidQuantity):
            quantity.canonical(given)
    else:
        assert quantity.canonical(given) == shown


def test_cpus_are_counted_in_thousandths_and_bytes_in_ones_rounded_up():
    assert quantity.millis("250m") == 250
    assert quantity.millis("0.0001") == 1
    assert quantity.whole("1.5Gi") == 3 << 29
    assert quantity.whole("100m") == 1


@given(st.integers(0, 10**24), st.sampled_from(["decimal", "binary", "exponent"]))
def test_what_is_written_is_read_back(amount, style):
    assert quantity.nanos(quantity.written(amount, style)) == amount
