"""Whole sessions of the real commands, repeated against a controller: each says and returns what the real one did."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import golden
from tests.unit.controller.running import RunningController, running

from corral.cli import run
from corral.cli.commands import sbatch, scancel, scontrol, sinfo, squeue
from corral.model.cluster import ClusterConfig, Programs
from corral.model.partition import Partition

NODES = ("dgx0180", "dgx0181", "dgx0182")

#: What the real one says of arrays as a whole, where here it is said of the elements; and its own numbers of nodes and CPUs.
UNLIKE = ("<B>", "NumNodes=", "Priority=")

#: What is kept of `show node`.
_NODE_LINES = re.compile(r"   (State|NextState|Reason)=")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningController]:
    config = ClusterConfig(
        partition=(Partition(name="batch", default=True), Partition(name="other", nodes="dgx0182", max_time=3600)),
        licenses={"foo": 4, "bar": 2},
        first_job_id=7001,
        programs=Programs(reboot="/bin/true"),
    )
    with running(tmp_path, config=config, nodes=NODES) as controller:
        controller.agent.ends_at_once = False
        monkeypatch.setenv("CORRAL_ENDPOINT", controller.endpoint)
        monkeypatch.chdir(tmp_path)
        yield controller


def entries(name: str) -> Iterator[tuple[str, str, int]]:
    """Command, what it printed, its status."""
    text = golden(f"lifecycle/{name}.txt")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, rest = part.partition("\n")
        status = re.search(r"^\[exit (\d+)\]\n", rest, re.MULTILINE)
        yield command, re.sub(r"^\[exit \d+\]\n", "", rest, flags=re.MULTILINE), int(status[1]) if status else 0


class Session:
    """The commands, in this process; jobs by their letters."""

    def __init__(self, capsys: pytest.CaptureFixture[str], controller: RunningController) -> None:
        self.capsys = capsys
        self.controller = controller
        self.ids: dict[str, str] = {}

    def run(self, command: str) -> tuple[str, int]:
        for letter, number in self.ids.items():
            command = command.replace(letter, number)
        name, *words = _split(command)
        try:
            status, lines = self._call(name, words), ()
        except run.Exit as end:
            status, lines = end.status, end.lines
        shown = self.capsys.readouterr()
        text = shown.out + shown.err + "".join(line + "\n" for line in lines)
        for letter, number in self.ids.items():
            text = re.sub(rf"\b{number}(?=\b|_)", letter, text)
        return re.sub(r"20\d\d-\d\d-\d\dT[\d:]{8}", "<TIME>", text), status

    def _call(self, name: str, words: list[str]) -> int:
        if name == "sbatch":
            return sbatch.sbatch(["--parsable", "-o", "/dev/null", *words])
        program = run.Program(name)
        if name == "scontrol":
            return scontrol.Scontrol(program).main(words)
        if name == "scancel":
            return scancel.Scancel(program, words).main()
        if name == "sinfo":
            return sinfo.Sinfo(program, words).main()
        return squeue.Squeue(program, words).main()


def _split(command: str) -> list[str]:
    """The golden files show words without their quotes: what follows --wrap or -o is one, and a comment."""
    for mark in (" --wrap ", " -o %"):
        before, found, rest = command.partition(mark)
        if found:
            flag, first = mark.split()[0], mark.split()[1:]
            tail = rest.removesuffix(" -H")
            return [*shlex.split(before), flag, "".join(first) + tail, *(["-H"] if tail != rest else [])]
    return [word.replace("\0", " ") for word in command.replace("=a b", "=a\0b").split(" ")]


@pytest.mark.parametrize(
    "name",
    [
        "update-pending",
        "update-running",
        "hold-requeue",
        "dependencies",
        "arrays",
        "arrays-apart",
        "top",
        "node-states",
        "setdebug",
        "little",
    ],
)
def test_a_session_of_the_real_one(
    cluster: RunningController, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(capsys, cluster)
    last = ""
    for command, wanted, status in entries(name):
        monkeypatch.setattr(sbatch, "PROGRAM", run.Program("sbatch"))
        if command.startswith("squeue"):
            _settle(cluster)
        shown, found = session.run(command)
        letter = re.fullmatch(r"<[A-Z]>\n", wanted)
        if letter:
            assert found == 0, (command, shown)
            session.ids[wanted.strip()] = shown.strip()
            last = shown.strip()
            _settle(cluster)
            continue
        if command.startswith("scancel"):
            _settle(cluster)
        if "show node" in command and not status:
            shown = "".join(f"{line}\n" for line in shown.splitlines() if _NODE_LINES.match(line))
        if "show job" in command and not status:
            shown = "".join(line for line in shown.splitlines(keepends=True) if _same_place(line, wanted))
            wanted = "".join(line for line in wanted.splitlines(keepends=True) if not any(u in line for u in UNLIKE))
            shown = "".join(line for line in shown.splitlines(keepends=True) if not any(u in line for u in UNLIKE))
        if "<B>_" in wanted and name.startswith("arrays"):
            continue
        if command == "squeue -h -j -o %t %r":  # jobs of an earlier session were still there
            continue
        assert (shown, found) == (wanted, status), f"{command} (last job {last})"


def _same_place(line: str, wanted: str) -> bool:
    """The golden file has some lines only: those that begin alike."""
    key = line.split("=")[0]
    return any(other.split("=")[0] == key for other in wanted.splitlines())


def _settle(cluster: RunningController) -> None:
    """Until the scheduler has looked at what is there."""
    with cluster.connection() as api:
        api.request("GET", "/v1/ping")
    from tests.unit.controller.running import wait_until

    wait_until(lambda: not cluster.call(lambda: cluster.loop.engine.wants_cycle))
