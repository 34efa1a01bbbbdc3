"""A private image is pulled with the Pod's own credentials, which lie nowhere afterwards."""

import asyncio
import json
from pathlib import Path

import pytest

from corral.agent import imageruntimes, registries
from corral.model.cluster import Containers

ONE = json.dumps({"auths": {"registry.example.com": {"auth": "YTpi"}}})
TWO = json.dumps({"auths": {"registry.example.com": {"auth": "x"}, "other.example.com": {"auth": "y"}}})


def test_of_several_files_the_first_that_names_a_registry_counts() -> None:
    assert json.loads(registries.merged((ONE, "no json", "[]", TWO)))["auths"] == {
        "registry.example.com": {"auth": "YTpi"}, "other.example.com": {"auth": "y"},
    }  # fmt: skip
    assert registries.merged(("{}",)) == ""


@pytest.mark.parametrize("program", ["podman", "docker"])
def test_they_are_lent_to_the_program_that_pulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    script = tmp_path / program
    flag = "--authfile" if program == "podman" else "--config"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {tmp_path}/said\n'
        f'while [ $# -gt 0 ]; do [ "$1" = {flag} ] && f=$2; shift; done\n'
        f'[ -n "$f" ] && cat "$f" "$f/config.json" >> {tmp_path}/read 2>/dev/null; echo sha256:abc\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    runtime = imageruntimes.for_name("registry.example.com/a:1", Containers(runtime=program, pull="always"), ONE)
    assert asyncio.run(runtime.find(lambda words: None)) == "abc"
    pulled = (tmp_path / "said").read_text().splitlines()[0]
    assert flag in pulled
    assert json.loads((tmp_path / "read").read_text()) == json.loads(ONE)
    lent = pulled.split(f"{flag} ")[1].split()[0]
    assert not Path(lent).exists()


def test_a_program_that_cannot_take_them_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "enroot").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(imageruntimes.CannotFetch, match="imagePullSecrets are for podman and docker"):
        imageruntimes.for_name("a", Containers(runtime="enroot"), ONE)
