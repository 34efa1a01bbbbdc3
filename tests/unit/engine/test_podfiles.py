"""What lies in a Pod's volumes: of labels, of several sources, and anew when these change."""

from typing import Any

from tests.builders import ANN, Cluster, cluster, nodes

from corral.engine.podruns import run_of
from corral.model.cluster import ApiConfig
from corral.model.kube.config import ConfigMap, Secret
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.pod import (
    Capabilities,
    ConfigMapProjection,
    ConfigMapVolume,
    Container,
    DownwardAPIFile,
    DownwardAPIProjection,
    DownwardAPIVolume,
    EnvVar,
    EnvVarSource,
    HostAlias,
    NameRef,
    ObjectFieldSelector,
    Pod,
    PodSecurityContext,
    PodSpec,
    ProjectedVolume,
    ResourceFieldSelector,
    ResourceRequirements,
    SeccompProfile,
    SecretProjection,
    SecurityContext,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from corral.model.kube.rbac import ServiceAccount
from corral.protocol import orders as od
from corral.protocol import reports as rp
from corral.protocol.pods import AccountToken
from corral.protocol.requests import DeleteObjects, PutObjects

MAIN = Container(
    name="main", command=("serve",), volume_mounts=(VolumeMount(name="v", mount_path="/v"),),
    resources=ResourceRequirements(limits={"cpu": "250m", "memory": "64Mi"}),
)  # fmt: skip


def meta(name: str, **fields: Any) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default", **fields)


def settings(one: Cluster, **data: str) -> None:
    one.ask(PutObjects(objects=(ConfigMap(metadata=meta("settings"), data=data),)), ANN)


def running(volume: Volume, **fields: Any) -> Cluster:
    one = cluster(nodes("n1"))
    settings(one, a="1")
    one.ask(PutObjects(objects=(Secret(metadata=meta("keys"), data={"k": "sealed"}),)), ANN)
    spec = PodSpec(containers=(MAIN,), volumes=(volume,), **fields)
    labels = {"zone": "us", "cluster": 'a"b'}
    one.ask(PutObjects(objects=(Pod(metadata=meta("web", labels=labels), spec=spec),)), ANN)
    one.cycle()
    return one


def pod(one: Cluster) -> Pod:
    found = one.state.objects.get(ObjectKey("Pod", "default", "web"))
    assert isinstance(found, Pod)
    return found


def run(one: Cluster) -> Any:
    job = one.job(pod(one).status.job)
    return run_of(one.engine.ctx, job, one.step(job.id, 0), "n1")


def field(path: str, name: str) -> DownwardAPIFile:
    return DownwardAPIFile(path=path, field_ref=ObjectFieldSelector(field_path=name))


def test_labels_and_limits_are_files() -> None:
    limit = ResourceFieldSelector(resource="limits.cpu", container_name="main", divisor="1m")
    items = (
        field("labels", "metadata.labels"),
        field("name", "metadata.name"),
        DownwardAPIFile(path="cpu", resource_field_ref=limit),
    )
    one = running(Volume(name="v", downward_api=DownwardAPIVolume(items=items)))
    assert {file.path: file.value.decode() for file in run(one).volumes[0].files} == {
        "labels": 'cluster="a\\"b"\nzone="us"', "name": "web", "cpu": "250",
    }  # fmt: skip


def test_several_sources_are_in_one_directory_and_secrets_stay_sealed() -> None:
    sources = (
        VolumeProjection(config_map=ConfigMapProjection(name="settings")),
        VolumeProjection(secret=SecretProjection(name="keys")),
        VolumeProjection(secret=SecretProjection(name="absent", optional=True)),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(field("name", "metadata.name"),))),
    )
    one = running(Volume(name="v", projected=ProjectedVolume(sources=sources, default_mode=0o400)))
    files = {file.path: (file.value, file.mode, file.is_sealed) for file in run(one).volumes[0].files}
    assert files == {"a": (b"1", 0o400, False), "k": (b"sealed", 0o400, True), "name": (b"web", 0o400, False)}


def test_host_aliases_are_told() -> None:
    one = running(Volume(name="v"), host_aliases=(HostAlias(ip="10.1.2.3", hostnames=("foo.remote", "bar.remote")),))
    assert run(one).host_aliases == (("10.1.2.3", ("foo.remote", "bar.remote")),)


