"""What is a container: the image that a step's tasks see as their root, and what is mounted into it?"""

import msgspec


class Mount(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something of the node that is seen inside. `source` is a path, or "tmpfs" or "umount"."""

    source: str
    target: str
    flags: tuple[str, ...] = ()


class Container(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the --container-* options say. None = the cluster's default."""

    image: str = ""  #: as given (syntax/container.py); "" = the one of that name that the job has already
    mounts: tuple[Mount, ...] = ()
    work_dir: str = ""  #: "" = the image's
    name: str = ""  #: kept from step to step of the job; "" = gone with its step
    how: str = (
        "auto"  #: with a name: "create" it, "exec" in it as it runs, "no_exec", "remove" it in the end, or "auto"
    )
    save: str = ""  #: what the tasks have made of it is written there at the end
    mount_home: bool | None = None
    remap_root: bool | None = None  #: the user looks like root inside
    entrypoint: bool | None = None
    writable: bool | None = None
    environment: tuple[str, ...] = ()  #: variables whose value outside counts also where the image has one


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image says of how it is to be run."""

    name: str = ""
    digest: str = ""
    size: int = 0  #: bytes on disk
    created: float = 0.0  #: when it came here
    environment: tuple[str, ...] = ()  #: NAME=value
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    work_dir: str = ""
