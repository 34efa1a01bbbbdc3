"""What does the text behind each option mean? Readers from text to plain values, with Slurm's words when it means nothing.

A reader takes the text and the option's name. The text of an optional argument left out is "".
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

_LARGEST = (1 << 31) - 1
#: What --mpi takes.
MPI_TYPES = ("none", "pmi2", "pmix")


#: For --get-user-env, as long as agents wait (daemon/login.py).
LOGIN_SECONDS = 8


class BadValue(Exception):
    """The text means nothing: error lines, the exit status, and a line that goes before without the command's name."""

    def __init__(self, *errors: str, status: int = 255, raw: str = "") -> None:
        super().__init__(*errors)
        self.errors = errors
        self.status = status
        self.raw = raw


def invalid(name: str) -> BadValue:
    return BadValue(f"Invalid --{name} specification")


def not_offered(what: str, why: str) -> BadValue:
    """For what the real command has and this one has not."""
    return BadValue(f"{what} is not supported by Corral: {why}", status=1)


def text(given: str, name: str) -> str:
    return given


def unless_no(given: str, name: str) -> bool:
    """--send-libs, --send-libs=no"""
    return given.lower() not in ("no", "n", "false", "0")


def full_path(given: str, name: str) -> str:
    """A relative one from where we are."""
    import os

    return given if given.startswith("/") else os.path.join(os.getcwd(), given)


def get_user_env(given: str, name: str) -> bool:
    """8, 8L: seconds that a login may take, and which kind of login: there is one, and it is given eight."""
    digits = given.lstrip("+-").rstrip("LlSs")
    if digits and not digits.isdigit():
        raise invalid(name)
    if given[-1:] in ("S", "s"):
        raise not_offered("--get-user-env=S", "the environment is that of a login shell (L)")
    if digits and int(digits[:9]) > LOGIN_SECONDS:
        raise not_offered(f"--get-user-env={given}", f"a login is given {LOGIN_SECONDS} seconds")
    return True


def x11(given: str, name: str) -> str:
    """On which nodes there is a display."""
    word = given.lower() or "all"
    if word not in ("all", "batch", "first", "last"):  # with which Slurm would do without windows, and say nothing
        raise not_offered(f"--x11={given}", "it is all, batch, first or last")
    return word


def flag(given: str, name: str) -> bool:
    """True; the value of a variable may say no."""
    word = given.strip().lower()
    return word not in ("no", "unset", "false") and not (word.isdigit() and int(word) == 0)


# -- numbers


def integer(given: str, what: str, least: int) -> int:
    digits = given.lstrip(" \t\n")
    sign, digits = (digits[0], digits[1:]) if digits[:1] in ("+", "-") else ("", digits)
    if not (digits.isascii() and digits.isdigit()):
        raise BadValue(f'Invalid numeric value "{given}" for {what}.', status=1)
    number = min(int(digits[:20]), _LARGEST) * (-1 if sign == "-" else 1)
    if number < least:
        raise BadValue(f'Invalid numeric value "{given}" for {what}.', status=1)
    return number


def positive(given: str, name: str) -> int:
    return integer(given, f"--{name}", 1)


def not_negative(given: str, name: str) -> int:
    return integer(given, f"--{name}", 0)


def ports(given: str, name: str) -> int:
    """How many; without a number none, as with the real one."""
    return integer(given, "--resv-port", 0) if given else 0


def immediate(given: str, name: str) -> int:
    """-I, -I10: seconds that the resources may take; 0 = none."""
    return integer(given, "immediate", 0) if given else 0


def switch(given: str, name: str) -> bool:
    """-K, -K0, --kill-on-bad-exit=1."""
    return bool(integer(given, f"--{name}", 0)) if given else True


def _leading_integer(given: str) -> int:
    """As C's strtol takes it: what comes after the digits is not looked at."""
    digits = given.strip()
    sign = -1 if digits[:1] == "-" else 1
    digits = digits.lstrip("+-")
    end = 0
    while end < len(digits) and digits[end] in "0123456789":
        end += 1
    return sign * int(digits[:end][:20] or 0)


def sample_interval(given: str, name: str) -> int | None:
    """30, task=30,energy=0: the seconds of `task`. For the others there is nothing to sample; they are checked alone."""
    found = None
    for word in given.split(",") if given else ():
        kind, equals, number = word.partition("=")
        if not equals:
            kind, number = "task", word
        if kind not in ("task", "energy", "network", "filesystem") or not number[:1].isdigit():
            raise BadValue(f"Invalid --acctg-freq specification: {given}")
        if kind == "task":
            found = min(_leading_integer(number), _LARGEST)
    return found


def nice(given: str, name: str) -> int:
    number = _leading_integer(given) if given else 100
    if abs(number) > _LARGEST - 2:
        raise BadValue(f"Invalid --nice value, out of range (+/- {_LARGEST - 2})")
    return number


