"""What is put around a step's tasks on this node: a container, from its image to what is saved of it, or just a room of their own?"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial

import msgspec

from corral.agent import boxes, cdi, cgroup, container, gpu
from corral.agent.container import Box, CannotContain, Extras
from corral.agent.control import ShepherdSettings
from corral.agent.entering import Entered
from corral.agent.identity import Identity
from corral.agent.podroom import PodRoom
from corral.agent.room import Room
from corral.agent.tasks import TaskPlan
from corral.agent.viewing import file_of, lay
from corral.model.container import Container, ImageConfig, Mount
from corral.model.job import JobKind
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import NO_IMAGE
from corral.syntax import container as words

#: Variables that name a directory which the tasks of a step must see where it is.
_NEEDED = ("PMIX_SERVER_TMPDIR", "PMIX_SYSTEM_TMPDIR", "CUDA_MPS_PIPE_DIRECTORY")


#: Directories that are not the cluster's own: of these its socket alone is shown.
_COMMON = frozenset(("/", "/tmp", "/run", "/var/run", "/var/tmp"))


def _way(endpoint: str) -> list[Mount]:
    """What a command inside needs to find its cluster: its directory, where a controller that comes back puts a new socket."""
    path = endpoint.removeprefix("unix://")
    if path == endpoint or not os.path.exists(path):
        return []
    directory = os.path.dirname(path)
    shown = path if directory in _COMMON else directory
    return [Mount(shown, shown, ("ro", "bind"))]


def _close(descriptors: tuple[int, ...]) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)


class Roomy:
    """Tasks that are in no container, and have something of the node for themselves."""

    def __init__(self, room: Room | PodRoom) -> None:
        self._room = room
        self._box: Box | None = None
        self.notes: tuple[str, ...] = ()  #: for the user

    def put_in(self, plans: Sequence[TaskPlan]) -> None:
        self._box = self._room.box()
        for plan in plans:
            plan.box = self._box

    def end(self) -> str:
        if self._box is not None:
            self._box.close()
        return ""


def around(
    order: LaunchStep, directory: str, settings: ShepherdSettings, identity: Identity, pod_room: PodRoom | None = None
) -> "Contained | Roomy | Entered | None":
    """What is to be put around the step's tasks; None: they see their node as it is."""
    wanted = order.spec.container
    if wanted is not None and wanted.name and order.job.spec.kind is JobKind.POD:
        return Entered(order, wanted.name, settings.boxes, identity)
    room: Room | PodRoom | None = room_of(order, settings, identity)
    if pod_room is not None:
        room = pod_room
    if order.spec.container is not None:
        return Contained(order, order.spec.container, directory, settings, identity, room)
    return Roomy(room) if room is not None else None


def room_of(order: LaunchStep, settings: ShepherdSettings, identity: Identity) -> Room | None:
    isolation = settings.isolation
    if os.geteuid() != 0:
        return None
    hides = (
        isolation.hide_devices and not order.spec.is_hidden
    )  # which uses none, but brings files into the job's own places
    denied = cgroup.denied_devices(order.job_share, settings) if hides else ()
    if not isolation.private_dirs and not denied:
        return None
    return Room(order, isolation, settings.boxes, identity, denied, file_of(settings.names))


