import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.agent.node_side import NODE, NodeSide, is_alive, wait_until

from corral.agent import cgroup_v1, cgroup_v2, shift
from corral.agent.control import End, Exited, ShepherdSettings, Signal, Started, Suspend, shepherd_pid
from corral.agent.spawner import SpawnerDied
from corral.agent.spawner import start as start_spawner
from corral.model.job import ExitStatus, Owner, StdioSpec
from corral.model.step import EndCause
from corral.protocol.reports import StepFinished

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: users and cgroups")
NOBODY = Owner(uid=65534, gid=65534, user="nobody", group="nogroup")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeSide]:
    side = NodeSide(tmp_path / "agent")
    yield side
    side.close()


@pytest.fixture
def ordinary(tmp_path: Path) -> Iterator[NodeSide]:
    """As an ordinary user has it: no cgroups."""
    side = NodeSide(tmp_path / "agent", cgroups="off")
    yield side
    side.close()


def status_of(node: NodeSide, script: str, **spec: object) -> ExitStatus:
    finished = node.finished(node.batch(script, **spec))  # type: ignore[arg-type]
    return finished.tasks[0].status


# ---------------------------------------------------------------------- running


def test_a_batch_script_leaves_its_output_and_its_exit_status(node: NodeSide) -> None:
    key = node.batch("#!/bin/bash\necho out $SLURM_JOB_ID $1; echo err >&2; pwd; exit 3\n", argv=("word",))
    finished = node.finished(key)
    assert finished.tasks[0].status == ExitStatus(3, 0)
    assert finished.cause is EndCause.EXITED
    assert node.output(key) == f"out {key.job} word\nerr\n{node.work_dir}\n"


def test_a_script_killed_by_a_signal_says_so(node: NodeSide) -> None:
    assert status_of(node, "#!/bin/sh\nkill -9 $$\n") == ExitStatus(0, 9)


def test_a_task_knows_its_own_process_id(node: NodeSide) -> None:
    key = node.batch("#!/bin/sh\necho $$ $SLURM_TASK_PID\nwhile [ ! -e go ]; do sleep 0.01; done\n")
    (pid,) = node.started(key)
    (node.work_dir / "go").touch()
    node.finished(key)
    assert node.output(key) == f"{pid} {pid}\n"


def test_a_script_without_its_interpreter_says_which(node: NodeSide) -> None:
    key = node.batch("#!/bin/nosuch\ntrue\n")
    assert node.finished(key).tasks[0].status == ExitStatus(2, 0)
    assert node.output(key) == "slurmstepd: error: execve(): bad interpreter(/bin/nosuch): No such file or directory\n"


def test_a_missing_directory_means_tmp_and_is_said_twice(node: NodeSide) -> None:
    out = StdioSpec(stdout=str(node.work_dir / "o"))
    assert status_of(node, "#!/bin/sh\npwd\n", work_dir="/nonexistent", stdio=out) == ExitStatus()
    line = "slurmstepd: error: couldn't chdir to `/nonexistent': No such file or directory: going to /tmp instead\n"
    assert (node.work_dir / "o").read_text() == line * 2 + "/tmp\n"


def test_an_output_that_cannot_be_opened_fails_the_launch_with_53(node: NodeSide) -> None:
    finished = node.finished(node.batch("#!/bin/sh\n", stdio=StdioSpec(stdout="/dev/null/out")))
    assert finished.tasks[0].status == ExitStatus(0, 53)
    assert finished.cause is EndCause.LAUNCH_FAILED
    assert finished.message == "Could not open stdout file /dev/null/out: Not a directory"


def test_the_directories_of_an_output_are_made(node: NodeSide) -> None:
    out = StdioSpec(stdout=str(node.work_dir / "logs" / "%j" / "out"))
    assert status_of(node, "#!/bin/sh\necho there\n", stdio=out) == ExitStatus()
    assert [path.read_text() for path in node.work_dir.glob("logs/*/out")] == ["there\n"]


