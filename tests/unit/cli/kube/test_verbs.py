"""Do the verbs for Kubernetes' objects say and do what kubectl says and does?"""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.controller.running import RunningController, running

from corral.cli.commands.corral import body
from corral.cli.run import Exit
from corral.client.connection import Connection
from corral.syntax import yamltext

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, command: [sleep, "9"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {app: web}}\ndata: {colour: red}\n"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningController]:
    with running(tmp_path_factory.mktemp("controller"), nodes=()) as one:
        yield one


@pytest.fixture
def run(
    controller: RunningController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """A command line: its status, output and errors. In a directory with web.yaml and map.yaml."""
    monkeypatch.setenv("CORRAL_ENDPOINT", controller.endpoint)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").write_text(WEB)
    (tmp_path / "map.yaml").write_text(MAP)

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = body(list(words))
        except Exit as end:
            found = capsys.readouterr()
            return end.status, found.out, found.err + "".join(f"{line}\n" for line in end.lines)
        found = capsys.readouterr()
        return status, found.out, found.err

    yield call
    with Connection(controller.endpoint) as api:
        for path in ("/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces/default/services",
                     "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets"):  # fmt: skip
            api.request("DELETE", path)


def ok(done: tuple[int, str, str]) -> str:
    assert done[0] == 0, done
    return done[1]


def test_apply_says_created_configured_unchanged(run: Run) -> None:
    assert ok(run("apply", "-f", "web.yaml")) == "deployment.apps/web created\nservice/web created\n"
    assert ok(run("apply", "-f", "web.yaml")) == "deployment.apps/web unchanged\nservice/web unchanged\n"
    Path("web.yaml").write_text(WEB.replace("80}", "81}"))
    assert ok(run("apply", "-f", "web.yaml")) == "deployment.apps/web unchanged\nservice/web configured\n"


def test_apply_of_a_directory_and_a_dry_run(run: Run) -> None:
    words = ok(run("apply", "-f", ".", "--dry-run=server")).splitlines()
    assert words == [
        f"{one} created (server dry run)" for one in ("configmap/settings", "deployment.apps/web", "service/web")
    ]  # fmt: skip
    assert run("get", "cm,deploy,svc")[2] == "No resources found in default namespace.\n"


def test_what_left_the_manifest_goes_and_what_others_set_stays(run: Run) -> None:
    Path("map.yaml").write_text(MAP.replace("{colour: red}", "{colour: red, size: big}"))
    run("apply", "-f", "map.yaml")
    run("label", "cm", "settings", "by=hand")
    Path("map.yaml").write_text(MAP)
    run("apply", "-f", "map.yaml")
    found = json.loads(ok(run("get", "cm", "settings", "-o", "json")))
    assert found["data"] == {"colour": "red"}
    assert found["metadata"]["labels"] == {"app": "web", "by": "hand"}


def test_prune_removes_what_is_in_no_manifest_any_more(run: Run) -> None:
    run("apply", "-f", "map.yaml")
    run("create", "configmap", "other")
    run("label", "cm", "other", "app=web")
    assert "configmap/settings pruned" in ok(run("apply", "-f", "web.yaml", "--prune", "-l", "app=web"))
    assert ok(run("get", "cm", "-o", "name")) == "configmap/other\n"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("get", "deploy"), "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/0     0            0           "),
        (("get", "deployments.apps", "web", "-o", "name"), "deployment.apps/web\n"),
        (("get", "deploy/web", "svc/web", "--no-headers", "-o", "name"), "deployment.apps/web\nservice/web\n"),
        (("get", "svc", "-o", "jsonpath={.items[*].spec.ports[0].port}"), "80"),
        (("get", "svc", "-o", "custom-columns=NAME:.metadata.name,TYPE:.spec.type"), "NAME   TYPE\nweb    ClusterIP\n"),
        (("get", "svc", "-A", "--no-headers"), "default   web   ClusterIP   "),
        (("get", "deploy", "-l", "app=web", "--show-labels", "--no-headers"), "web   0/0   0   0   "),
        (("get", "svc,deploy"), "NAME          TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\nservice/web   ClusterIP"),
        (("get", "cm", "--ignore-not-found"), ""),
    ],
)  # fmt: skip
def test_get(run: Run, words: tuple[str, ...], shown: str) -> None:
    run("apply", "-f", "web.yaml")
    assert ok(run(*words)).startswith(shown)


