"""How does the service manager that has started a daemon learn that it serves?

sd_notify(3): a datagram to the socket in NOTIFY_SOCKET. Children do not inherit the variable: what they say is not the daemon's.
"""

import os
import socket


def tell_ready() -> None:
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        try:
            end.sendto(b"READY=1", f"\0{path[1:]}" if path.startswith("@") else path)
        except OSError:
            pass  # nobody listens any more
