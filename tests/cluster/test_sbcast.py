"""Files that go to the nodes of a job. Virtual nodes have one file system: what one has put there, the other finds."""

import os
from collections.abc import Callable

from tests.cluster.live import LiveCluster, wait_until


def in_job(cluster: LiveCluster, *lines: str) -> list[str]:
    """What a script prints in a job on two nodes."""
    script = "\n".join(lines)
    return cluster.run("salloc", "-Q", "-N2", "bash", "-c", f"exec 2>&1\n{script}", check=False).stdout.splitlines()


def test_a_file_is_there_whole_with_its_mode_and_nobody_sees_a_step(cluster: LiveCluster) -> None:
    data = os.urandom(3_000_000)
    (cluster.work / "source").write_bytes(data)
    (cluster.work / "source").chmod(0o4750)
    for options, name in (("", "plain"), ("-C", "packed"), ("-p", "preserved")):
        assert in_job(cluster, f"sbcast {options} source {name}; echo $?; squeue -s -h -o %i | grep -v batch") == ["0"]
        assert (cluster.work / name).read_bytes() == data
        assert (cluster.work / name).stat().st_mode & 0o7777 == 0o750
    assert (cluster.work / "preserved").stat().st_mtime == (cluster.work / "source").stat().st_mtime
    assert not [name for name in os.listdir(cluster.work) if name.startswith(".")]
    job = cluster.text("sacct", "-n", "-X", "-P", "-o", "JobID").splitlines()[-1]
    assert cluster.text("sacct", "-n", "-P", "-o", "JobID", "-j", job).splitlines() == [job]


def test_its_words_and_statuses_are_those_of_the_real_one(cluster: LiveCluster) -> None:
    for name in ("source", "there"):
        (cluster.work / name).write_text(name)
    exists = [f"sbcast: error: REQUEST_FILE_BCAST(dgx018{node}): File exists" for node in (0, 1)]
    assert in_job(cluster, "sbcast source there; echo $?") == [*exists, "17"]
    assert (cluster.work / "there").read_text() == "there"
    assert in_job(cluster, "sbcast -f source there; echo $?") == ["0"]
    assert (cluster.work / "there").read_text() == "source"
    assert in_job(cluster, "sbcast source nowhere/x; echo $?")[-2:] == [
        "sbcast: error: REQUEST_FILE_BCAST(dgx0181): No such file or directory", "2",
    ]  # fmt: skip
    for words, status, error in (
        (("source", "x"), 1, "sbcast: error: Need a job id to run this command.  Run from within a Slurm job or use the --jobid option."),
        (("-j9999", "source", "x"), 255, "sbcast: error: Slurm job 9999 lookup error: Invalid job id specified"),
        (("-j1", "missing", "x"), 255, "sbcast: error: Can't open `missing`: No such file or directory"),
        (("-j1", "source", "x/"), 1, "sbcast: error: Target filename cannot be a directory."),
        (("source",), 1, 'Need two file names, have 1 names\nTry "sbcast --help" for more information'),
    ):  # fmt: skip
        done = cluster.run("sbcast", *words, check=False)
        assert (done.returncode, done.stderr) == (status, error + "\n")


def test_srun_runs_the_program_that_it_has_sent(cluster: LiveCluster) -> None:
    lines = in_job(
        cluster, "srun -n2 -N2 --bcast=sent --send-libs --bcast-exclude=none sh -c 'echo $0 $LD_LIBRARY_PATH'"
    )
    sent = cluster.work / "sent"
    assert lines == [f"{sent} {sent}_libs"] * 2
    assert "libc.so.6" in os.listdir(f"{sent}_libs")


def test_an_srun_in_no_job_sends_its_program_to_a_job_of_its_own(cluster: LiveCluster) -> None:
    done = cluster.run("srun", "-n2", "-N2", "--bcast=own", "sh", "-c", "echo $0; exit 3", check=False)
    assert done.stdout.splitlines() == [str(cluster.work / "own")] * 2
    assert done.returncode == 3
    wait_until(lambda: cluster.text("squeue", "-h") == "")
    assert cluster.text("sacct", "-n", "-P", "-o", "JobName,State").splitlines()[-2:] == ["sh|FAILED", "sh|FAILED"]


def test_a_file_is_the_users_who_sends_it(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster()
    cluster.up("--nodes=1", "--cpus=2")
    (cluster.work / "source").write_text("x")
    assert cluster.run("salloc", "-Q", "sbcast", "source", "copy").returncode == 0
    assert (cluster.work / "copy").stat().st_uid == os.geteuid()
