"""With which status does a command end that has waited for a job or a step?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

#: What strsignal(3) calls them: srun's "task 0: Terminated".
SIGNAL_TEXTS = {
    1: "Hangup", 2: "Interrupt", 3: "Quit", 4: "Illegal instruction", 5: "Trace/breakpoint trap", 6: "Aborted",
    7: "Bus error", 8: "Floating point exception", 9: "Killed", 10: "User defined signal 1", 11: "Segmentation fault",
    12: "User defined signal 2", 13: "Broken pipe", 14: "Alarm clock", 15: "Terminated", 16: "Stack fault",
    17: "Child exited", 18: "Continued", 19: "Stopped (signal)", 20: "Stopped", 21: "Stopped (tty input)",
    22: "Stopped (tty output)", 23: "Urgent I/O condition", 24: "CPU time limit exceeded", 25: "File size limit exceeded",
    26: "Virtual timer expired", 27: "Profiling timer expired", 28: "Window changed", 29: "I/O possible",
    30: "Power failure", 31: "Bad system call",
}  # fmt: skip


def of_wait_status(status: int) -> int:
    """A task's wait(2) status as a shell shows it: 128 + n for a signal."""
    signal = status & 0x7F
    return 128 + signal if signal else (status >> 8) & 0xFF


def of_pair(code: int, signal: int) -> int:
    """Slurm's code:signal."""
    return 128 + signal if signal else code


def of_job(row: dict[str, Any]) -> int:
    """sbatch --wait: the script's exit code; 1 when a signal or something else ended the job."""
    code, signal = row.get("exit_code") or (0, 0)
    if row["state"] == "COMPLETED":
        return 0
    return code if code and not signal else 1


def describe(status: int) -> str:
    """What srun says of a task that ended so."""
    signal = status & 0x7F
    if signal:
        core = " (core dumped)" if status & 0x80 else ""
        return SIGNAL_TEXTS.get(signal, f"Unknown signal {signal}") + core
    return f"Exited with exit code {(status >> 8) & 0xFF}"
