"""All variables of one task on this node: Slurm's, those that name its GPUs, and those by which it finds its cluster."""

import msgspec

from corral.agent import binding, mpsclient
from corral.agent.control import ShepherdSettings
from corral.agent.environment import batch_environment, task_environment
from corral.agent.servicevariables import service_variables
from corral.agent.visibility import naming_of
from corral.agent.way import show_the_way
from corral.model.step import BATCH, TaskPlace
from corral.protocol.orders import LaunchStep
from corral.syntax.rawbytes import restored


def variables_of(
    order: LaunchStep, place: TaskPlace, bound: binding.Bound, settings: ShepherdSettings, *, has_private: bool
) -> dict[str, str]:
    """has_private: somewhere in the order may be characters that stand for bytes (rawbytes.py)."""
    gpus = naming_of(settings.devices, renumber=settings.renumber_gpus)
    if order.key.step == BATCH:
        variables = batch_environment(order, gpus=gpus)
    else:
        if order.gpu_cores and (closest := binding.closest_gpus(order, bound)):
            place = msgspec.structs.replace(place, gpus=closest)
        variables = task_environment(order, place, gpus=gpus)
    if order.mps and settings.mps:
        variables |= mpsclient.variables(settings.mps, settings.devices, order.share.gres, order.job.owner.uid)
    if order.services and order.pod is None:
        variables |= service_variables(order.services)
    variables = show_the_way(variables, order, settings)
    if has_private:
        variables = {restored(name): restored(value) for name, value in variables.items()}
    return variables
