"""The option table knows what the real commands know, and where a value comes from decides which one holds."""

import re
from pathlib import Path
from typing import Any

import pytest

from corral.cli import jobspec, options
from corral.cli.commands.salloc import salloc
from corral.cli.components import read_all
from corral.cli.given import Given
from corral.cli.options.refused import REFUSED
from corral.cli.run import Exit, Program, program_text

GOLDEN = Path(__file__).parents[2] / "golden" / "option_names"


def given(command: str, *words: str, **environment: str) -> Given:
    found = Given(Program(command))
    found.take_environment(environment)
    found.take(found.split(list(words))[0])
    found.settle()
    return found


def job(command: str, *words: str, **environment: str) -> dict[str, Any]:
    return jobspec.job_spec(given(command, *words, **environment), "batch")


@pytest.mark.parametrize("command", ["sbatch", "srun", "salloc"])
def test_every_option_of_the_real_command_is_known(command: str) -> None:
    text = (GOLDEN / f"{command}.help.txt").read_text()
    real = set(re.findall(r"^\s+(?:-\w,?\s+)?--([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert real - {option.name for option in options.table(command)} == set()


@pytest.mark.parametrize("command", ["sbatch", "srun", "salloc"])
def test_the_help_shows_what_is_offered_and_nothing_else(command: str) -> None:
    shown = set(re.findall(r"^\s+(?:-\w,?\s+)?--([a-z][a-z0-9-]*)", program_text(command, "help"), re.MULTILINE))
    assert not shown & set(REFUSED)


@pytest.mark.parametrize("command", ["sbatch", "srun", "salloc"])
def test_no_option_is_there_twice(command: str) -> None:
    table = options.table(command)
    assert len({option.name for option in table}) == len(table)
    letters = [option.letter for option in table if option.letter and option.name not in ("cluster", "clusters")]
    assert len(letters) == len(set(letters))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_not_offered_is_refused_by_name_with_the_reason(name: str) -> None:
    _, argument, commands, _, why = REFUSED[name]
    command = next(full for full, letter in options.COMMANDS.items() if letter in commands)
    with pytest.raises(Exit) as refused:
        given(command, f"--{name}" if argument == 0 else f"--{name}=1")
    assert refused.value.lines == (f"{command}: error: --{name} is not supported by Corral: {why}",)
    assert refused.value.status == 1


def test_a_variable_of_a_refused_option_is_refused_too() -> None:
    with pytest.raises(Exit, match="SBATCH_POWER is not supported"):
        given("sbatch", SBATCH_POWER="x")


def test_the_command_line_wins_over_the_variable() -> None:
    assert job("sbatch", "-p", "debug", SBATCH_PARTITION="batch")["partition"] == "debug"
    assert job("sbatch", SBATCH_PARTITION="batch")["partition"] == "batch"


def test_each_command_reads_its_own_variables() -> None:
    everything = {"SBATCH_QOS": "b", "SLURM_QOS": "r", "SALLOC_QOS": "a"}
    assert [job(command, **everything)["qos"] for command in ("sbatch", "srun", "salloc")] == ["b", "r", "a"]


def test_memory_on_the_command_line_replaces_memory_of_another_kind_in_a_variable() -> None:
    spec = job("srun", "--mem-per-cpu=1G", SLURM_MEM_PER_NODE="4096")
    assert spec["memory_per_cpu_mb"] == 1024
    assert "memory_per_node_mb" not in spec


def test_two_kinds_of_memory_exclude_one_another() -> None:
    with pytest.raises(Exit, match="mutually exclusive"):
        given("sbatch", "--mem=1G", "--mem-per-gpu=1G")


def test_only_srun_counts_with_the_variables_of_the_job_around_it() -> None:
    assert given("srun", SLURM_NTASKS="3", SLURM_JOB_NUM_NODES="2").values["ntasks"] == 3
    assert "ntasks" not in given("sbatch", SLURM_NTASKS="3")
    assert "cpus-per-task" not in given("srun", SLURM_CPUS_PER_TASK="17")
    assert given("srun", SRUN_CPUS_PER_TASK="17").values["cpus-per-task"] == 17


def test_a_flag_in_a_variable_may_say_no() -> None:
    assert "overcommit" in given("sbatch", SBATCH_OVERCOMMIT="")
    assert "overcommit" not in given("sbatch", SBATCH_OVERCOMMIT="0")
    assert "overcommit" not in given("sbatch", SBATCH_OVERCOMMIT="no")


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-N2-4"], "nodes_max", 4),
        (["--mem=1500K"], "memory_per_node_mb", 2),
        (["--mem=0"], "memory_per_node_mb", 0),
        (["-t", "1:30"], "time_limit", 90),
        (["-t", "1-2"], "time_limit", 26 * 3600),
        (["--gres=gpu:v100:2"], "gres", [["gpu", "v100", 2]]),
        (["-G4"], "gpus", [["gpu", "", 4]]),
        (["--signal=B:USR1@90"], "signal", [10, 90, True]),
        (["--nice"], "nice", 100),
        (["--mail-type=begin,END"], "mail_types", ["BEGIN", "END"]),
        (["-m", "block:cyclic"], "distribution", "block:cyclic"),
        (["-m", "plane=4"], "distribution", "plane=4"),
        (["--no-requeue"], "requeue", False),
        (["-w", "n[1-3]"], "nodes_min", 3),
        (["--priority=0"], "hold", True),
    ],
)
def test_an_option_becomes_a_field(words: list[str], field: str, value: object) -> None:
    assert job("sbatch", *words)[field] == value


