"""What does a user find in the environment after logging in? For jobs that bring only a part of the submitter's (--export=NONE)."""

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping

PATIENCE = 8.0  #: seconds a login may take; then the account's own record must do
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_FROM_THE_SHELL = ("_", "SHLVL", "PWD", "OLDPWD")


def is_wanted(given: Mapping[str, str]) -> bool:
    """Did sbatch ask for it? --export=ALL needs none, --export=NIL wants none."""
    if "SLURM_EXPORT_ENV" not in given:  # --get-user-env alone
        return given.get("SLURM_GET_USER_ENV") == "1"
    words = given["SLURM_EXPORT_ENV"].upper().split(",")
    return given.get("SLURM_GET_USER_ENV") == "1" and "ALL" not in words


def login_environment(user: str, uid: int) -> dict[str, str]:
    """As `su - USER` has it, with a PATH on which the job's commands are found."""
    result = _of_account(user, uid)
    result |= _logged_in(result, user)
    directories = result["PATH"].split(os.pathsep)
    if not any(os.access(os.path.join(directory, "srun"), os.X_OK) for directory in directories):
        result["PATH"] += os.pathsep + os.path.dirname(sys.executable)
    return result


def _of_account(user: str, uid: int) -> dict[str, str]:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return {"USER": user, "LOGNAME": user, "HOME": "/", "SHELL": "/bin/sh", "PATH": _SYSTEM_PATH}
    name, home, shell = account.pw_name, account.pw_dir, account.pw_shell or "/bin/sh"
    return {"USER": name, "LOGNAME": name, "HOME": home, "SHELL": shell, "PATH": _SYSTEM_PATH}


def _logged_in(account: dict[str, str], user: str) -> dict[str, str]:
    """Nothing where the account has no login."""
    if os.geteuid() == 0:
        command = ["su", "-", user, "-c", "env -0"]
    else:
        command = [account["SHELL"], "-l", "-c", "env -0"]
    try:
        done = subprocess.run(
            command, env=account, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    if done.returncode:
        return {}
    pairs = (entry.partition("=") for entry in os.fsdecode(done.stdout).split("\0"))
    return {name.rpartition("\n")[2]: value for name, equals, value in pairs if equals and name not in _FROM_THE_SHELL}
