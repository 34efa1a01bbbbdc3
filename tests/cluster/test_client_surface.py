"""What programs written against Slurm's commands rely on: words, spacing, exit status, and the stream it goes to.

Each test is one thing that workflow engines, launchers, notebooks and monitors do with the commands.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

TASK_VARIABLES = (
    "JOB_ID JOBID JOB_NAME JOB_NODELIST JOB_NUM_NODES NTASKS PROCID LOCALID NODEID CPUS_PER_TASK CPUS_ON_NODE MEM_PER_NODE "
    "JOB_PARTITION ARRAY_JOB_ID ARRAY_TASK_ID"
)


def script(cluster: LiveCluster, name: str, body: str) -> Path:
    path = cluster.work / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    return path


def fed(cluster: LiveCluster, text: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, input=text, cwd=cluster.work, env=cluster.environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip


def output(cluster: LiveCluster, job: str) -> str:
    """Of a job that has ended."""
    wait_until(lambda: cluster.text("squeue", "-h", "-j", job, "-o%t") == "", what=f"job {job} over")
    return (cluster.work / f"slurm-{job}.out").read_text()


# -- submission


def test_the_first_line_of_sbatch_has_the_id(cluster: LiveCluster) -> None:
    done = cluster.run("sbatch", str(script(cluster, "a.sh", "true")))
    assert re.fullmatch(r"Submitted batch job \d+\n", done.stdout)
    assert done.stderr == ""


def test_parsable_is_the_id_alone(cluster: LiveCluster) -> None:
    path = str(script(cluster, "a.sh", "true"))
    assert cluster.run("sbatch", "--parsable", path).stdout.strip().isdigit()
    assert re.fullmatch(r"\d+;corral\n", cluster.run("sbatch", "--parsable", "-M", "corral", path).stdout)


@pytest.mark.parametrize("command", [("sbatch",), ("sbatch", "/dev/stdin")], ids=["no name", "/dev/stdin"])
def test_the_script_may_come_on_standard_input(cluster: LiveCluster, command: tuple[str, ...]) -> None:
    done = fed(cluster, "#!/bin/sh\n#SBATCH -J piped\necho $SLURM_JOB_NAME\n", *command)
    assert output(cluster, done.stdout.split()[3]) == "piped\n"


def test_the_script_file_may_go_away_right_after_sbatch(cluster: LiveCluster) -> None:
    path = script(cluster, "gone.sh", "echo was here")
    job = cluster.submit("-H", str(path))
    path.write_text("#!/bin/sh\necho another\n")
    path.unlink()
    cluster.run("scontrol", "release", job)
    assert output(cluster, job) == "was here\n"


def test_a_refused_job_says_why_on_standard_error(cluster: LiveCluster) -> None:
    done = cluster.run("sbatch", "-p", "nosuch", "--wrap", "true", check=False)
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.endswith("sbatch: error: Batch job submission failed: Invalid partition name specified\n")


# -- sacct


def test_sacct_takes_ids_in_every_way(cluster: LiveCluster) -> None:
    one, other = cluster.submit("--wrap", "true"), cluster.submit("--wrap", "exit 1")
    cluster.wait_for(one, "COMPLETED")
    cluster.wait_for(other, "FAILED")
    expected = [f"{one}|COMPLETED", f"{other}|FAILED"]
    for ids in (
        ["-j", one, "-j", other],
        ["-j", f"{one},{other}"],
        [f"--jobs={one},{other}"],
        ["--job", f"{one},{other}"],
    ):
        assert cluster.text("sacct", "-X", "-n", "-P", "-o", "JobID,State", *ids).splitlines() == expected


def test_sacct_finds_a_job_by_its_name_and_time(cluster: LiveCluster) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 5))
    job = cluster.submit("-J", "byname", "--wrap", "true")
    cluster.wait_for(job, "COMPLETED")
    found = cluster.text(
        "sacct",
        "-X",
        "--name",
        "byname",
        "--starttime",
        since,
        "--endtime",
        "now",
        "--clusters",
        "all",
        "-n",
        "-P",
        "-o",
        "JobID",
    )
    assert found == job


def test_sacct_takes_widths(cluster: LiveCluster) -> None:
    job = cluster.submit("-J", "wide", "--wrap", "true")
    cluster.wait_for(job, "COMPLETED")
    shown = cluster.run("sacct", "-X", "-n", "-j", job, "-o", "jobid%20,state%-30").stdout
    assert shown == f"{job:>20} {'COMPLETED':<30} \n"


def test_a_cancelled_job_says_by_whom(cluster: LiveCluster) -> None:
    job = cluster.submit("--wrap", "sleep 300")
    wait_until(lambda: cluster.text("squeue", "-h", "-j", job, "-o%t") == "R")
    cluster.run("scancel", job)
    cluster.wait_for(job, "CANCELLED")
    assert cluster.state(job) == f"CANCELLED by {os.getuid()}"


# -- squeue


def test_squeue_answers_to_a_format(cluster: LiveCluster) -> None:
    job = cluster.submit("-J", "shown", "-n2", "-t", "10", "--comment", "c", "-d", "singleton", "-H", "--wrap", "true")
    marks = "%i|%t|%T|%j|%u|%D|%C|%P|%l|%r|%R|%A|%F|%K|%b|%q|%k"
    shown = cluster.text("squeue", "-h", "-j", job, "-o", marks).split("|")
    user = cluster.text("id", "-un")
    assert shown == [
        job, "PD", "PENDING", "shown", user, "1", "2", "batch", "10:00", "JobHeldUser", "(JobHeldUser)", job, job, "N/A", "N/A",
        "normal", "c",
    ]  # fmt: skip
    cluster.run("scancel", job)


def test_ended_jobs_stay_in_squeue_for_a_while(cluster: LiveCluster) -> None:
    good, bad = cluster.submit("--wrap", "true"), cluster.submit("--wrap", "false")
    cluster.wait_for(good, "COMPLETED")
    cluster.wait_for(bad, "FAILED")
    for every in (["-t", "all"], ["--states=all"]):
        shown = cluster.text("squeue", "-h", *every, "-j", f"{good},{bad}", "-S", "i", "-o", "%i %t").splitlines()
        assert shown == [f"{good} CD", f"{bad} F"]


def test_names_of_columns_are_twenty_wide_or_have_a_suffix(cluster: LiveCluster) -> None:
    job = cluster.submit("-J", "names", "-H", "--wrap", "true")
    assert cluster.run("squeue", "-h", "-j", job, "-O", "JobID,Name").stdout == f"{job:<20}{'names':<20}\n"
    assert cluster.run("squeue", "-h", "-j", job, "-O", "JobID:;,Name:|").stdout == f"{job};names|\n"
    cluster.run("scancel", job)


def test_an_array_is_named_by_its_elements(cluster: LiveCluster) -> None:
    job = cluster.submit("-a", "0-7%2", "-H", "--wrap", "sleep 300")
    assert cluster.text("squeue", "-h", "-j", job, "-o", "%i %F %K") == f"{job}_[0-7%2] {job} 0-7%2"
    assert len(cluster.text("squeue", "-h", "-r", "-j", job, "-o", "%i").splitlines()) == 8
    cluster.run("scancel", f"{job}_5", f"{job}_6")
    assert cluster.text("squeue", "-h", "-j", job, "-o", "%i") == f"{job}_[0-4,7%2]"
    cluster.run("scancel", job)
    wait_until(lambda: cluster.text("squeue", "-h", "-j", job) == "")


def test_an_id_given_twice_and_a_doubled_percent_sign_are_no_errors(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "--wrap", "true")
    assert cluster.text("squeue", "-h", f"--jobs={job},{job}", "-o", "%i") == job
    assert cluster.text("squeue", "-h", "-j", job, "-o", "%%i") == job
    cluster.run("scancel", job)


def test_times_as_seconds(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "--wrap", "true")
    for command in (["squeue", "-h", "-j", job, "-o", "%V"], ["sacct", "-X", "-n", "-P", "-j", job, "-o", "submit"]):
        done = subprocess.run(
            command, env=cluster.environment | {"SLURM_TIME_FORMAT": "%s"}, capture_output=True, text=True, check=True
        )  # fmt: skip
        assert abs(int(done.stdout) - time.time()) < 60
    cluster.run("scancel", job)


# -- scancel


def test_scancel_is_silent_also_for_what_is_over_or_was_never_there(cluster: LiveCluster) -> None:
    over = cluster.submit("--wrap", "true")
    cluster.wait_for(over, "COMPLETED")
    done = cluster.run("scancel", over, "999999")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize("before", [True, False], ids=["option first", "option last"])
def test_a_signal_goes_to_the_steps_not_to_the_batch_shell(cluster: LiveCluster, before: bool) -> None:
    body = "trap 'echo shell' USR1\nsrun sh -c 'trap \"echo step; exit 0\" USR1; echo ready; while :; do sleep 0.05; done'\necho over"
    job = cluster.submit(str(script(cluster, "signal.sh", body)))
    path = cluster.work / f"slurm-{job}.out"
    wait_until(lambda: path.exists() and "ready" in path.read_text())
    cluster.run(*(["scancel", "--signal=USR1", job] if before else ["scancel", job, "--signal", "USR1"]))
    said = output(cluster, job).splitlines()
    assert [word for word in said if word in ("ready", "step", "shell", "over")] == ["ready", "step", "over"]


# -- scontrol


def test_the_configuration_is_key_blanks_equals_value(cluster: LiveCluster) -> None:
    lines = dict(re.findall(r"^(\S+)\s*= (.*)$", cluster.text("scontrol", "show", "config"), re.MULTILINE))
    assert (lines["ClusterName"], lines["MinJobAge"], lines["SelectType"]) == ("corral", "300 sec", "select/cons_tres")
    assert int(lines["MaxArraySize"]) > 0
    for name in (
        "AccountingStorageType",
        "PriorityType",
        "SchedulerType",
        "KillWait",
        "PropagateResourceLimits",
        "SLURM_CONF",
    ):
        assert lines[name]


def test_hostnames_of_a_list_and_of_the_job(cluster: LiveCluster) -> None:
    assert cluster.text("scontrol", "show", "hostnames", "a[1-2],b").splitlines() == ["a1", "a2", "b"]
    job = cluster.submit("-N2", "--wrap", "scontrol show hostnames")
    assert len(output(cluster, job).splitlines()) == 2


def test_a_job_requeues_itself_and_appends(cluster: LiveCluster) -> None:
    body = 'echo run ${SLURM_RESTART_COUNT:-none}\nif [ -z "$SLURM_RESTART_COUNT" ]; then scontrol requeue $SLURM_JOB_ID; sleep 30; fi'
    job = cluster.submit("--requeue", "--open-mode=append", str(script(cluster, "again.sh", body)))
    cluster.wait_for(job, "COMPLETED")
    text = (cluster.work / f"slurm-{job}.out").read_text()
    assert [line for line in text.splitlines() if line.startswith("run")] == ["run none", "run 1"]


def test_processes_lead_to_their_job(cluster: LiveCluster) -> None:
    """Monitors of GPUs ask whose process it is that uses one."""
    body = "echo $$; scontrol pidinfo $$; scontrol listpids $SLURM_JOB_ID"
    job = cluster.submit("-t", "10", str(script(cluster, "pids.sh", body)))
    pid, until, left, header, first, *_ = output(cluster, job).splitlines()
    assert until.startswith(f"Slurm JobId={job} ends at ")
    assert 590 <= int(left.split()[4]) <= 600
    assert header.split() == ["PID", "JOBID", "STEPID", "LOCALID", "GLOBALID"]
    assert first.split() == [pid, job, "batch", "0", "0"]


def test_one_line_per_node_and_partition(cluster: LiveCluster) -> None:
    nodes = cluster.text("scontrol", "-a", "show", "-o", "nodes").splitlines()
    assert len(nodes) == 10
    assert all(
        re.match(r"NodeName=dgx018\d .*State=\S+ .*CfgTRES=cpu=16,mem=62.50G,billing=16,gres/gpu=8", line)
        for line in nodes
    )
    for words in (["show", "-o", "partitions"], ["show", "part", "-o"], ["-o", "show", "partition"]):
        assert cluster.text("scontrol", *words).startswith("PartitionName=batch AllowGroups=ALL ")


def test_hold_change_and_release(cluster: LiveCluster) -> None:
    job = cluster.submit("-H", "--wrap", "true")
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=7", "JobName=renamed")
    assert cluster.text("squeue", "-h", "-j", job, "-o", "%l %j") == "7:00 renamed"
    cluster.run("scontrol", "release", job)
    cluster.wait_for(job, "COMPLETED")


# -- sinfo


def test_sinfo_answers_to_a_format(cluster: LiveCluster) -> None:
    shown = cluster.text("sinfo", "-h", "-N", "-n", "dgx0189", "-o", "%P %R %N %D %c %m %f").split()
    assert shown == ["batch*", "batch", "dgx0189", "1", "16", "64000", "(null)"]
    assert re.fullmatch(
        r"\d+/\d+/0/160 \d+/\d+/0/10", cluster.text("sinfo", "-h", "-o", "%C %F", "-p", "batch").splitlines()[0]
    )
    assert cluster.text("sinfo", "-h", "-t", "down", "-N") == ""
    assert cluster.text("sinfo", "-h", "-N", "-n", "dgx0189", "-O", "nodelist:|,cpus:|") == "dgx0189|16|"


# -- inside a job


def test_srun_in_a_batch_script_takes_what_the_job_has(cluster: LiveCluster) -> None:
    body = "srun -o 'task-%j-%t' sh -c 'echo $SLURM_NTASKS $SLURM_CPUS_PER_TASK'\nsrun false\necho status $?"
    job = cluster.submit("-N2", "-n4", "-c2", str(script(cluster, "steps.sh", body)))
    assert output(cluster, job).splitlines()[-1] == "status 1"
    assert [(cluster.work / f"task-{job}-{rank}").read_text() for rank in range(4)] == ["4 2\n"] * 4


def test_srun_finds_its_job_by_the_id_alone(cluster: LiveCluster) -> None:
    body = "for name in $(env | grep ^SLURM_ | cut -d= -f1 | grep -v '^SLURM_JOB_ID$'); do unset $name; done\nsrun printenv SLURM_JOB_ID"
    job = cluster.submit(str(script(cluster, "bare.sh", body)))
    assert output(cluster, job) == f"{job}\n"


@pytest.mark.parametrize("shell", [True, False], ids=["B:USR1", "USR1"])
def test_a_signal_comes_before_the_time_limit(cluster: LiveCluster, shell: bool) -> None:
    trap = "trap 'echo warned; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    body = trap if shell else f'srun sh -c "{trap}"'
    job = cluster.submit("-t", "10", f"--signal={'B:' if shell else ''}USR1@120", str(script(cluster, "warn.sh", body)))
    path = cluster.work / f"slurm-{job}.out"
    wait_until(lambda: path.exists() and "ready" in path.read_text())
    cluster.run("scontrol", "update", f"jobid={job}", "timelimit=2")  # of which no more than the two minutes are left
    assert "warned" in output(cluster, job).splitlines()  # the shell may also say that its sleep got the signal
    cluster.wait_for(job, "COMPLETED")


@pytest.mark.parametrize(
    ("export", "expected"),
    [("ALL", "mine other"), ("NONE", "unset unset"), ("ALL,K=new", "mine new"), ("MINE,K", "mine other"), ("MINE", "mine unset")],
)  # fmt: skip
def test_what_of_the_environment_goes_with_a_job(cluster: LiveCluster, export: str, expected: str) -> None:
    done = subprocess.run(
        ["sbatch", "--parsable", f"--export={export}", "--wrap", "echo ${MINE:-unset} ${K:-unset}"], cwd=cluster.work,
        env=cluster.environment | {"MINE": "mine", "K": "other"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert output(cluster, done.stdout.strip()) == expected + "\n"


@pytest.mark.parametrize(
    "options",
    [["--gres=gpu:2"], ["--gpus-per-node=2"], ["--gpus-per-task=2", "-n1"], ["--gpus=2"]],
    ids=lambda one: one[0],
)
def test_gpus_are_seen_by_their_numbers(cluster: LiveCluster, options: list[str]) -> None:
    job = cluster.submit(*options, "--wrap", "echo $CUDA_VISIBLE_DEVICES")
    assert len(output(cluster, job).strip().split(",")) == 2


def test_bytes_that_are_no_utf_8_stay_as_they_are(cluster: LiveCluster) -> None:
    """A comment in Latin-1 in the script, a variable, an argument, a name, a directory."""
    word = b"caf\xe9"
    directory = os.fsencode(cluster.work) + b"/d" + word
    os.mkdir(directory)
    path = cluster.work / "latin.sh"
    path.write_bytes(b'#!/bin/sh\n# \xe9\necho "$WORD $1 $SLURM_JOB_NAME" \xe9\nsrun echo "$WORD"\n')
    job = subprocess.run(
        [b"sbatch", b"--parsable", b"-D", directory, b"-J", word, b"-o", b"out-%x", os.fsencode(path), word], check=True,
        env=os.environb | {os.fsencode(k): os.fsencode(v) for k, v in cluster.environment.items()} | {b"WORD": word},
        stdout=subprocess.PIPE,
    ).stdout.decode().strip()  # fmt: skip
    cluster.wait_for(job, "COMPLETED")
    with open(directory + b"/out-" + word, "rb") as file:
        assert file.read() == b"caf\xe9 caf\xe9 caf\xe9 \xe9\ncaf\xe9\n"


def test_patterns_of_output_and_one_file_for_both_streams(cluster: LiveCluster) -> None:
    job = cluster.submit("-J", "named", "-a", "3", "-o", "%x-%A-%a-%N.txt", "--wrap", "echo out; echo err >&2")
    wait_until(lambda: not cluster.text("squeue", "-h", "-j", job))
    (path,) = cluster.work.glob(f"named-{job}-3-dgx*.txt")
    assert sorted(path.read_text().splitlines()) == ["err", "out"]


def test_the_environment_of_tasks(cluster: LiveCluster) -> None:
    names = [f"SLURM_{name}" for name in TASK_VARIABLES.split()] + ["SLURMD_NODENAME"]
    job = cluster.submit(
        "-J",
        "env",
        "-a",
        "5",
        "-N2",
        "-n2",
        "-c3",
        "--mem=100",
        "-o",
        "env-%A",
        "--wrap",
        f"srun -l printenv {' '.join(names)}",
    )
    wait_until(lambda: not cluster.text("squeue", "-h", "-j", job))
    lines = (cluster.work / f"env-{job}").read_text().splitlines()
    second = [line[3:] for line in lines if line.startswith("1: ")]
    assert len(second) == len(names)
    found = dict(zip(names, second, strict=True))
    assert found["SLURM_JOB_NAME"] == "env"
    assert (found["SLURM_PROCID"], found["SLURM_LOCALID"], found["SLURM_NODEID"]) == ("1", "0", "1")
    assert (found["SLURM_NTASKS"], found["SLURM_CPUS_PER_TASK"], found["SLURM_MEM_PER_NODE"]) == ("2", "3", "100")
    assert (found["SLURM_ARRAY_JOB_ID"], found["SLURM_ARRAY_TASK_ID"]) == (job, "5")


def test_the_version_reads_as_slurms(cluster: LiveCluster) -> None:
    for command in ("srun", "sbatch", "squeue", "scontrol", "sacct"):
        assert re.fullmatch(r"slurm(-wlm)? (\d+)\.(\d+)\.(\d+)", cluster.text(command, "--version"))


def test_without_a_controller_the_words_are_slurms(cluster: LiveCluster, tmp_path: Path) -> None:
    done = subprocess.run(
        ["squeue"], env=cluster.environment | {"CORRAL_ENDPOINT": f"unix://{tmp_path}/none"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr.startswith("slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    assert done.returncode == 1
