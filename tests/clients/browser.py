"""A real Chromium without a window, spoken to by its DevTools protocol."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.live import wait_until

PROGRAM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")


class Browser:
    """One tab."""

    def __init__(self, address: str) -> None:
        import websocket

        self._link = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._number, self._session = 0, ""
        target = self._say("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._say("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _say(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._link.send(json.dumps(message))
        while (answer := json.loads(self._link.recv())).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def go(self, url: str) -> None:
        self._say("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        answer = self._say("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def has(self, selector: str) -> bool:
        return bool(self.js(f"document.querySelector({json.dumps(selector)}) !== null"))

    def text(self, selector: str) -> str:
        return str(self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText).join('\\n')"))

    def click(self, selector: str) -> None:
        wait_until(lambda: self.has(selector))
        box = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView();"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._say("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def write(self, text: str) -> None:
        self._say("Input.insertText", text=text)

    def press_shift_enter(self) -> None:
        for kind in ("keyDown", "keyUp"):
            self._say(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, modifiers=8,
                **({"text": "\r"} if kind == "keyDown" else {}),
            )  # fmt: skip

    def soon(self, condition: Callable[[], str], seconds: float = 5.0) -> str:
        """What it gives within some seconds; "" when it gives nothing."""
        try:
            return str(wait_until(condition, seconds))
        except AssertionError:
            return ""

    def close(self) -> None:
        self._link.close()


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    words = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--window-size=1400,1000",
    ]
    words += ["--remote-debugging-port=0", f"--user-data-dir={directory}/profile", "about:blank"]
    with open(directory / "chromium.log", "wb") as log:
        program = subprocess.Popen([PROGRAM, *words], stdout=log, stderr=log, start_new_session=True)
    try:
        listens = re.compile(r"DevTools listening on (ws://\S+)")
        found = wait_until(lambda: listens.search((directory / "chromium.log").read_text(errors="replace")))
        one = Browser(found[1])
        yield one
        one.close()
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
