"""`corral notebook`: a real JupyterLab in a job; a cell runs on the job's node, with its GPU."""

import json
import re
import signal
import subprocess
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

CELL = "import os, socket; print(socket.gethostname(), os.environ['CUDA_VISIBLE_DEVICES'], os.environ['SLURM_JOB_ID'])"


def test_a_cell_runs_on_the_node_and_the_end_of_the_command_ends_the_job(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(work))
    with subprocess.Popen(
        ["corral", "notebook", "--gpus=1", "--time=10"], stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        head = notebook.stdout.readline()
        found = re.match(r"JupyterLab runs as job (\d+) on (node0\d)", head)
        assert found, head
        notebook.stdout.readline()
        url = notebook.stdout.readline().strip()
        with urllib.request.urlopen(url) as page:
            assert b"JupyterLab" in page.read()
        assert result_of(url, CELL).split() == [found[2], "0", found[1]]
        notebook.send_signal(signal.SIGINT)
        assert notebook.wait(30) == 0
    left = subprocess.run(
        ["squeue", "-h", "-t", "R,PD", "-o", "%i", "-n", "notebook"], capture_output=True, text=True, check=True
    )
    assert left.stdout == ""


def result_of(url: str, code: str) -> str:
    """What a cell prints, by the way of the page: a kernel, and messages over a WebSocket."""
    import websocket

    parts = urlsplit(url)
    token = parse_qs(parts.query)["token"][0]
    head = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{parts.netloc}/api/kernels", b'{"name": "python3"}', head)
    with urllib.request.urlopen(request) as answer:
        kernel = json.load(answer)["id"]
    link = websocket.create_connection(f"ws://{parts.netloc}/api/kernels/{kernel}/channels?token={token}", timeout=60)
    header = {
        "msg_id": uuid.uuid4().hex,
        "username": "u",
        "session": "s",
        "msg_type": "execute_request",
        "version": "5.3",
    }
    content = {"code": code, "silent": False}
    link.send(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "content": content})
    )
    while (message := json.loads(link.recv()))["msg_type"] != "stream":
        pass
    link.close()
    return str(message["content"]["text"])
