"""How is a program run that strigger has set? As its user, once for each committed firing, never at the expense of the loop."""

import asyncio
import os
import pwd
import shlex
import signal
import subprocess
from typing import Any

from corral.daemon.logs import Log
from corral.model.trigger import Trigger
from corral.protocol import events as ev

#: After so many seconds a program is killed, with all that it has started.
TIMEOUT = 300.0
#: More than this at once are not run.
MOST = 100


class TriggerPrograms:
    """Those that run now."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._running: set[asyncio.Task[None]] = set()

    def consider(self, records: list[ev.AnyEvent]) -> None:
        for event in records:
            if isinstance(event, ev.TriggerFired):
                if len(self._running) >= MOST:
                    self._log.warning(
                        "a trigger's program is not run: too many run already", program=event.trigger.program
                    )
                    continue
                task = asyncio.get_running_loop().create_task(self._run(event))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _run(self, event: ev.TriggerFired) -> None:
        trigger = event.trigger
        try:
            status = await asyncio.to_thread(_ran, trigger, event.words)
        except (OSError, ValueError, KeyError) as error:
            self._log.warning("a trigger's program could not be run", program=trigger.program, error=str(error))
            return
        self._log.info("trigger", id=trigger.id, program=trigger.program, user=trigger.user, status=status)


def _ran(trigger: Trigger, words: tuple[str, ...]) -> int:
    """In a thread of its own: the loop's own way to start a program does not know users."""
    process = subprocess.Popen(
        [*shlex.split(trigger.program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd="/", env=_environment(trigger.uid, trigger.user), start_new_session=True, **_identity(trigger.uid, trigger.gid),
    )  # fmt: skip
    try:
        return process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _identity(uid: int, gid: int) -> dict[str, Any]:
    """For subprocess: nothing where the controller is that user itself."""
    if os.getuid() == uid:
        return {}
    return {"user": uid, "group": gid, "extra_groups": os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)}


def _environment(uid: int, user: str) -> dict[str, str]:
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = "/"
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TZ", "CORRAL_ENDPOINT")}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **kept,
        "HOME": home,
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/sh",
    }
