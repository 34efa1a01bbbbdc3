"""Output file names; the expected names are those of the files Slurm 22.05 made."""

import pytest

from corral.syntax.filename import ARRAY_OUTPUT, BATCH_OUTPUT, expand, letters

BATCH: dict[str, str | int] = {
    "A": 333, "a": 7, "j": 342, "J": 342, "N": "vm", "n": 0, "s": 0, "t": 0, "u": "root", "x": "train",
}  # fmt: skip
STEP: dict[str, str | int] = {"j": 350, "J": "350.0", "s": 0, "t": 1, "n": 1, "N": "vm", "x": "sh"}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (BATCH_OUTPUT, "slurm-342.out"), (ARRAY_OUTPUT, "slurm-333_7.out"), ("b-%4j", "b-0342"), ("c-%12j", "c-0000000342"),
        ("d-%%", "d-%"), ("%%j", "%j"), ("%%%j", "%342"), ("%04j", "0342"), ("%0j", "342"), ("%5x-%5N-%3t", "train-vm-000"),
        ("h-%q-%", "h-%q-%"), (r"i\%j", "i%j"), (r"j-\\%j", r"j-\%j"), (r"p\a%j", "pa%j"), ("out", "out"), ("", ""),
        ("%A_%3a", "333_007"), ("%u/%x", "root/train"),
    ],
)  # fmt: skip
def test_a_pattern_becomes_the_path_slurm_makes(pattern: str, path: str) -> None:
    assert expand(pattern, BATCH) == path


def test_a_step_pads_the_job_and_not_itself() -> None:
    assert expand("srun-%j-%J-%s-%t-%2t-%n-%3n-%5J", STEP) == "srun-350-350.0-0-1-01-1-001-00350.0"


def test_a_value_is_not_read_as_a_pattern() -> None:
    assert expand("%x-%j", {"x": "%j\\", "j": 1}) == "%j\\-1"


def test_the_marks_of_a_pattern_tell_whether_tasks_share_a_file() -> None:
    assert letters("out-%j.%2t-%%n") == {"j", "t"}
    assert letters(r"out-\%t") == set()
