"""Which processes of its jobs does `corral down` find?"""

import os
import signal
import subprocess
from pathlib import Path

from corral.cli.corral import leftovers


def test_one_that_is_just_becoming_another_program_is_found_too(tmp_path: Path) -> None:
    """It does nothing else, and so it is in that moment whenever one looks."""
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\nexec "$0"\n')
    script.chmod(0o755)
    endpoint = f"unix://{tmp_path}/corral.sock"
    environment = {"PATH": os.environ["PATH"], "CORRAL_ORIGIN": endpoint, "CORRAL_STEP": "n1/1.0.0"}
    with subprocess.Popen([script], env=environment) as one:
        try:
            assert [leftovers.tasks_of(endpoint) for _ in range(20)] == [[one.pid]] * 20
        finally:
            one.send_signal(signal.SIGKILL)
