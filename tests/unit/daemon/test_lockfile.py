"""One daemon of a kind in a directory."""

import os
from pathlib import Path

import pytest

from corral.daemon import lockfile


def test_only_one_has_it_and_who_comes_second_is_told_whose_it_is(tmp_path: Path) -> None:
    first = lockfile.hold(tmp_path / "lock")
    with pytest.raises(lockfile.Held) as held:
        lockfile.hold(tmp_path / "lock")
    assert held.value.pid == str(os.getpid())
    os.close(first)
    os.close(lockfile.hold(tmp_path / "lock"))
