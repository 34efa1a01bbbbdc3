"""`corral top` on a controller in this process, by textual's pilot."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.controller.running import RunningController
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from corral.cli.top.app import Top
from corral.cli.top.screens import JobScreen, Question
from corral.cli.top.source import Source
from corral.client.client import ClusterClient, job

App = Callable[[Callable[[Pilot[None], Top], Any]], None]


@pytest.fixture
def play(controller: RunningController) -> App:
    controller.agent.ends_at_once = False
    with ClusterClient(controller.endpoint) as client:
        client.submit(
            [
                job("sleep 1", name="train", gpus=8, ntasks=8, nodes_min=1, nodes_max=1),
                job("sleep 1", name="small", gpus=1),
            ]
        )
        client.submit(
            [job("sleep 1", name="huge", gpus=16), job("sleep 1", name="many", gpus=8, array="0-9", time_limit=600)]
        )

    def run(script: Callable[[Pilot[None], Top], Any]) -> None:
        async def played() -> None:
            app = Top(Source(controller.endpoint), interval=0.2)
            app.animation_level = "none"
            async with app.run_test(size=(160, 50)) as pilot:
                await until(pilot, lambda: len(names(app)) == 4 and "2 run, 11 wait" in head(app))
                await script(pilot, app)

        asyncio.run(played())

    return run


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(400):
        await pilot.pause(0.02)
        if condition():
            return
    raise AssertionError("it did not come about")


def table(app: Top, name: str = "jobs") -> DataTable[str]:
    return app.query_one(f"#{name}-table", DataTable)


def column(app: Top, name: str, number: int) -> list[str]:
    shown = table(app, name)
    return [shown.get_row_at(at)[number] for at in range(shown.row_count)]


def names(app: Top) -> list[str]:
    return column(app, "jobs", 2)


def head(app: Top) -> str:
    return str(app.query_one("#head", Static).render())


def foot(app: Top) -> str:
    return str(app.query_one("#foot", Static).render())


def test_jobs_are_shown_in_their_order_and_by_what_one_asks_for(play: App) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        assert names(app) == ["train", "small", "huge", "many"]
        assert column(app, "jobs", 0)[3].endswith("_[0-9]")
        assert column(app, "jobs", 9) == ["8", "1", "16", "8"]
        assert "GPUs 9/16" in head(app)
        for _ in range(10):  # the tenth column: GPUs
            await pilot.press("s")
        assert names(app)[0] == "huge"
        assert "by GPUS" in foot(app)
        await pilot.press("r")
        assert names(app)[0] == "small"

    play(script)


def test_lines_are_narrowed_by_user_and_by_what_they_say(play: App) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("slash", "t", "r", "enter")
        assert names(app) == ["train"]
        await pilot.press("slash", "backspace", "backspace", "enter", "u", "x", "enter")
        await until(pilot, lambda: names(app) == [])
        await pilot.press("m")
        await until(pilot, lambda: len(names(app)) == 4)

    play(script)


def test_nodes_and_gpus(play: App) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("2")
        await until(pilot, lambda: column(app, "nodes", 0) == ["n1", "n2"])
        assert sorted(cell.rpartition(" ")[2] for cell in column(app, "nodes", 4)) == ["1/8", "8/8"]
        await pilot.press("3")
        await until(pilot, lambda: table(app, "gpus").row_count == 16)
        assert sorted(column(app, "gpus", 7)) == [""] * 7 + ["small"] + ["train"] * 8

    play(script)


def test_a_job_is_told_in_full_and_why_it_waits(play: App) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("down", "down", "enter")
        assert isinstance(app.screen, JobScreen)

        def told() -> str:
            return str(app.screen.query_one("#told", Static).render())

        await until(pilot, lambda: "JobName=huge" in told())
        assert "waits: " in told()
        await pilot.press("escape")
        assert not isinstance(app.screen, JobScreen)

    play(script)


def test_a_job_is_cancelled_when_one_says_yes(play: App) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("down", "x")
        assert isinstance(app.screen, Question)
        await pilot.press("n", "x", "y")
        await until(pilot, lambda: "small" not in names(app))
        assert table(app).cursor_row < table(app).row_count
        await pilot.press("slash", "y", "enter", "ctrl+end", "x", "y")  # what waits of an array
        await until(pilot, lambda: all("[" not in text for text in column(app, "jobs", 0)))

    play(script)


def test_a_controller_that_is_away_is_said_and_comes_back(play: App, controller: RunningController) -> None:
    async def script(pilot: Pilot[None], app: Top) -> None:
        source = app._source
        app._source = Source("unix:///nowhere/corral.sock")
        await until(pilot, lambda: "no answer" in head(app))
        assert len(names(app)) == 4  # as last seen
        app._source = source
        await until(pilot, lambda: "2 run" in head(app))

    play(script)
