"""An agent runs RebootProgram once for each order, and says when that fails."""

import asyncio
from pathlib import Path
from typing import Any

from corral.agent.rebooting import Rebooting
from corral.daemon.logs import Log
from corral.protocol.orders import RebootNode
from corral.protocol.reports import NodeFailed


class Outbox:
    def __init__(self) -> None:
        self.reports: list[NodeFailed] = []

    def report(self, report: NodeFailed) -> None:
        self.reports.append(report)


def obeyed(program: str, *issued: float) -> list[NodeFailed]:
    """What is reported after these orders."""

    async def run() -> list[NodeFailed]:
        outbox: Any = Outbox()
        rebooting = Rebooting("a", outbox, Log(level="error"))
        for number in issued:
            rebooting.obey(RebootNode(node="n1", program=program, issued=number))
        await asyncio.gather(*rebooting.running)
        reports: list[NodeFailed] = outbox.reports
        return reports

    return asyncio.run(run())


def script(directory: Path, text: str) -> str:
    path = directory / "boot"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_order_that_comes_again_is_obeyed_once(tmp_path: Path) -> None:
    program = script(tmp_path, f'echo "$SLURMD_NODENAME" >> {tmp_path}/said')
    assert obeyed(program, 1.0, 1.0, 2.0) == []
    assert (tmp_path / "said").read_text() == "n1\nn1\n"


def test_a_program_that_fails_is_told_of(tmp_path: Path) -> None:
    (failed,) = obeyed(script(tmp_path, "echo no power >&2; exit 3"), 1.0)
    assert (failed.node, failed.reason) == ("n1", "RebootProgram failed: no power")
    (missing,) = obeyed(str(tmp_path / "none"), 1.0)
    assert "No such file" in missing.reason
