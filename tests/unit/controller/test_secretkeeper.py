"""No value of a Secret is in plain text in anything that the controller keeps; who may see it sees it."""

import base64
import os
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from tests.unit.controller.running import wait_until
from tests.unit.controller.test_main import cluster

from corral.auth.sealing import CannotOpen, Sealer
from corral.client.connection import Connection
from corral.controller.secretkeeper import SecretKeeper
from corral.daemon.logs import Log
from corral.engine.kubeobjects import Objects
from corral.model.kube.config import Secret
from corral.model.kube.meta import ObjectMeta
from corral.protocol.requests import PutObjects

SECRETS = "/api/v1/namespaces/default/secrets"
PLAIN = "correct-horse-battery-staple"
ENCODED = base64.b64encode(PLAIN.encode()).decode()


def keeper(directory, *keys):
    return SecretKeeper(Sealer(keys or (b"k" * 32,)), Log(directory / "log", "debug"))


def secret(value=ENCODED, **fields):
    return Secret(metadata=ObjectMeta(name="db", namespace="default", uid="1"), data={"password": value}, **fields)


class Variable(msgspec.Struct, frozen=True):
    name: str
    value: str
    is_sealed: bool = False


class File(msgspec.Struct, frozen=True):
    value: bytes
    is_sealed: bool = False


class Run(msgspec.Struct, frozen=True):
    name: str
    variables: tuple[Variable, ...]
    files: tuple[File, ...] = ()


def test_what_has_not_changed_stays_as_it_was_sealed(tmp_path):
    objects = Objects()
    old = keeper(tmp_path).sealed(PutObjects(objects=(secret(),)), objects).objects[0]
    objects.put(old)
    new = keeper(tmp_path, b"n" * 32, b"k" * 32)
    assert new.sealed(PutObjects(objects=(secret(),)), objects).objects[0].data == old.data
    other = new.sealed(PutObjects(objects=(secret("b3RoZXI="),)), objects).objects[0]
    assert new.opened(other).data == {"password": "b3RoZXI="}
    assert [one.key.name for one in new.older(objects)] == ["db"]


def test_a_launch_is_told_what_is_marked_as_sealed_and_nothing_else(tmp_path):
    sealer = Sealer((b"k" * 32,))
    text = sealer.seal(b"hunter2\xff", "here")
    run = Run(
        "web", (Variable("A", "plain"), Variable("B", text, True), Variable("C", text)), (File(text.encode(), True),)
    )
    opened = keeper(tmp_path).opened_run(run)
    assert opened.variables[0] == Variable("A", "plain")
    assert opened.variables[1].value.startswith("hunter2")
    assert not opened.variables[1].is_sealed
    assert opened.variables[2] == Variable("C", text)
    assert opened.files == (File(b"hunter2\xff"),)
    with pytest.raises(CannotOpen):
        keeper(tmp_path, b"x" * 32).opened_run(run)


def test_a_secret_whose_key_is_gone_stays_sealed_and_the_log_says_so(tmp_path):
    sealed = keeper(tmp_path).sealed(PutObjects(objects=(secret(),)), Objects()).objects[0]
    assert keeper(tmp_path, b"x" * 32).opened(sealed) == sealed
    assert "secret/db" in (tmp_path / "log").read_text()


def kept(directory: Path):
    """All that is in the controller's files, but the log of NATS and the keys."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != "secrets.keys"}


def restarted(process: subprocess.Popen[bytes], start, directory: Path):
    process.send_signal(signal.SIGKILL)
    process.wait()
    (directory / "controller.ready").unlink(missing_ok=True)
    process = start()
    wait_until((directory / "controller.ready").exists)
    return process


def test_the_store_and_the_log_have_no_secret_and_keys_are_changed(tmp_path):
    manifest = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": PLAIN},
    }  # fmt: skip
    applied = {"kubectl.kubernetes.io/last-applied-configuration": str(manifest)}
    with cluster(tmp_path) as start, Connection(f"unix://{tmp_path}/corral.sock") as api:
        process = start()
        wait_until((tmp_path / "controller.ready").exists)
        api.request("POST", SECRETS, {**manifest, "metadata": {"name": "db", "annotations": applied}})

        def is_readable():
            found = api.request("GET", f"{SECRETS}/db")
            return found["data"] == {"password": ENCODED} and found["metadata"]["annotations"] == applied

        assert is_readable()
        version = api.request("GET", f"{SECRETS}/db")["metadata"]["resourceVersion"]
        again = api.request("PUT", f"{SECRETS}/db", {**manifest, "metadata": {"name": "db", "annotations": applied}})
        assert again["metadata"]["resourceVersion"] == version
        process = restarted(process, start, tmp_path)
        assert is_readable()
        for path, data in kept(tmp_path).items():
            assert PLAIN.encode() not in data, path
            assert ENCODED.encode() not in data, path

        keys = tmp_path / "secrets.keys"
        keys.write_text(base64.b64encode(os.urandom(32)).decode() + "\n" + keys.read_text())
        process = restarted(process, start, tmp_path)
        wait_until(lambda: api.request("GET", f"{SECRETS}/db")["metadata"]["resourceVersion"] != version, 10)
        keys.write_text(keys.read_text().splitlines()[0] + "\n")
        restarted(process, start, tmp_path)
        assert is_readable()
