"""How is traffic dealt out, and what is let through? The annotations corral.dev/... of Services and Ingresses."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from corral.errors import UsageError
from corral.model.kube.network import Service
from corral.protocol.routes import Traffic
from corral.syntax import quantity

PREFIX = "corral.dev/"
AUTH_SECRET = "corral.dev/auth-secret"
#: Caddy knows them by words of its own.
BALANCING = ("least-requests", "round-robin", "random", "first")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE = "corral-replica"


class BadAnnotation(Exception):
    """What is wrong with its value."""


def _balancing(text: str) -> dict[str, Any]:
    if text not in BALANCING:
        raise BadAnnotation(f"is one of {', '.join(BALANCING)}")
    return {"balancing": text}


def _sticky(text: str) -> dict[str, Any]:
    kind, has_name, name = text.partition("=")
    if kind not in ("cookie", "header", "client-ip") or (kind == "client-ip" and has_name):
        raise BadAnnotation("is cookie, cookie=NAME, header=NAME or client-ip")
    if kind == "header" and not name:
        raise BadAnnotation("header=NAME says which header")
    if has_name and not _TOKEN.fullmatch(name):
        raise BadAnnotation(f"{name!r} is no name of a {kind}")
    return {"sticky": kind, "sticky_name": name or (_COOKIE if kind == "cookie" else "")}


def _max_body(text: str) -> dict[str, Any]:
    try:
        size = quantity.whole(text)
    except UsageError as error:
        raise BadAnnotation(str(error)) from None
    if size < 1:
        raise BadAnnotation("is a size of at least one byte: 10Mi")
    return {"max_body": size}


def _timeout(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|)", text)
    seconds = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "": 1}[found[2]] if found else 0.0
    if seconds <= 0:
        raise BadAnnotation("is a time: 30s, 500ms, 2m")
    return {"timeout": seconds}


def _most(text: str) -> dict[str, Any]:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise BadAnnotation("is a number from 1 on")
    return {"most_per_replica": int(text)}


def _auth(text: str) -> dict[str, Any]:
    if text not in ("login", "token"):
        raise BadAnnotation(
            "is login (a token of the cluster's user) or token (one of the values of corral.dev/auth-secret)"
        )
    return {"auth": text}


def _secret(text: str) -> dict[str, Any]:
    if not text:
        raise BadAnnotation("is the name of a Secret")
    return {}


def _redirect(text: str) -> dict[str, Any]:
    if text not in ("true", "false"):
        raise BadAnnotation("is true or false")
    return {"redirects": text == "true"}


_READ: dict[str, Callable[[str], dict[str, Any]]] = {
    "corral.dev/load-balancing": _balancing,
    "corral.dev/sticky": _sticky,
    "corral.dev/max-body": _max_body,
    "corral.dev/timeout": _timeout,
    "corral.dev/max-requests-per-replica": _most,
    "corral.dev/auth": _auth,
    AUTH_SECRET: _secret,
}
_OF_INGRESS = {
    "corral.dev/ssl-redirect": _redirect,
    **{key: _READ[key] for key in ("corral.dev/max-body", "corral.dev/auth", AUTH_SECRET)},
}
_REFUSED = {
    "corral.dev/rate-limit": "Caddy cannot limit requests per second; use corral.dev/max-requests-per-replica",
}


def problems(annotations: Mapping[str, str], *, of_ingress: bool = False) -> list[tuple[str, str]]:
    """Those of ours that are not known or say nothing, and why."""
    known = _OF_INGRESS if of_ingress else _READ
    found = []
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        if key not in known:
            why = _REFUSED.get(key) or f"there is no such annotation; there are {', '.join(known)}"
            found.append((key, why))
            continue
        try:
            known[key](text)
        except BadAnnotation as bad:
            found.append((key, str(bad)))
    if annotations.get("corral.dev/auth") == "token" and not annotations.get(AUTH_SECRET):
        found.append(("corral.dev/auth", f"token needs {AUTH_SECRET}, the Secret whose values let in"))
    return found


def traffic_of(annotations: Mapping[str, str], tokens: tuple[str, ...] = ()) -> Traffic:
    """What is wrong has been refused before; what is here all the same says nothing."""
    fields: dict[str, Any] = {}
    for key, read in {**_READ, **_OF_INGRESS}.items():
        if key in annotations:
            try:
                fields |= read(annotations[key])
            except BadAnnotation:
                continue
    return Traffic(**fields, tokens=tokens)


def traffic_of_service(service: Service, tokens: tuple[str, ...] = ()) -> Traffic:
    """sessionAffinity counts where no annotation says how requests stick."""
    found = traffic_of(service.metadata.annotations, tokens)
    if service.spec.session_affinity == "ClientIP" and not found.sticky:
        found = msgspec.structs.replace(found, sticky="client-ip")
    return found