def test_get_sorted(run: Run) -> None:
    for name, value in (("a", "2"), ("b", "1"), ("c", "3")):
        run("create", "configmap", name, f"--from-literal=n={value}")
    assert ok(run("get", "cm", "--sort-by=.data.n", "-o", "name")).split() == [
        "configmap/b",
        "configmap/a",
        "configmap/c",
    ]
    assert [line.split()[0] for line in ok(run("get", "cm", "--sort-by=.data.n")).splitlines()] == [
        "NAME",
        "b",
        "a",
        "c",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("get", "deploy", "none"), 'Error from server (NotFound): deployments.apps "none" not found\n'),
        (("get", "widgets"), 'error: the server doesn\'t have a resource type "widgets"\n'),
        (("get", "podtemplates"), "corral: error: there is no PodTemplate here: write the template into"),
        (("get", "svc", "-o", "toml"), 'error: unable to match a printer suitable for the output format "toml"'),
        (("get", "svc", "-o", "jsonpath={.a["), "error: error parsing jsonpath {.a["),
        (("get", "cm", "-l", "a=="), "No resources found in default namespace.\n"),
        (("get", "cm", "-l", "=x"), "Error from server (BadRequest): unable to parse requirement"),
        (("apply", "-f", "none.yaml"), 'error: the path "none.yaml" does not exist\n'),
        (("delete", "cm", "none"), 'Error from server (NotFound): configmaps "none" not found\n'),
        (("delete", "cm"), "error: resource(s) were provided, but no name was specified\n"),
        (("scale", "cm/x", "--replicas=1"), "error: cannot scale a ConfigMap"),
        (("rollout", "status", "cm/x"), "error: no rollout for a ConfigMap"),
        (("create", "secret", "generic", "x", "--from-literal", "a"), "error: invalid literal source a, expected key=value\n"),
        (("wait", "--for=rain", "deploy/x"), 'error: unrecognized condition: "rain"\n'),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_kubectls_words(run: Run, words: tuple[str, ...], told: str) -> None:
    assert run(*words)[2].startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: [", "error: error parsing bad.yaml: "),
        ("just text", 'error: unable to decode "bad.yaml"'),
        ("kind: ConfigMap\nmetadata: {name: a}", 'error: unable to decode "bad.yaml": Object \'apiVersion\' is missing'),
        ("apiVersion: v9\nkind: Widget\nmetadata: {name: a}", 'no matches for kind "Widget" in version "v9"'),
        ("apiVersion: v1\nkind: PodTemplate\nmetadata: {name: a}", "write the template into the Deployment"),
        (MAP.replace("\ndata", "\ndada"), 'unknown field "dada" (did you mean "data"?)'),
        (MAP.replace("red", "1"), "data[colour]: Invalid value: 1: must be a string"),
        (MAP.replace("name: settings, ", ""), "resource name may not be empty"),
    ],
)  # fmt: skip
def test_a_bad_manifest_is_refused_with_its_place(run: Run, text: str, told: str) -> None:
    Path("bad.yaml").write_text(text)
    status, _, errors = run("apply", "-f", "bad.yaml")
    assert status == 1
    assert told in errors


def test_one_bad_manifest_does_not_keep_the_others_back(run: Run) -> None:
    Path("two.yaml").write_text(MAP.replace("\ndata", "\ndada") + "---\n" + MAP)
    status, out, errors = run("apply", "-f", "two.yaml")
    assert (status, out) == (1, "configmap/settings created\n")
    assert "unknown field" in errors


def test_diff_shows_what_would_change_and_says_so_by_its_status(run: Run) -> None:
    assert "+  colour: red" in run("diff", "-f", "map.yaml")[1]
    run("apply", "-f", "map.yaml")
    assert run("diff", "-f", "map.yaml") == (0, "", "")
    Path("map.yaml").write_text(MAP.replace("red", "blue"))
    status, text, _ = run("diff", "-f", "map.yaml")
    assert status == 1
    assert "-  colour: red\n+  colour: blue\n" in text


def test_scale_label_annotate(run: Run) -> None:
    run("apply", "-f", "web.yaml")
    assert ok(run("scale", "deploy", "web", "--replicas=2")) == "deployment.apps/web scaled\n"
    assert ok(run("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}")) == "2"
    assert ok(run("label", "deploy/web", "a=b")) == "deployment.apps/web labeled\n"
    assert ok(run("label", "deploy/web", "a=b")) == "deployment.apps/web not labeled\n"
    assert run("label", "deploy/web", "a=c")[2] == "error: 'a' already has a value (b), and --overwrite is false\n"
    assert ok(run("label", "deploy/web", "a-")) == "deployment.apps/web unlabeled\n"
    assert ok(run("annotate", "deploy/web", "note=x")) == "deployment.apps/web annotated\n"


def test_delete_waits_until_it_is_gone(run: Run) -> None:
    run("apply", "-f", "web.yaml")
    assert ok(run("delete", "-f", "web.yaml")) == 'deployment.apps "web" deleted\nservice "web" deleted\n'
    assert run("get", "deploy,svc")[2] == "No resources found in default namespace.\n"


