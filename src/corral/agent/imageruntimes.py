"""Which program fetches an image and unpacks it: podman, docker, enroot, apptainer, or unsquashfs for a file?

Each says the image's key (find), after fetching it if it is not on the node, and puts its files into a directory (unpack).
They run as the agent does: an image that root's podman has, all users have.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from corral.agent import registries, sif
from corral.agent.identity import Identity
from corral.model.cluster import Containers
from corral.model.container import ImageConfig
from corral.syntax import container as words

Say = Callable[[str], None]
#: In this order, where the operator has not chosen.
PROGRAMS = ("podman", "docker", "enroot", "apptainer")
_LAST_WORDS = 600
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class CannotFetch(Exception):
    """The image cannot be had, in words for the user."""


class Runtime(Protocol):
    async def find(self, say: Say) -> str:
        """The key of the image. Raises CannotFetch."""

    async def unpack(self, into: Path, say: Say) -> ImageConfig: ...


class Reader:
    """Whoever wants to have a file as image must be able to read it."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def open(self, path: str) -> int:
        """Raises CannotFetch."""
        with self._identity.for_a_while():
            try:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError as error:
                raise CannotFetch(f"{path}: {os.strerror(error.errno or 0)}") from None


def for_name(image: str, settings: Containers, auth: str = "") -> Runtime:
    """`auth`: a config.json to pull it with (registries.py). Raises CannotFetch where there is no program for it."""
    reference = words.reference(image)
    program = _program(settings)
    if program in ("podman", "docker"):
        return Engine(program, reference, settings.pull, auth=auth)
    if auth:
        raise CannotFetch(f"{image}: imagePullSecrets are for podman and docker, and this node pulls with {program}")
    if settings.pull == "never":
        raise CannotFetch(f"{image}: only podman and docker can say whether it is here without pulling it")
    return Enroot(image) if program == "enroot" else Apptainer(f"docker://{reference}", "")


def for_file(image: str, fd: int) -> Runtime:
    """An open file or directory: who could open it is who has it, whatever its path leads to by now. Raises CannotFetch."""
    path = f"/proc/{os.getpid()}/fd/{fd}"
    key = file_key(image, fd)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        if not os.path.exists(f"{path}/oci-layout"):
            raise CannotFetch(f"{image}: a directory, and no OCI layout: there is no file oci-layout in it")
        return Engine(_podman(image), f"oci:{path}", "always", key=_layout_key(path))
    head = os.pread(fd, 64, 0)
    if head[:4] in (b"hsqs", b"sqsh"):
        if shutil.which("unsquashfs") is None:
            raise CannotFetch(f"{image}: squashfs images need unsquashfs (squashfs-tools) on the node")
        return Squashfs(path, key)
    if b"SIF_MAGIC" in head:
        return _sif(image, path, fd, key)
    return Engine(_podman(image), f"{_archive_kind(image, path)}:{path}", "always", key=key)


def _sif(image: str, path: str, fd: int, key: str) -> Runtime:
    try:
        offset = sif.root_offset(fd)
        if shutil.which("unsquashfs") is not None:
            return Squashfs(path, key, offset)
        problem = ".sif images need unsquashfs (squashfs-tools), or apptainer, on the node"
    except sif.NotReadable as error:
        problem = str(error)
    if shutil.which("apptainer") is None:
        raise CannotFetch(f"{image}: {problem}")
    return Apptainer(path, key)


