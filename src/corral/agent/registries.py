"""With what is an image pulled from a registry that wants to know who asks: the .dockerconfigjson of imagePullSecrets?"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def merged(texts: tuple[str, ...]) -> str:
    """One file of all of them; the first that names a registry counts. "" = there is none."""
    found: dict[str, object] = {}
    for text in texts:
        try:
            auths = json.loads(text).get("auths")
        except (ValueError, AttributeError):
            continue  # what is no such file helps nobody
        if isinstance(auths, dict):
            found = {**auths, **found}
    return json.dumps({"auths": found}, sort_keys=True) if found else ""


@contextmanager
def lent(auth: str) -> Iterator[str]:
    """A directory in which it lies as config.json, for a moment, where nobody else looks."""
    with tempfile.TemporaryDirectory(prefix="corral-auth-") as name:
        fd = os.open(f"{name}/config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            file.write(auth)
        yield name
