"""scontrol create, update and delete of partitions: what is said, and what becomes of the partition, is as with a real Slurm.

`tests/golden/placement/partition.jsonl`: each command in turn, its exit status and output, and what `scontrol -o show partition` said then.
"""

import json
from typing import Any

import msgspec
import pytest
from tests.builders import OPERATOR, Cluster
from tests.unit.scheduler.test_golden_placement import GOLDEN, oracle

from corral.cli import scontrol_partition, scontrol_reservation, scontrol_update
from corral.cli.run import Exit
from corral.cli.scontrol_node import partition as shown
from corral.controller.api.node_rows import PARTITIONS
from corral.errors import Refused
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected

CASES = [json.loads(line) for line in (GOLDEN / "partition.jsonl").read_text().splitlines()]
#: Keys that Corral does not have, or only in part.
NOT_OFFERED = (
    "AllocNodes",
    "Alternate",
    "CpuBind",
    "OverTimeLimit",
    "TRESBillingWeights",
)
#: Taken there without a word, or with one and an exit status of 0, and refused here: what it means would be a surprise.
UNLIKE = ("MinNodes=x", "OverSubscribe=FORCE:x", "QOS=normal", "PartitionName=p1", "DenyQos=")


class Connection:
    """To an engine in this process."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def request(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        kind = {one.__struct_config__.tag: one for one in (rq.UpdatePartition, rq.CreatePartition, rq.DeletePartition)}
        request = msgspec.convert(
            {k: v for k, v in body.items() if k != "type"} | {"type": body["type"]}, kind[body["type"]]
        )
        reply = self.cluster.ask(request, OPERATOR)
        if isinstance(reply, Rejected):
            raise Refused(error=reply.error, code=reply.code, detail=reply.detail)
        return {}


def run(cluster: Cluster, argv: list[str]) -> tuple[int, str]:
    connection = Connection(cluster)

    def connect() -> Any:
        return connection

    verb, *words = argv
    try:
        if verb == "create":
            return scontrol_partition.create(connect, words), ""
        if verb == "delete":
            return scontrol_reservation.delete(connect, words), ""
        return scontrol_update.update(connect, words), ""
    except Exit as end:
        return end.status, "\n".join(end.lines)


def fields(text: str) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in text.split())


def test_it_goes_as_it_goes_there() -> None:
    cluster = oracle()
    wrong = []
    for case in CASES:
        word = case["argv"][-1]
        mine = run(cluster, case["argv"])
        if word.startswith((*NOT_OFFERED, *UNLIKE)):
            assert mine[0] == case["exit"] or mine[1], case
            continue
        if mine != (case["exit"], case["out"]):
            wrong.append((word, mine, (case["exit"], case["out"])))
        if "show" in case and "=" in word and case["exit"] == 0:
            partition = cluster.state.partitions["p1"]
            in_order = {name: cluster.state.nodes[name] for name in cluster.state.ledger.names}
            row = PARTITIONS.rows([partition], list(PARTITIONS.getters), in_order)
            text = fields(shown(dict(zip(row.fields, row.rows[0], strict=True)), one_line=True))
            key = {"Shared": "OverSubscribe", "Priority": "PriorityTier", "maxn": "MaxNodes", "QoS": "QoS"}.get(
                word.partition("=")[0], word.partition("=")[0]
            )
            there = fields(case["show"])
            if key in there and there[key] != text.get(key):
                wrong.append((word, key, text.get(key), there[key]))
    assert wrong == []


@pytest.mark.parametrize("key", NOT_OFFERED)
def test_what_is_not_offered_is_refused_by_name(key: str) -> None:
    cluster = oracle()
    run(cluster, ["create", "partition=p1", "nodes=co1"])
    status, text = run(cluster, ["update", "partition=p1", key if "=" in key else f"{key}=1"])
    assert status == 1
    assert "not supported by Corral" in text


def test_one_in_use_is_not_deleted() -> None:
    from tests.builders import job

    cluster = oracle()
    cluster.add(job(1, partition="thr"))
    assert run(cluster, ["delete", "partition=thr"]) == (1, "delete_partition partition=thr: Partition is in use")
    assert "thr" in cluster.state.partitions
    cluster.check()