def priority(given: str, name: str) -> int | None:
    """A number, or TOP: nothing that the command decides."""
    if given.upper() == "TOP":
        return None
    number = _leading_integer(given)
    if number < 0:
        raise BadValue("Priority must be >= 0")
    if number >= 0xFFFFFFFE:
        raise BadValue(f"Priority must be < {0xFFFFFFFE}")
    return number


def node_count(given: str, name: str) -> tuple[int, int]:
    """2, 1-4, 1k: the least and the most nodes."""
    low, dash, high = given.partition("-")
    if not dash:
        count = _nodes(given)
        if count < 0:
            raise BadValue(f'"{given}" is not a valid node count')
        return count, count
    least, most = max(1, _nodes(low)), _nodes(high)
    if most < least:
        raise BadValue(f"Maximum node count {most} is less than minimum node count {least}")
    return least, most


def _nodes(given: str) -> int:
    """-1 where there is no number."""
    number = given.strip()
    factor = {"k": 1024, "m": 1024 * 1024}.get(number[-1:].lower(), 1)
    digits = number[:-1] if factor > 1 else number
    if not number:
        return -1
    if not (digits.isascii() and digits.isdigit()):
        raise BadValue(f'"{given}" is not a valid node count')
    return min(int(digits[:20]) * factor, _LARGEST)


def wait_all_nodes(given: str, name: str) -> bool:
    number = not_negative(given, name)
    if number > 1:
        raise invalid(name)
    return bool(number)


# -- memory and time


def memory(given: str, name: str) -> int:
    """MiB."""
    from corral.errors import InvalidSize
    from corral.syntax import size

    try:
        return size.parse(given)
    except InvalidSize:
        raise invalid(name) from None


def time_limit(given: str, name: str) -> int:
    """Seconds, or UNLIMITED. The controller rounds them up to what it counts in: minutes, as Slurm does, by default."""
    from corral.errors import InvalidDuration
    from corral.syntax import duration

    try:
        # Slurm takes a sign before the number, and gets a limit of 8000 years out of it.
        return (
            duration.UNLIMITED
            if given[:1] == "-" and given[1:].isdigit()
            else duration.parse(given) or duration.UNLIMITED
        )
    except InvalidDuration:
        raise invalid(name) from None


def moment(given: str, name: str) -> float:
    """Seconds since the epoch."""
    import time

    from corral.errors import InvalidTimestamp
    from corral.syntax import timestamp

    if not given.strip():
        raise invalid(name)
    try:
        # Slurm counts whole seconds.
        return float(int(timestamp.parse(given, time.time())))
    except InvalidTimestamp:
        line = f"Invalid time specification (pos={_fault(given)}): {given}"
        raise BadValue(f"Invalid --{name} specification", raw=line) from None


def _fault(given: str) -> int:
    """At which letter of a wrong time Slurm stops."""
    word = given.lower()
    if word.startswith("now"):
        return 4 if word[4:5].isdigit() else 3
    day, mark, clock = word.partition("t")
    parts = day.split("-" if "-" in day else "/")
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        month_at = 1 if "-" in day else 0
        offsets = [0, len(parts[0]) + 1, len(parts[0]) + len(parts[1]) + 2]
        if not 1 <= int(parts[month_at]) <= 12:
            return offsets[month_at]
        if not 1 <= int(parts[month_at + 1]) <= 31:
            return offsets[month_at + 1]
        if mark:
            return len(word) if clock.isdigit() else len(day) + 1
    return 0


# -- generic resources


def gres(given: str, name: str) -> list[list[Any]]:
    """[["gpu", "v100", 2], ...]."""
    if not given:
        raise submission_failed("Invalid Trackable RESource (TRES) specification")
    return _requests(given, "", given)


def gpus(given: str, name: str) -> list[list[Any]]:
    """4, v100:2, v100:2,a100:1."""
    return _requests(",".join(f"gpu:{part}" for part in given.split(",")), "gpu", given)


def _requests(written: str, only: str, given: str) -> list[list[Any]]:
    from corral.errors import InvalidGres, InvalidShare
    from corral.syntax import tres

    try:
        if "=" in given:
            raise InvalidGres(text=given, part=given)
        return [list(one) if one.milli else list(one[:3]) for one in tres.parse_gres(written) if one.count]
    except InvalidShare as error:
        raise BadValue(str(error), status=1) from None
    except InvalidGres:
        if given.lstrip("gpu:").startswith("-"):  # Slurm takes it for a type's name, which no node has
            raise submission_failed("Requested node configuration is not available") from None
        raise BadValue("Invalid generic resource (gres) specification", status=1) from None


class FatalValue(BadValue):
    """The last line is no error but the end."""


class SubmissionFailed(BadValue):
    """Found out here, but said as the controller's answer."""


def submission_failed(*errors: str) -> SubmissionFailed:
    """The last is what the controller would say; those before come from it too."""
    return SubmissionFailed(*errors, status=1)


# -- words


