"""Where is corral.toml?"""

from pathlib import Path

from corral.errors import ConfigError

NAME = "corral.toml"


def find(given: str | Path | None, state_dir: str | Path) -> Path | None:
    """The file that was named, else the one in the state directory; None when there is none. Always absolute."""
    if given is not None:
        return Path(given).absolute()
    beside = Path(state_dir).absolute() / NAME
    try:
        return beside if beside.exists() else None
    except OSError:
        return None  # whoever may not look there has more to say about that directory than about this file


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(file=path, line=1, problem=f"the file cannot be read: {reason}") from None
