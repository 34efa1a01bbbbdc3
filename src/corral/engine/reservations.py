"""How is a reservation made, changed and deleted (scontrol create, update, delete)?"""

import msgspec

from corral.engine.admission import has_licenses
from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.reserved_access import INVALID
from corral.engine.reserved_nodes import Choice
from corral.engine.reserved_times import record, remove, skip, uses
from corral.errors import UsageError
from corral.model.job import UNLIMITED
from corral.model.reservation import DAY, Flag, Reservation
from corral.protocol.replies import Done, Rejected
from corral.protocol.requests import (
    Caller,
    CreateReservation,
    DeleteReservation,
    Names,
    ReservationFields,
    UpdateReservation,
)
from corral.scheduler.feasibility import feature_rows
from corral.syntax import licenses

DENIED = "Invalid user id"
BAD_TIME = "Invalid time specified"
#: Seconds by which a start may lie in the past.
LATE = 600.0
MOST_RESERVATIONS = 10_000
#: The year 3000: calendars end somewhere.
LATEST = 32_503_680_000.0
_MOST = (1 << 31) - 1
_LONGEST_TEXT = 1 << 16
_UNSUPPORTED = "Requested operation not supported on this system"


class _Refused(Exception):
    def __init__(self, reply: Rejected) -> None:
        self.reply = reply


def _refuse(error: str, detail: str = "", code: str = "invalid") -> _Refused:
    return _Refused(Rejected(error=error, detail=detail, code=code))


def on_create(ctx: Context, request: CreateReservation, caller: Caller, now: float, out: Effects) -> None:
    state = ctx.state
    if not caller.is_operator:
        out.reply = Rejected(error=DENIED, code="denied")
        return
    try:
        if len(state.reservations) >= MOST_RESERVATIONS:
            raise _refuse(
                "Slurm temporarily unable to accept job, sleeping and retrying", "too many reservations", "busy"
            )
        number = state.last_reservation + 1
        draft = Reservation(name=request.name or "\n", number=number, start_time=0.0, end_time=0.0)
        draft = _times(_words(ctx, draft, request.fields), request.fields, now)
        _check(draft)
        name = request.name or _default_name(state.reservations, draft, number)
        if name in state.reservations:
            raise _refuse("Duplicate reservation name")
        draft = msgspec.structs.replace(draft, name=name)
        draft = _places(ctx, draft, request.fields, now)
    except _Refused as refused:
        out.reply = refused.reply
        return
    record(ctx, draft, now, out, "created")
    out.reply = Done(messages=(draft.name,))


def on_update(ctx: Context, request: UpdateReservation, caller: Caller, now: float, out: Effects) -> None:
    old = ctx.state.reservations.get(request.name)
    if not caller.is_operator:
        out.reply = Rejected(error=DENIED, code="denied")
        return
    if old is None:
        out.reply = Rejected(error=INVALID, code="not_found")
        return
    fields = request.fields
    try:
        if request.skip:
            if not old.repeats:
                raise _refuse("Reservation given is not skipable, try deleting instead")
            skip(ctx, old, now, out)
            out.reply = Done()
            return
        draft = _times(_words(ctx, old, fields), fields, now, old)
        _check(draft)
        moved = (draft.start_time, draft.end_time, draft.flags) != (old.start_time, old.end_time, old.flags)
        if fields.nodes is not None or fields.node_counts or fields.core_counts:
            draft = _places(ctx, draft, fields, now, old)
        elif moved and draft.nodes:
            problem = Choice(ctx, draft).problem(draft.nodes, not draft.cores)
            if problem is not None:
                raise _Refused(problem)
    except _Refused as refused:
        out.reply = refused.reply
        return
    record(ctx, draft, now, out, "updated")
    out.reply = Done()


def on_delete(ctx: Context, request: DeleteReservation, caller: Caller, now: float, out: Effects) -> None:
    old = ctx.state.reservations.get(request.name)
    if not caller.is_operator:
        out.reply = Rejected(error=DENIED, code="denied")
    elif old is None:
        out.reply = Rejected(error=INVALID, code="not_found")
    elif uses(ctx, old.name):
        out.reply = Rejected(error="Requested reservation is in use", code="busy")
    else:
        remove(ctx, old, now, out)
        out.reply = Done()


def _default_name(known: dict[str, Reservation], draft: Reservation, number: int) -> str:
    first = (draft.users or draft.groups or draft.accounts or ("resv",))[0]
    name = f"{first}_{number}"
    while name in known:
        number += 1
        name = f"{first}_{number}"
    return name


# -- who, and what it is called


