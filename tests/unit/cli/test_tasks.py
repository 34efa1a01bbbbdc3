"""What srun says of its tasks, and with which status it ends."""

import pytest

from corral.cli import exitcode
from corral.cli.tasks import TaskTable, words


def exited(code: int) -> int:
    return code << 8


def test_equal_ends_on_a_node_are_one_line() -> None:
    tasks = TaskTable(6)
    for rank, status, node in [
        (0, exited(5), "n1"),
        (1, exited(5), "n1"),
        (3, exited(5), "n1"),
        (2, 9, "n1"),
        (4, 0, "n1"),
        (5, 11, "n2"),
    ]:
        tasks.ended(rank, status, node)
    assert tasks.take_unsaid() == [
        (True, "n1: tasks 0-1,3: Exited with exit code 5"),
        (True, "n1: task 2: Killed"),
        (False, "n1: task 4: Completed"),
        (True, "n2: task 5: Segmentation fault"),
    ]
    assert tasks.take_unsaid() == []


def test_the_status_is_the_highest_of_the_tasks() -> None:
    tasks = TaskTable(3)
    tasks.ended(0, exited(3), "n1")
    assert tasks.exit_status() == 3
    tasks.ended(1, 11, "n1")
    assert tasks.exit_status() == 139
    tasks.ended(2, 0, "n1")
    assert (tasks.exit_status(), tasks.all_ended) == (139, True)


def test_an_end_counts_once() -> None:
    tasks = TaskTable(1)
    tasks.ended(0, exited(1), "n1")
    tasks.take_unsaid()
    tasks.ended(0, exited(1), "n1")
    assert tasks.take_unsaid() == []


def test_the_states_that_ctrl_c_shows() -> None:
    tasks = TaskTable(4)
    tasks.ended(0, 0, "n1")
    tasks.ended(2, exited(1), "n1")
    assert tasks.states() == ["tasks 1,3: running", "task 0: exited", "task 2: exited abnormally"]


@pytest.mark.parametrize(("ranks", "text"), [([0], "task 0"), ([2, 0, 1], "tasks 0-2"), ([0, 2, 3], "tasks 0,2-3")])
def test_ranks_are_folded(ranks: list[int], text: str) -> None:
    assert words(ranks) == text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (exited(3), "Exited with exit code 3"),
        (15, "Terminated"),
        (11 | 0x80, "Segmentation fault (core dumped)"),
        (6, "Aborted"),
    ],
)
def test_an_end_in_words(status: int, text: str) -> None:
    assert exitcode.describe(status) == text


@pytest.mark.parametrize(
    ("state", "pair", "status"),
    [
        ("COMPLETED", [0, 0], 0),
        ("FAILED", [3, 0], 3),
        ("FAILED", [0, 9], 1),
        ("CANCELLED", [0, 15], 1),
        ("TIMEOUT", [0, 15], 1),
    ],
)
def test_sbatch_wait_ends_with_the_jobs_code(state: str, pair: list[int], status: int) -> None:
    assert exitcode.of_job({"state": state, "exit_code": pair}) == status
