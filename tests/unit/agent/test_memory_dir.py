"""Where the files of launches lie."""

import os
from pathlib import Path

from corral.agent import memory_dir


def test_it_is_a_link_into_memory_and_goes_when_it_is_empty(tmp_path: Path) -> None:
    link = tmp_path / "steps"
    memory_dir.make(link)
    if not link.is_symlink():  # a machine without room in /dev/shm: a plain directory serves
        assert link.is_dir()
        return
    target = Path(os.readlink(link))
    assert target.stat().st_uid == os.geteuid()
    (link / "n1").mkdir()
    memory_dir.remove(link)
    assert not target.exists()
    assert not link.is_symlink()


def test_what_lies_there_stays(tmp_path: Path) -> None:
    link = tmp_path / "steps"
    memory_dir.make(link)
    (link / "n1").mkdir()
    (link / "n1" / "1.0.0").mkdir()
    memory_dir.remove(link)
    assert (link / "n1" / "1.0.0").is_dir()
    memory_dir.make(link)
    assert (link / "n1" / "1.0.0").is_dir()
    (link / "n1" / "1.0.0").rmdir()
    memory_dir.remove(link)


def test_after_a_boot_the_directory_is_made_again(tmp_path: Path) -> None:
    link = tmp_path / "steps"
    memory_dir.make(link, (str(tmp_path),))
    link.rmdir()
    link.symlink_to(tmp_path / "gone")
    memory_dir.make(link, (str(tmp_path),))
    assert link.is_dir()
    assert (tmp_path / "gone").is_dir()


def test_a_name_that_another_has_taken_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "taken").symlink_to(tmp_path / "elsewhere")
    link = tmp_path / "steps"
    link.symlink_to(tmp_path / "taken")
    memory_dir.make(link, ())
    assert link.is_dir()
    assert not link.is_symlink()


def test_what_a_killed_agent_has_left_goes_when_its_state_is_gone(tmp_path: Path) -> None:
    memory, left, living = tmp_path / "memory", tmp_path / "a" / "steps", tmp_path / "b" / "steps"
    for directory in (memory, left.parent, living.parent):
        directory.mkdir()
    names = []
    for link in (left, living):
        name = f"corral-{os.geteuid()}-{link.parent.name}"
        (memory / name).mkdir(mode=0o755)
        (memory / name / "n1").mkdir()
        link.symlink_to(memory / name)
        memory_dir.make(link, (str(memory),))
        names.append(name)
    left.unlink()
    memory_dir.make(tmp_path / "steps", (str(memory),))
    assert [name for name in names if (memory / name).exists()] == names[1:]