def test_a_changed_config_map_is_written_to_the_pods_that_run_until_their_node_has_said_so() -> None:
    one = running(Volume(name="v", config_map=ConfigMapVolume(name="settings")))
    assert one.orders(od.WriteFiles) == []
    settings(one, a="2")
    (order,) = one.orders(od.WriteFiles)
    assert [(file.path, file.value) for file in order.volumes[0].files] == [("a", b"2")]
    one.report(
        rp.FilesWritten(agent="agent", node="n1", job=order.job, digest=order.digest, problem="it is not there yet")
    )
    one.at(20)
    (again,) = one.orders(od.WriteFiles)
    one.report(rp.FilesWritten(agent="agent", node="n1", job=again.job, digest=again.digest))
    one.at(60)
    assert one.orders(od.WriteFiles) == []


def test_who_does_not_mount_it_hears_nothing() -> None:
    one = running(Volume(name="v"))
    settings(one, a="2")
    assert one.orders(od.WriteFiles) == []


def test_a_config_map_that_is_deleted_leaves_the_files_as_they_are() -> None:
    one = running(Volume(name="v", config_map=ConfigMapVolume(name="settings")))
    one.ask(DeleteObjects(keys=(ObjectKey("ConfigMap", "default", "settings"),)), ANN)
    assert one.orders(od.WriteFiles) == []


def test_where_in_a_volume_it_is_may_be_said_by_variables() -> None:
    one = cluster(nodes("n1"))
    name = EnvVar(name="NAME", value_from=EnvVarSource(field_ref=ObjectFieldSelector(field_path="metadata.name")))
    variables = (name, EnvVar(name="PLACE", value="of-$(NAME)"))
    mounts = (VolumeMount(name="v", mount_path="/v", sub_path_expr="logs/$(PLACE)/$$(NAME)"),)
    container = Container(name="main", command=("serve",), env=variables, volume_mounts=mounts)
    told = started(one, container, volumes=(Volume(name="v"),))
    assert told.mounts[0].sub_path == "logs/of-web/$(NAME)"


def test_a_container_waits_when_no_variable_says_where_in_the_volume_it_is() -> None:
    one = cluster(nodes("n1"))
    mounts = (VolumeMount(name="v", mount_path="/v", sub_path_expr="$(NONE)"),)
    spec = PodSpec(
        containers=(Container(name="main", command=("x",), volume_mounts=mounts),), volumes=(Volume(name="v"),)
    )
    one.ask(PutObjects(objects=(Pod(metadata=meta("web"), spec=spec),)), ANN)
    one.cycle()
    (status,) = pod(one).status.container_statuses
    assert status.state.message == 'failed to prepare subPath for volumeMount "v" of container "main": $(NONE)'


# ---------------------------------------------------------------------- what its processes do without


def confined(context: SecurityContext, **fields: Any) -> Cluster:
    one = cluster(nodes("n1"))
    part = Container(name="main", command=("serve",), security_context=context)
    spec = PodSpec(containers=(part,), **fields)
    one.ask(PutObjects(objects=(Pod(metadata=meta("web"), spec=spec),)), ANN)
    one.cycle()
    return one


def test_what_a_container_gives_up_is_told() -> None:
    context = SecurityContext(
        allow_privilege_escalation=False, capabilities=Capabilities(drop=("ALL",), add=("CAP_IPC_LOCK",))
    )
    of_pod = PodSecurityContext(seccomp_profile=SeccompProfile(type="RuntimeDefault"), supplemental_groups=(4711,))
    told = run(confined(context, security_context=of_pod))
    assert (told.no_new_privileges, told.drop, told.keep, told.locks_memory) == (True, ("ALL",), ("IPC_LOCK",), True)
    assert (told.filter_calls, told.more_groups) == (True, (4711,))


def test_an_ordinary_users_pod_has_no_right_to_administer() -> None:
    one = confined(SecurityContext(capabilities=Capabilities(add=("NET_BIND_SERVICE", "SYS_TIME"))))
    assert pod(one).status.message.startswith("securityContext.capabilities.add of container main: SYS_TIME: ")
    assert not pod(one).status.job


