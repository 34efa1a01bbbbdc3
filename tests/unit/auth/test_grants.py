"""Logins to a job's port."""

import pytest

from corral.auth import grants, tokens
from corral.auth.tokens import InvalidToken

KEY = b"k" * 32


def login(now: float = 100.0, **fields: object) -> str:
    words = {"user": "ann", "job": 42, "restart": 0, "node": "", "port": 80, **fields}
    return grants.login(**words, key=KEY, now=now)  # type: ignore[arg-type]


def test_a_login_is_good_once_and_gives_a_cookie() -> None:
    logins = grants.Logins(KEY, 50.0)
    text = login()
    grant = logins.use(text, 110.0)
    assert (grant.user, grant.job, grant.port) == ("ann", 42, 80)
    with pytest.raises(InvalidToken, match="has been used"):
        logins.use(text, 111.0)
    again = grants.read_cookie(grants.cookie(grant, KEY, 110.0), KEY, 120.0)
    assert (again.user, again.job, again.port, again.nonce) == ("ann", 42, 80, "")


def test_a_login_is_soon_void_and_does_not_outlive_a_restart() -> None:
    with pytest.raises(InvalidToken, match="some minutes"):
        grants.Logins(KEY, 50.0).use(login(), 100.0 + grants.LOGIN_SECONDS + 1)
    with pytest.raises(InvalidToken, match="some minutes"):
        grants.Logins(KEY, 101.0).use(login(), 102.0)


def test_none_is_taken_for_another() -> None:
    grant = grants.Logins(KEY, 0.0).use(login(), 100.0)
    cookie = grants.cookie(grant, KEY, 100.0)
    for wrong in (login(), "", "corral-proxy1.x.y"):
        with pytest.raises(InvalidToken):
            grants.read_cookie(wrong, KEY, 100.0)
    with pytest.raises(InvalidToken):
        grants.Logins(KEY, 0.0).use(cookie, 100.0)
    for not_a_token in (cookie, login()):
        with pytest.raises(InvalidToken):
            tokens.verify(not_a_token, KEY, 100.0)
    with pytest.raises(InvalidToken):
        grants.read_cookie(cookie, b"x" * 32, 100.0)
    with pytest.raises(InvalidToken):
        grants.read_cookie(cookie, KEY, 101.0 + grants.COOKIE_SECONDS)
