"""sshare against what the real one printed of the same usage."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import GOLDEN, FakeCluster

REAL: dict[str, Any] = json.loads((GOLDEN / "sshare.json").read_text())
CLASSIC: dict[str, Any] = json.loads((GOLDEN / "sshare-classic.json").read_text())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.shares = {"cluster": "oracle", "rows": REAL["rows"]}
        yield fake


@pytest.mark.parametrize("run", REAL["runs"], ids=lambda run: " ".join(run["argv"]) or "alone")
def test_it_shows_what_the_real_one_shows(cluster: FakeCluster, run: dict[str, Any]) -> None:
    done = cluster.run("sshare", *run["argv"])
    assert (done.stdout, done.stderr, done.returncode) == (run["out"], run["err"], run["rc"])


@pytest.mark.parametrize("run", CLASSIC["runs"], ids=lambda run: " ".join(run["argv"]))
def test_without_the_fair_tree_accounts_have_a_factor_too(cluster: FakeCluster, run: dict[str, Any]) -> None:
    cluster.shares = {"cluster": "oracle", "rows": CLASSIC["rows"], "fair_tree": False}
    done = cluster.run("sshare", *run["argv"])
    assert (done.stdout, done.stderr, done.returncode) == (run["out"], run["err"], run["rc"])
