"""One daemon of a kind in a directory."""

import os
from pathlib import Path
from typing import Any

import pytest

from corral.daemon import lockfile


def test_only_one_has_it_and_who_comes_second_is_told_whose_it_is(tmp_path: Path) -> None:
    first = lockfile.hold(tmp_path / "lock")
    with pytest.raises(lockfile.Held) as held:
        lockfile.hold(tmp_path / "lock")
    assert held.value.pid == str(os.getpid())
    os.close(first)
    os.close(lockfile.hold(tmp_path / "lock"))


def test_at_no_moment_does_the_file_name_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`corral up` would start another, and `corral down` leave it alone."""
    path = tmp_path / "lock"
    path.write_text("123456789\n")
    seen: list[str] = []
    for name in ("ftruncate", "write", "pwrite"):
        real = getattr(os, name)

        def call(*words: Any, real: Any = real) -> Any:
            done = real(*words)
            seen.append(path.read_text().partition("\n")[0])
            return done

        monkeypatch.setattr(os, name, call)
    os.close(lockfile.hold(path))
    assert set(seen) == {str(os.getpid())}
    assert path.read_text() == f"{os.getpid()}\n"
