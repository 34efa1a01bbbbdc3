"""Do Kubernetes' paths answer as Kubernetes' server does?"""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.controller.running import RunningController, running

from corral.auth import tokens
from corral.client.connection import Connection
from corral.errors import Refused

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningController]:
    directory: Path = tmp_path_factory.mktemp("controller")
    with running(directory) as one:
        yield one


@pytest.fixture
def api(controller: RunningController) -> Iterator[Connection]:
    with controller.connection() as connection:
        yield connection
        for kind in (DEPLOYMENTS, CONFIG_MAPS, PODS, "/apis/corral.dev/v1/namespaces/default/pipelines"):
            connection.request("DELETE", kind)


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "command": ["sleep", "9"]}]},
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }  # fmt: skip


def config_map(name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **fields}, "data": {"a": "1"}}


def names(answer: dict[str, Any]) -> list[str]:
    return [one["metadata"]["name"] for one in answer["items"]]


def status(controller: RunningController, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Over plain HTTP with a token, as a client library does."""
    token = tokens.sign(tokens.Claims(user="root", role="administrator", issued=0.0, expires=0.0), b"k" * 32)
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(
        method, path, data, {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **given}
    )
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


# -- create, get, list


def test_what_is_created_can_be_got_and_is_listed_here_and_everywhere(api):
    created = api.request("POST", DEPLOYMENTS, deployment())
    assert created["metadata"]["uid"]
    assert created["metadata"]["namespace"] == "default"
    assert created["metadata"]["creationTimestamp"].endswith("Z")
    assert api.request("GET", f"{DEPLOYMENTS}/web")["spec"] == created["spec"]
    answer = api.request("GET", "/apis/apps/v1/deployments")
    assert (answer["kind"], answer["apiVersion"], names(answer)) == ("DeploymentList", "apps/v1", ["web"])
    assert names(api.request("GET", "/apis/apps/v1/namespaces/other/deployments")) == []


def test_a_body_may_be_yaml(controller, api):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {at: '22:22'}\n"
    code, created = status(controller, "POST", CONFIG_MAPS, text, Content_Type="application/yaml")
    assert (code, created["data"]) == (201, {"at": "22:22"})


def test_a_generated_name_is_new_each_time(api):
    body = config_map("")
    body["metadata"] = {"generateName": "run-"}
    first, second = (api.request("POST", CONFIG_MAPS, body)["metadata"]["name"] for _ in range(2))
    assert first.startswith("run-")
    assert len(first) == len("run-") + 5
    assert first != second


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("labelSelector=tier%3Dfront", ["a"]),
        ("labelSelector=tier!%3Dfront", ["b", "c"]),
        ("labelSelector=tier+in+(front,back)", ["a", "b"]),
        ("labelSelector=!tier", ["c"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name!%3Db", ["a", "c"]),
        ("fieldSelector=metadata.namespace%3Dother", []),
    ],
)
def test_selectors(api, query, found):
    for name, labels in (("a", {"tier": "front"}), ("b", {"tier": "back"}), ("c", {})):
        api.request("POST", CONFIG_MAPS, config_map(name, labels=labels))
    assert names(api.request("GET", f"{CONFIG_MAPS}?{query}")) == found


def test_a_list_comes_in_pages(api):
    for name in "abcde":
        api.request("POST", CONFIG_MAPS, config_map(name))
    found, token = [], ""
    while True:
        page = api.request("GET", f"{CONFIG_MAPS}?limit=2&continue={token}")
        found.append(names(page))
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == [["a", "b"], ["c", "d"], ["e"]]


def test_a_table_has_kubectls_columns(controller, api):
    api.request("POST", DEPLOYMENTS, deployment(replicas=0))
    _, table = status(
        controller, "GET", DEPLOYMENTS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    )
    shown = [one["name"] for one in table["columnDefinitions"] if not one["priority"]]
    assert shown == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    assert table["rows"][0]["cells"][:2] == ["web", "0/0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


# -- changes


def test_replace_keeps_uid_and_counts_the_generation(api):
    created = api.request("POST", DEPLOYMENTS, deployment())
    changed = api.request("PUT", f"{DEPLOYMENTS}/web", deployment(minReadySeconds=3))
    assert changed["metadata"]["uid"] == created["metadata"]["uid"]
    assert changed["metadata"]["generation"] == 2


def test_a_version_that_is_no_longer_there_is_a_conflict(controller, api):
    created = api.request("POST", DEPLOYMENTS, deployment())
    api.request("PUT", f"{DEPLOYMENTS}/web", deployment(minReadySeconds=3))
    code, answer = status(controller, "PUT", f"{DEPLOYMENTS}/web", created)
    assert (code, answer["reason"]) == (409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest version" in answer["message"]


def test_merge_strategic_and_json_patches(controller, api):
    api.request("POST", DEPLOYMENTS, deployment())

    def patch(kind: str, body: Any) -> Any:
        code, answer = status(controller, "PATCH", f"{DEPLOYMENTS}/web", body, Content_Type=f"application/{kind}+json")
        assert code == 200, answer
        return answer

    assert patch("merge-patch", {"metadata": {"labels": {"x": "1", "app": None}}})["metadata"]["labels"] == {"x": "1"}
    template = {"spec": {"containers": [{"name": "side", "command": ["sleep", "1"]}]}}
    found = patch("strategic-merge-patch", {"spec": {"template": template}})["spec"]["template"]["spec"]["containers"]
    assert sorted(one["name"] for one in found) == ["main", "side"]
    found = patch("json-patch", [{"op": "add", "path": "/spec/minReadySeconds", "value": 7}])
    assert found["spec"]["minReadySeconds"] == 7


def test_a_json_patch_that_copies_copies_is_refused_before_it_is_large(controller, api):
    api.request("POST", CONFIG_MAPS, config_map("a"))
    operations = [{"op": "copy", "from": "/data", "path": f"/data/x{number}"} for number in range(60)]
    code, answer = status(
        controller, "PATCH", f"{CONFIG_MAPS}/a", operations, Content_Type="application/json-patch+json"
    )
    assert (code, answer["reason"]) == (400, "BadRequest")


def test_a_long_list_is_written_in_parts_and_is_whole(controller, api):
    for number in range(120):
        api.request("POST", CONFIG_MAPS, config_map(f"m{number:03}"))
    assert len(names(api.request("GET", CONFIG_MAPS))) == 120
    _, table = status(controller, "GET", CONFIG_MAPS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert len(table["rows"]) == 120
    with controller.connection() as other:
        lines = other.stream(f"{CONFIG_MAPS}?watch=1")
        assert [next(lines)["object"]["metadata"]["name"] for _ in range(120)][-1] == "m119"


def test_apply_makes_then_changes_and_what_left_the_manifest_goes(controller, api):
    def apply(body: Any) -> tuple[int, Any]:
        return status(controller, "PATCH", f"{DEPLOYMENTS}/web", body, Content_Type="application/apply-patch+yaml")

    first = deployment(minReadySeconds=3)
    del first["spec"]["replicas"]
    code, _ = apply(first)
    assert code == 201
    # An autoscaler's doing.
    status(
        controller,
        "PATCH",
        f"{DEPLOYMENTS}/web/scale",
        {"spec": {"replicas": 3}},
        Content_Type="application/merge-patch+json",
    )
    second = json.loads(json.dumps(first))
    del second["spec"]["minReadySeconds"]
    code, changed = apply(second)
    assert code == 200
    assert "minReadySeconds" not in changed["spec"]
    assert changed["spec"]["replicas"] == 3
    assert apply(second)[1]["metadata"]["generation"] == changed["metadata"]["generation"]


def test_managers_that_apply_parts_of_an_object_do_not_take_away_what_others_have(controller, api):
    def apply(manager: str, body: Any) -> Any:
        path = f"{CONFIG_MAPS}/a?fieldManager={manager}"
        code, answer = status(controller, "PATCH", path, body, Content_Type="application/apply-patch+yaml")
        assert code in (200, 201), answer
        return answer

    apply("kubectl", config_map("a"))
    part = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "2"}}
    assert apply("operator", part)["data"] == {"a": "1", "b": "2"}
    assert apply("operator", {**part, "data": {"c": "3"}})["data"] == {"a": "1", "c": "3"}
    before = apply("kubectl", config_map("a"))
    moved = {
        **part,
        "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
    }
    assert apply("kubectl-last-applied", moved)["metadata"]["annotations"] == before["metadata"]["annotations"]


def test_who_contradicts_another_manager_is_told_unless_that_is_what_is_wanted(controller, api):
    def apply(manager: str, data: Any, more: str = "") -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        path = f"{CONFIG_MAPS}/a?fieldManager={manager}{more}"
        return status(controller, "PATCH", path, body, Content_Type="application/apply-patch+yaml")

    (managed,) = apply("one", {"a": "1", "b": "1"})[1]["metadata"]["managedFields"]
    assert (managed["manager"], managed["fieldsV1"]) == ("one", {"f:data": {"f:a": {}, "f:b": {}}})
    code, answer = apply("two", {"a": "2"})
    assert (code, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'
    assert apply("two", {"a": "2"}, "&force=true")[1]["data"] == {"a": "2", "b": "1"}
    assert apply("one", {"b": "1"})[1]["data"] == {"a": "2", "b": "1"}
    assert apply("one", {"c": "1"})[1]["data"] == {"a": "2", "c": "1"}


def test_what_kubernetes_has_and_corral_has_not_is_told_with_the_reason(controller):
    code, answer = status(controller, "POST", f"{PODS}/web/resize", {})
    told = "resize is not supported by Corral: what a running Pod holds does not change: apply the new size"
    assert (code, answer["message"]) == (405, told)
    spdy = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X_Stream_Protocol_Version": "v4.channel.k8s.io"}
    code, answer = status(controller, "POST", f"{PODS}/web/exec?command=true", **spdy)
    assert (code, answer["message"]) == (404, 'pods "web" not found')
    listed = {
        one["name"]: one["verbs"] for one in status(controller, "GET", "/apis/networking.k8s.io/v1")[1]["resources"]
    }
    assert listed["networkpolicies"] == ["create"]  # so that kubectl asks, and is told
    path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    code, answer = status(controller, "POST", path, {})
    assert (code, answer["message"].partition(":")[0]) == (404, "NetworkPolicy is not supported by Corral")
    code, answer = status(controller, "GET", "/api/v1/replicationcontrollers")
    assert (code, answer["kind"], answer["items"]) == (200, "ReplicationControllerList", [])
    code, answer = status(controller, "POST", "/api/v1/namespaces/default/replicationcontrollers", {})
    assert code == 404
    assert answer["message"] == "ReplicationController is not supported by Corral: use a Deployment"
    assert answer["details"] == {}


def test_scale_is_read_and_written(api):
    api.request("POST", DEPLOYMENTS, deployment())
    scale = api.request("GET", f"{DEPLOYMENTS}/web/scale")
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 0}, "app=web")
    api.request("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 2}})
    assert api.request("GET", f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 2


def test_a_dry_run_says_what_would_be_and_changes_nothing(api):
    assert api.request("POST", f"{DEPLOYMENTS}?dryRun=All", deployment())["metadata"]["name"] == "web"
    assert names(api.request("GET", DEPLOYMENTS)) == []


def test_delete_by_name_by_selector_and_only_the_very_object(controller, api):
    for name in "abc":
        api.request("POST", CONFIG_MAPS, config_map(name, labels={"name": name}))
    code, answer = status(
        controller, "DELETE", f"{CONFIG_MAPS}/a", {"kind": "DeleteOptions", "preconditions": {"uid": "x"}}
    )
    assert (code, answer["reason"]) == (409, "Conflict")
    api.request("DELETE", f"{CONFIG_MAPS}/a")
    api.request("DELETE", f"{CONFIG_MAPS}?labelSelector=name%3Db")
    assert names(api.request("GET", CONFIG_MAPS)) == ["c"]


# -- refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason", "message"),
    [
        ("GET", f"{DEPLOYMENTS}/none", None, 404, "NotFound", 'deployments.apps "none" not found'),
        ("GET", f"{PODS}/none", None, 404, "NotFound", 'pods "none" not found'),
        ("DELETE", f"{PODS}/none", None, 404, "NotFound", 'pods "none" not found'),
        ("GET", f"{PODS}?resourceVersion=1&resourceVersionMatch=Exact", None, 400, "BadRequest", "resourceVersionMatch"),
        ("GET", "/api/v1/widgets", None, 404, "NotFound", "the server could not find the requested resource"),
        ("GET", "/apis/apps/v9/deployments", None, 404, "NotFound", "could not find the requested resource"),
        ("GET", "/api/v1/namespaces/a/b/c/d/e/f", None, 404, "NotFound", "could not find"),
        ("PUT", CONFIG_MAPS, {}, 405, "MethodNotAllowed", "does not allow this method"),
        ("GET", f"{CONFIG_MAPS}?labelSelector=a%3D%3D%3D", None, 400, "BadRequest", "unable to parse requirement"),
        ("GET", f"{CONFIG_MAPS}?fieldSelector=a.b%3Dc", None, 400, "BadRequest", "field label not supported: a.b"),
        ("GET", f"{CONFIG_MAPS}?limit=-1", None, 400, "BadRequest", "limit"),
        ("GET", f"{CONFIG_MAPS}?continue=zzz", None, 400, "BadRequest", "continue"),
        ("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion=x", None, 400, "BadRequest", "invalid resource version"),
        ("POST", CONFIG_MAPS, b"{", 400, "BadRequest", "not valid JSON"),
        ("POST", CONFIG_MAPS, b"[]", 400, "BadRequest", "must be one object"),
        ("POST", CONFIG_MAPS, b"[" * 100_000, 400, "BadRequest", "not valid JSON"),
        ("POST", CONFIG_MAPS, {"kind": "Pod"}, 400, "BadRequest", "the path is of 'ConfigMap'"),
        ("POST", CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "b"}}, 400, "BadRequest", "does not match the namespace"),
        ("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "dada": 1}, 422, "Invalid", 'unknown field "dada"'),
        ("POST", f"{CONFIG_MAPS}?dryRun=Some", {}, 400, "BadRequest", "dryRun"),
        ("PATCH", f"{CONFIG_MAPS}/a", {}, 415, "UnsupportedMediaType", "application/merge-patch+json"),
        ("DELETE", f"{CONFIG_MAPS}/a?propagationPolicy=No", None, 400, "BadRequest", "propagationPolicy"),
        ("DELETE", f"{CONFIG_MAPS}/a?gracePeriodSeconds=-1", None, 400, "BadRequest", "gracePeriodSeconds"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_as_a_status(controller, method, path, body, code, reason, message):
    found, answer = status(controller, method, path, body)
    assert (found, answer["kind"], answer["reason"], answer["code"]) == (code, "Status", reason, code)
    assert message in answer["message"]


def test_a_name_that_is_there_cannot_be_created(controller, api):
    api.request("POST", CONFIG_MAPS, config_map("a"))
    code, answer = status(controller, "POST", CONFIG_MAPS, config_map("a"))
    assert (code, answer["reason"], answer["message"]) == (409, "AlreadyExists", 'configmaps "a" already exists')


def test_yaml_whose_aliases_grow_without_end_is_refused(controller):
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    code, answer = status(controller, "POST", CONFIG_MAPS, text.encode(), Content_Type="application/yaml")
    assert (code, answer["reason"]) == (400, "BadRequest")
    assert "values" in answer["message"]


def test_a_body_that_is_too_large_is_refused(controller):
    code, answer = status(controller, "POST", CONFIG_MAPS, b" " * (4 << 20))
    assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")


def test_without_a_token_nobody_is_let_in(controller):
    code, answer = status(controller, "GET", PODS, Authorization="")
    assert (code, answer["reason"]) == (401, "Unauthorized")


# -- who sees what


def token_of(user: str) -> str:
    return "Bearer " + tokens.sign(tokens.Claims(user=user, role="user", issued=0.0, expires=0.0), b"k" * 32)


def test_what_is_anothers_is_not_there_where_jobs_are_private(controller, api):
    api.request("POST", DEPLOYMENTS, deployment())
    nobody = token_of("nobody")
    assert status(controller, "GET", f"{DEPLOYMENTS}/web", Authorization=nobody)[0] == 404
    assert status(controller, "DELETE", f"{DEPLOYMENTS}/web", Authorization=nobody)[0] == 404
    assert names(status(controller, "GET", DEPLOYMENTS, Authorization=nobody)[1]) == []
    applied = {"Authorization": nobody, "Content_Type": "application/apply-patch+yaml"}
    code, answer = status(controller, "PATCH", f"{DEPLOYMENTS}/web", deployment(), **applied)
    assert (code, "another user's" in answer["message"]) == (403, True)


def test_where_jobs_are_everybodys_to_see_objects_are_too_but_not_to_change(controller, api):
    everything = controller.service.config
    controller.service.config = msgspec.structs.replace(everything, private_data=())
    try:
        api.request("POST", DEPLOYMENTS, deployment())
        api.request("POST", "/api/v1/namespaces/default/secrets", {"kind": "Secret", "metadata": {"name": "s"}})
        nobody = token_of("nobody")
        assert names(status(controller, "GET", DEPLOYMENTS, Authorization=nobody)[1]) == ["web"]
        code, answer = status(controller, "DELETE", f"{DEPLOYMENTS}/web", Authorization=nobody)
        assert (code, answer["reason"]) == (403, "Forbidden")
        assert 'deployments.apps "web" is forbidden' in answer["message"]
        assert status(controller, "PUT", f"{DEPLOYMENTS}/web", deployment(), Authorization=nobody)[0] == 403
        assert names(status(controller, "GET", "/api/v1/secrets", Authorization=nobody)[1]) == []
    finally:
        controller.service.config = everything


# -- watches and discovery


def test_a_watch_tells_what_comes_changes_and_goes(controller, api):
    api.request("POST", CONFIG_MAPS, config_map("a", labels={"x": "1"}))
    version = api.request("GET", CONFIG_MAPS)["metadata"]["resourceVersion"]
    with controller.connection() as other:
        lines = other.stream(f"{CONFIG_MAPS}?watch=1&resourceVersion={version}&labelSelector=x%3D1")
        api.request("POST", CONFIG_MAPS, config_map("b", labels={"x": "1"}))
        api.request("POST", CONFIG_MAPS, config_map("c"))
        api.request("PUT", f"{CONFIG_MAPS}/a", config_map("a"))
        api.request("DELETE", f"{CONFIG_MAPS}/b")
        found = [next(lines) for _ in range(3)]
    seen = [(one["type"], one["object"]["metadata"]["name"]) for one in found]
    assert seen[:2] == [("ADDED", "b"), ("DELETED", "a")]
    assert seen[2][1] == "b"


def test_a_watch_from_nowhere_begins_with_what_there_is(controller, api):
    api.request("POST", CONFIG_MAPS, config_map("a"))
    with controller.connection() as other:
        first = next(other.stream(f"{CONFIG_MAPS}?watch=1"))
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")


def test_a_watch_from_what_is_forgotten_is_gone(controller, api):
    api.request("GET", CONFIG_MAPS)
    controller.call(lambda: setattr(controller.service.history, "oldest", 10**6))
    try:
        with pytest.raises(Refused) as caught:
            api.request("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion=1")
        assert caught.value.fields["code"] == "Expired"
        assert caught.value.fields["status"] == 410
    finally:
        controller.call(lambda: setattr(controller.service.history, "oldest", 0))


def test_discovery_names_every_kind(controller, api):
    assert api.request("GET", "/api")["versions"] == ["v1"]
    groups = {one["name"] for one in api.request("GET", "/apis")["groups"]}
    assert {"apps", "batch", "networking.k8s.io", "autoscaling", "policy", "corral.dev"} <= groups
    found = {one["name"]: one for one in api.request("GET", "/apis/apps/v1")["resources"]}
    assert found["deployments"]["shortNames"] == ["deploy"]
    assert found["deployments/scale"]["kind"] == "Scale"
    assert api.request("GET", "/version")["major"] == "1"


def test_every_group_has_schemas_that_kubectl_can_validate_by(api):
    for path in api.request("GET", "/openapi/v3")["paths"].values():
        document = api.request("GET", path["serverRelativeURL"])
        operations = [operations["patch"] for operations in document["paths"].values() if "patch" in operations]
        assert all(any(one["name"] == "fieldValidation" for one in found["parameters"]) for found in operations)
        assert document["components"]["schemas"]


# ---------------------------------------------------------------------- ServiceAccounts

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"


def account_token(controller: RunningController, account: str, **spec: Any) -> str:
    code, answer = status(controller, "POST", f"{ACCOUNTS}/{account}/token", {"spec": spec})
    assert code == 201
    token: str = answer["status"]["token"]
    return token


def test_an_account_asks_by_its_token_for_what_its_roles_allow(controller, api):
    api.request("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
    assert names(api.request("GET", ACCOUNTS)) == ["default", "robot"]
    api.request("POST", f"{RBAC}/roles", {"metadata": {"name": "r"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]})  # fmt: skip
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    api.request("POST", f"{RBAC}/rolebindings", {"metadata": {"name": "b"}, "roleRef": ref, "subjects": [subject]})
    api.request("POST", CONFIG_MAPS, config_map("one"))
    robot = {"Authorization": f"Bearer {account_token(controller, 'robot')}"}
    code, answer = status(controller, "GET", CONFIG_MAPS, **robot)
    assert (code, names(answer)) == (200, ["one"])
    code, answer = status(controller, "GET", "/api/v1/configmaps", **robot)
    told = 'User "system:serviceaccount:default:robot" cannot list resource "configmaps" in API group ""'
    assert (code, answer["message"]) == (403, f"configmaps is forbidden: {told} at the cluster scope")
    assert status(controller, "POST", CONFIG_MAPS, config_map("two"), **robot)[0] == 403
    assert status(controller, "GET", "/v1/jobs", **robot)[0] == 403
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    _, answer = status(controller, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, **robot)
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
    api.request("DELETE", f"{ACCOUNTS}/robot")
    assert status(controller, "GET", CONFIG_MAPS, **robot)[0] == 401


def test_a_token_for_others_is_not_for_this_api_and_a_review_says_whose_it_is(controller):
    token = account_token(controller, "default", audiences=["vault"], expirationSeconds=600)
    assert status(controller, "GET", CONFIG_MAPS, Authorization=f"Bearer {token}")[0] == 401
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    _, answer = status(controller, "POST", path, {"spec": {"token": token, "audiences": ["vault", "x"]}})
    assert answer["status"]["audiences"] == ["vault"]
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:default"
    assert not status(controller, "POST", path, {"spec": {"token": token}})[1]["status"]["authenticated"]
    _, answer = status(controller, "POST", f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 60}})
    assert answer["message"].endswith("Invalid value: 60: may not specify a duration less than 10 minutes")
