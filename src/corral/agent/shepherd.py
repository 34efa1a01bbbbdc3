"""What does a step's own process on its node do, from the order to the exit record?

One shepherd per step and node, forked by the spawner, as Slurm has slurmstepd. It takes the step's lock, makes the control group,
opens the outputs as the job's owner, starts the tasks, and then waits for whatever comes first: a task's end, a command of the
agent, the time of an escalation, data to be carried between tasks and client. When the last task has ended it kills what the
tasks have left, writes the exit record, tells the agent, and ends when the client has all its output.

It depends on nobody: the agent, its spawner, the bus and the controller may all be killed, and the step goes on.
"""

import os
import signal
import socket
import traceback
from collections.abc import Callable
from functools import partial

import msgspec

from corral.agent import binding, cgroup, messages, processes
from corral.agent import script as scripts
from corral.agent.contained import Contained, Roomy, around
from corral.agent.container import CannotContain
from corral.agent.control import (
    End,
    Execute,
    Executed,
    Exited,
    Notify,
    Sample,
    Sampled,
    Signal,
    Started,
    Suspend,
    bind_datagrams,
    decode_command,
    encode_notice,
)
from corral.agent.entering import Entered
from corral.agent.identity import Identity
from corral.agent.kit import Kit
from corral.agent.outputs import CannotOpen
from corral.agent.plans import plans_of
from corral.agent.pmi import PmiServer
from corral.agent.pmix import CannotServe, PmixServer
from corral.agent.podpart import PodPart
from corral.agent.records import write_record
from corral.agent.sampling import Sampler, io_of
from corral.agent.stdio import StepStreams
from corral.agent.taskprograms import Epilogs
from corral.agent.tasks import TaskPlan, start
from corral.daemon import clock
from corral.model.gres import uuids_held
from corral.model.job import ExitStatus
from corral.model.step import BATCH, EndCause, TaskExit, TaskPlace
from corral.protocol.codec import encode
from corral.protocol.orders import LaunchStep
from corral.protocol.reports import StepFinished
from corral.syntax.rawbytes import restored

#: Slurm's code for a task that could not be set up at all.
_LAUNCH_FAILURE = 53
#: Seconds until an exit record is tried again for which there is no room.
_FULL_DISK_PAUSE = 0.5
#: A step that is over within so many seconds: the spawner begins no other meanwhile.
_SHORT = 0.005
#: A step that is over within so many seconds: only its end is heard of, and it takes no commands.
_UNANNOUNCED = 0.025
#: Seconds after a step's end that an agent which is behind is waited for.
_AGENT_TIMEOUT = 10.0
#: Seconds for the sruns of a cancelled job's script to say how their steps ended.
_LAST_WORDS, _LAST_WORDS_PAUSE = 2.0, 0.05
_MOST_FAULTS = 20
#: Processes named in an answer, so that it fits into a datagram.
_MOST_PIDS = 4000
#: With so much for each task, none of which has begun, the kernel has no reason to look for a victim (vfork.py).
_MUCH_MEMORY_MB = 64


