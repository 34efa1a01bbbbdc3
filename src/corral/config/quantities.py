"""How does an operator write times and sizes? As numbers, or as people do: "4:00:00", "30s", "64G"."""

import re
from typing import Any

from corral.config.checks import BadValue
from corral.config.lines import KeyPath
from corral.errors import UsageError
from corral.syntax import duration, size

#: Keys, by table, whose value is a time.
_TIMES = {
    "timeouts": ("kill_wait", "node", "heartbeat", "min_job_age", "prolog", "over_time_limit", "resume"),
    "priority": ("max_age", "decay_half_life", "calc_period"),
    "scheduling": (
        "backfill_window",
        "backfill_min_age",
        "backfill_resolution",
        "cycle_interval",
        "time_limit_step",
        "requeue_delay",
    ),
    "gpus": ("idle_warn", "idle_end"),
    "preemption": ("exempt_time", "time_slice"),
    "api": ("token_lifetime",),
    "autoscaling": ("interval",),
    "gateway": ("held_seconds",),
    "accounting": (
        "sample_interval",
        "purge_jobs_after",
        "purge_steps_after",
        "purge_usage_after",
        "purge_events_after",
    ),
    "partition": ("max_time", "default_time", "grace_time"),
}
_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def with_plain_numbers(tree: dict[str, Any]) -> dict[str, Any]:
    """The same, times in seconds and memory in MB."""
    return {key: _converted(value, key, (key,)) for key, value in tree.items()}


def _converted(value: Any, table: str, path: KeyPath) -> Any:
    match value:
        case dict():
            return {key: _converted(one, table, (*path, key)) for key, one in value.items()}
        case list():
            return [_converted(one, table, (*path, index)) for index, one in enumerate(value)]
        case str():
            key = str(path[-1])
            if key in _TIMES.get(table, ()):
                return _read(seconds, value, path)
            if key.endswith("_mb"):
                return _read(size.parse, value, path)
    return value


def seconds(text: str) -> float:
    """30s, 5m, 2h, 7d; or as Slurm writes time limits: minutes, 4:00:00, 1-00:00:00, UNLIMITED."""
    if found := _WITH_UNIT.match(text.strip()):
        value = float(found[1]) * _SECONDS[found[2]]
        return int(value) if value.is_integer() else value
    return duration.parse(text)


def _read(parse: Any, text: str, path: KeyPath) -> Any:
    try:
        return parse(text)
    except UsageError as error:
        raise BadValue(path, str(error)) from None
