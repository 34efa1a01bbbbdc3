"""How does an ordinary user make a Pod's network: a namespace of its own users, and slirp4netns?

A process that does nothing keeps the namespace; slirp4netns carries what goes out, and what comes to the node's ports. Both live as
long as the Pod, whatever becomes of the agent.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from corral.agent.netrecord import Net
from corral.agent.podnet import CannotConnect, PortsTaken

_PATIENCE = 5.0
#: Through which slirp4netns carries packets.
_TUN = "/dev/net/tun"


class UserNetworks:
    """Needs slirp4netns and unshare (util-linux)."""

    async def make(self, name: str, place: str, ports: tuple[tuple[str, int, int], ...]) -> Net:
        started: list[asyncio.subprocess.Process] = []
        try:
            holder = await _started("unshare", "--user", "--map-current-user", "--net", "sleep", "infinity")
            started.append(holder)
            await _until_apart(holder)
            socket = f"{place}/.slirp"
            _unlink(socket)
            ready, say = os.pipe2(0)
            try:
                slirp = await _started(
                    "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", f"--api-socket={socket}",
                    f"--ready-fd={say}", str(holder.pid), "tap0", pass_fds=(say,),
                )  # fmt: skip
            finally:
                os.close(say)
            started.append(slirp)
            try:
                word = await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), _PATIENCE)
            finally:
                os.close(ready)
            if not word:
                raise CannotConnect("slirp4netns could not make the Pod's network")
            taken = [port for kind, port, own in ports if not await _forward(socket, kind, port, own)]
            if taken:
                raise PortsTaken(taken)
        except BaseException as error:
            for process in started:
                _kill(process.pid)
            if isinstance(error, TimeoutError):
                raise CannotConnect("slirp4netns does not answer") from None
            raise
        return Net(
            path=f"/proc/{holder.pid}/ns/net",
            users=f"/proc/{holder.pid}/ns/user",
            name=name,
            ports=ports,
            pids=tuple((process.pid, _beginning(process.pid)) for process in started),
        )

    async def remove(self, net: Net) -> None:
        for pid, began in net.pids:
            if _beginning(pid) == began:
                _kill(pid)

    def is_left(self, name: str) -> bool:
        return False  #: its processes ended with the agent that waited for them, or are not known

    async def remove_left(self, name: str) -> None:
        pass

    def is_there(self, net: Net) -> bool:
        return all(_beginning(pid) == began for pid, began in net.pids)


def why_not() -> str:
    """What is missing for it; "" = nothing."""
    missing = [name for name in ("slirp4netns", "unshare") if shutil.which(name) is None]
    if missing:
        return f"not root, no {missing[0]}"
    return "" if os.access(_TUN, os.R_OK | os.W_OK) else f"not root, and {_TUN} is closed to users"


async def _started(program: str, *arguments: str, pass_fds: Sequence[int] = ()) -> asyncio.subprocess.Process:
    null = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        program, *arguments, stdin=null, stdout=null, stderr=null, pass_fds=pass_fds, start_new_session=True
    )


async def _until_apart(process: asyncio.subprocess.Process) -> None:
    """It has a network of its own, and has executed what keeps it."""
    own = os.stat("/proc/self/ns/net").st_ino
    for _ in range(500):
        if process.returncode is not None:
            break
        try:
            if os.stat(f"/proc/{process.pid}/ns/net").st_ino != own and _program(process.pid) == "sleep":
                return
        except OSError:
            pass
        await asyncio.sleep(0.005)
    raise CannotConnect("this machine does not let users make network namespaces")


async def _forward(socket: str, kind: str, port: int, own: int) -> bool:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        arguments = {"proto": kind.lower(), "host_addr": "0.0.0.0", "host_port": port, "guest_port": own}
        writer.write(json.dumps({"execute": "add_hostfwd", "arguments": arguments}).encode())
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), _PATIENCE)
    finally:
        writer.close()
    return "error" not in json.loads(answer or b'{"error": {}}')


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _program(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def _beginning(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(") ")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
