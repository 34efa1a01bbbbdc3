"""Nothing stays mounted when the agent and all jobs end."""

import os
from pathlib import Path

import pytest

from corral.agent import mounts, podroom


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_volumes_of_all_pods_are_unmounted(tmp_path: Path) -> None:
    place = tmp_path / "boxes/n1/42.0/.pod/volumes/conf"
    place.mkdir(parents=True)
    mounts.mount("tmpfs", str(place), "tmpfs", 0, "mode=755")
    assert os.path.ismount(place)
    podroom.unmount_all(str(tmp_path / "boxes"))
    assert not os.path.ismount(place)
