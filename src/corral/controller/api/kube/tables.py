"""Objects as the table that `kubectl get` prints."""

from collections.abc import Iterable, Sequence
from typing import Any

from corral.controller.api.kube import columns, objects
from corral.controller.api.kube.answers import partial
from corral.controller.api.kube.columns import Cell, Column
from corral.controller.api.kube.resources import Resource
from corral.model.kube.meta import KubeObject


def rows(wanted: Sequence[Column], found: Iterable[KubeObject], now: float) -> list[list[Cell]]:
    return [[column.value(one, now) for column in wanted] for one in found]


def table(
    resource: Resource, found: Sequence[KubeObject], now: float, include: str, metadata: dict[str, Any], *,
    with_columns: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """meta.k8s.io/v1 Table. `include`: what each row has of its object: None, Metadata, Object."""
    wanted = columns.of(resource)
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions(wanted) if with_columns else None,
        "rows": rows_of(resource, found, now, include),
    }  # fmt: skip


def rows_of(resource: Resource, found: Sequence[KubeObject], now: float, include: str) -> list[dict[str, Any]]:
    wanted = columns.of(resource)
    written = []
    for one, cells in zip(found, rows(wanted, found, now), strict=True):
        row: dict[str, Any] = {"cells": cells}
        if include == "Metadata":
            row["object"] = partial({"metadata": objects.metadata_of(one)})
        elif include == "Object":
            row["object"] = objects.shown(resource, one)
        written.append(row)
    return written


def definitions(wanted: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name, "type": one.type, "format": "name" if one.name == "Name" else "", "description": one.name,
            "priority": int(one.wide),
        }
        for one in wanted
    ]  # fmt: skip
