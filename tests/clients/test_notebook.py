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
from tests.clients.browser import PROGRAM, Browser, browser
from tests.clients.live import wait_until

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


@pytest.mark.skipif(not PROGRAM, reason="there is no Chromium")
@pytest.mark.parametrize("way", ["", "--proxy"])
def test_a_browser_opens_the_address_and_runs_a_cell_on_the_node(
    work: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("HOME", str(work))
    options = ["--gpus=1", "--time=10", *([way] if way else [])]
    notebook = subprocess.Popen(["corral", "notebook", *options], stdout=subprocess.PIPE, text=True)
    assert notebook.stdout is not None
    try:
        found = re.match(r"JupyterLab runs as job (\d+) on (node0\d)", notebook.stdout.readline())
        assert found
        notebook.stdout.readline()
        url = notebook.stdout.readline().strip()
        assert (f"/proxy/absolute/{found[1]}/" in url) == bool(way)
        with browser(work) as tab:
            node, gpu, job = ran_in(tab, url, CELL).split()
        assert (node, gpu.isdigit(), job) == (found[2], True, found[1])
    finally:
        notebook.send_signal(signal.SIGINT)
        assert notebook.wait(30) == 0
        notebook.stdout.close()


def ran_in(tab: Browser, url: str, code: str) -> str:
    """As a user does it: a new notebook, a cell typed into, its output read."""
    tab.go(url)
    tab.click('.jp-LauncherCard[data-category="Notebook"]')
    field = ".jp-Notebook .jp-CodeCell .cm-content"

    def has_run() -> str:
        """The page is still arranging itself: a click may go beside the cell, and what is typed may be lost. So it is tried again."""
        tab.click(field)
        if tab.js(f"document.querySelector('{field}').contains(document.activeElement)"):
            if code not in tab.text(field):
                tab.write(code)
            if code in tab.text(field):
                tab.press_shift_enter()
        return tab.soon(lambda: tab.text(".jp-OutputArea-output").strip())

    return str(wait_until(has_run))
