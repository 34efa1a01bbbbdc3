"""What does Kubernetes answer when it says no? A Status: its reasons, codes and messages."""

from typing import Any

from corral.controller.api.kube.resources import Resource
from corral.protocol.replies import Rejected
from corral.services.manifests.kinds import REFUSED_KINDS

CODES = {
    "BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405, "NotAcceptable": 406,
    "AlreadyExists": 409, "Conflict": 409, "Gone": 410, "Expired": 410, "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415, "Invalid": 422, "TooManyRequests": 429, "InternalError": 500, "ServiceUnavailable": 503,
}  # fmt: skip


class KubeError(Exception):
    """Answer this Status."""

    def __init__(self, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.details = reason, message, details

    @property
    def code(self) -> int:
        return CODES[self.reason]

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        }  # fmt: skip
        if self.details is not None:
            body["details"] = self.details
        return body


def success(resource: Resource, name: str, uid: str) -> dict[str, Any]:
    details = _details(resource, name) | {"uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _details(resource: Resource, name: str) -> dict[str, Any]:
    found = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in found.items() if value}


def not_found(resource: Resource, name: str) -> KubeError:
    return KubeError("NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def no_such_path() -> KubeError:
    return KubeError("NotFound", "the server could not find the requested resource", {})


_INSTEAD = {
    "ephemeralcontainers": "use `exec`, which runs a command in a container of the Pod",
    "proxy": "use `corral port-forward`",
    "binding": "Pods are placed by the scheduler",
    "resize": "what a running Pod holds does not change: apply the new size",
}


def _plural(kind: str) -> str:
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("s") else f"{word}s"


#: Kinds that are refused: kind, group and why.
REFUSED_PLURALS = {_plural(kind): (kind, group, why) for kind, (group, why) in REFUSED_KINDS.items()}


def unknown_path(group: str, rest: str) -> KubeError:
    """Of what Kubernetes has there and Corral has not, why."""
    words = rest.strip("/").split("/")
    plural, *more = words[2:] if words[0] == "namespaces" and len(words) > 2 else words
    if plural == "pods" and len(more) == 2 and more[1] in _INSTEAD:
        return KubeError("MethodNotAllowed", f"{more[1]} is not supported by Corral: {_INSTEAD[more[1]]}", {})
    known = REFUSED_PLURALS.get(plural)
    if known is not None and known[1] == group:
        return KubeError("NotFound", f"{known[0]} is not supported by Corral: {known[2]}", {})
    return no_such_path()


def exists(resource: Resource, name: str) -> KubeError:
    return KubeError("AlreadyExists", f'{resource.qualified} "{name}" already exists', _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> KubeError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    return KubeError(
        "Conflict", f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}', _details(resource, name)
    )


def forbidden(resource: Resource, name: str, why: str) -> KubeError:
    return KubeError("Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', _details(resource, name))


def invalid(resource: Resource, name: str, causes: list[tuple[str, str, str]]) -> KubeError:
    """Each cause: its reason (FieldValueInvalid ...), the field's path, and what is wrong."""
    texts = [
        f"{field}: {text}" if field and not text.startswith("unknown field") else text for _, field, text in causes
    ]
    whole = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {
        "name": name, "group": resource.group, "kind": resource.kind,
        "causes": [{"reason": reason, "message": text, "field": field} for reason, field, text in causes],
    }  # fmt: skip
    return KubeError("Invalid", f'{kind} "{name}" is invalid: {whole}', {k: v for k, v in details.items() if v})


def of_rejected(reply: Rejected, resource: Resource, name: str) -> KubeError:
    """What the engine has refused, in Kubernetes' words."""
    match reply.code:
        case "not_found":
            return not_found(resource, name)
        case "no_namespace":
            return KubeError("NotFound", reply.error, {"kind": "namespaces"})
        case "exists":
            return exists(resource, name)
        case "conflict":
            return conflict(resource, name)
        case "denied":
            return forbidden(resource, name, _whole(reply))
        case "unavailable" | "busy":
            return KubeError("ServiceUnavailable", _whole(reply))
        case _:
            return invalid(resource, name, [("FieldValueInvalid", "", _whole(reply))])


def _whole(reply: Rejected) -> str:
    return f"{reply.error}: {reply.detail}" if reply.detail else reply.error
