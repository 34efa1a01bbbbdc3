"""sdiag --json: the controller's counters as data_parser v0.0.40 has them (STATS_MSG)."""

from __future__ import annotations

from corral.cli import diagnosis
from corral.cli.data_parser import document
from corral.cli.data_parser.values import moment, number

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]


def write(form: document.Form, figures: Row, connection: Connection) -> None:
    document.write(form, {"statistics": statistics(figures)}, document.cluster_of(connection))


def statistics(figures: Row) -> Row:
    cycle, backfill, jobs = figures["cycle"], figures["backfill"], figures["jobs"]
    return {
        "parts_packed": 1,
        "req_time": moment(figures["time"]),
        "req_time_start": moment(figures["since"]),
        "server_thread_count": figures["in_work"],
        "agent_queue_size": figures["orders"],
        "agent_count": 0,
        "agent_thread_count": 0,
        "dbd_agent_queue_size": figures["transactions"],
        "gettimeofday_latency": figures["clock_latency"],
        "schedule_cycle_max": cycle["max"],
        "schedule_cycle_last": cycle["last"],
        "schedule_cycle_sum": cycle["sum"],
        "schedule_cycle_total": cycle["count"],
        "schedule_cycle_mean": _mean(cycle["sum"], cycle["count"]),
        "schedule_cycle_mean_depth": _mean(cycle["depth"]["sum"], cycle["count"]),
        "schedule_cycle_per_minute": diagnosis.per_minute(figures) or 0,
        "schedule_cycle_depth": cycle["depth"]["sum"],
        "schedule_queue_length": cycle["queue_length"],
        "jobs_submitted": jobs["submitted"],
        "jobs_started": jobs["started"],
        "jobs_completed": jobs["completed"],
        "jobs_canceled": jobs["canceled"],
        "jobs_failed": jobs["failed"],
        "jobs_pending": figures["pending"],
        "jobs_running": figures["running"],
        "job_states_ts": moment(figures["time"]),
        "bf_backfilled_jobs": backfill["jobs_ever"],
        "bf_last_backfilled_jobs": backfill["jobs"],
        "bf_backfilled_het_jobs": 0,
        "bf_cycle_counter": backfill["count"],
        "bf_cycle_mean": _mean(backfill["sum"], backfill["count"]),
        "bf_depth_mean": _mean(backfill["depth"]["sum"], backfill["count"]),
        "bf_depth_mean_try": _mean(backfill["tries"]["sum"], backfill["count"]),
        "bf_cycle_sum": backfill["sum"],
        "bf_cycle_last": backfill["last"],
        "bf_cycle_max": backfill["max"],
        "bf_last_depth": backfill["depth"]["last"],
        "bf_last_depth_try": backfill["tries"]["last"],
        "bf_depth_sum": backfill["depth"]["sum"],
        "bf_depth_try_sum": backfill["tries"]["sum"],
        "bf_queue_len": backfill["queue"]["last"],
        "bf_queue_len_mean": _mean(backfill["queue"]["sum"], backfill["count"]),
        "bf_queue_len_sum": backfill["queue"]["sum"],
        "bf_table_size": backfill["table"]["last"],
        "bf_table_size_mean": _mean(backfill["table"]["sum"], backfill["count"]),
        "bf_when_last_cycle": moment(backfill["when"]),
        "bf_active": False,
        "rpcs_by_message_type": [
            {
                "message_type": name, "type_id": identity, "count": count, "average_time": number(_mean(total, count)),
                "total_time": total,
            }
            for name, identity, count, total in diagnosis.calls(figures)
        ],
        "rpcs_by_user": [
            {
                "user": name, "user_id": identity, "count": count, "average_time": number(_mean(total, count)),
                "total_time": total,
            }
            for name, identity, count, total in diagnosis.users(figures)
        ],
    }  # fmt: skip


def _mean(total: int, count: int) -> int:
    return total // count if count else 0
