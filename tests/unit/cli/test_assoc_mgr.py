"""scontrol show assoc_mgr against what the real one printed of the same books."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import GOLDEN, FakeCluster

REAL: dict[str, Any] = json.loads((GOLDEN / "scontrol" / "assoc_mgr.json").read_text())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path) as fake:
        fake.assoc_mgr = REAL["answer"]
        yield fake


@pytest.mark.parametrize("run", REAL["runs"], ids=lambda run: " ".join(run["argv"]))
def test_it_shows_what_the_real_one_shows(cluster: FakeCluster, run: dict[str, Any]) -> None:
    done = cluster.run("scontrol", *run["argv"])
    assert (done.stdout, done.stderr, done.returncode) == (run["out"], "", run["rc"])


@pytest.mark.parametrize(
    ("words", "error", "status"),
    [
        (["flags=xx"], "invalid flag 'xx', valid options are 'Assoc, QOS, and/or Users'\n", 0),
        (["flags="], "No value given for option flags=\n", 0),
        (["foo"], "No value given for option foo\n", 0),
        (["foo=1"], "invalid entity: foo=1 for keyword:show assoc_mgr\n", 1),
        (["acct=chem"], "invalid entity: acct=chem for keyword:show assoc_mgr\n", 1),
    ],
)
def test_what_cannot_be_meant_is_told(cluster: FakeCluster, words: list[str], error: str, status: int) -> None:
    done = cluster.run("scontrol", "show", "assoc_mgr", *words)
    assert (done.stdout, done.stderr, done.returncode) == ("", error, status)


@pytest.mark.parametrize("word", ["u=NOBODY", "user=nobody", "users=nobody,nobody"])
def test_names_may_be_short_and_large(cluster: FakeCluster, word: str) -> None:
    done = cluster.run("scontrol", "show", "assoc", "flags=users", word)
    assert [line for line in done.stdout.splitlines() if "=" in line] == [
        "UserName=nobody(65534) DefAccount=bio DefWckey= AdminLevel=Operator"
    ]
