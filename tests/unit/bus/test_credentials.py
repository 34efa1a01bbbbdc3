import base64
import json

import nkeys
import pytest

from corral.bus import subjects
from corral.bus.credentials import ClusterKeys
from corral.bus.permissions import StepRole


def claims(jwt):
    body = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_saved_keys_come_back_and_are_private(tmp_path):
    keys = ClusterKeys.create("prod")
    keys.save(tmp_path / "keys")
    again = ClusterKeys.load(tmp_path / "keys")
    assert (again.cluster, again.account_key, again.account_jwt()) == ("prod", keys.account_key, keys.account_jwt())
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert len(list((tmp_path / "keys").iterdir())) == 3
    assert ClusterKeys.load_or_create(tmp_path / "keys", "prod").account_key == keys.account_key
    with pytest.raises(FileNotFoundError):
        ClusterKeys.load(tmp_path / "none")
    assert ClusterKeys.load_or_create(tmp_path / "none", "other").cluster == "other"


def test_the_account_signs_users_and_the_operator_the_account():
    keys = ClusterKeys.create("c")
    user, account, operator = claims(keys.controller_jwt()), claims(keys.account_jwt()), claims(keys.operator_jwt())
    assert user["iss"] == account["sub"] == keys.account_key
    assert account["iss"] == operator["iss"] == operator["sub"]
    assert user["nats"]["bearer_token"] is True


def test_a_signature_is_that_of_the_account():
    seed = nkeys.encode_seed(b"\1" * 32, nkeys.PREFIX_BYTE_ACCOUNT)
    keys = ClusterKeys("c", nkeys.encode_seed(b"\2" * 32, nkeys.PREFIX_BYTE_OPERATOR), seed)
    unsigned, _, signature = keys.controller_jwt().rpartition(".")
    assert nkeys.from_seed(seed).verify(unsigned.encode(), decoded(signature))


def test_each_end_of_a_step_may_say_what_the_other_hears():
    keys = ClusterKeys.create("c")
    client = claims(keys.step_jwt("1.0", StepRole.CLIENT, 123))
    shepherd = claims(keys.step_jwt("1.0", StepRole.SHEPHERD, 123, "n1"))
    assert client["exp"] == shepherd["exp"] == 123
    to_client, to_tasks = subjects.step_to_client("c", "1.0"), subjects.step_to_tasks("c", "1.0")
    assert client["nats"]["pub"]["allow"] == [to_tasks, f"{to_tasks}.*"]
    assert client["nats"]["sub"]["allow"] == [to_client]
    peers = [subjects.step_peers("c", "1.0"), subjects.step_first_peer("c", "1.0")]
    assert shepherd["nats"]["pub"]["allow"] == [to_client, *peers]
    assert shepherd["nats"]["sub"]["allow"] == [to_tasks, f"{to_tasks}.n1", *peers]
    assert "resp" not in client["nats"]


def test_an_agent_may_not_speak_for_another():
    rights = claims(ClusterKeys.create("c").agent_jwt("a", ("n1", "n2")))["nats"]
    assert subjects.reports("c", "a", ("n2", "n1")) in rights["pub"]["allow"]
    for foreign in (("b", ("n1", "n2")), ("a", ("n1",)), ("a", ("n1", "n2", "n3"))):
        assert not any(subjects.matches(pattern, subjects.reports("c", *foreign)) for pattern in rights["pub"]["allow"])
    assert not any(subjects.matches(pattern, subjects.orders("c", "n3")) for pattern in rights["sub"]["allow"])


def test_no_two_users_share_a_key():
    keys = ClusterKeys.create("c")
    assert claims(keys.controller_jwt())["sub"] != claims(keys.controller_jwt())["sub"]
