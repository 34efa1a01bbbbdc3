"""When is all forgotten that was used (PriorityUsageResetPeriod)? At midnight of a day, in the controller's time zone."""

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.protocol.events import UsageReset
from corral.syntax import cron

_DAYS = {
    "DAILY": "0 0 * * *", "WEEKLY": "0 0 * * 0", "MONTHLY": "0 0 1 * *", "QUARTERLY": "0 0 1 1,4,7,10 *", "YEARLY": "0 0 1 1 *",
}  # fmt: skip


def configured(ctx: Context, now: float, out: Effects) -> None:
    """The configuration has been read: NOW means at this moment, and at the next one like it."""
    ctx.reset_due = 0.0
    if ctx.config.priority.usage_reset_period == "NOW" and ctx.state.books:
        ctx.record(UsageReset(time=now, everything=True), out)


def tick(ctx: Context, now: float, out: Effects) -> None:
    spec = _DAYS.get(ctx.config.priority.usage_reset_period)
    if spec is None or not ctx.state.books or now < ctx.reset_due:
        return
    meter = ctx.state.meter
    if not meter.period_began:
        ctx.record(UsageReset(time=now, begins=True), out)
    elif now >= cron.next_after(spec, meter.period_began):
        ctx.record(UsageReset(time=now, everything=True), out)
        ctx.wants_cycle = True
    ctx.reset_due = cron.next_after(spec, meter.period_began)
