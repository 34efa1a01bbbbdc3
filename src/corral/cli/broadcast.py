"""How does a local file get to the nodes of a job (sbcast, srun --bcast)? As the standard input of a step that nobody sees."""

from __future__ import annotations

import os
import select
import time

from corral.cli.run import Exit, Program
from corral.client.attach import Attachment, TaskEnded
from corral.client.connection import Connection, new_key
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BLOCK = 8 << 20
#: Where a node's own libraries are: those are not sent.
EXCLUDED = "/lib,/usr/lib,/lib64,/usr/lib64"
#: Since the job's nodes may be told of the step only when a prolog is over, there is no end to waiting but this one.
_SIGTERM = 15


class Wishes:
    """What the options of sbcast and srun say alike."""

    def __init__(
        self, *, force: bool = False, preserve: bool = False, compress: bool = False, send_libs: bool = False,
        exclude: str = EXCLUDED, block: int = BLOCK, timeout: float = 0.0,
    ) -> None:  # fmt: skip
        self.force = force
        self.preserve = preserve
        self.compress = compress
        self.send_libs = send_libs
        self.exclude = exclude
        self.block = block
        self.timeout = timeout


class Sender:
    """Sends files to all nodes of a job, or to some of them."""

    def __init__(self, program: Program, job: str, wishes: Wishes, nodes: dict[str, Any] | None = None) -> None:
        self._program, self._job, self._wishes = program, job, wishes
        self._nodes = nodes or {}  #: of the StepSpec: nodelist, exclude
        self.node_names: list[str] = []

    def send(self, source: str, dest: str) -> int:
        """0, or the number of the error that some node had. With the libraries beside it, if that is wished."""
        status = self._send(source, self._transfer(dest, os.stat(source)))
        if status or not self._wishes.send_libs:
            return status
        directory = f"{dest}_libs"
        status = self._send("", {"dest": directory, "is_directory": True})
        for library in libraries_of(source, self._wishes.exclude):
            transfer = self._transfer(f"{directory}/{os.path.basename(library)}", os.stat(library))
            status = status or self._send(library, transfer)
        return status

    def _transfer(self, dest: str, stat: os.stat_result) -> dict[str, Any]:
        transfer: dict[str, Any] = {"dest": dest, "mode": stat.st_mode & 0o777, "begun": time.time()}
        if self._wishes.force:
            transfer["force"] = True
        if self._wishes.compress:
            transfer["compressed"] = True
        if self._wishes.preserve:
            transfer["times"] = [stat.st_atime, stat.st_mtime]
            transfer["owner"] = [stat.st_uid, stat.st_gid]
        return transfer

    def _send(self, source: str, transfer: dict[str, Any]) -> int:
        spec = {
            "name": "sbcast", "argv": ["sbcast"], "work_dir": "/", "overlap": True, "transfer": transfer, "ntasks_per_node": 1,
            "stdio": {"stdout": "none", "stderr": "none"}, "client_host": os.uname().nodename, "client_pid": os.getpid(),
            **self._nodes,
        }  # fmt: skip
        request = {"type": "CreateStep", "job": self._job, "spec": spec, "environment": {}}
        with Connection() as connection:
            reply = connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=60)
        names = [node["share"]["node"] for node in reply["step"]["nodes"]]
        self.node_names = names
        access = reply["access"]
        attachment = Attachment(
            access["url"], access["token"], access["cluster"], access["key"], nodes=len(names), ca=access.get("ca", "")
        )
        try:
            codes = self._pump(attachment, source)
        except (KeyboardInterrupt, TimeoutError):
            attachment.send_signal(_SIGTERM)
            attachment.close()
            raise
        attachment.close()
        for node, code in sorted(codes.items()):
            if code:
                self._program.error(f"REQUEST_FILE_BCAST({names[node]}): {os.strerror(code)}")
        return max(codes.values(), default=0)

    def _pump(self, attachment: Attachment, source: str) -> dict[int, int]:
        """Until all nodes have ended; what each of them ended with."""
        codes: dict[int, int] = {}
        pieces = self._pieces(source) if source else iter(())
        piece, is_open = b"", True
        ends = time.monotonic() + self._wishes.timeout if self._wishes.timeout else None
        while not attachment.has_ended:
            while is_open and attachment.stdin_room:
                piece = piece or next(pieces, b"")
                if not piece:
                    is_open = False
                    attachment.send_stdin_eof()
                    break
                piece = piece[attachment.send_stdin(piece) :]
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            waits = [wait for wait in (attachment.timeout(), left) if wait is not None]
            select.select([attachment.fileno()], [], [], min(waits, default=None))
            for event in attachment.on_readable():
                if isinstance(event, TaskEnded):
                    codes[event.node] = (event.status >> 8) & 0xFF if not event.status & 0x7F else 4
        return codes

    def _pieces(self, source: str) -> Iterator[bytes]:
        with open(source, "rb", buffering=0) as file:
            if not self._wishes.compress:
                while data := file.read(self._wishes.block):
                    yield data
                return
            import zlib

            packer = zlib.compressobj(1)
            while data := file.read(self._wishes.block):
                if packed := packer.compress(data):
                    yield packed
            yield packer.flush()


def libraries_of(program: str, exclude: str) -> list[str]:
    """The shared objects that it is linked with, as ldd finds them, without those in the places named."""
    import subprocess

    try:
        said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    except OSError:
        return []
    places = [] if exclude.lower() == "none" else [place.rstrip("/") + "/" for place in exclude.split(",") if place]
    found = []
    for line in said.splitlines():
        path = line.partition("=>")[2].strip().partition(" (")[0]
        if path.startswith("/") and not path.startswith(tuple(places)):
            found.append(path)
    return found


def wants_compression(program: Program, given: str) -> bool:
    """-C, --compress=lz4, none."""
    if given in ("", "lz4", "zlib"):
        return True
    if given != "none":
        program.error(f"Compression type '{given}' unknown, disabling compression support.")
    return False


def refusal(program: Program, error: Refused, job: str) -> Exit:
    return Exit(255, f"{program.name}: error: Slurm job {job} lookup error: {error.error}")


__all__ = ["BLOCK", "EXCLUDED", "Sender", "Wishes", "libraries_of", "refusal", "wants_compression"]
