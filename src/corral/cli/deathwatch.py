"""Who ends the job, or the step, of an srun that was killed and cannot do it itself?

A shell beside it, in a session of its own, that holds one end of a pipe. As long as srun lives it sleeps; when the pipe ends without
a word, srun has died, and what it ran is cancelled as soon as the controller answers. No connection is watched: a network
that fails for a while, or a controller that is being restarted, ends nothing.
"""

from __future__ import annotations

import os
import sys

#: For an hour, should there be no controller. Each try waits some seconds by itself.
_SCRIPT = 'read -r word && exit; for try in $(seq 360); do "$@" && exit; sleep 5; done'
_CANCEL = "from corral.cli.commands.scancel import main; main()"


class DeathWatch:
    """From now on until `dismiss`, over this job (42), or these steps (42.0)."""

    def __init__(self, *what: str) -> None:
        read_end, self._end = os.pipe()
        words = ["sh", "-c", _SCRIPT, "srun", sys.executable, "-P", "-c", _CANCEL, "-Q", *what]
        actions = [
            (os.POSIX_SPAWN_DUP2, read_end, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            os.posix_spawn("/bin/sh", words, os.environ, file_actions=actions, setsid=True)
        except OSError:
            pass  # no more processes: then there is no watch
        os.close(read_end)

    def dismiss(self) -> None:
        try:
            os.write(self._end, b"\n")
        except OSError:
            pass  # it has been killed
        os.close(self._end)
