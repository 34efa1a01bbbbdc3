"""How does an image come to a node, once for all users and steps that want it?

    IMAGES/<key>/rootfs         the unpacked image: nobody writes there
    IMAGES/<key>/config.json    what it says of how it is to be run
    IMAGES/.new.<random>        one that is being unpacked

The key is the image's digest, or that of a file's path, size and time. A directory without config.json is no image yet. What
fetches and unpacks is a program of the node's (imageruntimes.py).
"""

import asyncio
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from corral.agent import imageruntimes, registries
from corral.agent.boxes import remove
from corral.agent.imageruntimes import CannotFetch, Runtime
from corral.daemon import clock
from corral.model.cluster import Containers
from corral.model.container import ImageConfig
from corral.syntax import container as words

#: What failed is not tried again before so many seconds: the launch that follows a failed fetch says why.
_FAILED_SECONDS = 5.0
Say = Callable[[str], None]


class Images:
    """The images of one node, or of the virtual nodes of one agent."""

    def __init__(self, directory: Path, settings: Containers) -> None:
        self.directory, self.settings = directory, settings
        self._coming: dict[str, asyncio.Task[str]] = {}
        self._failed: dict[str, tuple[float, str]] = {}  #: what was wrong with it, and when

    async def ensure(
        self, image: str, groups: imageruntimes.Reader, say: Say, pull: str = "", auths: tuple[str, ...] = ()
    ) -> str:
        """The directory of the unpacked image, after fetching it if need be; whoever wants the same waits for the same.

        `groups`: the user that a file must be readable for. `say` hears of progress. `pull`: missing, always, never; "" = as
        the cluster says. `auths`: texts of .dockerconfigjson with which it may be pulled. Raises CannotFetch.
        """
        auth = registries.merged(auths)
        mark = f"{image} {hashlib.sha256(auth.encode()).hexdigest()}" if auth else image
        fd = groups.open(image) if words.is_file(image) else -1
        since, problem = self._failed.get(mark, (0.0, ""))
        if problem and fd < 0 and clock.monotonic() - since < _FAILED_SECONDS:
            raise CannotFetch(problem)
        task = self._coming.get(mark)
        if task is None:
            task = self._coming[mark] = asyncio.get_running_loop().create_task(
                self._ensure(image, mark, fd, say, pull, auth)
            )
            task.add_done_callback(lambda _: self._coming.pop(mark, None))
        elif fd >= 0:
            os.close(fd)
        return await asyncio.shield(task)

    async def _ensure(self, image: str, mark: str, fd: int, say: Say, pull: str, auth: str) -> str:
        settings: Any = msgspec.structs.replace(self.settings, pull=pull or self.settings.pull)
        try:
            runtime = imageruntimes.for_file(image, fd) if fd >= 0 else imageruntimes.for_name(image, settings, auth)
            async with asyncio.timeout(self.settings.pull_timeout):
                key = await runtime.find(say)
                found = self.directory / key
                if not is_image(found):
                    await self._unpack(runtime, image, found, say)
        except TimeoutError:
            raise CannotFetch(
                self._noted(mark, f"{image}: not here after {self.settings.pull_timeout:g} seconds")
            ) from None
        except CannotFetch as error:
            self._noted(mark, str(error))
            raise
        finally:
            if fd >= 0:
                os.close(fd)
        return str(found / "rootfs")

    def _noted(self, image: str, problem: str) -> str:
        self._failed = {name: one for name, one in self._failed.items() if clock.monotonic() - one[0] < _FAILED_SECONDS}
        self._failed[image] = (clock.monotonic(), problem)
        return problem

    async def _unpack(self, runtime: Runtime, image: str, found: Path, say: Say) -> None:
        say("unpacking")
        new: Path | None = None
        try:
            new = self._new_directory()
            config = await runtime.unpack(new / "rootfs", say)
            config = msgspec.structs.replace(config, name=image, digest=found.name, created=clock.now())
            await asyncio.to_thread(_finish, new, found, config)
        except OSError as error:
            raise CannotFetch(f"cannot unpack {image} in {self.directory}: {error.strerror}") from None
        finally:
            if new is not None:
                await asyncio.to_thread(remove, new)

    def _new_directory(self) -> Path:
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new.", dir=self.directory))
        (new / "rootfs").mkdir(mode=0o755)
        return new

    def all(self) -> list[ImageConfig]:
        """Those that are here, the newest first."""
        found = []
        for path in self.directory.glob("*/config.json"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=ImageConfig))
            except (OSError, msgspec.MsgspecError):
                continue
        return sorted(found, key=lambda config: -config.created)

    def forget(self, wanted: str, in_use: set[str]) -> int:
        """Remove those of this name, or whose digest begins so, that nobody uses; how many. Raises OSError when all are in use."""
        matching = [
            one for one in self.all() if wanted == one.name or (len(wanted) >= 6 and one.digest.startswith(wanted))
        ]
        free = [one for one in matching if one.digest not in in_use]
        if matching and not free:
            raise OSError(errno.EBUSY, "a step uses it")
        removed = 0
        for one in free:
            gone = Path(tempfile.mkdtemp(prefix=".new.", dir=self.directory))
            try:
                (self.directory / one.digest).rename(gone / "old")
                removed += 1
            except FileNotFoundError:
                pass  # another node of this agent was told the same
            remove(gone)
        return removed

    def remove_unfinished(self) -> None:
        """What an agent that was killed has left."""
        for path in self.directory.glob(".new.*"):
            shutil.rmtree(path, ignore_errors=True)


def is_image(directory: Path) -> bool:
    return (directory / "config.json").exists()


def _finish(new: Path, found: Path, config: ImageConfig) -> None:
    """It is all there: give it its name, and take away what is in the way there, left by one that was killed."""
    config = msgspec.structs.replace(config, size=_size_of(new / "rootfs"))
    (new / "config.json").write_bytes(msgspec.json.encode(config))
    new.chmod(0o711)
    try:
        new.rename(found)
    except OSError:
        if not is_image(found):
            remove(found)
            new.rename(found)


def _size_of(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total
