"""What does each task of a step need to begin: its program, its variables, its place, its streams?"""

from collections.abc import Callable, Sequence
from functools import partial

from corral.agent import binding, cgroup, cpus
from corral.agent.control import ShepherdSettings
from corral.agent.identity import Identity, without
from corral.agent.kit import Kit
from corral.agent.receiving import receive
from corral.agent.relaying import relay
from corral.agent.stdio import StepStreams
from corral.agent.taskprograms import prologs_of, run_prolog
from corral.agent.tasks import TaskPlan, program_of
from corral.agent.variables import variables_of
from corral.protocol.orders import LaunchStep


def plans_of(
    order: LaunchStep, kit: Kit, identity: Identity, streams: StepStreams,
    entrances: Sequence[tuple[str, int]], *,
    argv: Sequence[str] | None, script: int, host_name: str, restored: Callable[[str], str], has_private: bool,
) -> list[TaskPlan]:  # fmt: skip
    """argv, script: of a batch script. Raises BindingOutside."""
    bounds = binding.bind(order)
    rlimits = kit.rlimits(without(order.spec.rlimits or order.job.spec.rlimits, order.rlimits_left))
    before: list[Callable[[dict[str, str]], None]] = [partial(run_prolog, program) for program in prologs_of(order)]
    if order.spec.is_hidden:
        before.append(relay if order.spec.transfer is None else partial(receive, order.spec.transfer))
    view = kit.view.descriptor()
    return [
        TaskPlan(
            identity=identity,
            work_dir=restored(order.spec.work_dir),
            umask=order.spec.umask,
            rlimits=rlimits,
            entrances=entrances,
            argv=[restored(word) for word in argv or program_of(place.rank, order.spec.multi_prog) or order.spec.argv],
            environment=variables_of(order, place, bound, kit.settings, has_private=has_private),
            streams=streams.of_task(place),
            cpus=_cpus_of(order, bound, kit.settings),
            note=binding.verbose_line(order, place, bound),
            script=script,
            host_name=host_name,
            view=view,
            is_terminal=streams.has_terminal(place),
            before=before,
        )
        for place, bound in zip(order.tasks, bounds, strict=True)
    ]


def _cpus_of(order: LaunchStep, bound: binding.Bound, settings: ShepherdSettings) -> tuple[int, ...]:
    """By affinity to its own CPUs where it has some, and to its step's where no cpuset does it."""
    if settings.virtual:
        return ()
    if bound.cpus:
        return cpus.kernels(bound.cpus) or ()
    limits = cgroup.limits_of(order.share, settings)
    return () if limits.cpus is None else limits.cpus
