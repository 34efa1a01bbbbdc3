"""What no option could say is refused by its name, however it came to the API."""

import msgspec
import pytest

from corral.engine import bounds
from corral.model.container import Container, Mount
from corral.model.gres import GresRequest
from corral.model.job import JobSpec, StdioSpec, StepSpec


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ntasks": 0}, 'Invalid numeric value "0" for --ntasks.'),
        ({"memory_per_node_mb": -(1 << 63)}, f'Invalid numeric value "{-(1 << 63)}" for --mem.'),
        ({"memory_per_gpu_mb": -1}, 'Invalid numeric value "-1" for --mem-per-gpu.'),
        ({"umask": 1 << 62}, f'Invalid numeric value "{1 << 62}" for --umask.'),
        ({"time_limit": -1}, 'Invalid numeric value "-1" for --time.'),
        ({"priority": 1 << 62}, f'Invalid numeric value "{1 << 62}" for --priority.'),
        ({"begin_time": 1e300}, 'Invalid numeric value "1e+300" for --begin.'),
        ({"name": "a\0b"}, "Invalid --job-name specification"),
        ({"name": "x" * 1025}, "Pathname of a file, directory or other parameter too long"),
        ({"stdio": StdioSpec(stdout="\0")}, "Invalid --output specification"),
        ({"signal": (9999, 60, False)}, "Invalid --signal specification"),
        ({"nodes_min": 3, "nodes_max": 2}, "Node count specification invalid"),
        ({"gpus": (GresRequest("gpu", "", -1),)}, "Invalid generic resource (gres) specification"),
        ({"distribution": "plane=0"}, "Invalid --distribution specification"),
        ({"distribution": "plane=x"}, "Invalid --distribution specification"),
        ({"argv": ("\0",)}, "Invalid argument"),
        ({"rlimits": {"NOFILE": (10, 5)}}, "Invalid resource limit 'NOFILE': 10, 5"),
        ({"rlimits": {"X": (1, 1)}}, "Invalid resource limit 'X': 1, 1"),
        ({"step": StepSpec(multi_prog=(("x", ("a",)),))}, "Invalid task range specification (x)"),
        ({"step": StepSpec(cpus_per_task=-1)}, 'Invalid numeric value "-1" for --cpus-per-task.'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_job_out_of_all_bounds_is_refused(fields: dict[str, object], said: str) -> None:
    refused = bounds.of_job(msgspec.structs.replace(JobSpec(), **fields))
    assert refused is not None
    assert refused.error == said


def test_what_the_commands_send_passes() -> None:
    spec = JobSpec(
        ntasks=4, memory_per_node_mb=0, distribution="plane=2", signal=(10, 60, True), time_limit=1 << 40, stdio=StdioSpec(stdout="x"),
        rlimits={"NOFILE": (1024, -1), "CORE": (0, 0), "STACK": (-1, -1)}, step=StepSpec(wait_seconds=0, argv=("true",)),
    )  # fmt: skip
    assert bounds.of_job(spec) is None


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (Container(), "--container-image is missing"),
        (Container(image="a b"), "no name of an image"),
        (Container(image="/x\0y"), "Pathname"),
        (Container(image="x", name="../up"), "no name for a directory"),
        (Container(image="x", how="sometimes", name="a"), "flag must be"),
        (Container(image="x", mounts=(Mount("data", "/x"),)), "mount source must be"),
        (Container(image="x", mounts=(Mount("/data", "/x", ("suid",)),)), "unknown flag suid"),
        (Container(image="x", mounts=(Mount("/" + "d" * 5000, "/x"),)), "Pathname"),
        (Container(image="x", mounts=(Mount("/d", "/x"),) * 201), "more than 200 mounts"),
        (Container(image="x", environment=("A=1",)), "invalid format"),
    ],
)
def test_a_container_that_no_command_would_ask_for(container: Container, words: str) -> None:
    for refused in (bounds.of_job(JobSpec(container=container)), bounds.of_step(StepSpec(container=container))):
        assert refused is not None
        assert words in refused.error
