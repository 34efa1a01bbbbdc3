"""Secrets lie sealed: bound to their place, opened by any of the cluster's keys, sealed by the first."""

import base64
import stat

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.auth.sealing import CannotOpen, Sealer, is_sealed, load_keys
from corral.model.kube.config import Secret
from corral.model.kube.meta import ObjectMeta

OLD, NEW = Sealer((b"o" * 32,)), Sealer((b"n" * 32, b"o" * 32))
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def secret(**data):
    return Secret(
        metadata=ObjectMeta(
            name="db", namespace="default", annotations={LAST_APPLIED: '{"data": "aHVudGVyMg=="}', "a": "b"}
        ),
        data={key: base64.b64encode(value).decode() for key, value in data.items()},
    )


@given(st.binary(max_size=100), st.text(max_size=20))
def test_what_is_sealed_is_opened_as_it_was(plain, place):
    text = OLD.seal(plain, place)
    assert is_sealed(text)
    assert OLD.open(text, place) == plain
    assert OLD.seal(plain, place) == text


def test_nothing_of_a_value_shows_in_what_is_sealed_kubectls_annotation_included():
    sealed = OLD.sealed(secret(password=b"hunter2hunter2", empty=b""))
    text = str(msgspec.to_builtins(sealed))
    for plain in ("hunter2", base64.b64encode(b"hunter2hunter2").decode(), "aHVudGVyMg"):
        assert plain not in text
    assert sealed.metadata.annotations["a"] == "b"
    assert OLD.opened(sealed) == secret(password=b"hunter2hunter2", empty=b"")
    assert OLD.sealed(sealed) == sealed


def test_a_sealed_value_is_good_in_its_place_alone():
    sealed = OLD.sealed(secret(a=b"1", b=b"1"))
    assert sealed.data["a"] != sealed.data["b"]
    moved = msgspec.structs.replace(sealed, data={"a": sealed.data["b"]})
    with pytest.raises(CannotOpen):
        OLD.opened(moved)


def test_after_a_new_first_key_the_old_ones_still_open():
    sealed = OLD.sealed(secret(a=b"1"))
    assert NEW.opened(sealed) == secret(a=b"1")
    anew = NEW.sealed(NEW.opened(sealed))
    assert anew.data != sealed.data
    assert NEW.is_by_first(anew.data["a"])
    with pytest.raises(CannotOpen):
        OLD.opened(anew)


@pytest.mark.parametrize(
    "change", [lambda text: text[:-6] + "AAAA==", lambda text: text[:20], lambda text: "sealed1:x:y:z"]
)
def test_what_has_been_tampered_with_is_not_opened(change):
    with pytest.raises(CannotOpen):
        OLD.open(change(OLD.seal(b"value", "place")))


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "secrets.keys"
    keys = load_keys(path)
    assert load_keys(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "\n", "c2hvcnQ=\n", "not base64!\n"])
def test_a_file_without_a_good_key_is_refused(tmp_path, text):
    path = tmp_path / "secrets.keys"
    path.write_text(text)
    with pytest.raises(ValueError, match="key"):
        load_keys(path)
