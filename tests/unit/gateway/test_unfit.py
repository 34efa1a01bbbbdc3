"""Which Ingress is left out where Caddy refuses them all?"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from corral.daemon.logs import Log
from corral.gateway.unfit import Unfit
from corral.protocol.routes import IngressRoute


def ingress(name: str, created: float = 0.0) -> IngressRoute:
    return IngressRoute(namespace="default", name=name, created=created)


def config(ingresses: Sequence[IngressRoute]) -> dict[str, Any]:
    return {"names": [one.name for one in ingresses]}


class Picky:
    """A Caddy that does not take these names, nor these two beside each other."""

    def __init__(self, *bad: str, apart: tuple[str, ...] = ()) -> None:
        self._bad, self._apart = set(bad), set(apart)

    async def objection(self, config: dict[str, Any]) -> str:
        names = set(config["names"])
        is_bad = names & self._bad or (self._apart and self._apart <= names)
        return "Error: no" if is_bad else ""


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", "info")


def left(unfit: Unfit, ingresses: list[IngressRoute]) -> str:
    return "".join(one.name for one in unfit.without(ingresses))


@pytest.mark.parametrize(
    ("picky", "rest"), [(Picky("c"), "abdefg"), (Picky("a", "f", "g"), "bcde"), (Picky(apart=("b", "e")), "abcdfg")]
)
def test_those_that_are_refused_are_left_out_and_no_others(picky: Any, rest: str, log: Log) -> None:
    unfit, ingresses = Unfit(picky, log), [ingress(name) for name in "abcdefg"]
    assert asyncio.run(unfit.find(ingresses, config))
    assert left(unfit, ingresses) == rest


def test_one_that_is_another_one_by_now_is_tried_again(log: Log) -> None:
    unfit: Any = Unfit(Picky("a"), log)  # type: ignore[arg-type]
    assert asyncio.run(unfit.find([ingress("a")], config))
    assert left(unfit, [ingress("a")]) == ""
    assert left(unfit, [ingress("a", created=1.0)]) == "a"


def test_it_is_known_that_it_is_none_of_them(log: Log) -> None:
    class Never:
        async def objection(self, config: dict[str, Any]) -> str:
            return "Error: no"

    unfit: Any = Unfit(Never(), log)  # type: ignore[arg-type]
    assert not asyncio.run(unfit.find([ingress("a")], config))
    assert left(unfit, [ingress("a")]) == "a"
