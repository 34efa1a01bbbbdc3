"""What do --container-image=docker://nvcr.io#nvidia/pytorch:24.05-py3, --container-mounts=/data:/data:ro and --container-name=a:exec say?

The words are pyxis', the plugin by which Slurm's users know containers.
"""

from __future__ import annotations

from corral.errors import InvalidContainer

#: What may follow the second colon of a mount, joined by +.
MOUNT_FLAGS = frozenset(
    {
        "ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "private", "rprivate", "slave", "rslave",
        "x-create=auto",
    }
)  # fmt: skip
HOW = ("auto", "create", "exec", "no_exec", "remove")
_ARCHIVES = ("oci-archive:", "docker-archive:", "oci:")


def mounts(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """SRC:DST[:FLAGS][,SRC:DST...] as (source, target, flags). Raises InvalidContainer."""
    return [_mount(part) for part in text.split(",")]


def _mount(part: str) -> tuple[str, str, tuple[str, ...]]:
    source, colon, rest = part.partition(":")
    target, _, flags = rest.partition(":")
    if not source or (colon and not target):
        raise InvalidContainer(text=f"--container-mounts: invalid format: {part}")
    target = target or source
    if source[0] not in "./" and source not in ("tmpfs", "umount"):
        raise InvalidContainer(
            text=f'mount source must be a relative path, an absolute path, "tmpfs" or "umount": {source}'
        )
    if target[0] not in "./":
        raise InvalidContainer(text=f"mount target must be a relative path or an absolute path: {target}")
    words = tuple(word for word in flags.split("+") if word)
    for word in words:
        if word not in MOUNT_FLAGS:
            raise InvalidContainer(text=f"--container-mounts: unknown flag {word} in {part}")
    return source, target, words


def name(text: str) -> tuple[str, str]:
    """NAME[:auto|create|exec|no_exec|remove]. Raises InvalidContainer."""
    found, _, how = text.partition(":")
    if not found:
        raise InvalidContainer(text="--container-name: empty name")
    if "/" in found or found in (".", "..") or len(found) > 200 or not found.isprintable():
        raise InvalidContainer(text=f"--container-name: {found} is no name for a directory")
    how = how or "auto"
    if how not in HOW:
        raise InvalidContainer(text='--container-name: flag must be "auto", "create", "exec", "no_exec" or "remove"')
    return found, how


def variables(text: str) -> list[str]:
    """NAME[,NAME...]. Raises InvalidContainer."""
    found = text.split(",")
    if not all(found) or any("=" in one for one in found):
        raise InvalidContainer(text=f"--container-env: invalid format: {text}")
    return found


def is_file(image: str) -> bool:
    """A file or directory of the node, no name in a registry."""
    return image.startswith(("/", "./", "../"))


def reference(image: str) -> str:
    """As podman and docker write it: [docker://][USER@][REGISTRY#]IMAGE[:TAG] -> REGISTRY/IMAGE:TAG. Raises InvalidContainer.

    Without a registry it stays short: the runtime knows where to look, here first.
    """
    for archive in _ARCHIVES:
        if image.startswith(archive):
            raise InvalidContainer(
                text=f"--container-image: name the file of an archive by its path, without {archive}"
            )
    rest = image
    scheme, colon, after = image.partition("://")
    if colon:
        if scheme not in ("docker", "podman", "dockerd"):
            raise InvalidContainer(text=f"--container-image: {scheme}:// is no kind of image; use docker://, or a path")
        rest = after
    user, at, after = rest.partition("@")
    if at and "/" not in user and ":" not in user and not after.startswith("sha256:"):
        rest = after
    registry, mark, path = rest.partition("#")
    rest = f"{registry}/{path}" if mark else rest
    if not rest or rest.startswith(("/", "-", ":")) or any(c.isspace() or not c.isprintable() for c in rest):
        raise InvalidContainer(text=f"--container-image: {image} is no name of an image")
    return rest
