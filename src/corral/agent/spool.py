"""What does an agent keep on disk, so that its own death loses nothing and runs nothing twice?

    agent.sock      where shepherds send their notices
    lock            held by the living agent
    term            the highest term seen
    spawner         process id and start time of the last spawner
    tombstones      keys of steps and jobs that are over and acknowledged; tombstones.1 holds the generation before
    jobs/NODE/      JOB.RESTART.prolog, JOB.RESTART.epilog: that program has ended with the status inside
    steps/NODE/KEY/ one launch: made with mkdir, which only one can win. `launch` is the order; the shepherd keeps its lock,
                    its `pid` and `ctl` there, and leaves `exit`. In memory where that can be (memory_dir.py)

Only processes may die here, not the machine, so nothing is ever synced. A file that must be whole is renamed into place; a
`launch` that is torn was never given to the spawner, so it is removed.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from corral.agent import memory_dir
from corral.model.step import StepKey

_IN_EVERY_STEP = ("launch", "pid", "exit", "slurm_script")
#: A tombstone is needed as long as a repeated order may still be on its way: far less than so many ends.
TOMBSTONES_KEPT = 10_000


class Spool:
    """The state directory of one agent. Only the agent that holds its lock writes here, and the shepherds in their own steps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps = root / "steps"
        self.jobs = root / "jobs"
        self.jobs.mkdir(parents=True, exist_ok=True)
        memory_dir.make(self.steps)
        self._steps_text = str(self.steps)
        self._nodes: set[str] = set()
        self._dead: set[str] = set()
        self._dead_before: set[str] = set()
        self._tombstones = -1
        self._open_tombstones()
        self.highest_job = max(  #: of all that were ever launched here
            (0, *(key.job for _, key in self.all_steps()), *map(_job_of, self._dead), *map(_job_of, self._dead_before))
        )

    # ------------------------------------------------------------------ steps

    def step_directory(self, node: str, key: StepKey) -> str:
        return f"{self._steps_text}/{node}/{key}"

    def claim(self, node: str, key: StepKey, order: bytes) -> bool:
        """Make the step's directory with its order; False when it is there already."""
        if node not in self._nodes:
            os.makedirs(f"{self._steps_text}/{node}", exist_ok=True)
            self._nodes.add(node)
        directory = self.step_directory(node, key)
        self.highest_job = max(self.highest_job, key.job)
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            return False
        try:
            # Environments hold secrets: only the owner of the agent may read them.
            _write_new(f"{directory}/launch", order)
        except OSError:
            # A full disk. Without its directory the order can come again.
            self.remove_step(node, key)
            raise
        return True

    def launch_order(self, node: str, key: StepKey) -> bytes | None:
        return _read(f"{self.step_directory(node, key)}/launch")

    def write_image(self, node: str, key: StepKey, root: str, problem: str = "") -> None:
        """The step's container is of this unpacked image; or there is none, and why."""
        name, text = ("no_image", problem.encode(errors="replace")) if problem else ("image", os.fsencode(root))
        _replace(f"{self.step_directory(node, key)}/{name}", text)

    def exit_record(self, node: str, key: StepKey) -> bytes | None:
        return _read(f"{self.step_directory(node, key)}/exit")

    def write_exit(self, node: str, key: StepKey, record: bytes) -> None:
        directory = self.step_directory(node, key)
        _replace(f"{directory}/exit", record)

    def remove_step(self, node: str, key: StepKey) -> None:
        directory = self.step_directory(node, key)
        try:
            for name in _IN_EVERY_STEP:
                _unlink(f"{directory}/{name}")
            os.rmdir(directory)
        except OSError:
            self._remove_all(directory)

    def _remove_all(self, directory: str) -> None:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    os.unlink(entry.path)
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)

    def all_steps(self) -> Iterator[tuple[str, StepKey]]:
        """Every launch on disk."""
        for node in sorted(name for name in os.listdir(self.steps) if not name.startswith(".")):
            for name in sorted(os.listdir(self.steps / node)):
                if (key := parsed_key(name)) is not None:
                    yield node, key

    def close(self) -> None:
        """At an orderly end."""
        memory_dir.remove(self.steps)

    # ------------------------------------------------------------------ tombstones

    def bury(self, *names: str) -> None:
        """Remember for good that these are over. Written before their files go."""
        self._dead.update(names)
        try:
            os.write(self._tombstones, "".join(f"{name}\n" for name in names).encode())
        except OSError:
            # A full disk: what is forgotten now makes room, and in memory it is known.
            return
        if len(self._dead) >= TOMBSTONES_KEPT:
            os.close(self._tombstones)
            os.replace(self.root / "tombstones", self.root / "tombstones.1")
            self._open_tombstones()

    def is_buried(self, name: str) -> bool:
        return name in self._dead or name in self._dead_before

    def _open_tombstones(self) -> None:
        self._dead_before = _lines(self.root / "tombstones.1")
        self._dead = _lines(self.root / "tombstones")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._tombstones = os.open(self.root / "tombstones", flags, 0o600)

    # ------------------------------------------------------------------ jobs and terms

    def mark_job(self, node: str, job: int, restart: int, program: str, status: int) -> None:
        """`program` (prolog or epilog) of this job has ended here."""
        directory = self.jobs / node
        directory.mkdir(exist_ok=True)
        _replace(f"{directory}/{job}.{restart}.{program}", str(status).encode())

    def job_mark(self, node: str, job: int, restart: int, program: str) -> int | None:
        text = _read(f"{self.jobs}/{node}/{job}.{restart}.{program}")
        return int(text) if text else None

    def remove_job_marks(self, node: str, job: int, restart: int) -> None:
        for program in ("prolog", "epilog"):
            _unlink(f"{self.jobs}/{node}/{job}.{restart}.{program}")

    def read_term(self) -> int:
        return int(_read(str(self.root / "term")) or 0)

    def write_term(self, term: int) -> None:
        _replace(str(self.root / "term"), str(term).encode())

    def read_spawner(self) -> str:
        """Process id and start time of the last spawner."""
        return (_read(str(self.root / "spawner")) or b"").decode()

    def write_spawner(self, text: str) -> None:
        _replace(str(self.root / "spawner"), text.encode())


def step_name(node: str, key: StepKey) -> str:
    """As it stands on a tombstone."""
    return f"{node} {key}"


def job_name(node: str, job: int, restart: int) -> str:
    return f"{node} {job}..{restart}"


def _job_of(tombstone: str) -> int:
    """Its job; 0 for a line that a full disk has torn."""
    number = tombstone.rpartition(" ")[2].partition(".")[0]
    return int(number) if number.isdecimal() else 0


def parsed_key(name: str) -> StepKey | None:
    """The key whose text this is: 42.-5.0."""
    parts = name.split(".")
    try:
        job, step, restart = map(int, parts)
    except ValueError:
        return None
    return StepKey(job, step, restart)  # type: ignore[arg-type]


def _lines(path: Path) -> set[str]:
    return set(path.read_text().splitlines()) if path.exists() else set()


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size + 1)
        while len(data) < size and (more := os.read(fd, size)):
            data += more
        return data
    finally:
        os.close(fd)


def _write_new(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
    finally:
        os.close(fd)


def _replace(path: str, data: bytes) -> None:
    _write_new(f"{path}.tmp", data)
    os.replace(f"{path}.tmp", path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