def _check_bounds(fields: ReservationFields) -> None:
    """Anybody may speak to the API: numbers that count nothing, and texts without end."""
    counts = (*(fields.node_counts or ()), *(fields.core_counts or ()), fields.purge_seconds or 0)
    if any(not 0 <= count <= _MOST for count in counts) or len(counts) > MOST_RESERVATIONS:
        raise _refuse("Node count specification invalid")
    people = [one for one in (fields.users, fields.groups, fields.accounts, fields.flags) if one is not None]
    texts = [fields.nodes, fields.licenses, fields.partition, fields.features, *(",".join(one.names) for one in people)]
    if any(text and (len(text) > _LONGEST_TEXT or not text.isprintable()) for text in texts):
        raise _refuse(INVALID, "A text is too long, or has characters that do not print.")


def _words(ctx: Context, draft: Reservation, fields: ReservationFields) -> Reservation:
    _check_bounds(fields)
    changes: dict[str, object] = {}
    if fields.partition is not None:
        if fields.partition and fields.partition not in ctx.state.partitions:
            raise _refuse("Invalid partition name specified")
        changes["partition"] = fields.partition
    if fields.features is not None:
        if fields.features:
            try:
                known = bool(feature_rows(ctx.state.ledger, fields.features).any())
            except UsageError:
                known = False
            if not known:
                raise _refuse("Invalid feature specification")
        changes["features"] = fields.features
    if fields.licenses is not None:
        if not has_licenses(ctx.config, fields.licenses):
            raise _refuse("Invalid license specification")
        changes["licenses"] = tuple(entry for entry in licenses.parse(fields.licenses) if entry[1])
    if fields.users is not None:
        changes["users"], changes["users_denied"] = _people(draft.users, draft.users_denied, fields.users, DENIED)
    if fields.accounts is not None:
        problem = "Invalid account or account/partition combination specified"
        named = [name.removeprefix("-") for name in fields.accounts.names if name]
        if ctx.state.books and any(name not in ctx.state.books.accounts for name in named):
            raise _refuse(problem)
        changes["accounts"], changes["accounts_denied"] = _people(
            draft.accounts, draft.accounts_denied, fields.accounts, problem
        )
    if fields.groups is not None:
        changes["groups"], denied = _people(draft.groups, False, fields.groups, "Invalid group id")
        changes["members"] = {**draft.members, **fields.members}
        if denied:
            raise _refuse("Invalid group id")
    if fields.flags is not None:
        changes["flags"] = _flags(draft, fields.flags)
    if fields.purge_seconds is not None:
        changes["purge_seconds"] = fields.purge_seconds
    return msgspec.structs.replace(draft, **changes)


def _people(old: tuple[str, ...], denied: bool, names: Names, problem: str) -> tuple[tuple[str, ...], bool]:
    """Those who may, or (with a -) those who may not: never both."""
    given = [name for name in names.names if name]
    minus = [name.startswith("-") for name in given]
    if any(minus) and not all(minus):
        raise _refuse(problem)
    plain = [name.removeprefix("-") for name in given]
    sign = "-" if not names.sign and given and all(minus) else names.sign
    if not sign:
        return tuple(dict.fromkeys(plain)), False
    if sign == "+":
        if denied:
            return tuple(name for name in old if name not in plain), True
        return tuple(dict.fromkeys((*old, *plain))), False
    if old and not denied:  # taken away from those who may
        if any(name not in old for name in plain):
            raise _refuse(problem)
        return tuple(name for name in old if name not in plain), False
    return tuple(dict.fromkeys((*old, *plain))), True


#: Only read, or set by what else is said.
_SHOWN_ONLY = frozenset({Flag.SPEC_NODES, Flag.ALL_NODES})
_NOT_TAKEN_BACK = frozenset(
    {Flag.FIRST_CORES, Flag.NO_HOLD_JOBS_AFTER_END, Flag.OVERLAP, Flag.REPLACE, Flag.REPLACE_DOWN}
)


def _flags(draft: Reservation, given: Names) -> tuple[Flag, ...]:
    try:
        wanted = {Flag(name) for name in given.names}
    except ValueError:
        raise _refuse("Invalid reservation flags", ",".join(given.names)) from None
    if wanted & _SHOWN_ONLY:
        raise _refuse(_UNSUPPORTED)
    has = set(draft.flags)
    if given.sign == "-":
        if wanted & _NOT_TAKEN_BACK:
            raise _refuse(_UNSUPPORTED)
        has -= wanted
    elif given.sign == "+" or draft.end_time:
        has |= wanted
    else:
        has = wanted
    if draft.end_time and (Flag.TIME_FLOAT in has) != draft.has(Flag.TIME_FLOAT):
        raise _refuse(_UNSUPPORTED)
    return tuple(flag for flag in Flag if flag in has)


