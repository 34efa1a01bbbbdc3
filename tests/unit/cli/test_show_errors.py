"""What the show commands refuse before they ask: texts and exit codes as recorded from the real Slurm."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.cli.fakecluster import FakeCluster, golden

SHOW = ("squeue", "sinfo", "scancel", "scontrol", "sacct")

#: Options of which Slurm's answer depends on its database, or which we refuse in words of our own, or take as newer Slurm does.
DIFFERENT = {
    "--json=x",
    "-M",
    "-L",
    "--usage",
    "-v",
    "--sibling=x",
    "-F",
    "-x",
    "-W",
    "-B",
    "-q",
    "dgx[",
}

#: Keywords of scontrol that are refused in words of our own.
REFUSED = {
    "create", "delete", "top", "notify", "setdebug", "takeover", "token", "cluster", "reboot", "shutdown", "errnumstr", "pidinfo",
}  # fmt: skip

#: Keys of update that are refused in words of our own, and names of jobs that were there.
NOT_CHANGED = {"jobname=nosuch", "oversubscribe=x", "contiguous=x", "endtime=now", "stepid=999999.0"}

NUMBERS = {"<RUNNING>": "110", "<HELD>": "513", "<ARRAY>": "514", "<DONE>": "515", "<NOBODY>": "516", "<ID>": "999999"}


def numbered(text: str) -> str:
    for mark, number in NUMBERS.items():
        text = text.replace(mark, number)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<TIME>", text)


def recorded() -> Iterator[Any]:
    for line in golden("errors.json").splitlines():
        if not line.startswith("{"):
            continue
        case = json.loads(line.rstrip(","))
        argv = case["argv"]
        ours = (
            argv[0] in SHOW
            and argv != ["sacct", "-t", "x"]
            and not DIFFERENT & set(argv)
            and not (argv[0] == "scontrol" and REFUSED & set(argv))
        )
        if ours and not NOT_CHANGED & set(argv) and case["exit"] == 1 and not case["stdout"] and not case.get("user"):
            yield pytest.param(case, id=" ".join(argv)[:60])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCluster]:
    with FakeCluster().serving(tmp_path_factory.mktemp("c")) as fake:
        yield fake


@pytest.mark.parametrize("case", list(recorded()))
def test_it_is_refused_as_slurm_refuses_it(cluster: FakeCluster, case: dict[str, Any]) -> None:
    cluster.requests.clear()
    done = cluster.run(*[numbered(word) for word in case["argv"]], **case.get("env") or {})
    if cluster.requests:  # well-formed: it is the controller's to refuse
        assert done.returncode == 0
    else:
        assert (numbered(done.stderr), done.returncode) == (numbered(case["stderr"]), 1)
