"""`corral top`: which GPUs are whose, and what is seen of them."""

from typing import Any

from corral.cli.top.rows import GPUS, JOBS, NODES, gpu_rows, with_gpu_use

Row = dict[str, Any]


def node(**fields: Any) -> Row:
    return {
        "name": "n1", "gres": "gpu:a:2(S:0),gpu:b:1,shard:8", "gpus_busy": [90, -1, 10], "gpus_memory_mb": [70 * 1024, -1, 512],
        "gpu_memory_mb": [141 * 1024, 141 * 1024, 80 * 1024], **fields,
    }  # fmt: skip


def job(number: int, devices: str) -> Row:
    return {
        "id": number,
        "user": "ann",
        "name": "train",
        "run_seconds": 5.0,
        "alloc_detail": [["n1", "0-3", 0, devices]],
    }


def cells(columns: Any, row: Row, *titles: str) -> list[str]:
    by_title = {column.title: column for column in columns}
    return [by_title[title].text(row) for title in titles]


def test_a_gpu_shows_how_busy_and_full_it_is_and_whose_shares_are_on_it() -> None:
    first, second, third = gpu_rows(
        [node()], [job(1, "gpu:a:2(IDX:0-1)"), job(2, "shard:2(IDX:2)"), job(3, "shard:4(IDX:2)")]
    )
    assert cells(GPUS, first, "GPU", "TYPE", "GPU%", "GPUMEM") == ["0", "a", "90%", "70.0/141G"]
    assert cells(GPUS, second, "GPU", "GPU%", "GPUMEM") == ["1", "", ""], "it cannot tell"
    assert cells(GPUS, third, "GPU", "TYPE", "GPU%", "GPUMEM") == ["2", "b", "10%", "0.5/80G"]
    assert [[one["id"] for one in row["jobs"]] for row in (first, second, third)] == [[1], [1], [2, 3]]


def test_a_node_and_a_job_show_the_mean_of_their_gpus() -> None:
    assert cells(NODES, node(), "GPU%", "GPUMEM") == ["50%", "70.5/362G"]
    (shown,) = with_gpu_use([job(1, "gpu:a:1(IDX:0),gpu:b:1(IDX:2)")], [node()])
    assert cells(JOBS, shown, "GPU%", "GPUMEM") == ["50%", "70.5G"]


def test_what_nobody_has_looked_at_shows_nothing() -> None:
    quiet = node(gpus_busy=[], gpus_memory_mb=[])
    (shown,) = with_gpu_use([job(1, "gpu:a:1(IDX:0)")], [quiet])
    assert cells(JOBS, shown, "GPU%", "GPUMEM") == cells(NODES, quiet, "GPU%", "GPUMEM") == ["", ""]
    assert cells(GPUS, gpu_rows([quiet], [])[0], "GPU%", "GPUMEM", "JOBID", "TIME") == ["", "", "", ""]
