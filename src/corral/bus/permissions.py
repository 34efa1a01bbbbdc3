"""Who may say what to whom? The rights that go into each program's credentials."""

from dataclasses import dataclass
from enum import Enum

from corral.bus import subjects


class StepRole(Enum):
    """The two ends of a step's input and output."""

    CLIENT = "client"  #: srun, salloc, sattach
    SHEPHERD = "shepherd"  #: the step's process on a node


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that may be published and subscribed to; `*` and `>` as in subscriptions."""

    publish: tuple[str, ...] = (">",)
    subscribe: tuple[str, ...] = (">",)
    may_reply: bool = False  #: answer a request under whatever subject it asks for
    inbox: str = "_INBOX"  #: where the replies to its own requests go

    def may_publish(self, subject: str) -> bool:
        return any(subjects.matches(pattern, subject) for pattern in self.publish)

    def may_subscribe(self, subject: str) -> bool:
        return any(subjects.matches(pattern, subject) for pattern in self.subscribe)


EVERYTHING = Permissions()


def controller(cluster: str) -> Permissions:
    everything = f"{subjects.cluster(cluster)}.>"
    inbox = subjects.controller_inbox(cluster)
    return Permissions(publish=(everything,), subscribe=(f"{inbox}.>", everything), may_reply=True, inbox=inbox)


def agent(cluster: str, name: str, nodes: tuple[str, ...]) -> Permissions:
    """Orders of its own nodes, its own reports, and the streams of steps, which it hands to its shepherds."""
    inbox = subjects.agent_inbox(cluster, name)
    streams = f"{subjects.cluster(cluster)}.io.*"
    return Permissions(
        publish=(
            subjects.reports(cluster, name, nodes),
            f"{streams}.client",
            f"{streams}.peers",
            f"{streams}.peers.first",
        ),
        subscribe=(
            subjects.acks(cluster, name),
            f"{inbox}.>",
            *(subjects.orders(cluster, node) for node in nodes),
            f"{streams}.tasks",
            f"{streams}.peers",
            f"{streams}.peers.first",
            *(f"{streams}.tasks.{subjects.token(node)}" for node in nodes),
        ),
        may_reply=True,
        inbox=inbox,
    )


def step(cluster: str, key: str, role: StepRole, node: str | None = None) -> Permissions:
    """One end of one step's streams; a shepherd's may be narrowed to its node."""
    to_client, to_tasks = subjects.step_to_client(cluster, key), subjects.step_to_tasks(cluster, key)
    if role is StepRole.CLIENT:
        return Permissions(publish=(to_tasks, f"{to_tasks}.*"), subscribe=(to_client,))
    own = f"{to_tasks}.{'*' if node is None else subjects.token(node)}"
    peers = subjects.step_peers(cluster, key), subjects.step_first_peer(cluster, key)
    return Permissions(publish=(to_client, *peers), subscribe=(to_tasks, own, *peers))
