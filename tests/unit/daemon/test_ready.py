"""What a service manager hears of a daemon that serves."""

import os
import socket
from pathlib import Path

import pytest

from corral.daemon.ready import tell_ready


def test_it_hears_it_once_and_no_child_can_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        tell_ready()
        assert manager.recv(100) == b"READY=1"
        assert "NOTIFY_SOCKET" not in os.environ
        tell_ready()
        with pytest.raises(BlockingIOError):
            manager.recv(100)
