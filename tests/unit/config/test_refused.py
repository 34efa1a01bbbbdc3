"""What Slurm knows and Corral has not yet is said, not taken in silence."""

from pathlib import Path

import pytest

from corral.config import slurm
from corral.config.cluster import parse
from corral.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[accounting]\nenforce = ["wckeys"]\n', 2, "associations"),
        ("[priority]\ndecay_half_life = nan\n", 2, "for ever"),
        ('[priority]\nflags = ["MAX_TRES", "BIG_FIRST"]\n', 2, "is no flag"),
        ("[priority]\ncalc_period = 0\n", 2, "from 1 second"),
        ("[priority]\nfair_share_dampening = 0\n", 2, "1 to 65535"),
        ('[priority]\nusage_reset_period = "HOURLY"\n', 2, "HOURLY"),
        ('[[partition]]\nname = "a"\nbilling_weights = { cpu = inf }\n', 3, "no weight"),
        ('[[partition]]\nname = "a"\noversubscribe = "MAYBE"\n', 3, "FORCE:4"),
        ('[[partition]]\nname = "a"\n\npreempt_mode = "SOMETIMES"\n', 4, "is no mode"),
        ('[[partition]]\nname = "a"\n\npreempt_mode = "CANCEL,REQUEUE"\n', 4, "is no mode"),
        ('[[partition]]\nname = "a"\npreempt_mode = "SUSPEND"\n', 3, "needs GANG"),
        ('[preemption]\nmode = "SUSPEND"\n', 2, "needs GANG"),
        ('[preemption]\ntype = "qos"\n', 2, "needs a mode"),
        ('[preemption]\ntype = "none"\nmode = "REQUEUE"\n', 2, "has no use"),
        ('[preemption]\ntype = "partition_prio"\nmode = "REQUEUE,WITHIN"\n', 3, "type qos"),
        ('[preemption]\ntype = "priority"\n', 2, "priority"),
        ("[preemption]\ntime_slice = 1\n", 2, "65533"),
        ("[timeouts]\nsrun_port = 1\n", 2, "no key"),
        ("kill_on_bad_exit = true\n", 1, "no key"),
    ],
)
def test_it_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "corral.toml")
    assert str(caught.value).startswith(f"corral.toml:{line}: ")
    assert words in str(caught.value)


def test_values_that_mean_something_are_taken() -> None:
    parse("[priority]\nfair_share = 0\nqos = 0\n")
    parse('[[partition]]\nname = "a"\noversubscribe = "EXCLUSIVE"\npreempt_mode = "OFF"\ngrace_time = 60\n')


@pytest.mark.parametrize(
    "line",
    [
        "AccountingStorageEnforce=wckeys", "KillOnBadExit=1",
        "PreemptParameters=youngest_first,reclaim_licenses",
    ],
)  # fmt: skip
def test_an_import_lists_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "slurm.conf"
    path.write_text(f"NodeName=n1 CPUs=4\n{line}\n")
    found = slurm.read(path)
    assert [(left.number, left.text) for left, _ in found.left] == [(2, line)]
    parse(found.toml())
