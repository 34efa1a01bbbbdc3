"""`corral create`: manifests, or objects from the command line: namespace, configmap, secret, deployment, job, cronjob, service, quota."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import files, printing
from corral.cli.corral.kube.apply import SUFFIX, add_dry_run, dry_of
from corral.cli.corral.kube.printing import Output
from corral.cli.corral.kube.session import Session, add_options, query
from corral.cli.corral.kube.targets import Target, target_of
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    if arguments and arguments[0] in _MAKERS:
        given = _parser_of(arguments[0]).parse_args(arguments[1:])
        given.command = command
        return _made(given, _MAKERS[arguments[0]][0](given))
    parser = ArgumentParser(
        prog="corral create", usage="corral create (-f FILE | KIND ...)",
        description=f"Make objects that are not there yet, from manifests or from the command line. Kinds: {', '.join(_MAKERS)}.",
    )  # fmt: skip
    files.add_options(parser, required=True)
    _common(parser)
    given = parser.parse_args(arguments)
    return _made(given, None)


def _common(parser: ArgumentParser) -> None:
    printing.add_options(parser)
    add_dry_run(parser)
    parser.add_argument("--save-config", action="store_true", help="keep the manifest for a later apply")
    add_options(parser)


def _made(given: Namespace, document: Json | None) -> int:
    output = Output(given.output)
    dry = dry_of(given.dry_run)
    session = Session(given)
    documents = [("the command line", document)] if document else files.documents(given.filename, given.recursive)
    for place, one in documents:
        if document and dry == "client" and given.output:
            # Without a cluster: kubectl create --dry-run=client -o yaml writes manifests.
            if given.namespace and one["kind"] != "Namespace":
                one["metadata"]["namespace"] = given.namespace
            output.show(one, names=[f"{one['kind'].lower()}/{one['metadata']['name']}"])
            continue
        target = target_of(session, place, one)
        if given.save_config:
            _keep(one)
        where = Target(target.resource, "", target.namespace)
        made = session.request("POST", where.path() + query(dryRun="All" if dry else ""), one)
        done = Target(target.resource, made["metadata"]["name"], target.namespace)
        if given.output:
            output.show(made, names=[done.title])
        else:
            printing.out(f"{done.title} created{SUFFIX[dry]}\n")
    return 0


def _keep(one: Json) -> None:
    import json

    from corral.cli.corral.kube.apply import LAST_APPLIED

    text = json.dumps(one, separators=(",", ":"), sort_keys=True) + "\n"
    one["metadata"].setdefault("annotations", {})[LAST_APPLIED] = text


# -- each kind


def _parser_of(kind: str) -> ArgumentParser:
    _, text, options = _MAKERS[kind]
    parser = ArgumentParser(prog=f"corral create {kind}", description=text)
    if kind == "secret":
        parser.add_argument("type", choices=("generic", "tls"))
    if kind == "service":
        parser.add_argument("type", choices=("clusterip", "nodeport", "loadbalancer", "externalname"))
    parser.add_argument("name")
    for words, settings in options:
        parser.add_argument(*words, **settings)
    _common(parser)
    return parser


def _namespace(given: Namespace) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": given.name}}


def _config_map(given: Namespace) -> Json:
    plain, binary = _data(given)
    found: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": given.name}}
    if plain:
        found["data"] = plain
    if binary:
        found["binaryData"] = {name: _base64(value) for name, value in binary.items()}
    return found


def _secret(given: Namespace) -> Json:
    found: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": given.name}}
    if given.type == "tls":
        if not given.cert or not given.key:
            raise Exit(1, "error: required flag(s) \"cert\", \"key\" not set")  # fmt: skip
        data = {"tls.crt": _content(given.cert), "tls.key": _content(given.key)}
        return {**found, "type": "kubernetes.io/tls", "data": {name: _base64(value) for name, value in data.items()}}
    plain, binary = _data(given)
    data = {name: text.encode() for name, text in plain.items()} | binary
    if data:
        found["data"] = {name: _base64(value) for name, value in data.items()}
    if given.secret_type:
        found["type"] = given.secret_type
    return found


def _data(given: Namespace) -> tuple[dict[str, str], dict[str, bytes]]:
    """Texts, and what is no text."""
    import os

    found: dict[str, bytes] = {}

    def add(name: str, value: bytes) -> None:
        if name in found:
            raise Exit(1, f'error: cannot add key "{name}", another key by that name already exists')
        found[name] = value

    for text in given.from_literal:
        name, equal, value = text.partition("=")
        if not equal or not name:
            raise Exit(1, f"error: invalid literal source {text}, expected key=value")
        add(name, value.encode("utf-8", "surrogateescape"))
    for text in given.from_file:
        name, equal, path = text.partition("=")
        if not equal:
            name, path = "", text
        if os.path.isdir(path):
            if name:
                raise Exit(1, "error: cannot give a key name for a directory path")
            for one in sorted(os.listdir(path)):
                if os.path.isfile(os.path.join(path, one)):
                    add(one, _content(os.path.join(path, one)))
        else:
            add(name or os.path.basename(path), _content(path))
    for path in given.from_env_file:
        for number, line in enumerate(_content(path).decode("utf-8", "replace").splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, equal, value = line.partition("=")
            if not name or " " in name:
                raise Exit(1, f'error: {path}:{number}: "{name}" is not a valid key name')
            add(name, (value if equal else os.environ.get(name, "")).encode())
    plain: dict[str, str] = {}
    binary: dict[str, bytes] = {}
    for name, value in found.items():
        try:
            plain[name] = value.decode()
        except UnicodeDecodeError:
            binary[name] = value
    return plain, binary


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Exit(1, f"error: error reading {path}: {error.strerror}") from None


def _base64(value: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(value, newline=False).decode()


def _container(given: Namespace) -> Json:
    images = given.image or []
    if not images and not given.command:
        raise Exit(
            1,
            'error: required flag(s) "image" not set (or a command after --: without an image it is a program of the node)',
        )
    name = images[0].rpartition("/")[2].partition(":")[0].partition("@")[0] if images else given.name
    one: Json = {"name": name}
    if images:
        one["image"] = images[0]
    if given.command:
        one["command"] = given.command
    return one


def _deployment(given: Namespace) -> Json:
    labels = {"app": given.name}
    container = _container(given)
    if given.port:
        container["ports"] = [{"containerPort": given.port}]
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": given.name, "labels": labels},
        "spec": {
            "replicas": given.replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


def _job(given: Namespace) -> Json:
    if given.from_:
        kind, _, name = given.from_.partition("/")
        session = Session(given)
        resource = session.resource(kind)
        if resource.kind != "CronJob":
            raise Exit(1, f"error: from must be an existing cronjob, not {given.from_}")
        one = session.request("GET", resource.path(session.namespace, name))
        template = one["spec"]["jobTemplate"]
        meta: Json = {"name": given.name, **(template.get("metadata") or {})}
        meta["annotations"] = {**(meta.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": template["spec"]}
    template = {"spec": {"containers": [_container(given)], "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": given.name}, "spec": {"template": template}}


def _cron_job(given: Namespace) -> Json:
    if not given.schedule:
        raise Exit(1, 'error: required flag(s) "schedule" not set')
    template = {"spec": {"containers": [_container(given)], "restartPolicy": given.restart}}
    spec = {"schedule": given.schedule, "jobTemplate": {"spec": {"template": template}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": given.name}, "spec": spec}


def _service(given: Namespace) -> Json:
    labels = {"app": given.name}
    types = {
        "clusterip": "ClusterIP",
        "nodeport": "NodePort",
        "loadbalancer": "LoadBalancer",
        "externalname": "ExternalName",
    }
    spec: Json = {"type": types[given.type]}
    if given.type == "externalname":
        if not given.external_name:
            raise Exit(1, 'error: required flag(s) "external-name" not set')
        spec["externalName"] = given.external_name
    else:
        spec["selector"] = labels
        if not given.tcp:
            raise Exit(1, "error: at least one tcp port specifier must be provided")
    if given.tcp:
        spec["ports"] = [_port(text) for text in given.tcp]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": given.name, "labels": labels}, "spec": spec}


def _port(text: str) -> Json:
    port, _, target = text.partition(":")
    if not port.isdigit() or (target and not target.isalnum()):
        raise Exit(1, f'error: "{text}" is no port: PORT or PORT:TARGET')
    return {
        "name": text.replace(":", "-"),
        "port": int(port),
        "targetPort": int(target) if target.isdigit() else target or int(port),
    }


def _quota(given: Namespace) -> Json:
    hard = {}
    for word in (given.hard or "").split(","):
        name, equal, value = word.partition("=")
        if not equal:
            raise Exit(1, f"error: invalid argument syntax {word!r}: --hard=pods=10,requests.cpu=20")
        hard[name] = value
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": given.name}, "spec": {"hard": hard}}


_SOURCES = (
    (("--from-literal",), {"action": "append", "default": [], "metavar": "KEY=VALUE"}),
    (("--from-file",), {"action": "append", "default": [], "metavar": "[KEY=]FILE"}),
    (("--from-env-file",), {"action": "append", "default": [], "metavar": "FILE"}),
)
_IMAGE = (
    ("--image",),
    {"action": "append", "default": [], "metavar": "IMAGE", "help": "without one it is a program of the node"},
)

_MAKERS: dict[str, tuple[Any, str, tuple[tuple[tuple[str, ...], dict[str, Any]], ...]]] = {
    "namespace": (_namespace, "Make a namespace.", ()),
    "configmap": (_config_map, "Make a ConfigMap of files and texts.", _SOURCES),
    "secret": (
        _secret, "Make a Secret: generic (files and texts), or tls (a certificate and its key).",
        (
            *_SOURCES, (("--type",), {"default": "", "dest": "secret_type", "metavar": "TYPE"}),
            (("--cert",), {"default": "", "metavar": "FILE"}), (("--key",), {"default": "", "metavar": "FILE"}),
        ),
    ),
    "deployment": (
        _deployment, "Make a Deployment: corral create deployment NAME [--image IMAGE] [-- COMMAND ...]",
        (_IMAGE, (("--replicas", "-r"), {"type": int, "default": 1}), (("--port",), {"type": int, "default": 0})),
    ),
    "job": (
        _job, "Make a Job: corral create job NAME [--image IMAGE] [-- COMMAND ...], or of a CronJob.",
        (_IMAGE, (("--from",), {"default": "", "dest": "from_", "metavar": "cronjob/NAME"})),
    ),
    "cronjob": (
        _cron_job, "Make a CronJob: corral create cronjob NAME --schedule '*/5 * * * *' -- COMMAND ...",
        (
            _IMAGE, (("--schedule",), {"default": ""}),
            (("--restart",), {"default": "OnFailure", "choices": ("OnFailure", "Never")}),
        ),
    ),
    "service": (
        _service, "Make a Service for the Pods with the label app=NAME.",
        (
            (("--tcp",), {"action": "append", "default": [], "metavar": "PORT[:TARGET]"}),
            (("--external-name",), {"default": "", "metavar": "HOST"}),
        ),
    ),
    "quota": (_quota, "Make a ResourceQuota.", ((("--hard",), {"default": "", "metavar": "NAME=AMOUNT,..."}),)),
}  # fmt: skip
for _short, _long in (
    ("ns", "namespace"),
    ("cm", "configmap"),
    ("deploy", "deployment"),
    ("cj", "cronjob"),
    ("svc", "service"),
    ("resourcequota", "quota"),
):
    _MAKERS[_short] = _MAKERS[_long]