def test_output_and_error_go_to_files_of_their_own_and_append_keeps_what_is_there(node: NodeSide) -> None:
    (node.work_dir / "out-test").write_text("before\n")
    stdio = StdioSpec(stdout="out-%x", stderr="err-%j", open_mode="append")
    key = node.batch("#!/bin/sh\necho out\necho err >&2\n", stdio=stdio)
    node.finished(key)
    assert (node.work_dir / "out-test").read_text() == "before\nout\n"
    assert (node.work_dir / f"err-{key.job}").read_text() == "err\n"


def test_umask_and_limits_are_the_submitters(node: NodeSide) -> None:
    key = node.batch(
        "#!/bin/sh\numask; ulimit -n; ulimit -c\n", umask=0o077, rlimits={"NOFILE": (99, 200), "CORE": (0, 0)}
    )
    node.finished(key)
    assert node.output(key) == "0077\n99\n0\n"
    assert (node.work_dir / f"slurm-{key.job}.out").stat().st_mode & 0o777 == 0o600


def test_32_tasks_run_with_ranks_of_their_own(node: NodeSide) -> None:
    key = node.step("sh", "-c", "echo $SLURM_PROCID; exit $SLURM_PROCID", ntasks=32, stdio=StdioSpec(stdout="o-%t"))
    finished = node.finished(key)
    assert [(task.rank, task.status.code) for task in finished.tasks] == [(rank, rank) for rank in range(32)]
    assert [(node.work_dir / f"o-{rank}").read_text() for rank in range(32)] == [f"{rank}\n" for rank in range(32)]


def test_multi_prog_gives_each_rank_its_program(node: NodeSide) -> None:
    lines = (("0", ("echo", "zero", "%t", "%o")), ("1-2", ("echo", "rest", "%t", "%o")), ("*", ("echo", "star", "%t")))
    node.finished(node.step(ntasks=4, multi_prog=lines, stdio=StdioSpec(stdout="o-%t")))
    words = [(node.work_dir / f"o-{rank}").read_text().strip() for rank in range(4)]
    assert words == ["zero 0 0", "rest 1 0", "rest 2 1", "star 3"]


def test_lines_in_a_file_are_labelled(node: NodeSide) -> None:
    stdio = StdioSpec(stdout="o", label=True)
    node.finished(node.step("printf", "a\\n\\nb", ntasks=11, stdio=stdio))
    lines = (node.work_dir / "o").read_text().splitlines()
    assert sorted(lines) == sorted(f"{rank:>2}: {text}" for rank in range(11) for text in ("a", "", "b"))


def test_an_unknown_program_exits_with_its_errno(node: NodeSide) -> None:
    key = node.step("nosuchprogram", stdio=StdioSpec(stdout="o"))
    assert node.finished(key).tasks[0].status == ExitStatus(2, 0)
    words = "slurmstepd: error: execve(): nosuchprogram: No such file or directory\n"
    assert (node.work_dir / "o").read_text() == words


@needs_root
def test_a_job_runs_as_its_user_and_writes_as_its_user(node: NodeSide) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o777)
        # The spool itself, below pytest's directory, is closed to this user.
        key = node.batch("#!/bin/sh\nid -u; id -g; id -G\n", owner=NOBODY, work_dir=open_to_all)
        node.finished(key)
        output = Path(open_to_all, f"slurm-{key.job}.out")
        assert output.read_text() == "65534\n65534\n65534\n"
        assert output.stat().st_uid == 65534


@needs_root
def test_a_user_cannot_write_where_only_root_may(node: NodeSide) -> None:
    os.chmod(node.work_dir, 0o755)
    finished = node.finished(node.batch("#!/bin/sh\n", owner=NOBODY))
    assert finished.cause is EndCause.LAUNCH_FAILED
    assert "Permission denied" in finished.message


# ---------------------------------------------------------------------- ending


