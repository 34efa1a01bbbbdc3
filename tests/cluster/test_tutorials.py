"""Do the commands of the first tutorial work as they stand there?

Each line after `$` is given to one shell, in a copy of the examples, with the default cluster of a user of its own. Whatever a page shows
of errors is expected, and nothing else; of what it shows of output, the lines that hold for every cluster.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cluster import afterwards
from tests.cluster.live import COMMANDS
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
#: What is typed in the job's shell, needs an API over the network, or installs.
LEFT_OUT = re.compile(r"^echo \$SLURM_JOB_ID|^exit$|kubeconfig|^kubectl|make |^git |^export PATH")
#: Lines that are the same in every cluster.
SURE = re.compile(
    r"(?i)^(\S*error|JOBID|JobID|PARTITION|NAME |REVISION|REASON|deployment|service|horizontal|Submitted|.*no such file)"
)


class Typed(NamedTuple):
    command: str
    shown: tuple[str, ...]


def session(page: Path) -> Iterator[Typed]:
    """What is typed on the page, block for block; a file that a block of YAML shows is written."""
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if kind == "yaml":
            yield Typed(f"cat > web.yaml <<'EOF'\n{block}EOF", ())
        elif not kind:
            parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
            if len(parts) == 1:
                yield from (Typed(line, ()) for line in block.splitlines())
            for part in parts[1:]:
                command, *shown = part.splitlines()
                yield Typed(command, tuple(shown))


def sure(line: str) -> str:
    """Numbers aside."""
    return re.sub(r"\d+", "N", " ".join(line.split()))


@pytest.mark.parametrize("page", ["first-cluster"])
def test_a_tutorial_works_word_for_word(tmp_path: Path, page: str) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    state = tmp_path / "state"
    endpoint = f"unix://{state}/corral.sock"
    known = {name: value for name, value in os.environ.items() if not re.match("SLURM|SBATCH|CORRAL", name)}
    environment = {**known, "CORRAL_ENDPOINT": endpoint, "PATH": f"{COMMANDS}:{known['PATH']}", "USER": "ada"}
    afterwards.may_be_asked(state, endpoint)

    def typed(command: str) -> "subprocess.CompletedProcess[str]":
        command = re.sub(r"^corral (up|down)", rf"corral \1 --dir {state}", command)
        return subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    try:
        for command, shown in session(ROOT / f"docs/tutorials/{page}.md"):
            if LEFT_OUT.search(command):
                continue
            if command.startswith("tail"):
                wait_until(lambda: not typed("squeue -h").stdout)
            command = command.replace("--pty /bin/bash", "hostname")
            command = re.sub(r"http://127.0.0.1:\d+/", lambda _: (tmp_path / "url").read_text().strip(), command)
            done = typed(command)
            said = done.stdout + done.stderr
            refused = command.startswith("corral diff") or any("error:" in line for line in shown[:1])
            assert (done.returncode != 0) == refused, f"{command}\n{said}"
            for line in filter(SURE.match, shown):
                assert sure(line) in map(sure, said.splitlines()), f"{command}\n{said}"
            if found := re.search(r"^http://\S+", said, re.MULTILINE):
                (tmp_path / "url").write_text(found[0])
    finally:
        typed("corral down")
