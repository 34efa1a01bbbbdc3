"""Who is at the other end of a socket?"""

import os
import socket

from corral.auth import peer
from corral.model.cluster import Roles


def test_the_kernel_names_the_process():
    one, other = socket.socketpair()
    with one, other:
        assert peer.credentials(one) == (os.getpid(), os.getuid(), os.getgid())


def test_root_and_the_controllers_user_are_administrators():
    assert peer.role_of(0, "root", Roles()) == "administrator"
    assert peer.role_of(os.getuid(), "me", Roles()) == "administrator"


def test_others_are_what_the_configuration_says():
    roles = Roles(administrators=("ann",), operators=("bob",))
    assert [peer.role_of(60_000, user, roles) for user in ("ann", "bob", "cat")] == [
        "administrator",
        "operator",
        "user",
    ]


def test_an_account_without_a_name_is_its_number():
    assert peer.caller(61_234, 61_235, Roles()).user == "61234"
    assert peer.caller(61_234, 61_235, Roles()).group == "61235"


def test_an_owner_is_found_by_name_or_number():
    assert peer.owner_named("root") == peer.owner_named("0")
    assert peer.owner_named("no-such-user-here") is None
    assert peer.owner_named("9" * 30) is None
