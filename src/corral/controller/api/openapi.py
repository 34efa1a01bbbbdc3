"""What does the API say of itself? An OpenAPI document, made from the very types that it decodes and encodes."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request

from corral.controller.api.history_rows import HISTORY
from corral.controller.api.job_rows import JOBS
from corral.controller.api.jobs import StepBody
from corral.controller.api.license_rows import LICENSES
from corral.controller.api.node_rows import NODES, PARTITIONS, SWITCHES
from corral.controller.api.proxy import ProxyBody
from corral.controller.api.reservation_rows import RESERVATIONS
from corral.controller.api.service import Service
from corral.controller.api.step_rows import STEPS
from corral.controller.facts import VERSION
from corral.protocol import events, replies, requests
from corral.protocol.explanations import Explained

_ANY_REPLY = (
    replies.Done
    | replies.Rejected
    | replies.Submitted
    | replies.WouldStart
    | replies.StepCreated
    | replies.HetStepCreated
)


class Jobs(msgspec.Struct, forbid_unknown_fields=True):
    jobs: tuple[requests.NewJob, ...]
    user: str = ""
    test_only: bool = False


_SELECTION = ("ids", "users", "states", "partitions", "names", "accounts", "qos", "nodes")


def _parameter(name: str, where: str = "query", text: str = "") -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": {"type": "string"}}


def _fields(known: Any) -> dict[str, Any]:
    return _parameter("fields", text=f"Comma-separated; all when not given: {', '.join(known.getters)}")


def _kubernetes(operation: Callable[..., Any]) -> dict[str, Any]:
    """Kubernetes' own paths; what stands at them is told by /openapi/v3."""
    anything: dict[str, Any] = {"type": "object"}
    path = _parameter("path", "path", "v1/namespaces/NAMESPACE/pods/NAME")
    verbs = {
        "get": "Get, list or watch=true", "post": "Create", "put": "Replace", "patch": "Patch or apply", "delete": "Delete",
    }  # fmt: skip
    objects = {
        verb: operation(text, anything, [path], None if verb == "get" else anything) for verb, text in verbs.items()
    }
    return {
        "/v1/kinds": {"get": operation("Which of Kubernetes' kinds there are, and why not the others", anything)},
        "/v1/kubeconfig": {"get": operation("Where the API is reached over HTTPS, and its authority", anything)},
        "/api": {"get": operation("Kubernetes: versions of the core group", anything)},
        "/apis": {"get": operation("Kubernetes: groups and their versions", anything)},
        **{
            one: {"get": operation("Kubernetes: does it answer?", anything)}
            for one in ("/healthz", "/livez", "/readyz")
        },
        "/version": {"get": operation("Kubernetes: the version of the API", anything)},
        "/openapi/v2": {"get": operation("Kubernetes: for clients that ask for it; it describes nothing", anything)},
        "/openapi/v3": {"get": operation("Kubernetes: the schemas that there are", anything)},
        "/openapi/v3/{path}": {"get": operation("Kubernetes: one group's schemas", anything, [path])},
        "/api/{path}": objects,
        "/apis/{path}": objects,
    }


