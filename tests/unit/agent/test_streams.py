"""Tasks and an attached client, through a real NATS server that comes and goes."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.agent.node_side import NODE, NodeSide, wait_until

from corral.agent.control import End, Notify, Signal, shepherd_pid
from corral.bus.server import start_server
from corral.client.attach import (
    STDERR,
    STDOUT,
    Attachment,
    LaunchError,
    Message,
    NodeEnded,
    Notice,
    Output,
    Started,
    TaskEnded,
)
from corral.model.job import StdioSpec
from corral.model.step import EndCause, StepKey
from corral.protocol.orders import StepIo
from corral.protocol.streams import WINDOW


class Nats:
    """A server that can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.start()

    def start(self) -> None:
        self._server = start_server(self._directory, None)
        self.url = self._server.url

    def kill(self) -> None:
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()  # waits until it is gone


class Client:
    """An srun that keeps all it is told."""

    def __init__(self, nats: Nats, key: StepKey, window: tuple[int, int] = (0, 0)) -> None:
        self.attachment = Attachment(nats.url, "", "test", str(key), nodes=1, window=window)
        self.output: dict[tuple[int, int], bytes] = {}
        self.statuses: dict[int, int] = {}
        self.events: list[object] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.attachment, selectors.EVENT_READ)
        self.on_output: Callable[[Output], None] = self.attachment.consumed

    def turn(self, seconds: float = 0.05) -> None:
        most = self.attachment.timeout()
        self._selector.select(seconds if most is None else min(most, seconds))
        for event in self.attachment.on_readable():
            match event:
                case Output(rank, stream, data):
                    self.output[rank, stream] = self.output.get((rank, stream), b"") + data
                    self.on_output(event)
                case TaskEnded(_, rank, status):
                    self.statuses[rank] = status
            self.events.append(event)

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain: {self.output} {self.events[-5:]}"
            self.turn()

    def to_the_end(self) -> "Client":
        self.until(lambda: self.attachment.has_ended)
        self.attachment.close()
        return self

    def text(self, rank: int = 0, stream: int = STDOUT) -> str:
        return self.output.get((rank, stream), b"").decode()

    def all_of(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(tmp_path / "nats")
    yield server
    server.kill()


@pytest.fixture
def node(tmp_path: Path, nats: Nats) -> Iterator[NodeSide]:
    """Ends before the server, through which the last acknowledgements are on their way."""
    side = NodeSide(tmp_path / "agent", cgroups="off")
    yield side
    side.close()


def io(nats: Nats) -> StepIo:
    return StepIo(url=nats.url, token="", cluster="test")


def is_gone(node: NodeSide, key: StepKey) -> bool:
    return shepherd_pid(str(node.directory(key))) is None


# ---------------------------------------------------------------------- everyday


def test_output_and_statuses_of_32_tasks_reach_the_client(node: NodeSide, nats: Nats) -> None:
    key = node.step("sh", "-c", "echo out $SLURM_PROCID; echo err >&2; exit $SLURM_PROCID", ntasks=32, io=io(nats))
    client = Client(nats, key).to_the_end()
    assert [client.text(rank) for rank in range(32)] == [f"out {rank}\n" for rank in range(32)]
    assert {client.text(rank, STDERR) for rank in range(32)} == {"err\n"}
    assert client.statuses == {rank: rank << 8 for rank in range(32)}
    (started,) = client.all_of(Started)
    assert isinstance(started, Started)
    assert len(set(started.pids)) == 32
    (ended,) = client.all_of(NodeEnded)
    assert isinstance(ended, NodeEnded)
    assert ended.cause == "exited"
    wait_until(lambda: is_gone(node, key))


def test_a_client_that_comes_after_the_end_still_gets_everything(node: NodeSide, nats: Nats) -> None:
    key = node.step("echo", "hi", io=io(nats))
    assert node.finished(key).cause is EndCause.EXITED
    assert not is_gone(node, key)
    assert Client(nats, key).to_the_end().text() == "hi\n"
    wait_until(lambda: is_gone(node, key))


def test_input_goes_to_all_tasks_and_ends(node: NodeSide, nats: Nats) -> None:
    key = node.step("cat", ntasks=3, io=io(nats))
    client = Client(nats, key)
    assert client.attachment.send_stdin(b"one\ntwo\n") == 8
    client.attachment.send_stdin_eof()
    client.to_the_end()
    assert [client.text(rank) for rank in range(3)] == ["one\ntwo\n"] * 3


def test_input_may_be_for_one_task_or_none(node: NodeSide, nats: Nats) -> None:
    key = node.step("cat", ntasks=2, io=io(nats), stdio=StdioSpec(stdin="1", stderr="none"))
    client = Client(nats, key)
    client.attachment.send_stdin(b"input")
    client.attachment.send_stdin_eof()
    client.to_the_end()
    assert client.text(0) == ""
    assert client.text(1) == "input"


def test_an_unknown_program_is_said_on_standard_error(node: NodeSide, nats: Nats) -> None:
    client = Client(nats, node.step("nosuch", io=io(nats))).to_the_end()
    assert client.text(0, STDERR) == "slurmstepd: error: execve(): nosuch: No such file or directory\n"
    assert client.statuses == {0: 2 << 8}


def test_an_output_that_cannot_be_opened_is_a_launch_error(node: NodeSide, nats: Nats) -> None:
    client = Client(nats, node.step("true", io=io(nats), stdio=StdioSpec(stdout="/dev/null/o"))).to_the_end()
    (error,) = client.all_of(LaunchError)
    assert isinstance(error, LaunchError)
    assert error.text == "Could not open stdout file /dev/null/o: Not a directory"


def test_a_cancelled_step_says_so_to_the_client(node: NodeSide, nats: Nats) -> None:
    key = node.step("sleep", "1000", io=io(nats))
    client = Client(nats, key)
    client.until(lambda: client.all_of(Started))
    node.tell(key, Signal(signal=15, kill_after=5.0, reason="cancelled"))
    client.to_the_end()
    (message,) = client.all_of(Message)
    assert isinstance(message, Message)
    assert message.text.startswith(f"slurmstepd: error: *** STEP {key.job}.0 ON {NODE} CANCELLED AT ")
    assert client.statuses == {0: 15}


def test_a_message_for_the_user_comes_as_such(node: NodeSide, nats: Nats) -> None:
    key = node.step("sleep", "1000", io=io(nats))
    client = Client(nats, key)
    client.until(lambda: client.all_of(Started))
    node.tell(key, Notify(message="back at noon"))
    client.until(lambda: client.all_of(Notice))
    (notice,) = client.all_of(Notice)
    assert isinstance(notice, Notice)
    assert notice.text == "back at noon"
    node.tell(key, Signal(signal=9))
    client.to_the_end()


def test_a_signal_of_the_client_reaches_the_tasks(node: NodeSide, nats: Nats) -> None:
    key = node.step("sleep", "1000", ntasks=2, io=io(nats))
    client = Client(nats, key)
    client.until(lambda: client.all_of(Started))
    client.attachment.send_signal(signal.SIGUSR1)
    client.to_the_end()
    assert client.statuses == {0: 10, 1: 10}


# ---------------------------------------------------------------------- flow control


def counted_lines(count: int) -> str:
    return "".join(f"{number:09d}\n" for number in range(count))


LINES = 300_000
PRINT = f"for i in range({LINES}): print(f'{{i:09d}}')"


def test_a_slow_reader_slows_the_task_and_loses_nothing(node: NodeSide, nats: Nats) -> None:
    marker = node.work_dir / "printed"
    key = node.step(sys.executable, "-c", f"{PRINT}\nopen('printed', 'w')", io=io(nats))
    client = Client(nats, key)
    held: list[Output] = []
    client.on_output = held.append
    client.until(lambda: sum(len(output.data) for output in held) == WINDOW)
    for _ in range(5):
        client.turn()
    assert len(client.text()) == WINDOW
    assert not marker.exists()
    for output in held:
        client.attachment.consumed(output)
    client.on_output = client.attachment.consumed
    client.to_the_end()
    assert client.text() == counted_lines(LINES)


def test_nothing_is_lost_or_doubled_when_the_bus_is_killed_and_started_again(node: NodeSide, nats: Nats) -> None:
    # Back and forth: what the client sends comes back through cat.
    key = node.step("cat", io=io(nats))
    client = Client(nats, key)
    data = counted_lines(LINES).encode()
    sent, kills = 0, 0
    deadline = time.monotonic() + 60
    while sent < len(data):
        assert time.monotonic() < deadline
        sent += client.attachment.send_stdin(data[sent : sent + 50_000])
        client.turn(0.01)
        if len(client.text()) > (kills + 1) * 700_000 and kills < 3:
            nats.kill()
            nats.start()
            kills += 1
    client.attachment.send_stdin_eof()
    client.to_the_end()
    assert kills == 3
    assert client.output[0, STDOUT] == data


def test_tasks_run_while_the_bus_is_away(node: NodeSide, nats: Nats) -> None:
    nats.kill()
    key = node.step("sh", "-c", "echo hi; exit 4", io=io(nats))
    assert node.finished(key).tasks[0].status.code == 4
    nats.start()
    assert Client(nats, key).to_the_end().text() == "hi\n"


def test_a_step_whose_client_was_killed_blocks_and_can_be_ended(node: NodeSide, nats: Nats) -> None:
    key = node.step("yes", io=io(nats))
    client = Client(nats, key)
    client.until(lambda: client.all_of(Started))
    client.attachment._on_lost()  # as SIGKILL would do it
    node.tell(key, End(kill_after=1.0, reason="cancelled"))
    assert node.finished(key).cause is EndCause.CANCELLED
    node.tell(key, End())
    wait_until(lambda: is_gone(node, key))


# ---------------------------------------------------------------------- the terminal


def shell(node: NodeSide, nats: Nats) -> tuple[StepKey, Client]:
    key = node.step(
        "bash", "--norc", "-i", io=io(nats), pty=True, window=(24, 80), environment={"PS1": "$ ", "TERM": "dumb"}
    )
    client = Client(nats, key, window=(24, 80))
    client.until(lambda: client.text().endswith("$ "))
    return key, client


def test_a_shell_has_a_terminal_of_the_clients_size_that_follows_it(node: NodeSide, nats: Nats) -> None:
    _, client = shell(node, nats)
    client.attachment.send_stdin(b"tty; stty size\n")
    client.until(lambda: "24 80" in client.text())
    assert "/dev/pts/" in client.text()
    client.attachment.send_window(33, 111)
    client.attachment.send_stdin(b"stty size\n")
    client.until(lambda: "33 111" in client.text())
    client.attachment.send_stdin(b"exit 5\n")
    assert client.to_the_end().statuses == {0: 5 << 8}


def test_ctrl_c_reaches_the_program_and_ctrl_d_ends_the_shell(node: NodeSide, nats: Nats) -> None:
    _, client = shell(node, nats)
    client.attachment.send_stdin(b"echo on; sleep 1000\n")
    client.until(lambda: "\r\non\r\n" in client.text())
    client.until(lambda: _sleeps(node))
    client.attachment.send_stdin(b"\x03")
    client.until(lambda: client.text().endswith("^C\r\n$ "))
    client.attachment.send_stdin(b"echo rc $?\n")
    client.until(lambda: client.text().endswith("rc 130\r\n$ "))
    client.attachment.send_stdin_eof()
    assert client.to_the_end().statuses == {0: 0}


def _sleeps(node: NodeSide) -> bool:
    """Is the sleep in its terminal's foreground? Only then does Ctrl-C mean it."""
    return subprocess.run(["pgrep", "-x", "-f", "sleep 1000"], capture_output=True, check=False).returncode == 0


def test_a_cancelled_shell_ends_without_waiting_to_be_killed(node: NodeSide, nats: Nats) -> None:
    key, client = shell(node, nats)
    node.tell(key, Signal(signal=15, kill_after=1e6, reason="cancelled"))
    client.to_the_end()
    assert node.finished(key).cause is EndCause.CANCELLED


def test_what_ignores_every_signal_loses_its_terminal(node: NodeSide, nats: Nats) -> None:
    script = "trap '' HUP TERM; echo ready; read line; echo $? > read-ended; exec sleep 1000"
    key = node.step("bash", "-c", script, io=io(nats), pty=True)
    client = Client(nats, key)
    client.until(lambda: "ready" in client.text())
    node.tell(key, Signal(signal=15, kill_after=0.6, reason="cancelled"))
    client.to_the_end()
    assert client.statuses == {0: 9}
    assert (node.work_dir / "read-ended").read_text() == "1\n"
