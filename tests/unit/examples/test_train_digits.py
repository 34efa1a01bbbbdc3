"""Does the training example train, alone and beside another one that has the same port in mind?"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.ports import free_port

PROGRAM = Path(__file__).parents[3] / "examples" / "train_digits.py"


def start(ranks: int, port: int, token: str) -> list[subprocess.Popen[str]]:
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "MASTER_TOKEN": token, "SLURM_NTASKS": str(ranks)}
    return [
        subprocess.Popen(
            [sys.executable, PROGRAM],
            env={**os.environ, **meeting, "SLURM_PROCID": str(rank), "SLURMD_NODENAME": f"n{rank // 2}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in reversed(range(ranks))  # rank 0 last: the others have to wait for it
    ]


def outcome(tasks: list[subprocess.Popen[str]]) -> tuple[list[int], str, str]:
    texts = [task.communicate(timeout=240) for task in tasks]
    return [task.returncode for task in tasks], "".join(out for out, _ in texts), "".join(err for _, err in texts)


def test_four_ranks_agree_and_learn_the_digits():
    codes, output, errors = outcome(start(4, free_port(), "a"))

    assert (codes, errors) == ([0] * 4, "")
    assert "4 ranks (2 on n0, 2 on n1) share 1500 digits" in output
    assert "all 4 ranks hold the same weights" in output
    found = re.search(r"held-out digits: ([\d.]+)%", output)
    assert found
    assert float(found[1]) >= 95


def test_two_jobs_that_meet_at_the_same_port_find_their_own_ranks():
    port = free_port()
    first, second = start(2, port, "a"), start(2, port, "b")

    assert outcome(first)[0] == [0, 0]
    assert outcome(second)[0] == [0, 0]


def test_a_busy_port_is_passed_over():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()  # accepts and says nothing, as another program would
        codes, _, errors = outcome(start(2, busy.getsockname()[1], "a"))

    assert (codes, errors) == ([0, 0], "")
