"""The node's images: once for all who want them."""

import asyncio
from pathlib import Path

import pytest

from corral.agent import imageruntimes
from corral.agent import images as images_module
from corral.agent.identity import Identity
from corral.agent.imageruntimes import CannotFetch, Reader
from corral.agent.images import Images
from corral.model.cluster import Containers
from corral.model.container import ImageConfig
from corral.model.job import Owner

READER = Reader(Identity(Owner(uid=0, gid=0, user="root", group="root")))


class Unpacking:
    """A runtime that has the image; `fails`: until this is taken away."""

    def __init__(self) -> None:
        self.times, self.fails = 0, ""

    async def find(self, say: imageruntimes.Say) -> str:
        return "key"

    async def unpack(self, into: Path, say: imageruntimes.Say) -> ImageConfig:
        self.times += 1
        await asyncio.sleep(0)
        (into / "file").write_text("there")
        if self.fails:
            raise CannotFetch(self.fails)
        return ImageConfig(environment=("A=1",))


def said(words: str) -> None:
    pass


def images(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Images, Unpacking]:
    runtime = Unpacking()
    monkeypatch.setattr(imageruntimes, "for_name", lambda image, settings, auth="": runtime)
    return Images(directory / "images", Containers()), runtime


def test_all_who_want_an_image_wait_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, runtime = images(tmp_path, monkeypatch)

    async def both() -> list[str]:
        return await asyncio.gather(*(store.ensure("x", READER, said) for _ in range(5)))

    found = asyncio.run(both())
    assert set(found) == {str(tmp_path / "images/key/rootfs")}
    asyncio.run(store.ensure("x", READER, said))
    assert runtime.times == 1
    assert [(image.name, image.environment) for image in store.all()] == [("x", ("A=1",))]


def test_one_that_cannot_be_unpacked_leaves_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runtime = images(tmp_path, monkeypatch)
    runtime.fails = "no space"
    with pytest.raises(CannotFetch, match="no space"):
        asyncio.run(store.ensure("x", READER, said))
    assert list((tmp_path / "images").iterdir()) == []
    runtime.fails = ""
    with pytest.raises(CannotFetch, match="no space"):  # the launch that follows at once says the same
        asyncio.run(store.ensure("x", READER, said))
    monkeypatch.setattr(images_module, "_FAILED_SECONDS", 0.0)
    assert Path(asyncio.run(store.ensure("x", READER, said))).is_dir()


def test_what_a_killed_agent_has_left_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = images(tmp_path, monkeypatch)
    (tmp_path / "images/key/rootfs").mkdir(parents=True)
    (tmp_path / "images/.new.abc/rootfs").mkdir(parents=True)
    store.remove_unfinished()
    assert Path(asyncio.run(store.ensure("x", READER, said))).joinpath("file").read_text() == "there"
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["key"]


def test_without_a_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotFetch, match="install one of podman, docker, enroot, apptainer"):
        imageruntimes.for_name("ubuntu", Containers())
    with pytest.raises(CannotFetch, match="docker is not installed on this node"):
        imageruntimes.for_name("ubuntu", Containers(runtime="docker"))
