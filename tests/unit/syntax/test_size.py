"""Memory sizes; the expected texts are what Slurm 22.05's squeue shows for sbatch --mem."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import InvalidSize
from corral.syntax.size import format_memory, format_size, parse, parse_printed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4G", "4G"), ("512M", "512M"), ("100", "100M"), ("1T", "1T"), ("64K", "1M"), ("1500K", "2M"), ("2049K", "3M"),
        ("0", "0"), ("4GB", "4G"), ("4g", "4G"), ("1000", "1000M"), ("1024", "1G"), ("1025", "1025M"), ("1536", "1.50G"),
        ("10241", "10241M"), ("64000", "62.50G"), ("1048577", "1048577M"), ("1536000", "1500G"), ("1024T", "1P"),
    ],
)  # fmt: skip
def test_a_size_is_shown_as_by_squeue(text: str, shown: str) -> None:
    assert format_memory(parse(text)) == shown


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "4Gi", "unlimited", "1 0", "99999999999999999P", "B", "1B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidSize):
        parse(text)


def test_printed_sizes_may_have_a_fraction() -> None:
    assert parse_printed("62.50G") == 64000
    with pytest.raises(InvalidSize):
        parse_printed("1.2.3G")


def test_bytes_and_fixed_units_are_written_as_by_sacct() -> None:
    assert format_size(1384448) == "1352K"
    assert format_size(1536, "M", to="G") == "1.50G"
    assert format_size(4096, "M", to="K") == "4194304K"
    assert format_size(0, "M") == "0"


@given(st.integers(0, 1 << 40))
@settings(max_examples=80)
def test_no_memory_is_lost_by_writing_it(mib: int) -> None:
    assert parse_printed(format_memory(mib)) == mib
    assert parse_printed(format_memory(mib * 512)) == mib * 512
