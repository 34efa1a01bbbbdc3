"""Writes src/corral/controller/api/kube/messages.txt: the fields of Kubernetes' protobuf messages, as a kubectl has them in it.

    scripts/kubernetes_messages.py /usr/bin/kubectl

A Go program that uses gogo-protobuf carries the descriptors of its messages, compressed.
"""

import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "src" / "corral" / "controller" / "api" / "kube" / "messages.txt"
API, META = ".k8s.io.api.", ".k8s.io.apimachinery.pkg.apis.meta.v1."
ROOTS = [
    f"{API}{name}"
    for name in (
        "core.v1.ConfigMap", "core.v1.Secret", "core.v1.Namespace", "core.v1.Service", "core.v1.Pod", "core.v1.ResourceQuota",
        "apps.v1.Deployment", "apps.v1.ReplicaSet", "apps.v1.StatefulSet", "batch.v1.Job", "batch.v1.CronJob",
        "networking.v1.Ingress", "autoscaling.v2.HorizontalPodAutoscaler", "autoscaling.v1.HorizontalPodAutoscaler",
        "core.v1.PersistentVolumeClaim", "core.v1.PersistentVolume", "storage.v1.StorageClass", "core.v1.LimitRange",
        "core.v1.ServiceAccount", "authentication.v1.TokenRequest", "authentication.v1.TokenReview",
        "rbac.v1.Role", "rbac.v1.ClusterRole", "rbac.v1.RoleBinding", "rbac.v1.ClusterRoleBinding",
        "authorization.v1.SelfSubjectAccessReview", "authorization.v1.SelfSubjectRulesReview",
        "authorization.v1.SubjectAccessReview", "authentication.v1.SelfSubjectReview",
        "autoscaling.v1.Scale", "policy.v1.PodDisruptionBudget", "policy.v1.Eviction", "scheduling.v1.PriorityClass",
    )
] + [f"{META}DeleteOptions"]  # fmt: skip
#: What the server alone says.
LEFT_OUT = {"status", "managedFields"}
SCALARS = {1: "d", 3: "i", 5: "i", 8: "b", 9: "s", 12: "y"}

Message = tuple[list[tuple[str, int, int, int, str]], dict[str, tuple[int, str]]]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
        elif key & 7 == 2:
            length, at = varint(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError("not a descriptor")


def messages(program: bytes) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for start in re.finditer(b"\x1f\x8b\x08", program):
        try:
            raw = zlib.decompressobj(31).decompress(program[start.start() : start.start() + 2_000_000])
            parts = list(fields(raw)) if raw[:1] == b"\n" else []
        except (zlib.error, ValueError, IndexError):
            continue
        package = next((value for number, value in parts if number == 2), b"").decode(errors="replace")
        if not package.startswith("k8s.io"):
            continue
        for number, value in parts:
            if number == 4:
                name, message = described(value)
                found[f".{package}.{name}"] = (message[0], {f".{package}.{name}.{k}": v for k, v in message[1].items()})
    return found


def described(data: bytes) -> tuple[str, Message]:
    name, own, maps = "", [], {}
    for number, value in fields(data):
        if number == 1:
            name = value.decode()
        elif number == 2:
            one = dict(fields(value))
            own.append((one[1].decode(), one[3], one[4], one[5], one.get(6, b"").decode()))
        elif number == 3:
            entry, (inner, _) = described(value)
            maps[entry] = next((kind, of) for _, at, _, kind, of in inner if at == 2)
    return name, (own, maps)


def short(name: str) -> str:
    return name.removeprefix(API).removeprefix(".k8s.io.apimachinery.pkg.").removeprefix("apis.")


def type_of(kind: int, of: str) -> str:
    return short(of) if kind == 11 else SCALARS[kind]


def main() -> None:
    known = messages(Path(sys.argv[1]).read_bytes())
    todo, lines = list(ROOTS), {}
    while todo:
        name = todo.pop()
        if short(name) in lines or name not in known:
            continue
        own, maps = known[name]
        words = [short(name)]
        for field, number, label, kind, of in own:
            if field in LEFT_OUT:
                continue
            if of in maps:
                words.append(f"{field}={number}:{{{type_of(*maps[of])}}}")
                todo.append(maps[of][1])
            else:
                words.append(f"{field}={number}:{'*' if label == 3 else ''}{type_of(kind, of)}")
                todo.append(of)
        lines[short(name)] = " ".join(words)
    OUT.write_text("".join(f"{line}\n" for _, line in sorted(lines.items())))


if __name__ == "__main__":
    main()
