"""Files of a ConfigMap's volume change all at one moment, and what is open stays what it was."""

from pathlib import Path

import pytest

from corral.agent import volumefiles
from corral.protocol.pods import PodFile


def written(directory: Path, **files: str) -> None:
    volumefiles.write(
        str(directory), [PodFile(name.replace("__", "/"), text.encode()) for name, text in files.items()], None
    )


def seen(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".." not in str(path.relative_to(directory))
    } | {
        f"{link.name}/{path.name}": path.read_text()
        for link in directory.iterdir()
        if link.is_symlink() and link.is_dir() and not link.name.startswith("..")
        for path in link.iterdir()
    }


def test_they_are_replaced_together_and_what_is_gone_is_gone(tmp_path: Path) -> None:
    written(tmp_path, a="1", keys__b="2")
    assert seen(tmp_path) == {"a": "1", "keys/b": "2"}
    with open(tmp_path / "a") as old:
        written(tmp_path, a="3", c="4")
        assert old.read() == "1"
    assert seen(tmp_path) == {"a": "3", "c": "4"}
    assert len([one for one in tmp_path.iterdir() if one.name.startswith("..") and not one.is_symlink()]) == 1


def test_what_is_so_already_is_not_written_again(tmp_path: Path) -> None:
    written(tmp_path, a="1")
    before = (tmp_path / "..data").readlink()
    written(tmp_path, a="1")
    assert (tmp_path / "..data").readlink() == before


def test_a_file_has_its_mode(tmp_path: Path) -> None:
    volumefiles.write(str(tmp_path), [PodFile("a", b"1", 0o400)], None, for_group=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o440


def test_no_file_lies_outside(tmp_path: Path) -> None:
    with pytest.raises(volumefiles.BadPath):
        written(tmp_path, **{"../x": "1"})
