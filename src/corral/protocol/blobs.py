"""Under which name do scripts and environments lie in the store? Their digest: equal ones are kept and sent once."""

import hashlib
from collections.abc import Mapping


def script_digest(script: str) -> str:
    return hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()


def environment_digest(environment: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(environment):
        value = environment[name]
        digest.update(f"{len(name)},{len(value)}:{name}={value}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
