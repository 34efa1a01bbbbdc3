"""How does history that is taken out of the store lie in a file, and how does it come back? One JSON record a line, compressed.

Files are named as Slurm names its own: CLUSTER_job_archive_FROM_TO, by when the runs in it ended, in UTC.
"""

import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from corral.errors import CorralError
from corral.store.rows import Run, StepRun


class ArchiveUnusable(CorralError):
    """The archive cannot be used: {file}: {reason}"""


class _Line(msgspec.Struct, omit_defaults=True):
    run: Run | None = None
    step: StepRun | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


def write(directory: Path, cluster: str, runs: list[Run], steps: list[StepRun]) -> Path:
    """On disk when this returns. Runs come with their steps; steps without runs are purged alone."""
    ends = [run.end for run in runs] + [step.end for step in steps]
    kind = "job" if runs else "step"
    name = f"{cluster}_{kind}_archive_{_stamp(min(ends))}_{_stamp(max(ends))}"
    lines = [_Line(run=run) for run in runs] + [_Line(step=step) for step in steps]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _unused(directory, name)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                packed.write(b"".join(_encode(line) + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ArchiveUnusable(file=error.filename or str(directory), reason=error.strerror) from error
    return path


def read(path: Path, at_once: int = 1000) -> Iterator[tuple[list[Run], list[StepRun]]]:
    """So many records at a time."""
    try:
        with gzip.open(path, "rb") as file:
            runs: list[Run] = []
            steps: list[StepRun] = []
            for number, text in enumerate(file, 1):
                line = _read(path, number, text)
                runs += [line.run] if line.run is not None else []
                steps += [line.step] if line.step is not None else []
                if len(runs) + len(steps) >= at_once:
                    yield runs, steps
                    runs, steps = [], []
            if runs or steps:
                yield runs, steps
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArchiveUnusable(file=path, reason=reason) from error


def _read(path: Path, number: int, text: bytes) -> _Line:
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise ArchiveUnusable(file=path, reason=f"line {number}: {error}") from error


def _unused(directory: Path, name: str) -> Path:
    """A second file of the same hours gets a number."""
    for end in ("", *(f".{number}" for number in range(1, 1000))):
        path = directory / f"{name}{end}.jsonl.gz"
        if not path.exists():
            return path
    raise OSError(17, "too many archives of the same time", str(directory))


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
