"""Is a token good for what it says, as long as it says, and nothing else?"""

import base64

import pytest

from corral.auth import tokens
from corral.auth.tokens import Claims, InvalidToken
from corral.model.cluster import Roles

KEY = b"k" * 32


def test_a_token_says_what_was_signed():
    claims = Claims(user="ann", role="operator", issued=1.0, expires=100.0)
    assert tokens.verify(tokens.sign(claims, KEY), KEY, now=50.0) == claims


def test_an_expired_token_is_refused():
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(tokens.sign(Claims(user="ann", expires=100.0), KEY), KEY, now=101.0)


def test_another_clusters_token_is_refused():
    with pytest.raises(InvalidToken):
        tokens.verify(tokens.sign(Claims(user="ann"), b"x" * 32), KEY, now=0.0)


def test_a_changed_payload_is_refused():
    prefix, _, signature = tokens.sign(Claims(user="ann"), KEY).split(".")
    payload = base64.urlsafe_b64encode(b'{"user":"root"}').decode().rstrip("=")
    with pytest.raises(InvalidToken):
        tokens.verify(f"{prefix}.{payload}.{signature}", KEY, now=0.0)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "corral1..", "corral1.%.%", "\u00e4.b.c", "x" * 10_000])
def test_nonsense_is_refused(text):
    with pytest.raises(InvalidToken):
        tokens.verify(text, KEY, now=0.0)


def test_a_role_is_the_lesser_of_token_and_configuration():
    assert tokens.caller(Claims(user="nobody", role="administrator"), Roles()).role == "user"
    assert tokens.caller(Claims(user="nobody", role="operator"), Roles(administrators=("nobody",))).role == "operator"
    assert tokens.caller(Claims(user="nobody", role="user"), Roles(operators=("nobody",))).role == "user"


def test_an_unknown_user_is_refused():
    with pytest.raises(InvalidToken, match="not known"):
        tokens.caller(Claims(user="no-such-user-here"), Roles())


def test_the_key_is_made_once_and_is_private(tmp_path):
    first = tokens.load_key(tmp_path / "key")
    assert tokens.load_key(tmp_path / "key") == first
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="no key"):
        tokens.load_key(tmp_path / "key")
