"""What does a shepherd do more for a container of a Pod: its log, its network, its hooks, commands inside it?"""

import os
import pwd
import resource
import signal
import socket
from collections.abc import Callable
from functools import partial

import msgspec

from corral.agent import entering, podrun
from corral.agent.confine import Confinement
from corral.agent.contained import room_of
from corral.agent.container import CannotContain
from corral.agent.control import ShepherdSettings
from corral.agent.httpwords import request, status_of
from corral.agent.identity import Identity
from corral.agent.podroom import PodRoom
from corral.agent.processes import has_capability
from corral.agent.reactor import Reactor
from corral.agent.tasks import TaskPlan, start
from corral.agent.unwell import NotWell
from corral.model.job import Owner
from corral.protocol.orders import LaunchStep
from corral.protocol.pods import EVICTED, Check, PodRun

_CAP_SYS_RESOURCE = 24
#: Bytes kept of what a command says.
_MOST_SAID = 1024
#: Seconds between two looks at how full volumes are.
_LOOK_SECONDS = 10.0
#: Seconds that a hook's HTTP request may take.
_REQUEST_SECONDS = 30.0

OnEnd = Callable[[int, bytes], None]


class _Command:
    """One that runs."""

    def __init__(self, fd: int, on_end: OnEnd) -> None:
        self.fd, self.on_end = fd, on_end
        self.said = b""
        self.timer: object | None = None


class PodPart:
    """Of one step."""

    def __init__(self, run: PodRun, order: LaunchStep, settings: ShepherdSettings, reactor: Reactor) -> None:
        self.run = run
        self.log = podrun.log_path(run, order.node, settings.pods)
        self._order, self._settings, self._reactor = order, settings, reactor
        self._network = (-1, -1)
        self._plan: TaskPlan | None = None
        self._commands: dict[int, _Command] = {}
        self._stopping = False
        self._confined = Confinement()
        self._on_over: Callable[[str], None] = lambda words: None
        self.room: PodRoom | None = None
        self.is_starting = run.post_start is not None  #: its first hook is not yet over

    @property
    def host_name(self) -> str:
        return "" if self.run.host_network else self.run.host_name

    @property
    def owner(self) -> Owner:
        """As whom its program runs: the job's owner, or whom a Pod of root's names."""
        owner, other = self._order.job.owner, self.run.run_as
        if other is None or os.geteuid() != 0:
            return owner
        try:
            name = pwd.getpwuid(other[0]).pw_name
        except KeyError:
            name = str(other[0])
        return Owner(uid=other[0], gid=other[1], user=name, group=str(other[1]))

    def open(self, identity: Identity) -> None:
        """Raises OSError, CannotContain."""
        for gid in self.run.groups:
            if self._order.job.owner.uid != 0 and gid not in (identity.gid, *(identity.groups or os.getgroups())):
                raise CannotContain(f"securityContext.fsGroup {gid}: {self._order.job.owner.user} is not in that group")
            if identity.changes and gid not in identity.groups:
                identity.groups.append(gid)
        for gid in self.run.more_groups:
            if identity.changes and self._order.job.owner.uid != 0 and gid not in identity.groups:
                raise CannotContain(
                    f"securityContext.supplementalGroups {gid}: {self._order.job.owner.user} is not in that group"
                )
            if identity.changes and gid not in identity.groups:
                identity.groups.append(gid)
            elif not identity.changes and gid not in (identity.gid, *os.getgroups()):
                raise CannotContain(f"securityContext.supplementalGroups {gid}: only root's agent gives groups")
        order, settings = self._order, self._settings
        self.room = PodRoom(
            order, self.run, settings.boxes, identity, room_of(order, settings, identity), settings.names
        )
        self._network = podrun.network_of(self._order, self._settings.boxes)

    def complete(self, plan: TaskPlan) -> None:
        podrun.complete(plan, self._order, self._network, self._settings.boxes)
        run = self.run
        self._confined = Confinement(run.no_new_privileges, run.drop, run.keep, run.filter_calls)
        if self._confined:
            plan.before = (*plan.before, self._confined)
        if run.locks_memory:
            _let_lock_memory(plan)
        self._plan = plan

    def last_words(self) -> str:
        left = self.room.last_words() if self.room is not None else ""
        return left or podrun.last_words(self.log)

    # ------------------------------------------------------------------ hooks

    def begun(self, pid: int, on_over: Callable[[str], None]) -> None:
        """The program runs: postStart. What went wrong with it, or ""."""
        assert self._plan is not None
        self._on_over = on_over
        if any(volume.size_mb for volume in self.run.volumes):
            self._reactor.call_later(_LOOK_SECONDS, self._look)
        entering.note(self._order, self._settings.boxes, pid, self._plan.work_dir, self._confined)
        if self.run.post_start is None:
            return

        def over(status: int, said: bytes) -> None:
            self.is_starting = False
            words = said.decode(errors="replace").strip()
            on_over(
                "" if not status else f"PostStartHookError: exit status {os.waitstatus_to_exitcode(status)}: {words}"
            )

        self._hook(self.run.post_start, over)

    def _look(self) -> None:
        """Have its volumes grown beyond what they may?"""
        if self.room is not None and (words := self.room.too_full()):
            self._on_over(f"{EVICTED}{words}")
        else:
            self._reactor.call_later(_LOOK_SECONDS, self._look)

    def before_end(self, go_on: Callable[[], None]) -> bool:
        """Once: preStop. False: there is none; it has begun before."""
        if self._stopping or self.run.pre_stop is None or self._plan is None:
            return self._stopping and bool(self._commands)
        self._stopping = True
        self._hook(self.run.pre_stop, lambda status, said: go_on())
        return True

    def _hook(self, hook: Check, on_end: OnEnd) -> None:
        if hook.how == "sleep":
            self._reactor.call_later(hook.seconds, lambda: on_end(0, b""))
        elif hook.how == "exec":
            self.execute(hook.command, None, on_end)
        else:
            self._begin(on_end, None, before=(partial(_asked, hook),))

    # ------------------------------------------------------------------ commands

    def execute(self, command: tuple[str, ...], timeout: float | None, on_end: OnEnd) -> None:
        """Inside the container, as its program runs."""
        self._begin(on_end, timeout, argv=command)

    def _begin(self, on_end: OnEnd, timeout: float | None, **changes: object) -> None:
        if self._plan is None:
            return on_end(256, b"the container does not run")
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        fields = {
            "is_terminal": False,
            "note": ("", ""),
            "before": (self._confined,) if self._confined else (),
            "entrypoint": (),
            "script": -1,
            "pmi_fd": -1,
        } | changes
        try:
            pid = start(msgspec.structs.replace(self._plan, streams=(null, write_end, write_end), **fields))
        except OSError as error:
            os.close(read_end)
            return on_end(256, (error.strerror or "").encode())
        finally:
            os.close(null)
            os.close(write_end)
        os.set_blocking(read_end, False)
        command = self._commands[pid] = _Command(read_end, on_end)
        self._reactor.add_reader(read_end, partial(self._on_readable, command))
        if timeout is not None:
            command.timer = self._reactor.call_later(timeout, lambda: _kill(pid))

    def _on_readable(self, command: _Command) -> None:
        self._read(command)

    def _read(self, command: _Command) -> bool:
        """False: nothing more comes now."""
        try:
            data = os.read(command.fd, 65536)
        except BlockingIOError:
            return False
        command.said = (command.said + data)[:_MOST_SAID]
        if not data:
            self._reactor.remove_reader(command.fd)
        return bool(data)

    def ended(self, pid: int, status: int) -> bool:
        """Was it one of these commands?"""
        command = self._commands.pop(pid, None)
        if command is None:
            return False
        while self._read(command):
            pass
        self._reactor.cancel(command.timer)
        self._reactor.forget(command.fd)
        os.close(command.fd)
        command.on_end(status, command.said)
        return True

    def close(self) -> None:
        for command in self._commands.values():
            self._reactor.forget(command.fd)
            os.close(command.fd)
        self._commands.clear()
        podrun.close(self._network)