def _times(draft: Reservation, fields: ReservationFields, now: float, old: Reservation | None = None) -> Reservation:
    start, end = draft.start_time, draft.end_time
    length = end - start
    if fields.start_time is not None:
        if old is not None and old.is_active(now):
            raise _refuse("Reservation already started")
        if fields.start_time < now - LATE:
            raise _refuse(BAD_TIME)
        start = fields.start_time
        end = start + length
    elif old is None:
        raise _refuse(BAD_TIME)
    if fields.end_time is not None:
        end = fields.end_time
    if fields.duration is not None:
        seconds = 365 * DAY if fields.duration >= UNLIMITED else float(-(-fields.duration // 60) * 60)
        signed = {"": start + seconds, "+": end + seconds, "-": end - seconds}
        end = signed[fields.duration_sign]
    elif old is None and fields.end_time is None:
        raise _refuse(BAD_TIME)
    if end < start or not 0 < start < LATEST or (old is not None and end != old.end_time and end <= now):
        raise _refuse(BAD_TIME)
    if end - start > 3650 * DAY:
        raise _refuse(BAD_TIME)
    floats = draft.has(Flag.TIME_FLOAT)
    if floats and draft.repeats:
        raise _refuse(_UNSUPPORTED)
    ahead = draft.float_seconds
    if floats and (old is None or fields.start_time is not None):
        ahead = max(1.0, start - now)
    return msgspec.structs.replace(draft, start_time=start, end_time=end, float_seconds=ahead if floats else 0.0)


def _check(draft: Reservation) -> None:
    if not draft.users and not draft.groups and not draft.accounts:
        raise _refuse("Reservation request lacks users, groups or accounts")
    if draft.users and draft.groups:
        raise _refuse("Reservation request lacks users, groups or accounts", "Users and groups are mutually exclusive.")
    if not draft.name.replace("\n", "") and draft.name != "\n":
        raise _refuse(INVALID)
    if len(draft.name) > 1024 or any(c.isspace() or not c.isprintable() for c in draft.name if draft.name != "\n"):
        raise _refuse(INVALID, "A name is at most 1024 characters and has no blank.")


# -- where


def _places(
    ctx: Context, draft: Reservation, fields: ReservationFields, now: float, old: Reservation | None = None
) -> Reservation:
    """The draft with its nodes, cores and the flags that follow from how they were asked for."""
    count = sum(fields.node_counts or ())
    counts = tuple(number for number in fields.core_counts or () if number)
    flags = set(draft.flags) - {Flag.SPEC_NODES, Flag.ALL_NODES}
    nodes: tuple[str, ...] = ()
    choice = Choice(ctx, draft)
    named = fields.nodes
    if named == "" and old is not None:
        named, count = None, count or len(old.nodes)
    if named is None and not count and not counts:
        if Flag.ANY_NODES in flags:
            if not draft.licenses:
                raise _refuse(INVALID)
            return msgspec.structs.replace(draft, nodes=(), cores=(), node_count=0)
        if not draft.partition:
            raise _refuse("Invalid node name specified")
        named = "ALL"
        flags.add(Flag.PART_NODES)
    whole = not counts
    if named is not None and not (count and old is not None):
        found = choice.named(named)
        if isinstance(found, Rejected):
            raise _Refused(found)
        nodes = found
        flags.add(Flag.SPEC_NODES)
        if named.upper() == "ALL" and Flag.PART_NODES not in flags:
            flags.add(Flag.ALL_NODES)
        count = 0
        problem = choice.problem(nodes, whole)
        if problem is not None:
            raise _Refused(problem)
    elif whole:
        picked = choice.counted(count, old.nodes if old is not None else ())
        if isinstance(picked, Rejected):
            raise _Refused(picked)
        nodes = picked
        if old is not None and named is None and old.has(Flag.SPEC_NODES) and fields.nodes is None:
            flags.add(Flag.SPEC_NODES)
            count = 0
    cores = draft.cores
    if counts:
        found_cores = choice.cores(counts, nodes or None, count)
        if isinstance(found_cores, Rejected):
            raise _Refused(found_cores)
        cores = found_cores
        nodes = tuple(part.node for part in cores)
    elif old is None or nodes != old.nodes:
        cores = ()
    partition = draft.partition
    if not partition and (count or counts):
        partition = next((one.name for one in ctx.state.partitions.values() if one.default), "")
    return msgspec.structs.replace(
        draft, nodes=nodes, cores=cores, node_count=count, partition=partition,
        flags=tuple(flag for flag in Flag if flag in flags),
    )  # fmt: skip