class Contained:
    """The container of one step; the shepherd keeps it."""

    def __init__(
        self,
        order: LaunchStep,
        wanted: Container,
        directory: str,
        settings: ShepherdSettings,
        identity: Identity,
        room: Room | PodRoom | None,
    ) -> None:
        self._order, self._directory, self._settings, self._identity = order, directory, settings, identity
        self._wanted = _settled(wanted, settings)
        self._box: Box | None = None
        self._room = room
        self._place = boxes.directory_of(settings.boxes, order, wanted, directory, settings.containers.scope)
        self._image = ""
        held = cdi.held_by(order.share, settings.devices) if not settings.virtual else []
        self._edits = cdi.edits_for(settings.containers.cdi_dirs, held, gpu.control_files(settings.devices))
        self.notes = tuple(f"CDI: {note}" for note in self._edits.notes)

    def put_in(self, plans: Sequence[TaskPlan]) -> None:
        """Make it, or find it, and let these tasks run in it. Raises CannotContain, OSError."""
        wanted = self._wanted
        home = plans[0].environment.get("HOME", "") if plans else ""
        needed = {plans[0].environment.get(name, "") for name in _NEEDED} - {""} if plans else set()
        extra = [Mount(path, path) for path in sorted(needed)]
        if plans:
            with self._identity.for_a_while():  # where the user can't come, it is not shown either
                extra += _way(plans[0].environment.get("CORRAL_ENDPOINT", ""))
        self._box = self._named(home, extra) if wanted.name else self._made(boxes.place_at(self._place), home, extra)
        config = container.image_config(self._image)
        for plan in plans:
            plan.box = self._box
            plan.environment = self._edits.variables(
                container.environment(plan.environment, wanted, config), self._image
            )
            plan.work_dir = wanted.work_dir or config.work_dir or "/"
            if self._order.pod is not None and not plan.argv:
                plan.argv = config.command
            if wanted.entrypoint and config.entrypoint:
                plan.entrypoint = config.entrypoint
                if plan.script < 0:
                    plan.argv = [*config.entrypoint, *plan.argv]

    def _named(self, home: str, extra: Sequence[Mount]) -> Box:
        """As pyxis: one that is there is used as it is; one that runs is joined, unless that is not wanted."""
        wanted = self._wanted
        is_there = os.path.isdir(f"{self._place}/upper")
        if wanted.how == "create" and is_there:
            raise CannotContain(f"container {wanted.name} exists already (--container-name={wanted.name}:create)")
        if not is_there and not wanted.image:
            whose = "in this job" if self._settings.containers.scope == "job" else f"of yours on {self._order.node}"
            raise CannotContain(f"there is no container {wanted.name} {whose}, and no --container-image to make it of")
        door = boxes.Door(self._place, self._order.key.job)
        try:
            found = door.open_elsewhere()
            if found is not None and wanted.how == "no_exec":
                _close(found)
                found = None
            if found is None and wanted.how == "exec":
                raise CannotContain(f"container {wanted.name} does not run (--container-name={wanted.name}:exec)")
            if found is not None:
                box = Box(*found, self._identity, remap_root=bool(wanted.remap_root))
                self._image = self._known_image()
            else:
                box = self._made(boxes.place_at(self._place), home, extra)
            door.note(*box.descriptors)
            return box
        except boxes.UsedByOther as other:
            problem = (
                f"container {wanted.name} is used by job {other} on {self._order.node}: one job may have it at a time"
            )
            raise CannotContain(problem) from None
        finally:
            door.close()

    def _made(self, place: boxes.Place, home: str, extra: Sequence[Mount]) -> Box:
        self._image = self._known_image() if not place.upper_is_new else self._own_image()
        own = list(self._edits.mounts)
        if self._room is not None:
            self._room.prepare()
            own += self._room.mounts()
        last = self._edits.make_links if self._edits.links else None
        extras = Extras(extra, own, partial(lay, file_of(self._settings.names)), last)
        if self._room is not None:
            extras = Extras(extra, own, self._room.lay, last, self._room.trees, self._room.users)
        box = container.make(self._wanted, self._image, place, self._identity, self._order.spec.work_dir, home, extras)
        if self._wanted.name:
            with open(f"{self._place}/of", "wb") as file:
                file.write(os.fsencode(self._image))
        return box

    def _own_image(self) -> str:
        """Which the agent has had fetched."""
        for name in ("image", "no_image"):
            try:
                with open(f"{self._directory}/{name}", "rb") as file:
                    text = file.read()
            except FileNotFoundError:
                continue
            if name == "image":
                return os.fsdecode(text)
            words = f"{self._order.node}: {text.decode(errors='replace')}"
            raise CannotContain(f"{NO_IMAGE}{words}" if self._order.pod is not None else words)
        raise CannotContain(f"{self._order.node}: the image {self._wanted.image} is not here")

    def _known_image(self) -> str:
        """Of a named container that is there."""
        try:
            with open(f"{self._place}/of", "rb") as file:
                return os.fsdecode(file.read())
        except FileNotFoundError:
            return self._own_image()

    # ------------------------------------------------------------------ the end

    def end(self) -> str:
        """All tasks are over: save what is to be saved, and remove what was the step's own. What went wrong, or ""."""
        problem = ""
        if self._wanted.save and self._box is not None:
            problem = self._save(self._wanted.save)
        if self._box is not None:
            self._box.close()
        if not self._wanted.name:
            boxes.remove(self._place)
        elif self._box is not None and os.path.isdir(self._place):
            problem = self._leave() or problem
        return problem

    def _leave(self) -> str:
        """A named one. If it is to be removed, that waits for no other step that has it open: it stays then."""
        door, name = boxes.Door(self._place, self._order.key.job), self._wanted.name
        try:
            door.leave()
            if self._wanted.how != "remove":
                return ""
            found = door.open_elsewhere()
            if found is not None:
                _close(found)
                return f"container {name} is used by another step: it stays"
            boxes.remove(self._place)
        except boxes.UsedByOther as other:
            return f"container {name} is used by job {other}: it stays"
        finally:
            door.close()
        return ""

    def _save(self, path: str) -> str:
        """As squashfs, by the user, from inside."""
        program = shutil.which("mksquashfs")
        if program is None:
            return f"cannot save the container: mksquashfs (squashfs-tools) is not on {self._order.node}"
        target = path if path.startswith("/") else os.path.join(self._order.spec.work_dir, path)
        try:
            with self._identity.for_a_while():
                os.makedirs(os.path.dirname(target), exist_ok=True)
                fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            os.close(fd)
        except OSError as error:
            return f"cannot save the container as {target}: {error.strerror}"
        assert self._box is not None
        place = boxes.place_at(self._place)
        config = container.image_config(self._image)
        return _squashed(self._wanted, config, self._image, place, self._identity, program, target)


