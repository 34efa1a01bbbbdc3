"""Tells which digit is in a picture: POST /predict with 64 numbers from 0 to 16 as JSON. MODEL: the weights. RUN: whose they are."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from train_digits import Network

NETWORK = Network()
RUN = os.environ.get("RUN", "")
LONGEST = 10_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/health" else 404, {"run": RUN})

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= LONGEST:
                raise ValueError(f"{length} bytes")
            pixels = np.array(json.loads(self.rfile.read(length)), dtype=np.float32).reshape(1, 64) / 16
        except (ValueError, TypeError) as error:
            self.answer(400, {"error": f"64 numbers are wanted: {error}"})
            return
        self.answer(200, {"digit": int(NETWORK.scores(pixels)[1].argmax()), "run": RUN})

    def answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what has been asked is answered before it ends
    request_queue_size = 1024


def main() -> None:
    NETWORK.weights = np.load(os.environ["MODEL"])
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving {RUN} at port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
