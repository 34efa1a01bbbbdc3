"""May who asks see this port of this job? By a cookie, a login in the URL, or a token; and only while the job runs."""

import threading
from typing import NamedTuple

from corral.auth import grants, tokens
from corral.auth.tokens import InvalidToken
from corral.client.connection import Connection
from corral.daemon import clock
from corral.errors import CorralError, Refused
from corral.model.cluster import Roles
from corral.protocol.requests import Caller
from corral.proxy.addresses import TOKEN_HEADER, Place, cookies_of
from corral.proxy.messages import Headers, values

#: Seconds for which the controller's answer about a job counts.
_FRESH = 2.0
_BEARER = b"bearer "
_OURS = f"{tokens.PREFIX}.".encode()


class Denied(Exception):
    """Status and what is said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class JobView(NamedTuple):
    """What counts of a job here."""

    user: str
    is_running: bool
    state: str
    restart: int
    nodes: tuple[str, ...]


class Jobs:
    """What the controller says of them; asked in threads."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._known: dict[int, tuple[float, JobView | None]] = {}
        self._lock = threading.Lock()
        self._connection = Connection(endpoint, timeout=20.0)

    def fresh(self, job: int) -> tuple[JobView | None] | None:
        """Without asking; None = it has to be asked."""
        known = self._known.get(job)
        return (known[1],) if known is not None and clock.monotonic() - known[0] < _FRESH else None

    def ask(self, job: int) -> JobView | None:
        """None = there is no such job (any more)."""
        with self._lock:
            if (found := self.fresh(job)) is not None:
                return found[0]
            view = self._asked(job)
            if len(self._known) > 1000:
                self._known.clear()
            self._known[job] = (clock.monotonic(), view)
            return view

    def _asked(self, job: int) -> JobView | None:
        fields = "user,state,restarts,node_names"
        try:
            rows = self._connection.request("GET", f"/v1/jobs?ids={job}&fields={fields}&all=1")["rows"]
        except Refused:
            return None
        except CorralError as error:
            raise Denied(503, f"The controller does not answer: {error}") from None
        if not rows:
            return None
        user, state, restarts, nodes = rows[0]
        return JobView(user, state in ("RUNNING", "COMPLETING"), state, restarts, tuple(nodes))


class Access:
    """Who has come, by what it carries."""

    def __init__(self, key: bytes, roles: Roles) -> None:
        self._key, self._roles = key, roles
        self._logins = grants.Logins(key, clock.now())

    def login(self, text: bytes, place: Place) -> tuple[grants.Grant, str]:
        """The grant of a login, and the cookie that is given for it."""
        try:
            grant = self._logins.use(text.decode("ascii", "replace"), clock.now())
        except InvalidToken as error:
            raise Denied(403, f"{error}; {_another(place)}") from None
        if not _is_for(grant, place):
            raise Denied(403, f"That login is for another port; {_another(place)}")
        return grant, grants.cookie(grant, self._key, clock.now())

    def by_cookie(self, headers: Headers, place: Place) -> grants.Grant | None:
        for name, text in cookies_of(headers):
            if name == place.cookie:
                try:
                    grant = grants.read_cookie(text.decode("ascii", "replace"), self._key, clock.now())
                except InvalidToken:
                    continue
                if _is_for(grant, place):
                    return grant
        return None

    def by_token(self, headers: Headers, view: JobView, place: Place) -> bool:
        """A token of the job's owner, of an operator, or of the job itself. Denied when it is none of these; False = there is none."""
        given = values(headers, TOKEN_HEADER)
        if not given:
            given = [value[len(_BEARER) :].strip() for value in values(headers, b"authorization") if _is_ours(value)]
        if not given:
            return False
        try:
            claims = tokens.verify(given[0].decode("ascii", "replace"), self._key, clock.now())
            who = tokens.caller(claims, self._roles)
        except InvalidToken as error:
            raise Denied(403, f"{error}") from None
        if claims.job and (claims.job != place.job or claims.restart != view.restart):
            raise Denied(403, "the token is another job's")
        if not _may(who, view):
            raise Denied(404, no_such_job(place))
        return True


def _is_ours(value: bytes) -> bool:
    return value[: len(_BEARER)].lower() == _BEARER and value[len(_BEARER) :].strip().startswith(_OURS)


def carries_token(headers: Headers) -> bool:
    """Is its Authorization header for this proxy, and none of the job's business?"""
    return any(_is_ours(value) for value in values(headers, b"authorization"))


def _is_for(grant: grants.Grant, place: Place) -> bool:
    return (grant.job, grant.port, grant.node) == (place.job, place.port, place.node)


def _may(who: Caller, view: JobView) -> bool:
    return who.user == view.user or who.is_operator


def no_such_job(place: Place) -> str:
    return f"There is no job {place.job} here that is yours."


def _another(place: Place) -> str:
    node = f" --node {place.node}" if place.node else ""
    return f"`corral proxy{node} {place.job} {place.port}` prints another."


def how_to_log_in(place: Place) -> str:
    return f"You are not logged in for this job's port: {_another(place)}"