def file_key(image: str, fd: int) -> str:
    """Of an image that is a file: another one when it is written anew."""
    there = os.fstat(fd)
    text = f"{there.st_dev}\0{there.st_size}\0{there.st_mtime_ns}\0{there.st_ino}\0{image}"
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _layout_key(image: str) -> str:
    with open(f"{image}/index.json", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _archive_kind(image: str, path: str) -> str:
    """OCI's or docker's, by what is in it."""
    import tarfile

    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name in ("oci-layout", "./oci-layout"):
                    return "oci-archive"
                if member.name in ("manifest.json", "./manifest.json"):
                    return "docker-archive"
    except (tarfile.TarError, EOFError, OSError):
        pass
    raise CannotFetch(f"{image}: no image: neither squashfs, nor .sif, nor an archive of OCI's or docker's")


def _podman(image: str) -> str:
    if shutil.which("podman") is None:
        raise CannotFetch(f"{image}: archives need podman on the node")
    return "podman"


def _program(settings: Containers) -> str:
    wanted = (settings.runtime,) if settings.runtime else PROGRAMS
    found = next((name for name in wanted if shutil.which(name)), None)
    if found is None:
        if settings.runtime:
            raise CannotFetch(f"{settings.runtime} is not installed on this node ([containers] runtime)")
        raise CannotFetch(f"no container runtime on this node: install one of {', '.join(PROGRAMS)}")
    return found


async def run(
    argv: Sequence[str], *, say: Say | None = None, cwd: str | None = None, env: dict[str, str] | None = None
) -> bytes:
    """Its standard output. Raises CannotFetch with its last words; it is killed when nobody waits any more."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=cwd,
        start_new_session=True, env=None if env is None else os.environ | env,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[bytes] = []

    async def listen(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            said.append(line)
            del said[:-20]
            if say is not None and line.strip():
                say(line.decode(errors="replace").strip()[:200])

    try:
        output, _ = await asyncio.gather(process.stdout.read(), listen(process.stderr))
        status = await process.wait()
    except BaseException:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await process.wait()
        raise
    if status:
        errors = [line for line in said if line.lower().startswith((b"error", b"fatal"))] or said[-3:]
        last = _COLOUR.sub("", b" ".join(line.strip() for line in errors).decode(errors="replace"))[-_LAST_WORDS:]
        raise CannotFetch(f"{argv[0]}: {last or f'exit status {status}'}")
    return output


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""


class Engine:
    """podman and docker, which have the same words."""

    def __init__(self, program: str, reference: str, pull: str, key: str = "", auth: str = "") -> None:
        self._program, self._reference, self._pull, self._key, self._auth = program, reference, pull, key, auth
        self._id = ""

    async def find(self, say: Say) -> str:
        if self._key:
            return self._key
        if self._pull in ("missing", "never"):
            try:
                return await self._inspect()
            except CannotFetch:
                if self._pull == "never":
                    raise CannotFetch(f"{self._reference} is not here, and is not to be pulled") from None
        await self._fetch(say)
        return await self._inspect()

    async def _inspect(self) -> str:
        self._id = (await self._run("image", "inspect", "--format", "{{.Id}}", self._reference)).decode().strip()
        return self._id.removeprefix("sha256:")

    async def _fetch(self, say: Say) -> None:
        say("pulling")
        output = await (self._pull_as(say) if self._auth else self._run("pull", self._reference, say=say))
        self._id = (output.decode().split() or [""])[-1]

    async def _pull_as(self, say: Say) -> bytes:
        with registries.lent(self._auth) as place:
            if self._program == "podman":
                return await self._run("pull", "--authfile", f"{place}/config.json", self._reference, say=say)
            return await run([self._program, "--config", place, "pull", self._reference], say=say)

    async def unpack(self, into: Path, say: Say) -> ImageConfig:
        if not self._id:
            await self._fetch(say)
        text = await self._run("image", "inspect", "--format", "{{json .Config}}", self._id)
        config = msgspec.json.decode(text, type=_Image)
        made = (
            (await self._run("create", self._id, *(() if config.cmd or config.entrypoint else ("true",))))
            .decode()
            .strip()
        )
        archive = into.parent / "files.tar"
        try:
            await self._run("export", "-o", str(archive), made)
            own = ["--no-same-owner"] if os.geteuid() != 0 else ["--same-owner"]
            await run(["tar", "-x", "-p", *own, "--exclude=dev/*", "-f", str(archive), "-C", str(into)])
        finally:
            archive.unlink(missing_ok=True)
            await self._run("rm", "-f", made)
        return ImageConfig(
            environment=config.env or (), entrypoint=config.entrypoint or (), command=config.cmd or (),
            work_dir=config.working_dir,
        )  # fmt: skip

    async def _run(self, *arguments: str, say: Say | None = None) -> bytes:
        return await run([self._program, *arguments], say=say)


class Squashfs:
    """A file as enroot makes it (and --container-save); or, from `offset` on, a .sif file."""

    def __init__(self, path: str, key: str, offset: int = 0) -> None:
        self._path, self._key, self._offset = path, key, offset

    async def find(self, say: Say) -> str:
        return self._key

    async def unpack(self, into: Path, say: Say) -> ImageConfig:
        options = [*(["-no-xattrs"] if os.geteuid() else []), *(["-o", str(self._offset)] if self._offset else [])]
        await run(["unsquashfs", "-f", "-no-progress", *options, "-d", str(into), self._path])
        return sif.config_of(into) if self._offset else _enroot_config(into)


def _enroot_config(root: Path) -> ImageConfig:
    """enroot keeps an image's environment in /etc/environment, and ours its whole configuration in one file."""
    try:
        return msgspec.json.decode(sif.text_in(root, ".corral-image.json").encode(), type=ImageConfig)
    except msgspec.MsgspecError:
        pass
    lines = sif.text_in(root, "etc/environment").splitlines()
    variables = [line.strip().removeprefix("export ") for line in lines if "=" in line and not line.startswith("#")]
    return ImageConfig(environment=tuple(variables))


class Enroot:
    def __init__(self, image: str) -> None:
        self._image = image if "://" in image else f"docker://{image}"

    async def find(self, say: Say) -> str:
        return "enroot-" + hashlib.sha256(self._image.encode()).hexdigest()

    async def unpack(self, into: Path, say: Say) -> ImageConfig:
        file = into.parent / "image.sqsh"
        try:
            await run(["enroot", "import", "-o", str(file), self._image], say=say)
            return await Squashfs(str(file), "").unpack(into, say)
        finally:
            file.unlink(missing_ok=True)


class Apptainer:
    """Also for .sif files. `key`: of a file; "" = of the name."""

    def __init__(self, source: str, key: str) -> None:
        self._source, self._key = source, key

    async def find(self, say: Say) -> str:
        return self._key or "apptainer-" + hashlib.sha256(self._source.encode()).hexdigest()

    async def unpack(self, into: Path, say: Say) -> ImageConfig:
        with tempfile.TemporaryDirectory(dir=into.parent) as cache:
            await run(
                ["apptainer", "build", "--force", "--sandbox", str(into), self._source],
                say=say,
                env={"APPTAINER_CACHEDIR": cache, "APPTAINER_TMPDIR": cache, "NO_COLOR": "1"},
            )
        return sif.config_of(into)
