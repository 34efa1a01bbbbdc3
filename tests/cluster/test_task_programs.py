"""The cluster's own task prolog and epilog, and its choice of limits."""

from collections.abc import Callable

from tests.cluster.live import LiveCluster


def test_the_clusters_programs_come_before_and_after_the_users_own(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster()
    for name, text in (
        ("prolog", "echo export WHO=cluster"),
        ("own", "echo export WHO=$WHO,user"),
        ("epilog", "echo $0 | sed 's,.*/,,' >&2; false"),
        ("last", "echo last >&2"),
    ):
        path = cluster.work / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (cluster.directory / "corral.toml").write_text(
        f'propagate_limits_except = ["NOFILE"]\n[programs]\ntask_prolog = "{cluster.work}/prolog"\ntask_epilog = "{cluster.work}/epilog"\n'
    )
    cluster.up("--nodes=1", "--cpus=2")
    done = cluster.run("srun", "--task-prolog=own", "--task-epilog=last", "printenv", "WHO")
    assert done.stdout == "cluster,user\n"
    assert sorted(done.stderr.splitlines()) == ["epilog", "last", "slurmstepd: error: --task-epilog failed status=256"]
    job = cluster.submit("-o", "out", "--wrap", "echo $WHO")
    cluster.wait_for(job, "COMPLETED")
    assert (cluster.work / "out").read_text().splitlines()[0] == "cluster"

    limits = ("sh", "-c", "ulimit -n 77; srun sh -c 'ulimit -n'; srun --propagate sh -c 'ulimit -n'")
    own, propagated = [line for line in cluster.text(*limits).splitlines() if line.isdigit() or line == "unlimited"]
    assert own != "77"
    assert propagated == "77"


def test_srun_runs_what_the_cluster_wants_run_beside_it(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster()
    for name in ("before", "after"):
        path = cluster.work / name
        path.write_text(f"#!/bin/sh\necho {name} $SLURM_SCRIPT_CONTEXT $*\n")
        path.chmod(0o755)
    (cluster.directory / "corral.toml").write_text(
        f'[programs]\nsrun_prolog = "{cluster.work}/before"\nsrun_epilog = "{cluster.work}/after"\n'
    )
    cluster.up("--nodes=1", "--cpus=2")
    around = ["before prolog_srun echo task", "task", "after epilog_srun echo task"]
    assert cluster.text("srun", "-n1", "echo", "task").splitlines() == around
    assert cluster.text("salloc", "-Q", "srun", "echo", "task").splitlines() == around
    assert cluster.text("srun", "-n1", "--prolog=none", "--epilog=none", "echo", "task") == "task"