def test_credentials_of_registries_are_told_sealed_and_absent_ones_passed_over() -> None:
    one = cluster(nodes("n1"))
    secret = Secret(
        metadata=meta("regcred"), type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "sealed"}
    )
    one.ask(PutObjects(objects=(secret,)), ANN)
    names = (NameRef(name="absent"), NameRef(name="regcred"))
    spec = PodSpec(containers=(Container(name="main", image="private/a:1"),), image_pull_secrets=names)
    one.ask(PutObjects(objects=(Pod(metadata=meta("web"), spec=spec),)), ANN)
    one.cycle()
    assert [(auth.name, auth.value, auth.is_sealed) for auth in run(one).auths] == [("regcred", "sealed", True)]


# ---------------------------------------------------------------------- tokens of ServiceAccounts


PLAIN = Container(name="main", command=("serve",))


def with_api(**fields: Any) -> Cluster:
    one = cluster(nodes("n1"), api=ApiConfig(listen="10.0.0.1:6820"))
    account = ServiceAccount(metadata=meta("robot"), **fields)
    one.ask(PutObjects(objects=(account,)), ANN)
    return one


def started(one: Cluster, container: Container = PLAIN, **fields: Any) -> Any:
    spec = PodSpec(containers=(container,), **fields)
    one.ask(PutObjects(objects=(Pod(metadata=meta("web"), spec=spec),)), ANN)
    one.cycle()
    return run(one)


def test_a_pod_that_names_an_account_finds_its_token_where_kubernetes_puts_it() -> None:
    one = with_api()
    told = started(one, service_account_name="robot")
    (mount,), (volume,) = told.mounts, told.volumes
    assert (mount.target, mount.read_only) == ("/var/run/secrets/kubernetes.io/serviceaccount", True)
    files = {file.path: file for file in volume.files}
    assert files.keys() == {"token", "ca.crt", "namespace"}
    account = one.state.objects.get(ObjectKey("ServiceAccount", "default", "robot"))
    assert account is not None
    assert files["token"].token == AccountToken(
        account="default:robot", account_uid=account.metadata.uid, user="ann", job=int(pod(one).status.job), restart=0,
        seconds=3607,
    )  # fmt: skip
    assert files["ca.crt"].is_authority
    assert files["namespace"].value == b"default"


def test_whether_it_is_there_is_said_by_the_pod_by_its_account_or_by_naming_one() -> None:
    assert not started(with_api()).volumes
    assert started(with_api(), automount_service_account_token=True).volumes
    assert not started(with_api(), service_account_name="robot", automount_service_account_token=False).volumes
    assert not started(with_api(automount_service_account_token=False), service_account_name="robot").volumes


def test_where_the_api_is_on_the_controllers_machine_alone_there_is_none() -> None:
    one = cluster(nodes("n1"))
    one.ask(PutObjects(objects=(ServiceAccount(metadata=meta("robot")),)), ANN)
    assert not started(one, service_account_name="robot").volumes


def test_a_token_is_made_anew_before_it_expires() -> None:
    one = with_api()
    wanted = ServiceAccountTokenProjection(path="vault", audience="vault", expiration_seconds=1000)
    volume = Volume(name="v", projected=ProjectedVolume(sources=(VolumeProjection(service_account_token=wanted),)))
    started(one, MAIN, volumes=(volume,), service_account_name="default", automount_service_account_token=False)
    one.at(700)
    assert one.orders(od.WriteFiles) == []
    one.at(810)
    (order,) = one.orders(od.WriteFiles)
    (file,) = order.volumes[0].files
    assert (file.path, file.token.audience, file.token.seconds) == ("vault", "vault", 1000)


def test_credentials_of_the_account_are_those_of_pods_that_name_none() -> None:
    one = with_api(image_pull_secrets=(NameRef(name="regcred"),))
    secret = Secret(metadata=meta("regcred"), type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "s"})
    one.ask(PutObjects(objects=(secret,)), ANN)
    told = started(one, Container(name="main", image="private/a:1"), service_account_name="robot")
    assert [auth.name for auth in told.auths] == ["regcred"]
