"""How does a browser prove that it may see a job's port? With a login in the URL that is good once and soon void, which gives it a cookie.

Both are sealed with the cluster's key, for one port of one run of one job: neither opens anything else, the API least of all.
"""

import secrets

import msgspec

from corral.auth.tokens import InvalidToken, opened, sealed

LOGIN, COOKIE = "corral-login1", "corral-proxy1"
#: Seconds in which the URL that was printed must be opened.
LOGIN_SECONDS = 300.0
#: And for which the browser stays logged in, while the job runs.
COOKIE_SECONDS = 7 * 86400.0


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Who may see which port."""

    user: str
    job: int
    restart: int
    node: str  #: of the job; "" = its first
    port: int
    issued: float
    nonce: str = ""


def login(user: str, job: int, restart: int, node: str, port: int, key: bytes, now: float) -> str:
    nonce = secrets.token_urlsafe(9)
    return sealed(LOGIN, Grant(user=user, job=job, restart=restart, node=node, port=port, issued=now, nonce=nonce), key)


def cookie(grant: Grant, key: bytes, now: float) -> str:
    return sealed(COOKIE, msgspec.structs.replace(grant, issued=now, nonce=""), key)


def read_cookie(text: str, key: bytes, now: float) -> Grant:
    grant = opened(COOKIE, text, key, Grant)
    if grant.issued + COOKIE_SECONDS < now:
        raise InvalidToken("the login has expired")
    return grant


class Logins:
    """Each is good once. Those that were made before this was are void: who knows which of them were used?"""

    def __init__(self, key: bytes, now: float) -> None:
        self._key, self._since = key, now
        self._used: dict[str, float] = {}

    def use(self, text: str, now: float) -> Grant:
        grant = opened(LOGIN, text, self._key, Grant)
        self._used = {nonce: end for nonce, end in self._used.items() if end > now}
        if grant.issued < self._since or grant.issued + LOGIN_SECONDS < now:
            raise InvalidToken("this address was good for some minutes only")
        if grant.nonce in self._used:
            raise InvalidToken("this address was good once, and has been used")
        self._used[grant.nonce] = grant.issued + LOGIN_SECONDS
        return grant
