"""sacctmgr against what the real one printed: whole sessions, replayed on a controller in this process."""

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakecluster import GOLDEN
from tests.unit.controller.running import RunningController, running

from corral.cli.commands.sacctmgr import Sacctmgr
from corral.cli.run import Exit, Program
from corral.cli.sacctmgr import fields
from corral.client.connection import Connection
from corral.model.cluster import ClusterConfig
from corral.model.job import JobState
from corral.store.interface import Batch, runs
from corral.store.rows import HistoryQuery, Run


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[RunningController]:
    with running(tmp_path, config=ClusterConfig(cluster="oracle")) as one:
        yield one


def sacctmgr(controller: RunningController, *argv: str, stdin: str = "") -> tuple[str, str, int]:
    out, err = io.StringIO(), io.StringIO()
    reading, writing = os.pipe()
    os.write(writing, stdin.encode())
    os.close(writing)
    command = Sacctmgr(Program("sacctmgr"))
    command.session.input = reading
    command.session._connection = Connection(controller.endpoint)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = command.main(list(argv))
        except Exit as end:
            status = end.status
            err.write("".join(line + "\n" for line in end.lines))
        finally:
            os.close(reading)
            command.session.connection().close()
    return out.getvalue(), err.getvalue(), status


@pytest.mark.parametrize("name", ["adding", "modifying", "inheriting", "qos"])
def test_a_session_reads_as_the_real_ones(controller: RunningController, tmp_path: Path, name: str) -> None:
    for step in json.loads((GOLDEN / "sacctmgr" / f"{name}.json").read_text()):
        argv = [word.replace("DUMPFILE", str(tmp_path / "dump.cfg")) for word in step["argv"]]
        done = sacctmgr(controller, *argv, stdin=step.get("stdin", ""))
        if step.get("compared", True):
            assert (step["argv"], *done) == (step["argv"], step["out"], step["err"], step["rc"])
    if name == "adding":
        assert (tmp_path / "dump.cfg").read_text() == (GOLDEN / "sacctmgr" / "dump.cfg").read_text()


def test_every_abbreviation_of_a_field_means_what_it_means_to_the_real_one() -> None:
    known: dict[str, Any] = json.loads((GOLDEN / "sacctmgr" / "fields.json").read_text())
    for text, expected in known.items():
        if expected and text != "acct":  # its width is uninitialised there
            chosen = fields.chosen(text)[0]
            assert (text, chosen.header, chosen.width) == (text, *expected)
        elif expected is None:
            with pytest.raises(Exit):
                fields.chosen(text)


def test_what_was_dumped_can_be_loaded(controller: RunningController, tmp_path: Path) -> None:
    file = tmp_path / "accounts.cfg"
    file.write_text((GOLDEN / "sacctmgr" / "dump.cfg").read_text())
    assert sacctmgr(controller, "-i", "load", str(file))[2] == 0
    again = tmp_path / "again.cfg"
    sacctmgr(controller, "dump", "oracle", f"file={again}")
    assert again.read_text() == file.read_text()


def test_a_clean_load_leaves_what_the_file_says_and_root(controller: RunningController, tmp_path: Path) -> None:
    file = tmp_path / "accounts.cfg"
    file.write_text((GOLDEN / "sacctmgr" / "dump.cfg").read_text())
    sacctmgr(controller, "-i", "add", "account", "other", "grpjobs=3")
    sacctmgr(controller, "-i", "add", "user", "zoe", "account=other")
    assert sacctmgr(controller, "-i", "load", "clean", str(file))[2] == 0
    assert sacctmgr(controller, "-n", "show", "assoc", "account=other")[0] == ""
    again = tmp_path / "again.cfg"
    sacctmgr(controller, "dump", "oracle", f"file={again}")
    assert again.read_text() == file.read_text()


def test_nothing_changes_without_a_yes(controller: RunningController) -> None:
    assert "Changes Discarded" in sacctmgr(controller, "add", "account", "a", stdin="n")[0]
    assert "timeout" in sacctmgr(controller, "add", "account", "a")[0]
    assert sacctmgr(controller, "-n", "show", "account", "a")[0] == ""


def test_records_of_ended_jobs_are_changed_as_by_the_real_one(controller: RunningController) -> None:
    submitted = 1e9
    ran = [
        Run(
            job=number,
            user="root",
            submit=submitted,
            eligible=submitted,
            start=submitted,
            end=submitted + 1,
            state=JobState.COMPLETED,
        )
        for number in (1, 2, 3, 4)
    ]
    controller.call(lambda: controller.store.append(Batch(runs=ran)))
    for step in json.loads((GOLDEN / "sacctmgr" / "jobs.json").read_text()):
        out, err, status = sacctmgr(controller, *step["argv"], stdin=step.get("stdin", ""))
        shown = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+", "TIME", out)
        assert (step["argv"], shown, err, status) == (step["argv"], step["out"], step["err"], step["rc"])
    found = {run.job: run for run in runs(controller.store, HistoryQuery())}
    assert (found[1].comment, found[1].admin_comment, found[1].system_comment) == ("x", "zz", "yy")
    assert (found[2].comment, found[3].comment, str(found[3].derived_exit_status)) == ("two words", "asked", "0:3")
