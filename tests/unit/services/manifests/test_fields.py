"""Every field of Kubernetes' API is either read or refused with a reason; none is unknown."""

from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from corral.model.kube.objects import KINDS
from corral.services.manifests.kinds import REFUSED_KINDS
from corral.services.manifests.reading import _SERVERS
from corral.services.manifests.refused import REFUSED
from corral.services.manifests.typed import OLDER_NAMES, fields_of

GOLDEN = Path(__file__).parents[3] / "golden" / "kubernetes_fields.tsv"


def records():
    found = {}

    def see(kind):
        match kind:
            case inspect.StructType(cls) if cls.__name__ not in found:
                found[cls.__name__] = cls
                for field in fields_of(cls).values():
                    see(field.type)
            case inspect.UnionType(types):
                for one in types:
                    see(one)
            case inspect.VarTupleType(item) | inspect.DictType(_, item):
                see(item)

    for kind in KINDS.values():
        see(inspect.type_info(kind.type))
    return found


def golden():
    found = {}
    for line in GOLDEN.read_text().splitlines():
        record, field = line.split("\t")
        found.setdefault(record, set()).add(field)
    return found


@pytest.mark.parametrize("record", sorted(golden().keys() & records().keys()))
def test_every_field_of_kubernetes_is_read_or_refused(record):
    own, refused = set(fields_of(records()[record])), set(REFUSED.get(record, {}))
    own |= {older for older, _ in OLDER_NAMES.get(record, ())}
    left = golden()[record] - own - refused - {"apiVersion", "kind", "status"}
    assert left <= (_SERVERS if record == "ObjectMeta" else set())
    assert not own & refused


def test_a_record_of_refused_fields_is_one_of_ours():
    assert REFUSED.keys() <= records().keys()


def test_no_kind_is_both_here_and_refused():
    assert not KINDS.keys() & REFUSED_KINDS.keys()


def test_defaults_are_immutable():
    for record in records().values():
        assert issubclass(record, msgspec.Struct)
        assert record.__struct_config__.frozen
