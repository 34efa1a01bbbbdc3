"""sbatch, srun and salloc as processes, before a controller that says what the test wants it to say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.controller import FakeController, refused, row

SCRIPT = "#!/bin/sh\n#SBATCH -n3 -J fromscript\ntrue\n"


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[FakeController]:
    fake = FakeController(tmp_path)
    yield fake
    fake.close()


class Commands:
    def __init__(self, controller: FakeController, directory: Path) -> None:
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SALLOC"))
        }
        self._environment |= {"CORRAL_ENDPOINT": controller.endpoint, "PWD": str(directory)}
        self._directory = directory

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        code = f"from corral.cli.commands.{words[0]} import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *words[1:]], cwd=self._directory, env=self._environment | environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        """Status, standard output, standard error."""
        process = self.start(*words, **environment)
        out, error = process.communicate(stdin, timeout=60)
        return process.returncode, out, error


@pytest.fixture
def run(controller: FakeController, tmp_path: Path) -> Commands:
    return Commands(controller, tmp_path)


def wait_until_asked(controller: FakeController, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(controller.asked) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- sbatch


def test_a_script_is_submitted_with_its_options_arguments_and_text(
    controller: FakeController, run: Commands, tmp_path: Path
) -> None:
    (tmp_path / "job.sh").write_text(SCRIPT)
    controller.answers["SubmitJobs"] = {"type": "Submitted", "ids": [42]}
    assert run("sbatch", "-c2", "job.sh", "a", "b c") == (0, "Submitted batch job 42\n", "")
    (job,) = controller.requests[0]["jobs"]
    spec = job["spec"]
    assert job["script"] == SCRIPT
    assert (spec["ntasks"], spec["cpus_per_task"], spec["name"]) == (3, 2, "fromscript")
    assert (spec["argv"], spec["command"]) == (["a", "b c"], f"{tmp_path}/job.sh")
    assert job["environment"]["SLURM_SUBMIT_DIR"] == str(tmp_path)


def test_a_script_may_come_on_standard_input(controller: FakeController, run: Commands) -> None:
    controller.answers["SubmitJobs"] = {"type": "Submitted", "ids": [42]}
    assert run("sbatch", "--parsable", stdin=SCRIPT) == (0, "42\n", "")
    assert controller.requests[0]["jobs"][0]["script"] == SCRIPT


def test_a_command_is_wrapped(controller: FakeController, run: Commands) -> None:
    controller.answers["SubmitJobs"] = {"type": "Submitted", "ids": [42]}
    assert run("sbatch", "-Q", "--wrap", 'echo "$x"') == (0, "", "")
    (job,) = controller.requests[0]["jobs"]
    assert job["script"] == '#!/bin/sh\n# This script was created by sbatch --wrap.\n\necho "$x"\n'
    assert job["spec"]["name"] == "wrap"


def test_a_refusal_is_said_with_its_particulars_first(controller: FakeController, run: Commands) -> None:
    controller.answers["SubmitJobs"] = refused(
        "Invalid partition name specified", detail="invalid partition specified: x"
    )
    assert run("sbatch", "-px", "--wrap", "true") == (
        1,
        "",
        "sbatch: error: invalid partition specified: x\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
    )


def test_the_exit_status_of_an_error_may_be_chosen(controller: FakeController, run: Commands) -> None:
    controller.answers["SubmitJobs"] = refused("Job dependency problem")
    assert run("sbatch", "--wrap", "true", SLURM_EXIT_ERROR="77")[0] == 77


def test_wait_ends_with_the_highest_code_of_an_array(controller: FakeController, run: Commands) -> None:
    fields = ["state", "exit_code"]
    answers = [
        {"fields": fields, "rows": [["RUNNING", [0, 0]], ["COMPLETED", [0, 0]]]},
        {"fields": fields, "rows": [["FAILED", [3, 0]], ["FAILED", [2, 0]], ["COMPLETED", [0, 0]]]},
    ]
    controller.answers["SubmitJobs"] = {"type": "Submitted", "ids": [42]}
    controller.answers["GET /v1/jobs/42/wait"] = lambda _: answers.pop(0)
    assert run("sbatch", "-W", "-a", "1-3", "--wrap", "true")[0] == 3


def test_test_only_says_when(controller: FakeController, run: Commands) -> None:
    controller.answers["SubmitJobs"] = {
        "type": "WouldStart", "job": 5, "start": 1e9, "cpus": 2, "nodes": "n1", "partition": "batch",
    }  # fmt: skip
    status, out, error = run("sbatch", "--test-only", "--wrap", "true", TZ="UTC")
    assert (status, out) == (0, "")
    assert error == "sbatch: Job 5 to start at 2001-09-09T01:46:40 using 2 processors on nodes n1 in partition batch\n"
    assert controller.requests[0]["test_only"] is True


def test_without_a_cluster_it_is_said_how_to_start_one(run: Commands, tmp_path: Path) -> None:
    status, _, error = run("sbatch", "--wrap", "true", CORRAL_ENDPOINT=f"unix://{tmp_path}/none")
    assert status == 1
    assert "Start one with `corral up`" in error


# -- srun in a job


def test_srun_in_a_job_takes_its_tasks_and_nodes(controller: FakeController, run: Commands) -> None:
    controller.answers["CreateStep"] = refused("Access/permission denied", "denied")
    status, _, error = run("srun", "-l", "hostname", "-f", SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_JOB_NUM_NODES="2")
    assert (status, error) == (1, "srun: error: Unable to create step for job 7: Access/permission denied\n")
    (request,) = controller.requests
    spec = request["spec"]
    assert (request["job"], spec["ntasks"], spec["nodes_min"], spec["argv"]) == ("7", 4, 2, ["hostname", "-f"])
    assert (spec["name"], spec["stdio"]) == ("hostname", {"label": True})


def test_srun_waits_while_other_steps_hold_the_nodes(controller: FakeController, run: Commands) -> None:
    answers = [refused("Requested nodes are busy", "busy"), refused("Requested nodes are busy", "busy"), refused("x")]
    controller.answers["CreateStep"] = lambda _: answers.pop(0)
    assert run("srun", "true", SLURM_JOB_ID="7") == (
        1,
        "",
        "srun: Job 7 step creation temporarily disabled, retrying (Requested nodes are busy)\n"
        "srun: error: Unable to create step for job 7: x\n",
    )


def test_srun_does_not_wait_with_immediate(controller: FakeController, run: Commands) -> None:
    controller.answers["CreateStep"] = refused("Requested nodes are busy", "busy")
    assert run("srun", "-I", "true", SLURM_JOB_ID="7")[2] == (
        "srun: error: Unable to create step for job 7: Requested nodes are busy\n"
    )


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (
            refused("Invalid job id specified", "not_found"),
            ["srun: error: Unable to confirm allocation for job 7: Invalid job id specified",
             "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 7"],
        ),
        (refused("Node count specification invalid", detail="Only allocated 1 nodes asked for 3"),
         ["srun: error: Only allocated 1 nodes asked for 3"]),
        (
            refused("Invalid generic resource (gres) specification", detail="Step requested GRES but job doesn't have GRES"),
            ["srun: error: Step requested GRES but job doesn't have GRES",
             "srun: error: Unable to create step for job 7: Invalid generic resource (gres) specification"],
        ),
    ],
)  # fmt: skip
def test_a_refused_step(controller: FakeController, run: Commands, answer: Any, lines: list[str]) -> None:
    controller.answers["CreateStep"] = answer
    status, _, error = run("srun", "--jobid=7", "true")
    assert (status, error.splitlines()) == (1, lines)


# -- srun and salloc while their job waits


def waiting(controller: FakeController, state: str = "PENDING", reason: str = "Resources") -> None:
    controller.answers["SubmitJobs"] = {"type": "Submitted", "ids": [9]}
    controller.answers["GET /v1/jobs/9/wait"] = row(state=state, reason=reason)
    controller.answers["CancelJobs"] = {"type": "Done"}


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("srun", ["srun: job 9 queued and waiting for resources", "srun: Job allocation 9 has been revoked",
                  "srun: Force Terminated JobId=9"]),
        ("salloc", ["salloc: Pending job allocation 9", "salloc: job 9 queued and waiting for resources",
                    "salloc: Job allocation 9 has been revoked.", "salloc: Job aborted due to signal"]),
    ],
)  # fmt: skip
def test_an_interrupt_gives_up_a_job_that_waits(
    controller: FakeController, run: Commands, command: str, lines: list[str]
) -> None:
    def held(_: object) -> object:
        time.sleep(0.2)
        return row(state="PENDING", reason="Resources")

    waiting(controller)
    controller.answers["GET /v1/jobs/9/wait"] = held
    process = run.start(command, "true")
    wait_until_asked(controller, 3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.splitlines()) == (1, lines)
    assert controller.of_type("CancelJobs")[0]["selection"] == {"ids": ["9"]}


def test_a_job_cancelled_while_it_waits(controller: FakeController, run: Commands) -> None:
    answers = [row(state="PENDING", reason="Resources"), row(state="CANCELLED", reason="None")]
    waiting(controller)
    controller.answers["GET /v1/jobs/9/wait"] = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    assert run("srun", "true") == (
        1,
        "",
        "srun: job 9 queued and waiting for resources\nsrun: Job has been cancelled\n"
        "srun: error: Unable to allocate resources: Job/step already completing or completed\n",
    )


def test_more_nodes_than_there_are_is_said_and_waited_for(controller: FakeController, run: Commands) -> None:
    answers = [row(state="PENDING", reason="PartitionConfig"), row(state="CANCELLED", reason="None")]
    waiting(controller)
    controller.answers["GET /v1/jobs/9/wait"] = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    assert run("salloc", "-N11", "true")[2].splitlines()[:3] == [
        "salloc: Requested partition configuration not available now",
        "salloc: Pending job allocation 9",
        "salloc: job 9 queued and waiting for resources",
    ]


# -- salloc


@pytest.fixture
def granted(controller: FakeController) -> FakeController:
    waiting(controller, "RUNNING", "None")
    controller.answers["GET /v1/jobs/9"] = row(
        id=9, name="interactive", state="RUNNING", account="", qos="normal", partition="batch", nodes="n[1-2]", node_count=2,
        node_names=["n1", "n2"], alloc_detail=[["n1", "0-5", 2048, ""], ["n2", "0-1", 2048, ""]], tasks_per_node=[3, 1],
        cpus_per_node=[6, 2],
        memory_mb=4096,
    )  # fmt: skip
    controller.answers["GET /v1/ping"] = {"cluster": "here"}
    controller.answers["CompleteJob"] = {"type": "Done"}
    controller.answers["GET /v1/jobs/9/wait"] = lambda _: row(state="RUNNING", reason="None")
    return controller


def test_salloc_runs_its_command_and_gives_the_nodes_back(granted: FakeController, run: Commands) -> None:
    status, out, error = run("salloc", "-n4", "-c2", "-N2", "sh", "-c", "env | grep SLURM_ | sort; exit 7")
    assert status == 7
    assert error == "salloc: Granted job allocation 9\nsalloc: Relinquishing job allocation 9\n"
    values = dict(line.split("=", 1) for line in out.splitlines())
    assert values["SLURM_JOB_CPUS_PER_NODE"] == "6,2"
    assert values["SLURM_TASKS_PER_NODE"] == "3,1"
    assert (values["SLURM_NTASKS"], values["SLURM_CPUS_PER_TASK"]) == ("4", "2")
    assert (values["SLURM_CLUSTER_NAME"], values["SLURM_JOB_NODELIST"]) == ("here", "n[1-2]")
    assert granted.of_type("CompleteJob") == [{"type": "CompleteJob", "job": 9, "status": 7 << 8}]


def test_salloc_ends_its_command_when_the_allocation_is_taken_away(granted: FakeController, run: Commands) -> None:
    def wait(_: object) -> object:
        if not started:
            started.append(1)
            return row(state="RUNNING", reason="None")
        return row(state="COMPLETING", reason="None")

    started: list[int] = []
    granted.answers["GET /v1/jobs/9/wait"] = wait
    assert run("salloc", "sleep", "100") == (
        0,
        "",
        "salloc: Granted job allocation 9\nsalloc: Job allocation 9 has been revoked.\n",
    )
    assert granted.of_type("CompleteJob") == []


def test_salloc_with_a_command_that_is_not_there(granted: FakeController, run: Commands) -> None:
    assert run("salloc", "nosuchprogram") == (
        1,
        "",
        'salloc: Granted job allocation 9\nsalloc: error: _fork_command: Unable to find command "nosuchprogram"\n'
        "salloc: Relinquishing job allocation 9\n",
    )


def test_salloc_without_a_shell_leaves_the_job(granted: FakeController, run: Commands) -> None:
    assert run("salloc", "--no-shell") == (0, "", "salloc: Granted job allocation 9\n")
    assert granted.of_type("CompleteJob") == []