def test_the_job_takes_umask_directory_and_limits_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    spec = job("sbatch", "-D", "sub", "--propagate=NOFILE,CORE")
    assert spec["work_dir"] == f"{tmp_path}/sub"
    assert sorted(spec["rlimits"]) == ["CORE", "NOFILE"]
    assert job("sbatch", "--propagate=NONE")["rlimits"] == {}


@pytest.mark.parametrize(
    ("words", "tasks", "nodes"),
    [
        (["-N3"], 3, (3, 3)),
        (["-N3", "--ntasks-per-node=2"], 6, (3, 3)),
        (["-N2", "-n1"], 1, (1, 1)),
        (["-N2-4", "-n3"], 3, (2, 4)),
        (["-n5"], 5, None),
    ],
)
def test_srun_has_a_task_for_each_node_and_no_node_without_task(
    words: list[str], tasks: int, nodes: tuple[int, int] | None
) -> None:
    found = given("srun", *words)
    jobspec.fit_tasks_to_nodes(found)
    assert (found.get("ntasks"), found.get("nodes")) == (tasks, nodes)


def test_tasks_per_node_of_the_job_are_no_wish_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    found = given("srun", "-N1", "-n1", SLURM_NTASKS_PER_NODE="2")
    jobspec.fit_tasks_to_nodes(found)
    assert ("ntasks-per-node" in found, capsys.readouterr().err) == (False, "")


def test_the_version_is_that_of_the_slurm_whose_commands_these_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as end:
        read_all(Program("srun"), ["--version"], anywhere=False)
    assert (end.value.status, capsys.readouterr().out) == (0, "slurm 22.05.8\n")


def test_an_unknown_kind_of_mpi_is_refused_in_the_words_of_the_real_one() -> None:
    with pytest.raises(Exit) as end:
        given("srun", "--mpi=foo")
    assert end.value.status == 1
    assert list(end.value.lines) == [
        "srun: error: Couldn't find the specified plugin name for mpi/foo looking at all files",
        "srun: error: cannot find mpi plugin for mpi/foo",
        "srun: error: MPI: Cannot create context for mpi/foo",
        "srun: error: MPI: Unable to load any plugin",
        "srun: error: Invalid MPI type 'foo', --mpi=list for acceptable types",
    ]


def test_the_kind_of_mpi_is_the_steps() -> None:
    assert jobspec.step_spec(given("srun", "--mpi=pmi2"), ["x"], "x")["mpi"] == "pmi2"
    assert jobspec.step_spec(given("srun", SLURM_MPI_TYPE="pmi2"), ["x"], "x")["mpi"] == "pmi2"
    assert "mpi" not in jobspec.step_spec(given("srun"), ["x"], "x")


@pytest.mark.parametrize(
    ("words", "is_exact"), [(("-c2",), True), ((), False), (("-c2", "--whole"), False), (("--exclusive",), True)]
)
def test_a_step_that_says_cpus_per_task_takes_no_more(words: tuple[str, ...], is_exact: bool) -> None:
    assert jobspec.step_spec(given("srun", *words), ["x"], "x").get("exact", False) is is_exact


@pytest.mark.parametrize(
    ("text", "said"), [("S", "login shell"), ("8S", "login shell"), ("30", "8 seconds"), ("30L", "8 seconds")]
)
def test_logins_of_another_kind_or_a_slower_one_are_refused(text: str, said: str) -> None:
    with pytest.raises(Exit, match=said):
        given("sbatch", f"--get-user-env={text}")
    assert given("sbatch", "--get-user-env=8L").get("get-user-env") is True


def test_only_root_asks_salloc_for_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Exit, match="SlurmdUser must be root to use --get-user-env"):
        salloc(["--get-user-env", "true"])
