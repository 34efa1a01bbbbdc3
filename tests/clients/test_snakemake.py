"""Snakemake with its slurm executor plugin: a workflow of rules, and one that fails."""

import subprocess
from pathlib import Path

FLOW = """
rule all:
    input: "out/total.txt"
rule make:
    output: "data/{s}.txt"
    resources: runtime=5
    shell: "echo {wildcards.s} $SLURM_JOB_ID > {output}"
rule total:
    input: expand("data/{s}.txt", s=["a", "b", "c"])
    output: "out/total.txt"
    threads: 2
    resources: runtime=5
    shell: "cat {input} > {output}"
"""
BROKEN = """
rule all:
    output: "never.txt"
    resources: runtime=5
    shell: "exit 3"
"""


def snakemake(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            "snakemake", "--executor", "slurm", "--jobs", "4", "--default-resources", "slurm_partition=batch", "mem_mb=1000",
            "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1", "--latency-wait", "5",
            "--slurm-status-command", "sacct", *options,
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280,
    )  # fmt: skip


def test_a_workflow_runs_as_jobs(work: Path) -> None:
    (work / "Snakefile").write_text(FLOW)
    done = snakemake()
    assert done.returncode == 0, done.stdout
    lines = (work / "out/total.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert len({line.split()[1] for line in lines}) == 3


def test_a_rule_that_fails_is_seen(work: Path) -> None:
    (work / "Snakefile").write_text(BROKEN)
    done = snakemake()
    assert done.returncode == 1
    assert "FAILED" in done.stdout
