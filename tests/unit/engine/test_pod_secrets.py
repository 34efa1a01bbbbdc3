"""A Pod reads the Secrets of its own user, sealed: who sends the launch opens them."""

from types import SimpleNamespace

import pytest

from corral.auth.sealing import Sealer
from corral.controller.secretkeeper import SecretKeeper
from corral.daemon.logs import Log
from corral.engine import podfiles
from corral.engine.kubeobjects import Objects
from corral.model.cluster import ClusterConfig
from corral.model.job import Owner
from corral.model.kube.config import Secret
from corral.model.kube.meta import ObjectMeta
from corral.model.kube.pod import (
    Container,
    EnvVar,
    EnvVarSource,
    KeySelector,
    Pod,
    PodSpec,
    SecretVolume,
    Volume,
    VolumeMount,
)
from corral.protocol.pods import PodRun

ANN, BOB, ROOT = (
    Owner(uid=uid, gid=uid, user=name, group=name) for uid, name in ((1000, "ann"), (1001, "bob"), (0, "root"))
)
SEALER = Sealer((b"k" * 32,))
CONTAINER = Container(
    name="web", command=("serve",), volume_mounts=(VolumeMount(name="keys", mount_path="/keys"),),
    env=(EnvVar(name="PASSWORD", value_from=EnvVarSource(secret_key_ref=KeySelector(name="db", key="password"))),),
)  # fmt: skip


def basis(owner):
    objects = Objects()
    secret = Secret(
        metadata=ObjectMeta(name="db", namespace="default", uid="1"), data={"password": "aHVudGVyMg=="}, creator=owner
    )
    objects.put(SEALER.sealed(secret))
    return SimpleNamespace(state=SimpleNamespace(objects=objects), config=ClusterConfig())


def pod(owner):
    volumes = (Volume(name="keys", secret=SecretVolume(secret_name="db")),)
    return Pod(
        metadata=ObjectMeta(name="web", namespace="default"), creator=owner,
        spec=PodSpec(containers=(CONTAINER,), volumes=volumes),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("secrets", "pods", "is_there"), [(ANN, ANN, True), (ANN, BOB, False), (ROOT, ANN, False), (ANN, ROOT, True)]
)
def test_another_users_secret_is_not_there_for_a_pod(secrets, pods, is_there):
    assert podfiles.missing(basis(secrets), pod(pods), CONTAINER) == ("" if is_there else 'secret "db" not found')


def test_variables_and_files_are_sealed_until_the_launch_is_sent(tmp_path):
    ctx, one = basis(ANN), pod(ANN)
    run = PodRun(
        namespace="default", name="web", uid="1", container="web",
        variables=tuple(podfiles.variables(ctx, one, CONTAINER)), volumes=tuple(podfiles.volumes(ctx, one, CONTAINER)),
    )  # fmt: skip
    assert "hunter2" not in str(run)
    opened = SecretKeeper(SEALER, Log(tmp_path / "log", "debug")).opened_run(run)
    assert [one.value for one in opened.variables if one.name == "PASSWORD"] == ["hunter2"]
    assert [(one.path, one.value) for one in opened.volumes[0].files] == [("password", b"hunter2")]