def yes_or_no(given: str, name: str) -> bool:
    if given.lower() not in ("yes", "no"):
        raise invalid(name)
    return given.lower() == "yes"


def no_kill(given: str, name: str) -> bool:
    if given and given != "off":
        raise BadValue(f"Invalid --no-kill specification: {given}")
    return not given


def open_mode(given: str, name: str) -> str:
    if given in ("a", "append"):
        return "append"
    if given in ("t", "truncate"):
        return "truncate"
    raise invalid(name)


_MAIL = (
    "NONE", "INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "STAGE_OUT", "TIME_LIMIT", "TIME_LIMIT_90",
    "TIME_LIMIT_80", "TIME_LIMIT_50", "ARRAY_TASKS",
)  # fmt: skip


def mail_types(given: str, name: str) -> list[str]:
    found = [word for word in (part.strip().upper() for part in given.split(",")) if word in _MAIL]
    if not found:
        raise invalid(name)
    if "STAGE_OUT" in found:
        raise not_offered(f"--{name}=STAGE_OUT", "there are no burst buffers")
    return [] if "NONE" in found else found


def mpi(given: str, name: str) -> str:
    """Which server the tasks find each other by."""
    if given in (*MPI_TYPES, "list"):
        return given
    if given in ("pmix_v3", "pmix_v4"):  # the version is that of the library which is there
        return "pmix"
    raise BadValue(
        f"Couldn't find the specified plugin name for mpi/{given} looking at all files",
        f"cannot find mpi plugin for mpi/{given}",
        f"MPI: Cannot create context for mpi/{given}",
        "MPI: Unable to load any plugin",
        f"Invalid MPI type '{given}', --mpi=list for acceptable types",
        status=1,
    )


def profile(given: str, name: str) -> str:
    if given.lower() == "none":
        return "none"
    raise not_offered(f"--profile={given}", "there is no profiling of tasks")


def propagate(given: str, name: str) -> str:
    """Which limits go with the job: ALL, NONE, or names."""
    from corral.cli.limits import KNOWN

    words = [word.strip().upper().removeprefix("RLIMIT_") for word in given.split(",")] if given else ["ALL"]
    for word in words:
        if word not in KNOWN and word not in ("ALL", "NONE"):
            raise BadValue(f"Bad rlimit name: {given}", f"--propagate={given} is not valid.", status=1)
    return ",".join(words)


def user(given: str, name: str) -> str:
    """A user's name."""
    import pwd

    try:
        return pwd.getpwuid(int(given)).pw_name if given.isdigit() else pwd.getpwnam(given).pw_name
    except KeyError:
        raise invalid(name) from None


def group(given: str, name: str) -> str:
    """A group's name."""
    import grp

    try:
        return grp.getgrgid(int(given)).gr_name if given.isdigit() else grp.getgrnam(given).gr_name
    except (KeyError, OverflowError):
        raise invalid(name) from None


def nodes_named(given: str, name: str) -> str:
    """A list of node names; a path is a file that has them."""
    return nodes_in(given) if "/" in given else given


def node_file(given: str, name: str) -> str:
    if not given:
        raise BadValue("Invalid --nodefile node file")
    try:
        return nodes_in(given)
    except OSError as error:
        lines = f"slurm_allocate_resources error opening file {given}, {error.strerror}", "Invalid --nodefile node file"
        raise BadValue(*lines) from None


def nodes_in(path: str) -> str:
    """The names in a file, a list of them."""
    with open(path) as file:
        words = [line.partition("#")[0].replace(",", " ").split() for line in file]
    return ",".join(name for line in words for name in line)


# -- signals

_SIGNALS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "ALRM": 14, "TERM": 15, "USR1": 10, "USR2": 12, "URG": 23,
    "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22,
}  # fmt: skip


def signal_number(given: str) -> int:
    """USR1, SIGUSR1 or 10; 0 = none of these."""
    if given.isascii() and given.isdigit():
        return int(given[:4])
    return _SIGNALS.get(given.upper().removeprefix("SIG"), 0)


def signal_before_end(given: str, name: str) -> list[Any]:
    """[B:]USR1[@60]: signal, seconds before the limit, only the batch shell.

    R: only means something with a reservation's MaxStartDelay, and no reservation has one.
    """
    flags, colon, rest = given.rpartition(":")
    if colon and not set(flags.upper()) <= set("BR"):
        raise invalid(name)
    word, _, seconds = rest.partition("@")
    number = signal_number(word)
    if not 0 < number < 0xFFFF or (
        seconds and not (seconds.isascii() and seconds.isdigit() and int(seconds) <= 0xFFFF)
    ):
        raise invalid(name)
    return [number, int(seconds or 60), "B" in flags.upper()]


def kill_command(given: str, name: str) -> int:
    """The signal for salloc's command when the allocation ends early."""
    number = signal_number(given) if given else 15
    if not number:
        raise invalid(name)
    return number
