"""What is to happen by itself: users' crontabs, and the programs that strigger has set?"""

from typing import Any

from starlette.requests import Request

from corral.auth.peer import owner_named
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.service import Service
from corral.model.crontab import Crontab
from corral.model.trigger import Trigger
from corral.protocol.replies import JobRows


async def get_crontab(service: Service, request: Request) -> Any:
    """The caller's own, or an operator's look at another's (user=NAME); lines that are not carried out any more are comments."""
    caller = caller_of(service, request)
    name = request.query_params.get("user", "")
    uid = caller.uid
    if name and name != caller.user:
        owner = owner_named(name)
        if owner is None:
            raise Refusal("Invalid user id", "not_found", f"There is no user {name!r} on the controller's host.")
        uid = owner.uid
    if uid != caller.uid and not caller.is_operator:
        raise Refusal("Access/permission denied", "denied", "You may not see the crontab of another user.")
    found: Crontab | None = service.state.crontabs.get(uid)
    if found is None:
        raise Refusal("no crontab", "not_found")
    return {
        "user": found.user,
        "text": found.shown(),
        "entries": [[entry.job, entry.first_line, entry.last_line] for entry in found.entries],
    }


_FIELDS = ("id", "resource", "target", "event", "offset", "user", "permanent", "program")


async def get_triggers(service: Service, request: Request) -> JobRows:
    """All of them, as everybody may see them with strigger."""
    caller_of(service, request)
    triggers: list[Trigger] = sorted(service.state.triggers.values(), key=lambda trigger: trigger.id)
    rows = [
        [str(getattr(trigger, f)) if f == "resource" else getattr(trigger, f) for f in _FIELDS] for trigger in triggers
    ]
    return JobRows(fields=_FIELDS, rows=rows)


ROUTES = (("GET", "/v1/crontab", get_crontab), ("GET", "/v1/triggers", get_triggers))
