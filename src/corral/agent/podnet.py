"""How does a Pod come to a network of its own, in which its ports are nobody else's?

Before its first container starts the agent makes a network namespace, and leaves word of it beside what else the job has here
(BOXES/NODE/JOB.RESTART/.net). Tasks enter it before their exec. The ports of the node that the engine has given to the Pod lead
into it. As root with addresses of a pool and the kernel's NAT (podnet_root.py); as an ordinary user by slirp4netns (podnet_user.py).
Where neither can be, Pods have their node's network, and `corral status` says why.
"""

import asyncio
import glob
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from corral.agent.boxes import of_job
from corral.agent.netrecord import Net, net_of
from corral.daemon.logs import Log
from corral.protocol.pods import PodRun


class CannotConnect(Exception):
    """There is no network for this Pod, in words for the user."""


class PortsTaken(CannotConnect):
    """Somebody who is not this cluster's has these ports of the node."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(f"{TAKEN}{','.join(map(str, ports))}")


TAKEN = "ports in use: "
#: So begin the words of a program that has failed.
PROBLEM = "the Pod's network cannot be made: "


class Maker(Protocol):
    """One way to make networks."""

    async def make(self, name: str, place: str, ports: tuple[tuple[str, int, int], ...]) -> Net: ...
    async def remove(self, net: Net) -> None: ...
    def is_there(self, net: Net) -> bool: ...
    def is_left(self, name: str) -> bool: ...
    async def remove_left(self, name: str) -> None: ...


class PodNetworks:
    """Those of one agent."""

    def __init__(self, boxes: str, mark: str, log: Log, maker: Maker | None) -> None:
        """mark: tells this agent's from others' of the machine."""
        self._boxes, self._mark, self._log, self._maker = boxes, mark, log, maker
        self.on_change: Callable[[], None] = lambda: None
        self._under_way: dict[tuple[str, int, int], asyncio.Task[str]] = {}

    def is_wanted(self, run: PodRun) -> bool:
        return self._maker is not None and not run.host_network

    async def ensure(self, node: str, job: int, restart: int, run: PodRun) -> str:
        """What went wrong, or "". Containers that start at once wait for one and the same."""
        key = (node, job, restart)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(self._ensure(key, run))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def _ensure(self, key: tuple[str, int, int], run: PodRun) -> str:
        assert self._maker is not None
        place = of_job(self._boxes, *key)
        known = net_of(self._boxes, *key)
        if known is not None and self._maker.is_there(known):
            return ""
        name = self._name(*key)
        ports = tuple((one.protocol, one.host_port, one.port) for one in run.ports if one.protocol != "SCTP")
        try:
            if known is not None:  # the machine has booted since
                await self._maker.remove(known)
            os.makedirs(place, mode=0o700, exist_ok=True)
            net = await self._maker.make(name, place, ports)
            _write(place, net)
            self.on_change()
        except CannotConnect as error:
            return str(error)
        except OSError as error:
            return f"{key[0]}: the Pod's network cannot be made: {error.strerror}"
        except Exception as error:
            self._log.error("a Pod's network could not be made", error, network=name)
            return f"{key[0]}: the Pod's network cannot be made: {error!r}"
        return ""

    def _name(self, node: str, job: int, restart: int) -> str:
        return f"corral-{self._mark}-{node}-{job}.{restart}"

    def has(self, node: str, job: int, restart: int) -> bool:
        """Also one that an agent had only half made when it was killed."""
        if self._maker is None:
            return False
        return net_of(self._boxes, node, job, restart) is not None or self._maker.is_left(
            self._name(node, job, restart)
        )

    async def clear(self, node: str, job: int, restart: int) -> None:
        """The Pod is over."""
        net = net_of(self._boxes, node, job, restart)
        if self._maker is None:
            return
        try:
            if net is None:
                await self._maker.remove_left(self._name(node, job, restart))
            else:
                await self._maker.remove(net)
                os.unlink(f"{of_job(self._boxes, node, job, restart)}/.net")
                self.on_change()
        except (OSError, CannotConnect) as error:
            self._log.error("a Pod's network cannot be removed", error, job=job, node=node)

    async def clear_all(self) -> None:
        """All Pods are over."""
        for node, name in _places(self._boxes):
            job, _, restart = name.partition(".")
            await self.clear(node, int(job), int(restart))


def _places(boxes: str) -> list[tuple[str, str]]:
    found = glob.glob(f"{glob.escape(boxes)}/*/*/.net")
    parts = [path.split("/") for path in found]
    return [(words[-3], words[-2]) for words in parts if words[-2].replace(".", "").isdigit()]


def _write(place: str, net: Net) -> None:
    path = f"{place}/.net"
    with open(f"{path}.tmp", "wb") as file:
        file.write(msgspec.json.encode(net))
    os.replace(f"{path}.tmp", path)


async def run(program: str, *arguments: str, text: str = "") -> None:
    """Raises CannotConnect with its words."""
    await _said(program, arguments, text)


async def said_by(program: str, *arguments: str) -> list[str]:
    """The lines that it prints. Raises CannotConnect."""
    return (await _said(program, arguments, "")).decode(errors="replace").splitlines()


async def _said(program: str, arguments: Sequence[str], text: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    out, errors = await process.communicate(text.encode() or None)
    if process.returncode:
        words = [line for line in errors.decode(errors="replace").splitlines() if line and not line.startswith("Try `")]
        raise CannotConnect(f"{PROBLEM}{program}: {words[-1] if words else process.returncode}")
    return out
