"""How do commands inside a job find their cluster?

On the controller's own machine by its socket. Elsewhere by HTTPS, with a token that the controller sends along and that is good as
long as the job is there.
"""

import os

from corral.agent.control import ShepherdSettings
from corral.agent.environment import STEP_MARK, step_mark
from corral.model.step import StepKey
from corral.protocol.orders import LaunchStep

#: Whose processes they are, of all clusters that may have a node and a job of the same names on this machine.
ORIGIN_MARK = "CORRAL_ORIGIN"


def show_the_way(variables: dict[str, str], order: LaunchStep, settings: ShepherdSettings) -> dict[str, str]:
    """The same variables, with those by which the cluster is found, and the process by its agent."""
    variables |= marks(order.node, order.key, settings)
    variables.pop("CORRAL_TOKEN", None)
    if not settings.endpoint:
        return variables
    if os.path.exists(settings.endpoint.removeprefix("unix://")):
        variables["CORRAL_ENDPOINT"] = settings.endpoint
    elif order.api is not None:
        variables["CORRAL_ENDPOINT"], variables["CORRAL_TOKEN"] = order.api.url, order.api.token
        if settings.api_ca:
            variables["CORRAL_CA"] = settings.api_ca
    elif not variables.get("CORRAL_ENDPOINT", "").startswith("https://"):  # else the user knows a way
        variables["CORRAL_ENDPOINT"] = settings.endpoint
    return variables


def marks(node: str, key: StepKey, settings: ShepherdSettings) -> dict[str, str]:
    """In the first environment of every process of this step."""
    found = {STEP_MARK: step_mark(node, key)}
    return found | {ORIGIN_MARK: settings.endpoint} if settings.endpoint else found
