"""What does a query string ask for? Each function names the parameter when it cannot be read."""

import math
from typing import TypeVar

from starlette.requests import Request

from corral.controller.api.http import Refusal
from corral.errors import InvalidHostlist, InvalidJobId
from corral.syntax import hostlist, jobid

T = TypeVar("T")

#: A long poll holds on for at most so many seconds.
LONGEST_POLL = 300.0


def words(request: Request, name: str) -> tuple[str, ...]:
    """a,b,c; () when not given."""
    text = request.query_params.get(name, "")
    return tuple(word for word in text.split(",") if word)


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "") not in ("", "0", "false", "no")


def number(request: Request, name: str, default: float = 0.0) -> float:
    text = request.query_params.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(f"{name}: not a number: {text!r}")
    return value


def numbers(request: Request, name: str) -> tuple[float, ...]:
    found = []
    for word in words(request, name):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise Refusal(f"{name}: not a number: {word!r}")
        found.append(value)
    return tuple(found)


def bounds(request: Request, name: str) -> tuple[int, int] | None:
    """2-4, or 3."""
    text = request.query_params.get(name)
    if not text:
        return None
    low, dash, high = text.partition("-")
    if not low.isdigit() or (dash and not high.isdigit()):
        raise Refusal(f"{name}: not a range of numbers: {text!r}")
    return int(low), int(high) if dash else int(low)


def timeout(request: Request) -> float:
    return min(max(number(request, "timeout", 30.0), 0.0), LONGEST_POLL)


def choice(request: Request, name: str, known: dict[str, T]) -> tuple[T, ...]:
    found = []
    for word in words(request, name):
        if word.upper() not in known:
            raise Refusal(f"{name}: not one of {', '.join(known)}: {word!r}")
        found.append(known[word.upper()])
    return tuple(found)


def job_refs(request: Request, name: str = "ids") -> list[jobid.JobRef]:
    text = request.query_params.get(name, "")
    return refs(text) if text else []


def refs(text: str) -> list[jobid.JobRef]:
    try:
        return jobid.parse_list(text)
    except InvalidJobId:
        raise Refusal("Invalid job id specified", "not_found", f"{text!r} is not a job id.") from None


def nodes(request: Request, name: str = "nodes") -> frozenset[str]:
    text = request.query_params.get(name, "")
    try:
        return frozenset(hostlist.expand(text))
    except InvalidHostlist as error:
        raise Refusal(f"{name}: {error}") from None
