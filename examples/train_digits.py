"""Data-parallel training of a small network on handwritten digits, with numpy and plain TCP.

Every task (rank) of the step holds the whole network and a part of the training digits. In each step each rank computes
the gradient of its own digits, rank 0 averages the gradients of all and hands the mean back, and every rank takes the
same step, so that all end with the same weights. What a framework does with NCCL is here to be read on one page.

Reads SLURM_PROCID and SLURM_NTASKS, and MASTER_ADDR, MASTER_PORT, MASTER_TOKEN from the job script. With DIGITS_MODEL rank 0 saves the
weights there; DIGITS_EPOCHS says how long to learn.
"""

import gzip
import hashlib
import os
import socket
import struct
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # after the two variables above, which it reads

SEED = 7
HELD_OUT = 297
HIDDEN = 64
EPOCHS = int(os.environ.get("DIGITS_EPOCHS", "24"))
STEPS_PER_EPOCH = 10
LEARNING_RATE = 0.01
WANTED_ACCURACY = 0.93
PATIENCE_SECONDS = 60.0
PORTS_TO_TRY = 50


# --- Talking: messages are a length and bytes -------------------------------------------------------------------------


def send(peer: socket.socket, content: bytes) -> None:
    peer.sendall(struct.pack("!I", len(content)) + content)


def receive(peer: socket.socket) -> bytes:
    (length,) = struct.unpack("!I", receive_exactly(peer, 4))
    return receive_exactly(peer, length)


def receive_exactly(peer: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        part = peer.recv(length - len(content))
        if not part:
            raise ConnectionError("a rank has left")
        content += part
    return bytes(content)


class Group:
    """All ranks of the step: rank 0 holds a connection to each of the others, they one to rank 0."""

    def __init__(self, rank: int, size: int, address: str, port: int, token: str) -> None:
        self.rank, self.size = rank, size
        self.greeting = f"digits {token} {size}".encode()
        self.peers: list[socket.socket] = []
        node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
        self.nodes = [node]
        if size == 1:
            return
        if rank == 0:
            self._gather(address, port)
        else:
            self.peers = [self._find_rank_0(address, port, node)]

    def _gather(self, address: str, port: int) -> None:
        """Listen on the first free port and wait for every other rank; strangers are sent away."""
        with listen("127.0.0.1" if address == "127.0.0.1" else "", port) as listener:
            listener.settimeout(PATIENCE_SECONDS)
            arrived: dict[int, tuple[socket.socket, str]] = {}
            while len(arrived) < self.size - 1:
                peer, _ = listener.accept()
                try:
                    peer.settimeout(5)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    send(peer, self.greeting)
                    if receive_exactly(peer, len(self.greeting)) != self.greeting:
                        raise ConnectionError("a stranger")
                    rank, node = receive(peer).decode().split(maxsplit=1)
                    peer.settimeout(PATIENCE_SECONDS)
                    arrived[int(rank)] = (peer, node)
                except (OSError, ValueError):
                    peer.close()
        self.peers = [arrived[rank][0] for rank in sorted(arrived)]
        self.nodes += [arrived[rank][1] for rank in sorted(arrived)]

    def _find_rank_0(self, address: str, port: int, node: str) -> socket.socket:
        """Rank 0 may not listen yet, or had to take another port because its first choice was busy."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for candidate in range(port, port + PORTS_TO_TRY):
                try:
                    peer = socket.create_connection((address, candidate), timeout=2)
                except OSError:
                    continue
                try:
                    if receive_exactly(peer, 4 + len(self.greeting))[4:] == self.greeting:
                        peer.settimeout(PATIENCE_SECONDS)
                        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        peer.sendall(self.greeting)
                        send(peer, f"{self.rank} {node}".encode())
                        return peer
                except OSError:
                    pass
                peer.close()
            time.sleep(0.02)
        sys.exit(f"rank {self.rank}: rank 0 not found at {address}:{port} within {PATIENCE_SECONDS:.0f} s")

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over all ranks, the same bits on each."""
        if self.rank:
            send(self.peers[0], values.tobytes())
            return np.frombuffer(receive(self.peers[0]), dtype=values.dtype)
        total = values.copy()
        for peer in self.peers:  # in the order of ranks: floating-point sums depend on it
            total += np.frombuffer(receive(peer), dtype=values.dtype)
        total /= self.size
        for peer in self.peers:
            send(peer, total.tobytes())
        return total

    def all_equal(self, content: bytes) -> bool:
        """Do all ranks hold the same bytes?"""
        digest = hashlib.sha256(content).digest()
        if self.rank:
            send(self.peers[0], digest)
            return receive(self.peers[0]) == b"equal"
        equal = [receive(peer) for peer in self.peers] == [digest] * len(self.peers)
        for peer in self.peers:
            send(peer, b"equal" if equal else b"different")
        return equal


def listen(address: str, port: int) -> socket.socket:
    for candidate in range(port, port + PORTS_TO_TRY):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, candidate))
            listener.listen(1024)
            return listener
        except OSError:
            listener.close()
    sys.exit(f"rank 0: no free port from {port} to {port + PORTS_TO_TRY - 1}")