@pytest.mark.parametrize(("number", "is_told"), [(signal.SIGTERM, True), (signal.SIGUSR1, False)])
def test_a_signal_that_ends_is_told_in_the_output(node: NodeSide, number: int, is_told: bool) -> None:
    script = "#!/bin/bash\ntrap 'echo got it; exit' TERM USR1\necho ready > ready\nwhile :; do sleep 0.05; done\n"
    key = node.batch(script)
    wait_until((node.work_dir / "ready").exists)
    node.tell(key, Signal(signal=number, only_shell=True, at=1795482518.0))
    assert node.finished(key).cause is EndCause.EXITED
    told, _, rest = node.output(key).rpartition("got it\n")
    assert rest == ""
    assert bool(told) is is_told
    assert told.startswith(f"slurmstepd: error: *** JOB {key.job} ON {NODE} CANCELLED AT ") or not is_told


def test_the_sruns_of_a_cancelled_script_have_the_last_word(node: NodeSide) -> None:
    program = node.work_dir / "srun"
    program.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; echo last words; exit' TERM\necho > ready; while :; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    key = node.batch("#!/bin/bash\n./srun\necho not reached\n")
    wait_until((node.work_dir / "ready").exists)
    node.tell(key, End(kill_after=30.0, reason="cancelled"))
    assert node.finished(key).tasks[0].status == ExitStatus(0, 15)
    assert node.output(key).splitlines()[-1] == "last words"


def test_time_limit_sends_term_then_kill_and_says_why(node: NodeSide) -> None:
    key = node.batch("#!/bin/bash\ntrap 'echo got TERM' TERM\necho ready > ready\nwhile :; do sleep 0.05; done\n")
    wait_until((node.work_dir / "ready").exists)
    node.tell(key, Signal(signal=15, kill_after=0.3, reason="time_limit", at=1795482518.0))
    finished = node.finished(key)
    assert finished.cause is EndCause.CANCELLED
    assert finished.tasks[0].status == ExitStatus(0, 9)
    output = node.output(key)
    assert f"slurmstepd: error: *** JOB {key.job} ON {NODE} CANCELLED AT 2026-" in output
    assert " DUE TO TIME LIMIT ***\n" in output
    assert "got TERM\n" in output


def test_a_signal_reaches_all_processes_or_only_the_shell(node: NodeSide) -> None:
    script = (
        "#!/bin/bash\ntrap 'echo shell' USR1\n"
        "bash -c 'trap \"echo child\" USR1; echo x > ready; while [ ! -e stop ]; do sleep 0.02; done' &\n"
        "while [ ! -e stop ]; do wait; done\n"
    )
    key = node.batch(script)
    wait_until((node.work_dir / "ready").exists)
    node.tell(key, Signal(signal=signal.SIGUSR1, only_shell=True))
    wait_until(lambda: node.output(key) == "shell\n")
    node.tell(key, Signal(signal=signal.SIGUSR1))
    wait_until(lambda: "child" in node.output(key))
    (node.work_dir / "stop").touch()
    assert node.finished(key).cause is EndCause.EXITED


ESCAPE = (
    "#!/bin/bash\n(setsid bash -c 'setsid bash -c \"echo \\$\\$ > escaped; exec sleep 1000\" &' &)\n"
    "while [ ! -s escaped ]; do sleep 0.01; done\n"
)


@pytest.mark.parametrize("kind", ["node", "ordinary"])
def test_what_called_setsid_twice_is_killed_with_the_step(kind: str, request: pytest.FixtureRequest) -> None:
    node: NodeSide = request.getfixturevalue(kind)
    node.finished(node.batch(ESCAPE))
    assert not is_alive(node.pid_in("escaped"))


#: Changes its number with every turn, and its session too: who looks for it finds one that has just gone.
HOPPER = """#!/bin/sh
cat > hop.py <<'EOF'
import os
open("hops", "w").close()
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
EOF
python3 -S -E hop.py & python3 -S -E hop.py &
while [ ! -e hops ]; do sleep 0.01; done
"""