@functools.cache
def document() -> dict[str, Any]:
    types = (
        requests.AnyRequest,
        _ANY_REPLY,
        Jobs,
        StepBody,
        ProxyBody,
        replies.JobRows,
        replies.StepAccess,
        events.AnyEvent,
        Explained,
    )
    (request, reply, jobs_body, step_body, proxy_body, rows, access, event, explained), components = (
        msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    )
    rejected = {"$ref": "#/components/schemas/Rejected"}

    def operation(
        summary: str,
        result: Any,
        parameters: list[dict[str, Any]] | None = None,
        body: Any = None,
        kind: str = "application/json",
    ) -> dict[str, Any]:
        errors = {
            code: {"description": text, "content": {"application/json": {"schema": rejected}}}
            for code, text in (
                ("400", "invalid"), ("403", "denied"), ("404", "not found"), ("409", "busy"), ("503", "unavailable now"),
            )
        }  # fmt: skip
        found: dict[str, Any] = {
            "summary": summary,
            "responses": {"200": {"description": "done", "content": {kind: {"schema": result}}}, **errors},
        }
        if parameters:
            found["parameters"] = parameters
        if body is not None:
            found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        return found

    key = _parameter("Idempotency-Key", "header", "A request sent again with the same key has no second effect.")
    job, step, timeout = _parameter("id", "path", "42 or 42_7"), _parameter("step", "path"), _parameter("timeout")
    selection = [_parameter(name) for name in _SELECTION]
    text: dict[str, Any] = {"type": "string"}
    anything: dict[str, Any] = {"type": "object"}
    paths = {
        "/v1/requests": {"post": operation("Any change", reply, [key], request)},
        "/v1/jobs": {
            "get": operation(
                "Jobs in memory",
                rows,
                [_fields(JOBS), *selection, _parameter("licenses"), _parameter("reservations"), _parameter("all")],
            ),
            "post": operation("Submit jobs", reply, [key], jobs_body),
        },
        "/v1/crontab": {"get": operation("A user's crontab", anything, [_parameter("user")])},
        "/v1/triggers": {"get": operation("What strigger has set", rows)},
        "/v1/jobs/{id}": {
            "get": operation("One job, or an array's", rows, [job, _fields(JOBS)]),
            "delete": operation("Cancel", reply, [job]),
        },
        "/v1/jobs/{id}/steps": {"post": operation("Start a step", reply, [job, key], step_body)},
        "/v1/jobs/{id}/wait": {
            "get": operation(
                "Wait until it has started or ended",
                rows,
                [
                    job,
                    _parameter("until", text="started, completing or ended"),
                    _parameter("told", text="seconds since the epoch"),
                    timeout,
                ],
            )
        },
        "/v1/jobs/{id}/script": {"get": operation("The batch script", text, [job], kind="text/plain")},
        "/v1/jobs/{id}/environment": {
            "get": operation("What the batch script was given", text, [job], kind="text/plain")
        },
        "/v1/jobs/{id}/access/{step}": {"get": operation("The way to a step's streams", access, [job, step])},
        "/v1/steps": {"get": operation("Steps", rows, [_fields(STEPS), _parameter("job"), _parameter("all")])},
        "/v1/steps/{id}/{step}/wait": {"get": operation("Wait until it has ended", rows, [job, step, timeout])},
        "/v1/history/jobs": {"post": operation("Change comments and derived exit codes of ended jobs", anything)},
        "/v1/archive/dump": {"post": operation("Take old history out of the store", anything)},
        "/v1/archive/load": {"post": operation("Bring an archive back", anything)},
        "/v1/reports/utilization": {
            "get": operation("What was used by whom", anything, [_parameter("since"), _parameter("until")])
        },
        "/v1/reports/sizes": {
            "get": operation(
                "How long jobs of which size ran",
                rows,
                [_parameter(name) for name in ("since", "until", "users", "accounts", "partitions", "nodes", "gids")],
            )
        },
        "/v1/usage": {
            "get": operation("What running steps use now", rows, [_parameter("steps", text="42.0,42.batch")])
        },
        "/v1/nodes": {"get": operation("Nodes", rows, [_fields(NODES), _parameter("names", text="a hostlist")])},
        "/v1/nodes/{name}": {"get": operation("One node", rows, [_parameter("name", "path"), _fields(NODES)])},
        "/v1/partitions": {"get": operation("Partitions", rows, [_fields(PARTITIONS)])},
        "/v1/switches": {"get": operation("The switches that connect the nodes", rows, [_fields(SWITCHES)])},
        "/v1/licenses": {"get": operation("Licences", rows, [_fields(LICENSES)])},
        "/v1/reservations": {"get": operation("Reservations", rows, [_fields(RESERVATIONS)])},
        "/v1/accounts": {"get": operation("Accounts, users, associations and QOS", anything)},
        "/v1/accounts/transactions": {
            "get": operation("Who changed what in the accounts", anything, [_parameter("since"), _parameter("until")])
        },
        "/v1/shares": {
            "get": operation("What each association has used, and where it stands", anything, [_parameter("users")])
        },
        "/v1/assoc_mgr": {"get": operation("What counts against the limits of each association and QOS", anything)},
        "/v1/config": {"get": operation("The configuration, in Slurm's names", anything)},
        "/v1/ping": {"get": operation("Is a controller there?", anything)},
        "/v1/status": {"get": operation("How the cluster is", anything)},
        "/v1/priorities": {"get": operation("What the priorities of waiting jobs are made of", anything)},
        "/v1/log": {"put": operation("How much the controller says in its log (operators)", reply)},
        "/v1/statistics": {
            "get": operation("How busy the controller is, and with what", anything),
            "delete": operation("Begin counting anew (operators)", reply),
        },
        "/metrics": {"get": operation("Jobs, nodes and GPUs for Prometheus, as text (operators)", anything)},
        "/v1/why": {
            "get": operation(
                "Why jobs wait, why nodes are idle",
                explained,
                [_parameter("jobs", text="42,43_7"), _parameter("nodes", text="a hostlist")],
            )
        },
        "/v1/images": {
            "get": operation("Images on nodes", anything, [_parameter("nodes", text="a hostlist")]),
            "post": operation("Have an image fetched by nodes", anything),
            "delete": operation(
                "Remove an image from nodes (operators)",
                anything,
                [_parameter("nodes", text="a hostlist"), _parameter("image", text="a name or digest")],
            ),
        },
        "/v1/snapshot": {"get": operation("All that decides about jobs (operators)", anything)},
        "/v1/gateway/login": {"post": operation("Whose token it is, for gateways", anything)},
        "/v1/gateway/routes": {
            "get": operation(
                "Where services lead, for gateways", anything, [_parameter("after", text="a version"), timeout]
            )
        },
        "/v1/proxy": {
            "post": operation("An address that shows a job's HTTP port in a browser", anything, body=proxy_body)
        },
        "/v1/tokens": {"post": operation("Credentials for a user or a node", anything)},
        "/v1/history": {
            "get": operation(
                "Accounting",
                rows,
                [
                    _fields(HISTORY),
                    *selection,
                    *(
                        _parameter(name)
                        for name in (
                            "since",
                            "until",
                            "all_users",
                            "duplicates",
                            "steps",
                            "limit",
                            "associations",
                            "started_by",
                            "reasons",
                        )
                    ),
                ],
            )
        },
        **_kubernetes(operation),
        "/v1/events": {
            "get": operation(
                "What happens, one JSON object a line",
                event,
                [_parameter("job"), _parameter("since")],
                kind="application/x-ndjson",
            )
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Corral", "version": VERSION, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


async def get_document(service: Service, request: Request) -> dict[str, Any]:
    return document()


ROUTES = (("GET", "/openapi.json", get_document),)
