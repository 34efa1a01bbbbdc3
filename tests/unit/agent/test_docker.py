"""Images of a real docker: known, unpacked, and pulled in vain. A daemon of its own, where one can be started."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corral.agent.imageruntimes import CannotFetch, Engine, for_name
from corral.model.cluster import Containers
from corral.model.container import ImageConfig

SETTINGS = Containers(runtime="docker", pull="missing")
IMAGE = "corral-test:1"


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """With one image, made of busybox."""
    daemon, busybox = shutil.which("dockerd"), shutil.which("busybox")
    if daemon is None or busybox is None or not shutil.which("docker") or os.geteuid() != 0:
        pytest.skip("needs root, dockerd, docker and busybox")
    directory = tmp_path_factory.mktemp("docker")
    host = f"unix://{directory}/sock"
    if len(host) > 100:
        pytest.skip("the path of the socket is too long")
    options = ["--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid"]
    options += ["-H", host, "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    with open(directory / "log", "wb") as log, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen([daemon, *options], stdout=log, stderr=log)
        patch.setenv("DOCKER_HOST", host)
        try:
            deadline = time.monotonic() + 60
            while subprocess.run(["docker", "info"], capture_output=True).returncode:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"dockerd does not run here: {(directory / 'log').read_text()[-300:]}")
                time.sleep(0.1)
            root = directory / "root"
            for name in ("bin", "etc"):
                (root / name).mkdir(parents=True)
            shutil.copy(busybox, root / "bin/sh")
            (root / "etc/owned").write_text("by another\n")
            os.chown(root / "etc/owned", 1, 1)
            tar = subprocess.run(["tar", "-C", root, "-c", "."], capture_output=True, check=True).stdout
            words = ("ENV GREETING=docker", "WORKDIR /etc", 'ENTRYPOINT ["/bin/sh"]')
            changes = [word for change in words for word in ("--change", change)]
            subprocess.run(["docker", "import", *changes, "-", IMAGE], input=tar, check=True, capture_output=True)
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.usefixtures("docker")
def test_an_image_that_docker_has_is_unpacked_with_what_it_says(tmp_path: Path) -> None:
    into = tmp_path / "files"
    into.mkdir()

    async def scene() -> ImageConfig:
        engine = for_name(f"docker://{IMAGE}", SETTINGS)
        assert isinstance(engine, Engine)
        assert len(await engine.find(lambda _: None)) == 64
        return await engine.unpack(into, lambda _: None)

    config = asyncio.run(scene())
    assert (config.environment, config.work_dir, config.entrypoint) == (("GREETING=docker",), "/etc", ("/bin/sh",))
    assert (into / "etc/owned").stat().st_uid == 1
    assert os.access(into / "bin/sh", os.X_OK)
    assert not subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout, "nothing is left"
    assert [file.name for file in tmp_path.iterdir()] == ["files"]


@pytest.mark.usefixtures("docker")
def test_an_image_that_is_nowhere_is_an_error_that_says_so() -> None:
    async def scene() -> None:
        for settings, said in (
            (SETTINGS, "docker: "),
            (Containers(runtime="docker", pull="never"), "is not to be pulled"),
        ):
            with pytest.raises(CannotFetch, match=said):
                await for_name("localhost:1/none:1", settings).find(lambda _: None)

    asyncio.run(scene())