def test_create_from_the_command_line(run: Run) -> None:
    Path("file.txt").write_text("x\n")
    assert (
        ok(run("create", "secret", "generic", "s", "--from-literal=a=1", "--from-file=file.txt"))
        == "secret/s created\n"
    )
    text = ok(run("create", "deployment", "d", "--image=nginx:1", "--replicas=0", "--dry-run=client", "-o", "yaml"))
    assert "image: nginx:1" in text
    assert ok(run("create", "deployment", "d", "--replicas=0", "--", "sleep", "9")) == "deployment.apps/d created\n"
    assert run("create", "configmap", "m")[0] == 0
    assert run("create", "configmap", "m")[2] == 'Error from server (AlreadyExists): configmaps "m" already exists\n'


def test_edit_writes_back_what_the_editor_has_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("apply", "-f", "map.yaml")
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/red/green/")
    assert ok(run("edit", "cm", "settings")) == "configmap/settings edited\n"
    assert ok(run("get", "cm", "settings", "-o", "jsonpath={.data.colour}")) == "green"
    monkeypatch.setenv("KUBE_EDITOR", "true")
    assert ok(run("edit", "cm", "settings")) == "Edit cancelled, no changes made.\n"


def test_describe_names_what_there_is(run: Run) -> None:
    run("apply", "-f", "web.yaml")
    text = ok(run("describe", "deploy", "web"))
    assert re.search(r"^Name: +web$", text, re.M)
    assert re.search(r"^Replicas: +0 desired", text, re.M)
    assert "       sleep\n       9\n" in text


def test_explain_walks_down_the_fields(run: Run) -> None:
    text = ok(run("explain", "deploy.spec.template.spec.containers.ports"))
    assert "FIELD: ports <[]ContainerPort>" in text
    assert "containerPort\t<integer>" in text
    assert run("explain", "deploy.spec.none")[2] == 'error: field "none" does not exist\n'


def test_serve_writes_what_it_would_apply(run: Run) -> None:
    words = (
        "--name",
        "llm",
        "--port",
        "8000",
        "--gpus",
        "2",
        "--health",
        "/health",
        "--autoscale",
        "0-8",
        "--target",
        "4",
    )
    text = ok(run("serve", *words, "--qos", "high", "--print", "--", "python", "-m", "server"))
    deployment, service, autoscaler = yamltext.documents(text)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "server"]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000}
    assert container["workingDir"] == os.getcwd()
    assert "replicas" not in deployment["spec"]
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"corral.dev/qos": "high"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": 8000}]
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (0, 8)
    for name in ("one.yaml", "again.yaml"):
        Path(name).write_text(text)
    assert ok(run("apply", "-f", "one.yaml", "--dry-run=server")).count("created") == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--name", "x", "--port", "1"), "corral: error: the program is missing"),
        (("--name", "x", "--port", "1", "--autoscale", "8-1", "--", "a"), "--autoscale: MIN-MAX is needed"),
        (("--name", "x", "--port", "1", "--autoscale", "0", "--", "a"), "--autoscale: MIN-MAX is needed"),
        (("--name", "x", "--port", "1", "--replicas", "-1", "--", "a"), "--replicas: -1 is less than 0"),
        (("--name", "X_", "--port", "1", "--no-wait", "--", "a"), 'The Deployment "X_" is invalid: '),
    ],
)
def test_serve_refuses_what_makes_no_sense(run: Run, words: tuple[str, ...], told: str) -> None:
    assert told in run("serve", *words)[2]


def test_why_of_an_object_is_why_its_pods_wait(run: Run) -> None:
    run("apply", "-f", "web.yaml")
    assert ok(run("why", "deploy/web")) == "deployment.apps/web: none of its 0 Pods waits in the queue\n"
    text = WEB.replace("replicas: 0", "replicas: 1").partition("---")[0]
    Path("one.yaml").write_text(text)
    run("apply", "-f", "one.yaml")
    assert re.search(r"\(.*web-.*waits:", ok(run("why", "deploy/web")))


def test_logs_and_exec_of_what_has_not_begun(run: Run) -> None:
    Path("pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, command: [x]}]}\n"
    )
    run("apply", "-f", "pod.yaml")
    assert (
        run("logs", "p")[2]
        == 'Error from server (BadRequest): container "a" in pod "p" is waiting to start: ContainerCreating\n'
    )
    assert run("logs", "p", "-c", "b")[2] == "Error from server (BadRequest): container b is not valid for pod p\n"
    assert run("exec", "p", "--", "true")[2] == 'error: unable to upgrade connection: container not found ("a")\n'
    assert run("exec", "p")[2].startswith("error: you must specify at least one command")
    run("delete", "pod", "p", "--force", "--grace-period=0")


@pytest.mark.parametrize("word", ["nodes", "node", "endpoints", "endpointslices", "events"])
def test_what_no_manifest_makes_is_read_all_the_same(run: Run, word: str) -> None:
    status, _, errors = run("get", word)
    assert status == 0, errors