@needs_root
def test_what_changes_its_number_all_the_time_is_killed_with_the_step(node: NodeSide) -> None:
    node.finished(node.batch(HOPPER))
    assert not [name for name in os.listdir("/proc") if name.isdigit() and is_in(node.work_dir, name)]


def is_in(directory: Path, pid: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(directory)
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["node", "ordinary"])
def test_suspended_tasks_do_nothing_and_can_be_ended(kind: str, request: pytest.FixtureRequest) -> None:
    node: NodeSide = request.getfixturevalue(kind)
    key = node.batch("#!/bin/bash\nwhile :; do echo x >> ticks; sleep 0.01; done\n")
    ticks = node.work_dir / "ticks"
    wait_until(ticks.exists)
    (pid,) = node.started(key)
    node.tell(key, Suspend())
    wait_until(lambda: _state(pid) in "TD" or _is_frozen(node, pid))
    size = ticks.stat().st_size
    node.tell(key, Suspend(thaw=True))
    wait_until(lambda: ticks.stat().st_size > size)
    node.tell(key, Suspend())
    node.tell(key, End(kill_after=0.0))
    assert node.finished(key).cause is EndCause.CANCELLED


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _is_frozen(node: NodeSide, pid: int) -> bool:
    name = node.settings.cgroup_name
    version_1 = Path("/sys/fs/cgroup/freezer", name).glob("**/freezer.state")
    version_2 = Path(cgroup_v2.top() or cgroup_v2.ROOT, name).glob("**/cgroup.events")
    is_frozen = [path.read_text() == "FROZEN\n" for path in version_1]
    return any([*is_frozen, *("frozen 1" in path.read_text() for path in version_2)])


@needs_root
@pytest.mark.skipif(
    "memory" not in cgroup_v1.controllers() | cgroup_v2.controllers(), reason="needs control groups that limit memory"
)
def test_a_job_over_its_memory_is_killed_and_its_neighbour_keeps_his(node: NodeSide) -> None:
    keeps = "#!/bin/bash\ny=$(head -c 9000000 /dev/zero | tr '\\0' y)\ntouch has\nwhile [ ! -e go ]; do sleep 0.01; done\necho ${#y}\n"
    neighbour = node.batch(keeps, memory_mb=50)
    wait_until((node.work_dir / "has").exists)
    key = node.batch("#!/bin/bash\nx=$(head -c 200000000 /dev/zero | tr '\\0' x)\necho not reached\n", memory_mb=50)
    finished = node.finished(key)
    assert finished.cause is EndCause.OUT_OF_MEMORY
    assert f"oom-kill event(s) in StepId={key.job}.batch. Some of your processes may have been killed" in node.output(
        key
    )
    (node.work_dir / "go").touch()
    assert node.finished(neighbour).cause is EndCause.EXITED
    assert node.output(neighbour) == "9000000\n"
    root = f"{cgroup_v1.ROOT}/memory" if cgroup_v1.is_usable() else cgroup_v2.top()
    assert not list(Path(root, node.settings.cgroup_name).glob("*job_*"))


# ---------------------------------------------------------------------- what it survives


def test_a_step_outlives_its_spawner_and_its_agent(node: NodeSide) -> None:
    key = node.batch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.01; done; exit 7\n")
    node.started(key)
    os.kill(node.spawner.pid, signal.SIGKILL)
    with pytest.raises(SpawnerDied):
        wait_until(node.spawner.failures)
    node.socket.close()
    assert shepherd_pid(str(node.directory(key))) is not None
    (node.work_dir / "go").touch()
    wait_until((node.directory(key) / "exit").exists)
    wait_until(lambda: shepherd_pid(str(node.directory(key))) is None)
    node.spawner = start_spawner(str(node.root), node.settings)


def test_a_launch_that_comes_twice_runs_once(node: NodeSide) -> None:
    key = node.batch("#!/bin/sh\necho ran >> runs; while [ ! -e go ]; do sleep 0.01; done\n")
    node.started(key)
    order = (node.directory(key) / "launch").read_bytes()
    node.spawner.launch(order)
    (node.work_dir / "go").touch()
    node.finished(key)
    node.spawner.launch(order)
    node.finished(node.batch("#!/bin/sh\ntrue\n"))  # what was launched before is over, or has been refused
    assert (node.work_dir / "runs").read_text() == "ran\n"


