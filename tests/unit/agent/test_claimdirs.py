"""A claim's directory on its node: made once, its owner's alone, gone with all that is in it."""

import os
import tempfile
from pathlib import Path

import pytest

from corral.agent import claimdirs
from corral.agent.container import CannotContain
from corral.agent.identity import Identity
from corral.model.job import Owner
from corral.protocol.pods import PodVolume

ME = Identity(Owner(uid=os.geteuid(), gid=os.getegid(), user="me", group="me"))


def volume(path: Path, owner: tuple[int, int] = (os.geteuid(), os.getegid())) -> PodVolume:
    return PodVolume(name="data", kind="claim", path=str(path), owner=owner)


def opened(path: Path, **fields: tuple[int, int]) -> None:
    os.close(claimdirs.opened(volume(path, **fields), ME, ()))


def test_the_first_makes_it_and_the_next_finds_what_is_in_it(tmp_path: Path) -> None:
    opened(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    (tmp_path / "a" / "kept").touch()
    opened(tmp_path / "a")
    assert (tmp_path / "a" / "kept").exists()


def test_where_its_file_system_is_not_mounted_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(CannotContain, match="is not there"):
        opened(tmp_path / "absent" / "a")


def test_what_is_not_a_directory_of_the_owner_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc")
    with pytest.raises(CannotContain):
        opened(tmp_path / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_of_root_it_becomes_the_owners_and_another_users_is_not_used(tmp_path: Path) -> None:
    opened(tmp_path / "a", owner=(4711, 4712))
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (4711, 4712)
    with pytest.raises(CannotContain, match="belongs to user 4711"):
        opened(tmp_path / "a", owner=(4713, 4713))


def test_it_goes_with_what_is_in_it_and_what_is_gone_already_is_no_problem(tmp_path: Path) -> None:
    opened(tmp_path / "a")
    (tmp_path / "a" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "er" / "file").touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    assert claimdirs.removed(str(tmp_path / "a"), os.geteuid(), os.getegid()) == ""
    assert os.listdir(tmp_path) == []
    assert claimdirs.removed(str(tmp_path / "a"), os.geteuid(), os.getegid()) == ""


def test_where_its_file_system_is_away_it_is_not_said_to_be_gone(tmp_path: Path) -> None:
    assert "is not there" in claimdirs.removed(str(tmp_path / "absent" / "a"), os.geteuid(), os.getegid())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_its_owner_may_not_remove_stays_and_that_is_told() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        base = Path(name)
        base.chmod(0o755)
        opened(base / "a", owner=(4711, 4711))
        (base / "a" / "others").mkdir(mode=0o755)
        (base / "a" / "others" / "file").touch()
        assert "Permission denied" in claimdirs.removed(str(base / "a"), 4711, 4711)
        assert (base / "a" / "others" / "file").exists()