# --- Learning ---------------------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures and labels to train on, pictures and labels held out."""
    text = gzip.decompress((Path(__file__).parent / "data" / "digits.csv.gz").read_bytes())
    table = np.array(text.replace(b"\n", b",").rstrip(b",").split(b","), dtype=np.float32).reshape(-1, 65)
    np.random.default_rng(SEED).shuffle(table)
    pictures, labels = table[:, :64] / 16, table[:, 64].astype(int)
    return pictures[HELD_OUT:], labels[HELD_OUT:], pictures[:HELD_OUT], labels[:HELD_OUT]


class Network:
    """64 pixels, one hidden layer, 10 digits; all weights lie in one vector, so that a gradient is one message."""

    def __init__(self) -> None:
        chance = np.random.default_rng(SEED)
        self.weights = np.zeros(64 * HIDDEN + HIDDEN + HIDDEN * 10 + 10, dtype=np.float32)
        first, _, second, _ = self.parts(self.weights)
        first[:] = chance.normal(0, np.sqrt(2 / 64), first.shape)
        second[:] = chance.normal(0, np.sqrt(2 / HIDDEN), second.shape)
        self.momentum = np.zeros_like(self.weights)
        self.scale = np.zeros_like(self.weights)
        self.steps = 0

    @staticmethod
    def parts(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        first, bias, second, last = np.split(vector, np.cumsum([64 * HIDDEN, HIDDEN, HIDDEN * 10]))
        return first.reshape(64, HIDDEN), bias, second.reshape(HIDDEN, 10), last

    def scores(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, first_bias, second, second_bias = self.parts(self.weights)
        hidden = np.maximum(pictures @ first + first_bias, 0)
        return hidden, hidden @ second + second_bias

    def loss_and_gradient(self, pictures: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        hidden, scores = self.scores(pictures)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float(-np.log(likely[rows, labels] + 1e-9).mean())
        likely[rows, labels] -= 1
        likely /= len(labels)
        back = (likely @ self.parts(self.weights)[2].T) * (hidden > 0)
        parts = (pictures.T @ back, back.sum(axis=0), hidden.T @ likely, likely.sum(axis=0))
        return loss, np.concatenate([part.ravel() for part in parts])

    def step(self, gradient: np.ndarray) -> None:
        """Adam (Kingma and Ba, 2015)."""
        self.steps += 1
        self.momentum = 0.9 * self.momentum + 0.1 * gradient
        self.scale = 0.999 * self.scale + 0.001 * gradient**2
        momentum = self.momentum / (1 - 0.9**self.steps)
        scale = self.scale / (1 - 0.999**self.steps)
        self.weights -= np.float32(LEARNING_RATE) * momentum / (np.sqrt(scale) + np.float32(1e-8))

    def accuracy(self, pictures: np.ndarray, labels: np.ndarray) -> float:
        return float((self.scores(pictures)[1].argmax(axis=1) == labels).mean())


def main() -> int:
    rank, size = int(os.environ.get("SLURM_PROCID", "0")), int(os.environ.get("SLURM_NTASKS", "1"))
    address = os.environ.get("MASTER_ADDR", "127.0.0.1")
    port = int(os.environ.get("MASTER_PORT", "29500"))
    group = Group(rank, size, address, port, os.environ.get("MASTER_TOKEN", "-"))
    say = print if rank == 0 else lambda *_, **__: None

    pictures, labels, held_out_pictures, held_out_labels = digits()
    ranks = ", ".join(f"{count} on {node}" for node, count in Counter(group.nodes).items())
    say(f"{size} ranks ({ranks}) share {len(labels)} digits", flush=True)
    mine = slice(rank, None, size)
    pictures, labels = pictures[mine], labels[mine]

    network, started = Network(), time.monotonic()
    chance = np.random.default_rng([SEED, rank])
    for epoch in range(1, EPOCHS + 1):
        losses = []
        for batch in np.array_split(chance.permutation(len(labels)), STEPS_PER_EPOCH):
            loss, gradient = network.loss_and_gradient(pictures[batch], labels[batch])
            together = group.mean(np.append(gradient, np.float32(loss)).astype(np.float32))
            network.step(together[:-1])
            losses.append(together[-1])
        if epoch % 4 == 0 or epoch == 1:
            say(f"epoch {epoch:2d}  loss {np.mean(losses):.4f}", flush=True)

    if not group.all_equal(network.weights.tobytes()):
        print(f"rank {rank}: the ranks ended with different weights", file=sys.stderr)
        return 1
    accuracy = network.accuracy(held_out_pictures, held_out_labels)
    say(f"all {size} ranks hold the same weights after {network.steps} steps in {time.monotonic() - started:.1f} s")
    say(f"accuracy on {len(held_out_labels)} held-out digits: {accuracy:.1%}", flush=True)
    if model := os.environ.get("DIGITS_MODEL"):  # who wants the model looks at it himself
        if rank == 0:
            np.save(model, network.weights)
            print(f"saved as {model}", flush=True)
        return 0
    if accuracy < WANTED_ACCURACY:
        print(f"rank {rank}: below the wanted {WANTED_ACCURACY:.0%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
