"""-M with one cluster: its own name and `all` are taken, as by a Slurm whose database knows one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fakecluster import FakeCluster

UNKNOWN = (
    "{0}: error: No cluster 'nosuch' known by database.\n{0}: error: 'nosuch' can't be reached now, or it is an invalid entry "
    "for --cluster.  Use 'sacctmgr list clusters' to see available clusters.\n"
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        yield fake


@pytest.mark.parametrize("command", ["squeue", "sinfo"])
@pytest.mark.parametrize("name", ["oracle", "all"])
def test_the_own_cluster_gets_a_heading(cluster: FakeCluster, command: str, name: str) -> None:
    assert cluster.run(command, "-M", name).stdout == "CLUSTER: oracle\n" + cluster.run(command).stdout


def test_without_a_header_there_is_no_heading(cluster: FakeCluster) -> None:
    assert cluster.run("squeue", "-h", "-M", "oracle").stdout == cluster.run("squeue", "-h").stdout


@pytest.mark.parametrize("command", ["squeue", "sinfo"])
def test_another_cluster_is_not_known(cluster: FakeCluster, command: str) -> None:
    done = cluster.run(command, "-M", "nosuch")
    assert (done.stdout, done.stderr, done.returncode) == ("", UNKNOWN.format(command), 1)


@pytest.mark.parametrize(
    "argv",
    [
        ("sbatch", "-M", "nosuch", "--wrap", "true"), ("srun", "-M", "nosuch", "true"), ("salloc", "--cluster=nosuch", "true"),
        ("scancel", "-M", "nosuch", "1"), ("scontrol", "-M", "nosuch", "ping"),
    ],
)  # fmt: skip
def test_nothing_is_done_on_a_cluster_that_is_not_known(cluster: FakeCluster, argv: tuple[str, ...]) -> None:
    done = cluster.run(*argv)
    assert (done.stdout, done.stderr, done.returncode) == ("", UNKNOWN.format(argv[0]), 1)
    assert not cluster.requests


def test_sbatch_says_on_which_cluster(cluster: FakeCluster) -> None:
    cluster.reply = {"type": "Submitted", "ids": [42]}
    assert (
        cluster.run("sbatch", "-M", "oracle", "--wrap", "true").stdout == "Submitted batch job 42 on cluster oracle\n"
    )
    assert cluster.run("sbatch", "--parsable", "--wrap", "true", SBATCH_CLUSTERS="all").stdout == "42;oracle\n"
    assert cluster.run("sbatch", "--parsable", "--wrap", "true").stdout == "42\n"


def test_the_variable_counts_too(cluster: FakeCluster) -> None:
    assert cluster.run("squeue", SLURM_CLUSTERS="oracle").stdout.startswith("CLUSTER: oracle\n")
    assert "invalid entry for SLURM_CLUSTERS." in cluster.run("squeue", SLURM_CLUSTERS="nosuch").stderr


def test_of_several_the_known_one_is_shown(cluster: FakeCluster) -> None:
    done = cluster.run("squeue", "-M", "nosuch,oracle")
    assert done.stdout.startswith("CLUSTER: oracle\n")
    assert done.stderr == "squeue: error: No cluster 'nosuch' known by database.\n"


@pytest.mark.parametrize("option", ["--federation", "--local", "--sibling"])
def test_without_a_federation_there_is_nothing_more_to_show(cluster: FakeCluster, option: str) -> None:
    assert cluster.run("squeue", option).stdout == cluster.run("squeue").stdout


def test_sbatch_names_the_cluster_it_was_told(cluster: FakeCluster) -> None:
    cluster.reply = {"type": "Submitted", "ids": [7]}

    def sbatch(*argv: str, **environment: str) -> str:
        done = cluster.run("sbatch", *argv, "--wrap", "true", **environment)
        assert done.stderr == ""
        return done.stdout

    assert sbatch("-M", "oracle") == "Submitted batch job 7 on cluster oracle\n"
    assert sbatch("--parsable", "--clusters=all") == "7;oracle\n"
    assert sbatch(SBATCH_CLUSTERS="oracle") == "Submitted batch job 7 on cluster oracle\n"
    assert sbatch("--parsable") == "7\n"


@pytest.mark.parametrize("argv", [["sbatch", "--wrap", "true"], ["scancel", "1"], ["scontrol", "show", "job", "1"]])
def test_nothing_is_done_for_another_cluster(cluster: FakeCluster, argv: list[str]) -> None:
    done = cluster.run(argv[0], "-M", "nosuch", *argv[1:])
    assert (done.stdout, done.stderr, done.returncode) == ("", UNKNOWN.format(argv[0]), 1)
    assert cluster.requests == []
