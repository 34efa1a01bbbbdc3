"""Which version of Corral is this?"""

from importlib import metadata


def _version() -> str:
    try:
        return metadata.version("corral")
    except metadata.PackageNotFoundError:
        return "0"


VERSION = _version()
