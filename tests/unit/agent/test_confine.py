"""What a process has given up it does not get back, and what it executes gets no more."""

import os
import subprocess
import sys

import pytest

from corral.agent.confine import Confinement, program
from corral.model.capabilities import numbers_of

IS_ROOT = os.geteuid() == 0
CODE = """
import os, sys
from corral.agent.confine import Confinement
Confinement({words})({{}})
os.execvp("python3", ["python3", "-c", {then!r}])
"""
CLOCK = "import time\ntry: time.clock_settime(time.CLOCK_REALTIME, time.time()); print('set')\nexcept OSError as error: print(error.errno)"
STATUS = (
    "print(''.join(line for line in open('/proc/self/status') if line.startswith(('Cap', 'NoNewPrivs', 'Seccomp:'))))"
)


def said(words: str, then: str) -> str:
    code = CODE.format(words=words, then=then)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def status(words: str) -> dict[str, str]:
    return dict(line.replace("\t", "").split(":", 1) for line in said(words, STATUS).split("\n") if line)


def test_nothing_that_it_executes_has_more_rights() -> None:
    assert status("no_new_privileges=True")["NoNewPrivs"] == "1"


def test_all_capabilities_are_dropped_for_good() -> None:
    found = status("drop=('ALL',)")
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    if IS_ROOT:
        assert found["CapBnd"] == "0" * 16


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_those_that_are_kept_stay_for_root() -> None:
    assert int(status("drop=('ALL',), keep=('NET_BIND_SERVICE',)")["CapEff"], 16) == 1 << 10


def test_the_filter_denies_what_administers_the_machine_and_lets_programs_run() -> None:
    assert status("filter_calls=True")["Seccomp"] == "2"
    assert (
        said("filter_calls=True", "import threading, subprocess\nsubprocess.run(['true'], check=True)\nprint('well')")
        == "well\n"
    )
    assert said("filter_calls=True", CLOCK) == "1\n"
    unshare = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.unshare(0x10000000), ctypes.get_errno())"
    assert said("filter_calls=True", unshare) == "-1 1\n"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_jump_of_the_filter_leads_out_of_it(machine: str) -> None:
    code = program(machine)
    count = len(code) // 8
    for at in range(count):
        kind, yes, no = int.from_bytes(code[at * 8 : at * 8 + 2], "little"), code[at * 8 + 2], code[at * 8 + 3]
        assert kind & 7 != 5 or max(at + yes, at + no) + 1 < count


def test_without_anything_to_give_up_nothing_is_done() -> None:
    assert not Confinement()
    assert Confinement(drop=("NET_RAW",))
    assert numbers_of(("CAP_NET_RAW", "chown")) == {13, 0}
