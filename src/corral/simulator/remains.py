"""What is left in an engine when all work is over and all objects are gone? Nothing may pile up over the months."""

from corral.engine.engine import Engine
from corral.model.kube.meta import ObjectKey

#: They come back with the next message of their node, or are few: one per node, user or QOS.
_MAY_STAY = frozenset(
    {
        "last_heard", "agents", "idle_since", "gateways", "gateway_ports", "next_gateway_port", "service_links", "node_entries",
        "totals", "windows", "drained", "service_addresses", "next_service_address",
    }
)  # fmt: skip


def check_remains(engine: Engine) -> None:
    """Raises AssertionError."""
    ctx, objects = engine.ctx, engine.state.objects
    namespaces = {key for key in objects.by_key if key.kind == "Namespace"}
    found = {
        f"context.{name}": value for name, value in vars(ctx).items()
        if isinstance(value, dict | set | list) and name not in _MAY_STAY
    }  # fmt: skip
    found |= {f"objects.{name}": _filled(value) for name, value in vars(objects).items() if isinstance(value, dict)}
    found |= {f"usage.{name}": value for name, value in vars(objects.usage).items()}
    found |= {f"links.{name}": value for name, value in vars(objects.links).items()}
    for name in ("_at", "_heap"):
        found[f"wakes.{name}"] = getattr(ctx.object_wakes, name)
    for name in ("by_key", "by_uid", "_names"):
        found.pop(f"objects.{name}")
    for name in ("killed", "last_words"):  # with their jobs
        found[f"context.{name}"] = [key for key in getattr(ctx, name) if key.job not in engine.state.jobs]
    left = {name: value for name, value in found.items() if value}
    assert not left, f"is left: {left}"
    assert {ObjectKey(*key) for key in objects.by_uid.values()} == namespaces


def _filled(table: dict[object, object]) -> dict[object, object]:
    """Without entries that are empty: one per host."""
    return {key: value for key, value in table.items() if value}
