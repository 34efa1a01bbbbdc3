"""Who listens to a step beside its srun."""

import signal
import subprocess

from tests.cluster.live import LiveCluster, wait_until


def start(cluster: LiveCluster, *command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, cwd=cluster.work, env=cluster.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, bufsize=0,
    )  # fmt: skip


def running_step(cluster: LiveCluster, name: str) -> str:
    """Of this test: one of the test before may still be going."""

    def found() -> list[str]:
        rows = [line.split() for line in cluster.text("squeue", "-s", "-h", "-o", "%i %j").splitlines()]
        return [step for step, its in rows if its == name]

    (step,) = wait_until(found)
    return step


def test_it_hears_what_the_tasks_say_and_how_they_end(cluster: LiveCluster) -> None:
    script = "until [ -e go ]; do echo waits; sleep 0.1; done; read x; echo $SLURM_PROCID $x; exit $SLURM_PROCID"
    srun = start(cluster, "srun", "-J", "heard", "-N2", "-n2", "bash", "-c", script)
    sattach = start(cluster, "sattach", "-l", running_step(cluster, "heard"))
    assert srun.stdin is not None
    assert sattach.stdout is not None
    wait_until(lambda: sattach.stdout is not None and "waits" in sattach.stdout.readline())
    (cluster.work / "go").touch()
    srun.stdin.write("word\n")
    out, error = sattach.communicate(timeout=60)
    assert {line for line in out.splitlines() if "waits" not in line} == {"0: 0 word", "1: 1 word"}
    assert (sattach.returncode, error) == (1, "sattach: error: task 1 exited with exit code 1\n")
    assert {"0 word", "1 word"} <= set(srun.communicate()[0].splitlines())


def test_it_ends_by_sigpipe_when_nobody_reads_it_and_the_step_goes_on(cluster: LiveCluster) -> None:
    srun = start(cluster, "srun", "-J", "unread", "bash", "-c", "until read -t 0.1 x; do echo waits; done")
    sattach = start(cluster, "sattach", running_step(cluster, "unread"))
    assert sattach.stdout is not None
    assert srun.stdin is not None
    sattach.stdout.readline()
    sattach.stdout.close()
    assert sattach.wait(60) == -signal.SIGPIPE
    srun.stdin.write("word\n")
    srun.communicate(timeout=60)
    assert srun.returncode == 0


def test_what_is_typed_at_it_goes_to_the_tasks(cluster: LiveCluster) -> None:
    srun = start(cluster, "srun", "-J", "typed", "-n2", "-l", "sh", "-c", "read x; echo $x")
    step = running_step(cluster, "typed")
    for rank in ("1", "0"):
        sattach = start(cluster, "sattach", "--input-filter", rank, step)
        assert sattach.stdin is not None
        assert srun.stdout is not None
        sattach.stdin.write(f"for {rank}\n")
        assert srun.stdout.readline() == f"{rank}: for {rank}\n"
        sattach.stdin.close()
    assert srun.wait(60) == 0


def test_its_words_for_layout_and_mistakes_are_those_of_the_real_one(cluster: LiveCluster) -> None:
    job = cluster.submit("-N2", "-n4", "--wrap", "srun sleep 100")
    step = f"{job}.0"
    wait_until(lambda: step in cluster.text("squeue", "-s", "-h", "-o", "%i").split())
    assert cluster.text("sattach", "--layout", step) == (
        "Job step layout:\n\t4 tasks, 2 nodes (dgx[0180-0181])\n\n"
        "\tNode 0 (dgx0180), 3 task(s): 0 1 2 \n\tNode 1 (dgx0181), 1 task(s): 3 "
    )
    cluster.run("scancel", job)
    usage = "Usage: sattach [options] <jobid.stepid>\n"
    for words, out, error in (
        (("99999.0",), "", "Could not get job step info: Invalid job id specified"),
        (("42",), usage, "Failed to parse stepid from command line options"),
        ((), usage, "too many parameters"),
        (("--output-filter=x", "1.0"), "", 'Invalid numeric value "x" for output-filter.'),
    ):
        done = cluster.run("sattach", *words, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, out, f"sattach: error: {error}\n")