def _squashed(
    wanted: Container,
    config: ImageConfig,
    image: str,
    place: boxes.Place,
    identity: Identity,
    program: str,
    target: str,
) -> str:
    """In a child with the overlay mounted anew, so that nothing of the machine is in the way."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            container.show(wanted, image, place, identity)
            with open(f"{place.root}/.corral-image.json", "wb") as file:
                file.write(msgspec.json.encode(config))
            found = subprocess.run(
                [program, place.root, target, "-noappend", "-no-progress", "-all-root", "-e", "proc", "sys", "dev"],
                capture_output=True, check=False,
            )  # fmt: skip
            os.unlink(f"{place.root}/.corral-image.json")
            if found.returncode:
                os.write(write_end, found.stderr[-500:] or b"mksquashfs failed")
        except BaseException as error:
            os.write(write_end, str(error).encode(errors="replace")[:500])
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as file:
        said = file.read().decode(errors="replace").strip()
    os.waitpid(pid, 0)
    return f"cannot save the container as {target}: {said}" if said else ""


def _settled(wanted: Container, settings: ShepherdSettings) -> Container:
    """With what the operator says where the user says nothing."""
    default = settings.containers
    own = [Mount(*one) for text in default.mounts for one in words.mounts(text)]
    there = tuple(mount for mount in own if mount.source in ("tmpfs", "umount") or os.path.exists(mount.source))
    return msgspec.structs.replace(
        wanted,
        mounts=(*there, *wanted.mounts),
        writable=default.writable if wanted.writable is None else wanted.writable,
        mount_home=default.mount_home if wanted.mount_home is None else wanted.mount_home,
        remap_root=default.remap_root if wanted.remap_root is None else wanted.remap_root,
        entrypoint=default.entrypoint if wanted.entrypoint is None else wanted.entrypoint,
    )
