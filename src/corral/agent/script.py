"""Where does a batch script lie while it runs?"""

import os
from collections.abc import Callable

from corral.agent.identity import Identity
from corral.protocol.orders import LaunchStep


def write(
    order: LaunchStep, directory: str, identity: Identity, restored: Callable[[str], str], *, is_apart: bool
) -> tuple[list[str], int]:
    """Its command line, and a descriptor that can be executed where it is apart from who looks for its path."""
    path = f"{directory}/slurm_script"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700)
    data = restored(order.script).encode(errors="surrogateescape")
    while data:
        data = data[os.write(fd, data) :]
    if identity.changes:
        os.fchown(fd, identity.uid, identity.gid)
    os.close(fd)  # a file that is open for writing cannot be executed
    return [path, *order.spec.argv], os.open(path, os.O_RDONLY | os.O_CLOEXEC) if is_apart else -1
