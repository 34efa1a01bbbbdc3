"""Images that apptainer made: where their files are, and what they say of the environment."""

import asyncio
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from corral.agent import imageruntimes, sif
from corral.agent.imageruntimes import CannotFetch, Squashfs, for_file

#: As apptainer 1.4 writes it of a docker image with ENV GREETING="from docker", PATH=/opt/x/bin:/bin, MIXED='a"b$c'.
FROM_DOCKER = r"""#!/bin/sh
export GREETING="${GREETING:-"from docker"}"
export PATH="/opt/x/bin:/bin"
export MIXED="${MIXED:-"a\"b\$c"}"
"""
#: And of a recipe's %environment.
OWN = """#!/bin/sh
# Custom environment shell code should follow
    export GREETING=sif
    export PATH=/opt/conda/bin:$PATH
    export LITERAL='$HOME and more'
    export WHEN=`date`
    export WHERE=$(pwd)
    cd /somewhere; rm -rf /
    export TWO=a; rm -rf /
"""


def image_root(directory: Path) -> Path:
    root = directory / "root"
    (root / ".singularity.d/env").mkdir(parents=True)
    (root / ".singularity.d/env/10-docker2singularity.sh").write_text(FROM_DOCKER)
    (root / ".singularity.d/env/90-environment.sh").write_text(OWN)
    (root / ".singularity.d/runscript").write_text("#!/bin/sh\n")
    return root


ENVIRONMENT = ("GREETING=sif", "PATH=/opt/conda/bin:/opt/x/bin:/bin", 'MIXED=a"b$c', "LITERAL=$HOME and more")


def made(directory: Path, content: bytes, system: int = 1, part: int = 2, descriptors: int = 2) -> Path:
    """Its definition first, then the root file system."""
    start, data = 4096, 40960
    table = b""
    for kind, own in ((0x4001, b""), (0x4004, struct.pack("<2i", system, part))):
        lengths = (data, len(content), len(content), 0, 0, 0, 0)
        table += struct.pack("<i?3I3q4q128s384s", kind, True, 1, 1, 0, *lengths, b"name", own)
    head = struct.pack(
        "<32s10s3s3s16s6q", b"#!/bin/run", b"SIF_MAGIC\0", b"01\0", b"02\0", bytes(16), 0, 0, 0, descriptors, start, 0
    )
    file = directory / "image.sif"
    file.write_bytes(head.ljust(start, b"\0") + table.ljust(data - start, b"\0") + content)
    return file


def offset_in(file: Path) -> int:
    with file.open("rb") as opened:
        return sif.root_offset(opened.fileno())


@pytest.mark.skipif(not shutil.which("mksquashfs"), reason="needs squashfs-tools")
def test_a_sif_file_is_unpacked_where_it_lies_with_its_environment(tmp_path: Path) -> None:
    subprocess.run(
        ["mksquashfs", image_root(tmp_path), tmp_path / "fs", "-quiet"], check=True, stdout=subprocess.DEVNULL
    )
    file = made(tmp_path, (tmp_path / "fs").read_bytes())
    into = tmp_path / "into"
    into.mkdir()
    with file.open("rb") as opened:
        runtime = for_file(str(file), opened.fileno())
        assert isinstance(runtime, Squashfs)
        config = asyncio.run(runtime.unpack(into, lambda _: None))
    assert config.environment == ENVIRONMENT
    assert config.entrypoint == ("/.singularity.d/runscript",)
    assert (into / ".singularity.d/runscript").read_text() == "#!/bin/sh\n"


def test_lines_that_do_more_than_set_a_variable_are_not_read(tmp_path: Path) -> None:
    root = image_root(tmp_path)
    assert sif.config_of(root).environment == ENVIRONMENT
    secret = tmp_path / "secret"
    secret.write_text("export A=b\n")
    (root / ".singularity.d/env/90-environment.sh").unlink()
    (root / ".singularity.d/env/90-environment.sh").symlink_to(secret)
    assert "A=b" not in sif.config_of(root).environment, "a link leads to the machine's files"
    shutil.rmtree(root / ".singularity.d")
    (tmp_path / "elsewhere/env").mkdir(parents=True)
    secret.rename(tmp_path / "elsewhere/env/90-environment.sh")
    (root / ".singularity.d").symlink_to(tmp_path / "elsewhere")
    assert sif.config_of(root).environment == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"system": 5}, "no squashfs .encrypted."),
        ({"system": 2}, "no squashfs .ext3."),
        ({"part": 3}, "no root file system"),
        ({"descriptors": 0}, "it has 0 descriptors"),
        ({"descriptors": 1 << 40}, "descriptors"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = made(tmp_path, b"", **fields)
    with file.open("rb") as opened, pytest.raises(CannotFetch, match=said):
        imageruntimes.for_file(str(file), opened.fileno())


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    file = made(tmp_path, b"")
    assert offset_in(file) == 40960
    os.truncate(file, 4096 + 600)
    with pytest.raises(sif.NotReadable):
        offset_in(file)
    os.truncate(file, 100)
    with pytest.raises(sif.NotReadable, match="cut off"):
        offset_in(file)