def _let_lock_memory(plan: TaskPlan) -> None:
    """IPC_LOCK is the right to lock more than RLIMIT_MEMLOCK: here that has no limit. Raises CannotContain."""
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if most != resource.RLIM_INFINITY and not has_capability(_CAP_SYS_RESOURCE):
        raise CannotContain("securityContext.capabilities.add IPC_LOCK: this node's agent may not lift RLIMIT_MEMLOCK")
    limits = [one for one in plan.rlimits if one[0] != resource.RLIMIT_MEMLOCK]
    plan.rlimits = [*limits, (resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))]


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            pass


def _asked(hook: Check, environment: dict[str, str]) -> None:
    """In the container's network, in a process that does nothing else."""
    try:
        _ask(hook)
        os._exit(0)
    except (NotWell, OSError) as error:
        os.write(2, str(error).encode())
    finally:
        os._exit(1)


def _ask(hook: Check) -> None:
    host = hook.host or "127.0.0.1"
    with socket.create_connection((host, hook.port), timeout=_REQUEST_SECONDS) as plain:
        if hook.how == "tcp":
            return
        sock: socket.socket = plain
        if hook.how == "https":
            import ssl  # seldom, and large

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(plain)
        sock.sendall(request(hook, host, hook.port))
        with sock.makefile("rb") as file:
            status = status_of(file.readline(4096))
        if not 200 <= status < 400:
            raise NotWell(f"HTTP status {status}")
