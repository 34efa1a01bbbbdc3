"""`corral simulate`: a workload on a cluster that is not there. The program itself is corral.simulator."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "corral.simulator", *arguments])
