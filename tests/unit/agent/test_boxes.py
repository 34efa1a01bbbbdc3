"""Who has a named container open."""

import os
from pathlib import Path

import pytest

from corral.agent.boxes import Door, UsedByOther, remove


def test_who_has_it_open_is_found_as_long_as_he_lives(tmp_path: Path) -> None:
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    first = Door(str(tmp_path / "box"), 42)
    assert first.open_elsewhere() is None
    first.note(namespace, -1)
    first.close()
    second = Door(str(tmp_path / "box"), 42)
    found = second.open_elsewhere()
    assert found is not None
    assert os.fstat(found[0]).st_ino == os.fstat(namespace).st_ino
    assert found[1] == -1
    second.close()
    other = Door(str(tmp_path / "box"), 43)
    with pytest.raises(UsedByOther, match="42"):
        other.open_elsewhere()
    other.close()
    text = (tmp_path / "box/open").read_text().split()
    (tmp_path / "box/open").write_text(" ".join([text[0], "1", *text[2:]]) + "\n")
    third = Door(str(tmp_path / "box"), 42)
    assert third.open_elsewhere() is None  # another process has that number now
    third.close()
    os.close(namespace)
    os.close(found[0])


def test_who_has_left_it_does_not_have_it_open_though_he_lives_on(tmp_path: Path) -> None:
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    door = Door(str(tmp_path / "box"), 42)
    door.note(namespace, -1)
    door.leave()
    assert door.open_elsewhere() is None
    door.close()
    os.close(namespace)


def test_what_nobody_may_look_into_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / "box/work/work").mkdir(parents=True)
    (tmp_path / "box/work/work").chmod(0)
    (tmp_path / "box/link").symlink_to("/etc")
    remove(tmp_path / "box")
    assert not (tmp_path / "box").exists()
    assert Path("/etc/passwd").exists()
