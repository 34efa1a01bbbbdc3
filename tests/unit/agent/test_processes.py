"""Which processes a shepherd that was killed has left."""

import os
import signal
import subprocess
from pathlib import Path

from corral.agent import processes


def test_one_that_is_just_becoming_another_program_is_found_too(tmp_path: Path) -> None:
    """It does nothing else, and so it is in that moment whenever one looks."""
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\nexec "$0"\n')
    script.chmod(0o755)
    marks = {"CORRAL_TEST_AGAIN": str(tmp_path)}
    with subprocess.Popen([script], env={"PATH": os.environ["PATH"], **marks}) as one:
        try:
            assert [processes.marked(marks) for _ in range(100)] == [[one.pid]] * 100
        finally:
            one.send_signal(signal.SIGKILL)
