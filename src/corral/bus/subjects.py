"""Under which name does which message travel?

    corral.<cluster>.node.<node>.orders         controller -> agent that serves the node
    corral.<cluster>.agent.<agent>.reports.<mark>  agent -> controller; the mark stands for its nodes
    corral.<cluster>.agent.<agent>.acks         controller -> agent: these reports are committed
    corral.<cluster>.agent.<agent>.inbox.>      replies to an agent's requests
    corral.<cluster>.controller.inbox.>         replies to the controller's requests
    corral.<cluster>.io.<step>.client           shepherds -> attached client
    corral.<cluster>.io.<step>.tasks            attached client -> all shepherds of the step
    corral.<cluster>.io.<step>.tasks.<node>     attached client -> one shepherd
    corral.<cluster>.io.<step>.peers            a shepherd of the step -> all of them
    corral.<cluster>.io.<step>.peers.first      the shepherds -> the one on the step's first node

Names may hold any character: what has a meaning in a subject is written as %XX, so that node `a.b` and step `42.0`
are one token each.
"""

from __future__ import annotations

from corral.bus.errors import BadSubject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+[],:@=~")


def token(name: str) -> str:
    """A name as one token of a subject."""
    if not name:
        raise BadSubject(name=name)
    if _PLAIN.issuperset(name):
        return name
    return "".join(c if c in _PLAIN else "".join(f"%{byte:02X}" for byte in c.encode()) for c in name)


def name_of(text: str) -> str:
    """The name that `token` made this token of."""
    if "%" not in text:
        return text
    head, *coded = text.split("%")
    try:
        name = (head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in coded)).decode()
    except ValueError as error:
        raise BadSubject(name=text) from error
    if token(name) != text:
        raise BadSubject(name=text)
    return name


def cluster(name: str) -> str:
    """Everything of one cluster begins so."""
    return f"corral.{token(name)}"


def orders(cluster_name: str, node: str) -> str:
    return f"corral.{token(cluster_name)}.node.{token(node)}.orders"


def reports(cluster_name: str, agent: str, nodes: Iterable[str]) -> str:
    """An agent's credentials allow this subject and no other: so nobody can speak for other nodes than its own."""
    return f"corral.{token(cluster_name)}.agent.{token(agent)}.reports.{mark_of(nodes)}"


def all_reports(cluster_name: str) -> str:
    return f"corral.{token(cluster_name)}.agent.*.reports.*"


def reporter(subject: str) -> tuple[str, str]:
    """The agent whose reports come under this subject, and the mark of its nodes."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[2] != "agent":
        raise BadSubject(name=subject)
    return name_of(parts[3]), parts[5]


def mark_of(nodes: Iterable[str]) -> str:
    """The same for the same set of names only."""
    from hashlib import sha256  # srun, which must start at once, needs none

    return sha256("\n".join(sorted(nodes)).encode()).hexdigest()[:32]


def acks(cluster_name: str, agent: str) -> str:
    return f"corral.{token(cluster_name)}.agent.{token(agent)}.acks"


def agent_inbox(cluster_name: str, agent: str) -> str:
    return f"corral.{token(cluster_name)}.agent.{token(agent)}.inbox"


def controller_inbox(cluster_name: str) -> str:
    return f"corral.{token(cluster_name)}.controller.inbox"


def step_to_client(cluster_name: str, step: str) -> str:
    return f"corral.{token(cluster_name)}.io.{token(step)}.client"


def step_to_tasks(cluster_name: str, step: str, node: str | None = None) -> str:
    """To all shepherds of a step, or to the one on `node`."""
    everyone = f"corral.{token(cluster_name)}.io.{token(step)}.tasks"
    return everyone if node is None else f"{everyone}.{token(node)}"


def step_peers(cluster_name: str, step: str) -> str:
    """From a shepherd to all of its step."""
    return f"corral.{token(cluster_name)}.io.{token(step)}.peers"


def step_first_peer(cluster_name: str, step: str) -> str:
    """From the shepherds of a step to the one on its first node."""
    return f"{step_peers(cluster_name, step)}.first"


def matches(pattern: str, subject: str) -> bool:
    """Does a subscription to `pattern` get messages of `subject`? Also: does the first include the second?"""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or given[index] == ">" or (part != given[index] and part != "*"):
            return False
    return len(wanted) == len(given)


def check(subject: str, *, wildcards: bool = False) -> str:
    """The subject, if the server would take it; BadSubject otherwise."""
    parts = subject.split(".")
    for index, part in enumerate(parts):
        is_wild = part == "*" or (part == ">" and index == len(parts) - 1)
        if is_wild and wildcards:
            continue
        if not part or any(c in "*>" or c.isspace() or c < " " for c in part):
            raise BadSubject(name=subject)
    return subject
