"""Does the normative page say what the code does?"""

from pathlib import Path

from corral.model.job import STATE_LETTERS, JobState
from corral.model.lifecycle import JOB_CHANGES

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "job-states.md"


def rows() -> dict[str, tuple[str, set[str]]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line[2].isupper()]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {state: (letters, set(following.split(", ")) - {""}) for state, letters, _, following in cells}


def test_the_page_lists_every_state_with_its_letters():
    assert {state: letters for state, (letters, _) in rows().items()} == dict(STATE_LETTERS)


def test_the_page_allows_the_changes_the_code_allows():
    allowed = {state.value: {new.value for new in JOB_CHANGES.get(state, ())} for state in JobState}
    assert {state: following for state, (_, following) in rows().items()} == allowed
