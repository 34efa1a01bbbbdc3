"""How do jobs with shares of a GPU come to an MPS daemon, and when does it end?

NVIDIA's Multi-Process Service lets the processes of its clients run on a GPU at the same time, each with a part of it at the most. There
is one daemon for each GPU and user, run as that user: the first step of a job with a share of the GPU starts it, the end of the last such
job ends it. Its sockets and logs are in STATE/mps/gpuN.UID; which jobs have need of it is noted there too, for an agent that comes after
this one.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from corral.agent.identity import Identity
from corral.agent.mpsclient import name_of, place_of
from corral.daemon.logs import Log
from corral.model.gres import GresDevice, GresShare
from corral.model.job import Owner

PROGRAM = "nvidia-cuda-mps-control"
_PID = f"{PROGRAM}.pid"
#: Seconds for the daemon to start, or to end.
_PATIENCE = 30.0

Job = tuple[str, int, int]  #: node, job, restart


class CannotServe(Exception):
    """In words for the user."""


class Mps:
    """The agent's daemons."""

    def __init__(self, root: Path, devices: Sequence[GresDevice], log: Log) -> None:
        self._root, self._devices, self._log = root, devices, log
        self._locks: dict[str, asyncio.Lock] = {}

    async def enter(self, job: Job, shares: Sequence[GresShare], owner: Owner) -> None:
        """The daemon runs, and the job has need of it. Raises CannotServe, OSError."""
        for share in shares:
            for gpu in share.indices if share.milli else ():
                place = Path(place_of(str(self._root), gpu, owner.uid))
                async with self._lock(place):
                    self._make(place, owner)
                    (place / "jobs" / _mark(job)).touch()
                    if not _is_running(place):
                        await self._start(place, gpu, owner)

    async def leave(self, job: Job) -> None:
        """The job is over."""
        for place in sorted(self._root.glob(f"gpu*/jobs/{_mark(job)}")):
            daemon = place.parent.parent
            async with self._lock(daemon):
                place.unlink(missing_ok=True)
                if not any((daemon / "jobs").iterdir()):
                    await self._stop(daemon)

    @property
    def is_used(self) -> bool:
        return self._root.is_dir()

    def jobs(self) -> list[Job]:
        """That have need of a daemon."""
        found = []
        for mark in sorted(self._root.glob("gpu*/jobs/*")):
            node, job, restart = mark.name.rsplit(".", 2)
            found.append((node, int(job), int(restart)))
        return list(dict.fromkeys(found))

    def _lock(self, place: Path) -> asyncio.Lock:
        return self._locks.setdefault(place.name, asyncio.Lock())

    def _make(self, place: Path, owner: Owner) -> None:
        for directory in (self._root, place, place / "jobs"):
            directory.mkdir(mode=0o755, exist_ok=True)
        for directory in (place / "pipe", place / "log"):
            directory.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(directory, owner.uid, owner.gid)

    async def _start(self, place: Path, gpu: int, owner: Owner) -> None:
        name = name_of(self._devices, gpu) or str(gpu)
        status, words = await _run(place, owner, ("-d",), {"CUDA_VISIBLE_DEVICES": name})
        if status:
            raise CannotServe(f"MPS cannot be started for GPU {gpu}: {words or f'{PROGRAM} ended with {status}'}")
        self._log.info("MPS started", gpu=gpu, user=owner.user)

    async def _stop(self, place: Path) -> None:
        if _is_running(place):
            owner = (place / "pipe").stat()
            who = Owner(uid=owner.st_uid, gid=owner.st_gid, user="", group="")
            try:
                status, words = await _run(place, who, (), {}, b"quit\n")
            except (CannotServe, OSError) as error:
                status, words = 1, str(error)
            if status:
                self._log.error("MPS does not end", place=str(place), said=words)
                return
            self._log.info("MPS ended", place=str(place))
        shutil.rmtree(place, ignore_errors=True)


def _mark(job: Job) -> str:
    return f"{job[0]}.{job[1]}.{job[2]}"


def _is_running(place: Path) -> bool:
    """By the number that the daemon leaves beside its sockets."""
    try:
        os.kill(int((place / "pipe" / _PID).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


async def _run(
    place: Path, owner: Owner, arguments: Sequence[str], more: dict[str, str], said: bytes = b""
) -> tuple[int, str]:
    """Exit status, and what went wrong."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise CannotServe(
            f"MPS cannot be started: {PROGRAM} is not on this node (start_mps = false in [gpu_sharing] if you start it yourself)"
        )
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "CUDA_MPS_PIPE_DIRECTORY": f"{place}/pipe",
        "CUDA_MPS_LOG_DIRECTORY": f"{place}/log",
        **more,
    }
    identity = Identity(owner) if owner.user else None
    who = {"user": owner.uid, "group": owner.gid, "extra_groups": identity.groups if identity else []}
    with open(place / "said", "wb+") as words:  # a daemon keeps it open: a pipe would never end

        def run() -> int:
            done = subprocess.run(
                [program, *arguments], env=environment, cwd="/", input=said, stdout=words, stderr=words, check=False,
                timeout=_PATIENCE, start_new_session=True, **who if os.geteuid() == 0 else {},  # type: ignore[call-overload]
            )  # fmt: skip
            return int(done.returncode)

        try:
            status = await asyncio.get_running_loop().run_in_executor(None, run)
        except subprocess.TimeoutExpired:
            return 1, f"{PROGRAM} does not end"
        words.seek(0)
        return status, words.read(2000).decode(errors="replace").strip()
