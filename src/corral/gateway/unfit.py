"""Which Ingress does Caddy not take? It takes all of a configuration or nothing: one must not keep it from all others.

Which it is, is found by asking Caddy about halves of them. It is left out until it is another one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from corral.daemon.logs import Log
from corral.gateway.caddy import Caddy
from corral.model.kube.meta import ObjectKey
from corral.protocol.routes import IngressRoute

Config = Callable[[Sequence[IngressRoute]], dict[str, Any]]


class Unfit:
    """Those of one gateway."""

    def __init__(self, caddy: Caddy, log: Log) -> None:
        self._caddy, self._log = caddy, log
        self._known: dict[ObjectKey, IngressRoute] = {}

    def without(self, ingresses: Iterable[IngressRoute]) -> list[IngressRoute]:
        return [one for one in ingresses if self._known.get(one.key) != one]

    async def find(self, ingresses: Sequence[IngressRoute], config: Config) -> bool:
        """Caddy has refused these. False: it is none of them."""
        if await self._caddy.objection(config(())):
            return False
        fit: list[IngressRoute] = []
        await self._sort(ingresses, fit, config)
        left_out = [one for one in ingresses if one not in fit]
        for one in left_out:
            self._known[one.key] = one
        return bool(left_out)

    async def _sort(self, ingresses: Sequence[IngressRoute], fit: list[IngressRoute], config: Config) -> None:
        """Those that can be had beside what is `fit` already become so."""
        why = await self._caddy.objection(config([*fit, *ingresses])) if ingresses else ""
        if not why:
            fit += ingresses
        elif len(ingresses) == 1:
            name = f"{ingresses[0].namespace}/{ingresses[0].name}"
            self._log.error("an Ingress is left out, for Caddy does not take it", ingress=name, why=why)
        else:
            middle = len(ingresses) // 2
            await self._sort(ingresses[:middle], fit, config)
            await self._sort(ingresses[middle:], fit, config)