def test_nothing_of_a_step_is_left_but_its_record(node: NodeSide) -> None:
    key = node.batch("#!/bin/sh\ntrue\n")
    node.finished(key)
    wait_until(lambda: shepherd_pid(str(node.directory(key))) is None)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{node.settings.cgroup_name}/*job_*"))


def is_free(node: NodeSide) -> bool:
    return shepherd_pid(str(node.directory(node.keys[-1]))) is None


def test_a_shepherd_whose_step_is_over_takes_the_next(node: NodeSide) -> None:
    pids = set()
    for _ in range(5):
        key = node.batch("#!/bin/sh\nexit 3\n")
        assert node.finished(key).tasks[0].status == ExitStatus(3, 0)
        wait_until(lambda: is_free(node))
        pids.add((node.directory(key) / "pid").read_text())
    assert len(pids) < 5


@pytest.mark.skipif(os.geteuid() != 0 or not cgroup_v1.is_usable(), reason="needs root, and cgroups of version 1")
def test_a_shepherd_keeps_its_control_group_for_the_next_job_of_the_same_user(node: NodeSide) -> None:
    def shepherd_and_group(work_dir: Path, owner: Owner | None = None) -> tuple[str, str]:
        script = f"#!/bin/sh\ngrep memory: /proc/self/cgroup\nstat -c %i {base}/*job_*.0\n"
        key = node.batch(script, memory_mb=100, owner=owner, work_dir=str(work_dir))
        node.finished(key)
        wait_until(lambda: is_free(node))
        name, number = (work_dir / f"slurm-{key.job}.out").read_text().split()
        assert name.endswith(f"/{NODE}.job_{key.job}.0/step_batch")
        return (node.directory(key) / "pid").read_text(), number

    base = f"{cgroup_v1.ROOT}/memory/{node.settings.cgroup_name}"
    found = [shepherd_and_group(node.work_dir) for _ in range(6)]
    assert len(set(found)) == len(dict(found)) < 6, "one group for each shepherd"
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o777)
        _, number = shepherd_and_group(Path(open_to_all), NOBODY)
    assert number not in dict(found).values()


def test_a_shepherd_that_goes_after_many_steps_takes_no_directory_with_it(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "exit").touch()  # over already: nothing is to be done
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        ours.close()
        try:
            shift.serve(str(tmp_path / "a"), ShepherdSettings(), None, theirs.fileno(), most_steps=2)
        finally:
            os._exit(0)
    theirs.close()
    assert ours.recv(16) == shift.IDLE
    ours.send(str(tmp_path / "b").encode())
    assert ours.recv(16) == b""
    ours.close()
    os.waitpid(pid, 0)


def test_notices_wait_for_an_agent_that_is_behind(node: NodeSide) -> None:
    keys = [node.batch("#!/bin/sh\nsleep 0.5\n") for _ in range(30)]
    wait_until(lambda: all((node.directory(key) / "exit").exists() for key in keys))
    assert all(node.finished(key).cause is EndCause.EXITED for key in keys)
    heard = [notice for notice in node.notices if isinstance(notice, Started)]
    assert [key for key in keys if all(notice.key != key for notice in heard)] == []


def test_of_a_step_that_ends_at_once_only_its_end_is_heard_with_its_record(node: NodeSide) -> None:
    def notices_of_one_step() -> list[object]:
        key = node.batch("#!/bin/sh\ntrue\n")
        record = node.finished(key)
        found = [notice for notice in node.notices if notice.key == key]
        last = found[-1]
        assert isinstance(last, Exited)
        assert msgspec.msgpack.decode(last.record, type=StepFinished) == record
        return found

    wait_until(lambda: len(notices_of_one_step()) == 1)  # on a machine that has time for it