class Shepherd:
    """The state of one step on one node."""

    def __init__(self, directory: str, order: LaunchStep, kit: Kit, *, has_private: bool = True) -> None:
        """has_private: somewhere in the order may be characters that stand for bytes (rawbytes.py)."""
        self.directory, self.order, self.settings = directory, order, kit.settings
        self._kit, self._reactor, self._notices = kit, kit.reactor, kit.notices
        self._restored = restored if has_private else str
        self._has_private = has_private
        self._control: socket.socket | None = None  #: where the agent's commands come in, if it takes so long
        self._reactor.on_child = self._on_child
        self._around: Contained | Roomy | Entered | None = None
        self._is_alone = True  #: nobody is below this process
        self._group: cgroup.Group | None = None
        self._pmi: PmiServer | PmixServer | None = None
        if order.mpi:
            kind = PmiServer if order.mpi == "pmi2" else PmixServer
            self._pmi = kind(order, self._reactor, self._abort)
        peers = self._pmi.peers if self._pmi is not None else None
        self._pod = PodPart(order.pod, order, kit.settings, kit.reactor) if order.pod is not None else None
        log = self._pod.log if self._pod is not None else ""
        self._streams = StepStreams(order, self._reactor, self._signal_all, self.settings.bus_ca, peers, log)
        self._epilogs = Epilogs(order, self._reactor, self._streams.complain)
        self._running: dict[int, TaskPlace] = {}
        self._ended: list[TaskExit] = []
        self._cause = EndCause.EXITED
        self._message = ""
        self._started_at = 0.0
        self._is_frozen = self._has_said_ended = False
        self._escalation: object | None = None
        self._faults = 0
        self._sampler = Sampler(order.sample_seconds, self._own_pids)

    def begin(self) -> None:
        """Start the tasks, or end the step with the reason why that cannot be."""
        try:
            self._begin()
        except (CannotOpen, CannotServe, CannotContain) as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"{error.filename or 'task launch failed'}: {error.strerror}")
        except Exception as error:  # by a dead shepherd the job would be queued again, for ever
            traceback.print_exc()
            self._fail(f"task launch failed: {error}")

    def live(self, on_slow: Callable[[], None]) -> None:
        """Until the last task is over, and all is said of it. `on_slow`: called when that does not come at once."""
        self._reactor.call_later(_SHORT, on_slow)
        self._reactor.call_later(_UNANNOUNCED, self._announce)
        while self._running or self._epilogs.are_running:
            self._turn()
        self._let_sruns_end()
        self._kill_what_is_left()
        self._look_for_oom()
        if self._around is not None and (problem := self._around.end()):
            self._streams.complain(messages.error(problem))
        self._streams.finish(self._ended, self._cause, self._message)
        self._record()
        if self._notices.are_waiting:
            self._reactor.call_later(_AGENT_TIMEOUT, self._notices.give_up)
        while self._notices.are_waiting or not self._streams.is_drained:
            self._turn()

    def _turn(self) -> None:
        """Whatever goes wrong with the client must not cost the tasks the one who waits for them."""
        try:
            self._reactor.run_once()
        except Exception:
            traceback.print_exc()
            self._faults += 1
            if self._faults > _MOST_FAULTS:
                raise
            self._streams.give_up()

    def close(self) -> None:
        if self._pmi is not None:
            self._pmi.close()
        self._epilogs.close()
        if self._pod is not None:
            self._pod.close()
        self._streams.close()
        if self._control is not None:
            self._control.close()
        self._notices.close_step()

    # ------------------------------------------------------------------ beginning

    def _begin(self) -> None:
        order, settings = self.order, self.settings
        shares_cpus = order.job.allocation.sharers > 0
        self._group = cgroup.step_group(
            order.key, order.node, order.job_share, order.share, settings, shares_cpus=shares_cpus,
            cpu_millis=order.pod.cpu_millis if order.pod is not None else 0, resting=self._kit.resting_group(order.job.owner.uid),
        )  # fmt: skip
        identity = Identity(order.job.owner if self._pod is None else self._pod.owner)
        self._started_at = clock.now()
        self._streams.open(identity)
        if isinstance(self._pmi, PmixServer):
            self._pmi.begin(identity)
        if self._pod is not None:
            self._pod.open(identity)
        pod_room = self._pod.room if self._pod is not None else None
        self._around = around(order, self.directory, settings, identity, pod_room)
        argv: list[str] | None = None
        script = -1
        if order.key.step == BATCH:
            is_apart = identity.changes or self._around is not None
            argv, script = scripts.write(order, self.directory, identity, self._restored, is_apart=is_apart)
        host_name = order.node if settings.virtual else ""
        if self._pod is not None:
            host_name = self._pod.host_name or host_name
        entrances = self._group.entrances() if self._group else ()
        try:
            plans = plans_of(
                order, self._kit, identity, self._streams, entrances, argv=argv, script=script, host_name=host_name,
                restored=self._restored, has_private=self._has_private,
            )  # fmt: skip
        except binding.BindingOutside as error:
            self._fail(str(error))
            return
        if self._pmi is not None:
            for plan, place in zip(plans, order.tasks, strict=True):
                plan.pmi_fd, variables = self._pmi.admit(place)
                plan.environment |= variables
        if self._around is not None:
            self._around.put_in(plans)
            for note in self._around.notes:
                self._streams.complain(messages.error(note))
        if self._pod is not None:
            self._pod.complete(plans[0])
        self._epilogs.prepare(plans, order.tasks)
        try:
            self._start(plans)
        finally:
            if script >= 0:
                os.close(script)
        if self._pod is not None:
            self._pod.begun(next(iter(self._running)), self._on_begun)
        self._close_task_ends()
        self._streams.tell_started(tuple(self._running))
        self._streams.connect()
        self._sample_later()

    def _start(self, plans: list[TaskPlan]) -> None:
        places = self.order.tasks
        memory_mb = self.order.share.memory_mb or _MUCH_MEMORY_MB * len(plans)
        pids: list[int | None] = [None] * len(plans)
        self._is_alone = False
        is_simple = plans and plans[0].box is None and self.order.pod is None
        if self._kit.spawn is not None and is_simple and memory_mb >= _MUCH_MEMORY_MB * len(plans):
            pids = self._kit.spawn.start(plans)
        self._running |= {pid: place for pid, place in zip(pids, places, strict=True) if pid}
        for pid, plan, place in zip(pids, plans, places, strict=True):
            if not pid:
                self._running[start(plan)] = place
        for started, place in self._running.items():
            self._sampler.add(started, place)

    def _sample_later(self) -> None:
        if self.order.sample_seconds:
            is_cheap = self._group is not None or processes.children_are_told()
            self._reactor.call_later(self._sampler.pause(is_cheap), self._sample)

    def _sample(self) -> None:
        if self._running:
            self._look()
            self._sample_later()

    def _look(self) -> None:
        if self.order.share.gres and not self.settings.virtual:
            self._sampler.watch_gpus(uuids_held(self.order.share.gres, self.settings.devices))
        self._sampler.look()

    def _own_pids(self) -> list[int]:
        return processes.descendants(os.getpid()) if self._group is None else self._group.pids()

    def _close_task_ends(self) -> None:
        self._streams.close_task_ends()
        if self._pmi is not None:
            self._pmi.close_task_ends()

    def _fail(self, message: str) -> None:
        """It could not be started; what had begun is killed."""
        self._cause, self._message = EndCause.LAUNCH_FAILED, message
        self._close_task_ends()
        self._streams.complain(messages.error(message))
        self._streams.connect()
        now = clock.now()
        started = {place.rank for place in self._running.values()}
        self._ended += [
            TaskExit(place.rank, ExitStatus(0, _LAUNCH_FAILURE), now)
            for place in self.order.tasks
            if place.rank not in started
        ]
        self._signal_all(signal.SIGKILL)

    # ------------------------------------------------------------------ ending

    def _on_child(self) -> None:
        self._reap()

    def _reap(self) -> bool:
        """Note who has ended. False: nobody is below this process any more."""
        while not self._is_alone:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if dead is None:
                    return True
                io = io_of(dead.si_pid)  # to be seen only until it is waited for
                pid, status, usage = os.wait4(dead.si_pid, 0)
            except ChildProcessError:
                self._is_alone = True
                break
            self._sampler.ended(pid, io, usage)
            if (place := self._running.pop(pid, None)) is not None:
                if not self._epilogs.begin(place, status):
                    self._on_task_over(place, status)
            elif self._pod is not None and self._pod.ended(pid, status):
                continue
            elif (over := self._epilogs.ended(pid, status)) is not None:
                self._on_task_over(*over)
        return False

    def _on_task_over(self, place: TaskPlace, status: int) -> None:
        self._ended.append(TaskExit(place.rank, ExitStatus.from_wait(status), clock.now()))
        self._streams.tell_ended(place, status)

    def _let_sruns_end(self) -> None:
        """The script of a cancelled job is dead before its sruns, which have yet to hear how their tasks ended, and to say it."""
        if self.order.key.step != BATCH or self._cause is not EndCause.CANCELLED:
            return
        until = clock.monotonic() + _LAST_WORDS
        while clock.monotonic() < until and any(processes.name_of(pid) == "srun" for pid in self._all_pids()):
            self._reactor.run_once(_LAST_WORDS_PAUSE)
            self._reap()

    def _kill_what_is_left(self) -> None:
        """Background processes of the tasks, wherever they have gone. Who runs from number to number is made to stand still first."""
        if self._is_frozen:
            self._thaw()
        pause, holds = 0.002, False
        while self._reap() or (self._group is not None and self._group.pids()):
            if holds:
                self._freeze()
                self._reactor.run_once(pause)
            processes.signal_all(self._all_pids(), signal.SIGKILL)
            if holds:
                self._thaw()
            self._reactor.run_once(pause)
            pause, holds = min(pause * 2, 0.5), self._group is not None

    def _look_for_oom(self) -> None:
        if self._group is None:
            return
        self._sampler.memory_peak(self._group.memory_peak())
        if times := self._group.oom_kills():
            self._streams.complain(messages.out_of_memory(self.order.key, times))
            if self._cause is EndCause.EXITED:
                self._cause = EndCause.OUT_OF_MEMORY
        self._kit.leave_group(self._group, self.order.job.owner.uid, may_rest=self.order.key.step == BATCH)

    def _record(self) -> None:
        """Write the exit record, and only then tell the agent."""
        order = self.order
        record = StepFinished(
            agent="",
            node=order.node,
            key=order.key,
            tasks=tuple(sorted(self._ended, key=lambda task: task.rank)),
            cause=self._cause,
            message=self._message,
            started=self._started_at,
            ended=clock.now(),
            used=self._sampler.usage(),
            words=self._pod.last_words() if self._pod is not None else "",
        )
        data = encode(record)
        while not write_record(self.directory, data):
            self._reactor.run_once(_FULL_DISK_PAUSE)
        self._notices.send(encode_notice(Exited(order.node, order.key, data)))

    # ------------------------------------------------------------------ commands

    def _announce(self) -> None:
        """Listen, and say so. Most steps of a moment need neither."""
        try:
            self._control = bind_datagrams(f"{self.directory}/ctl")
        except OSError:
            self._reactor.call_later(_FULL_DISK_PAUSE, self._announce)
            return
        self._reactor.add_reader(self._control.fileno(), self._on_control)
        if self._pod is None or not self._pod.is_starting:
            self._say_started()

    def _say_started(self) -> None:
        self._notices.send(encode_notice(Started(self.order.node, self.order.key, self._started_at)))

    def _on_begun(self, problem: str) -> None:
        """A Pod's first hook is over."""
        if problem:
            self._message = problem
            self._end("pod", 0.0, clock.now(), cause=EndCause.LAUNCH_FAILED)
            return
        with open(f"{self.directory}/begun", "wb"):
            pass  # an agent that has heard nothing looks for it
        if self._control is not None:
            self._say_started()

    def _on_control(self) -> None:
        assert self._control is not None
        while True:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            try:
                command = decode_command(data)
            except msgspec.MsgspecError:
                continue
            match command:
                case Signal():
                    self._on_signal(command)
                case End():
                    self._end(command.reason or "cancelled", command.kill_after, 0.0)
                case Notify(message=message):
                    self._streams.notify(message)
                case Sample(query=query):
                    self._answer(query)
                case Execute() if self._pod is not None:
                    answer = partial(self._on_executed, command.query)
                    self._pod.execute(command.command, command.timeout, answer)
                case Suspend(thaw=thaw):
                    self._thaw() if thaw else self._freeze()

    def _answer(self, query: int) -> None:
        """What is used now. Who asked may ask again: an answer that finds no room is dropped."""
        self._look()
        order, sampler = self.order, self._sampler
        sampled = Sampled(order.node, order.key, query, sampler.usage(live=True), sampler.pids()[:_MOST_PIDS])
        self._notices.try_once(encode_notice(sampled))

    def _on_executed(self, query: int, status: int, said: bytes) -> None:
        executed = Executed(self.order.node, self.order.key, query, os.waitstatus_to_exitcode(status), said)
        self._notices.try_once(encode_notice(executed))

    def _on_signal(self, command: Signal) -> None:
        if command.reason or command.kill_after is not None:
            self._end(command.reason, command.kill_after, command.at, command.signal)
            return
        if command.signal in (signal.SIGTERM, signal.SIGKILL):
            self._say_ended("cancelled", command.at, of_signal=True)
        if command.only_shell:
            processes.signal_all(list(self._running), command.signal)
        else:
            self._signal_all(command.signal)

    def _say_ended(self, reason: str, at: float, of_signal: bool = False) -> None:
        """Once, and by the first node only."""
        order = self.order
        if not self._has_said_ended and order.pod is None and order.node == (order.step_nodes or (order.node,))[0]:
            text = messages.ended_by_order(order.key, str(order.job.job_id), order.node, reason, at or clock.now())
            self._streams.complain(text, of_signal=of_signal)
        self._has_said_ended = True

    def _end(
        self,
        reason: str,
        kill_after: float | None,
        at: float,
        number: int = signal.SIGTERM,
        *,
        cause: EndCause = EndCause.CANCELLED,
    ) -> None:
        """By an order (or a task's wish): told in the step's standard error, SIGTERM, and SIGKILL for what is left after a while."""
        if not self._running and not self._epilogs.are_running:
            return self._streams.give_up()
        self._cause = cause
        if reason:
            self._say_ended(reason, at)
        if self._is_frozen:
            self._thaw()
        if not kill_after and kill_after is not None:
            number = signal.SIGKILL
        if self._pod is not None and number != signal.SIGKILL:
            kill_after = self._pod.run.grace if kill_after is None else kill_after
            if self._pod.before_end(lambda: self._signal_all(signal.SIGTERM)):
                number = signal.SIGCONT
        self._streams.hang_up()
        self._signal_all(signal.SIGCONT)
        self._signal_all(number)
        if kill_after and number != signal.SIGKILL:
            self._reactor.cancel(self._escalation)
            self._escalation = self._reactor.call_later(kill_after, lambda: self._signal_all(signal.SIGKILL))

    def _abort(self) -> None:
        """By a task's MPI_Abort, here or on another node."""
        if self._cause is EndCause.EXITED:
            self._end("cancelled", 0.0, clock.now(), cause=EndCause.ABORTED)

    def _signal_all(self, number: int) -> None:
        processes.signal_all(self._all_pids(), number)

    def _all_pids(self) -> list[int]:
        pids = processes.descendants(os.getpid())
        if self._group is not None:
            pids = [*dict.fromkeys([*self._group.pids(), *pids])]
        return pids

    def _freeze(self) -> None:
        self._is_frozen = True
        if self._group is not None:
            self._group.freeze()
        else:
            self._signal_all(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._is_frozen = False
        if self._group is not None:
            self._group.thaw()
        else:
            self._signal_all(signal.SIGCONT)
