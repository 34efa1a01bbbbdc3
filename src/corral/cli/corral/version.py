"""`corral version`."""


def version() -> str:
    from importlib import metadata

    try:
        return metadata.version("corral")
    except metadata.PackageNotFoundError:
        return "unknown"


def main(arguments: list[str]) -> int:
    import sys

    print(f"corral {version()} (Python {sys.version.split()[0]})")
    return 0
