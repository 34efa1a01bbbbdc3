"""How far in front does an association stand by what it has used, beside its share? Slurm's fair tree.

Theory: among its siblings a node's level is its part of the shares over its part of what all siblings have used; infinite if it has
used nothing. The tree is walked from the root, siblings by falling level, into the children before the next sibling; siblings of equal
level are walked as one. The users met get ranks from the first to the last, equal ones the same, and the factor is the rank over
the number of users. So a user of a group that has used less than its share stands before every user of one that has used more.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec

#: Shares that say: as if the users were right below the account above.
PARENT = 0x7FFFFFFF


class Node(msgspec.Struct, frozen=True):
    """An association, as the tree sees it."""

    id: int
    parent: int  #: 0 = it is the root
    shares: int
    is_user: bool
    usage: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    shares: float = 0.0  #: its part of its siblings' shares
    usage: float = 0.0  #: its part of all that was used
    effective: float = 0.0  #: its part of what all of the account above have used
    level: float = math.inf
    factor: float = 0.0  #: of a user: 1 = nobody stands further in front
    siblings: int = 1  #: the sum of the shares that it competes with, its own among them


def _as_tree(nodes: Iterable[Node]) -> tuple[Node | None, dict[int, Node], dict[int, list[Node]]]:
    """The root, all by their ids, and the children of each."""
    known = {node.id: node for node in nodes}
    children: dict[int, list[Node]] = {}
    root: Node | None = None
    for node in known.values():
        if not node.parent:
            root = node
        else:
            children.setdefault(_above(node, known), []).append(node)
    return root, known, children


def fair_tree(nodes: Iterable[Node]) -> dict[int, Standing]:
    root, known, children = _as_tree(nodes)
    if root is None:
        return {}
    found: dict[int, Standing] = {}
    everything = root.usage
    found[root.id] = Standing(effective=1.0 if everything else 0.0, usage=1.0 if everything else 0.0)
    for above, siblings in children.items():
        shares = sum(node.shares for node in siblings if node.shares != PARENT)
        for node in siblings:
            found[node.id] = _standing(node, shares, known[above].usage, everything)
    users = sum(1 for node in known.values() if node.is_user)
    rank = users
    ahead: list[list[Node]] = _by_level(children.get(root.id, []), found)
    while ahead:
        alike = ahead.pop(0)
        own = [node for node in alike if node.is_user]
        for node in own:
            found[node.id] = msgspec.structs.replace(found[node.id], factor=rank / users)
        rank -= len(own)
        below = [child for node in alike if not node.is_user for child in children.get(node.id, [])]
        ahead[:0] = _by_level(below, found)
    for node in sorted(known.values(), key=lambda node: node.is_user):
        if node.shares == PARENT and node.parent in found:
            found[node.id] = msgspec.structs.replace(found[node.id], shares=found[node.parent].shares)
    return found


def classic(nodes: Iterable[Node], dampening: int = 1, is_depth_oblivious: bool = False) -> dict[int, Standing]:
    """NO_FAIR_TREE: the factor is 2 to the power of minus (effective usage over shares, both of all there is, over the dampening).

    Shares are the product of those of all levels. What an account's children have used counts for each of them in part: its effective
    usage is its own, and its share of the rest of the account's. With DEPTH_OBLIVIOUS that goes by the ratio of usage to shares instead.
    """
    root, _, children = _as_tree(nodes)
    if root is None:
        return {}
    found = {
        root.id: Standing(
            shares=1.0, effective=1.0, usage=1.0 if root.usage else 0.0, factor=0.5 ** (1 / dampening), level=0.0
        )
    }
    ahead = [root]
    while ahead:
        above = ahead.pop()
        below = children.get(above.id, [])
        shares = sum(node.shares for node in below if node.shares != PARENT)
        for node in below:
            usage = min(1.0, node.usage / root.usage) if root.usage else 0.0
            norm = found[above.id].shares
            if node.shares != PARENT:
                norm *= node.shares / shares if shares else 0.0
            found[node.id] = Standing(shares=norm, usage=usage, level=0.0, siblings=shares)
        siblings = sum(found[node.id].usage for node in below if node.shares != PARENT)
        for node in below:
            own, higher = found[node.id], found[above.id]
            effective = own.usage
            if node.shares == PARENT:
                effective = higher.effective
            elif above is not root and is_depth_oblivious:
                effective = _whatever_the_depth(own, higher, siblings)
            elif above is not root:
                part = node.shares / shares if shares else 1.0
                effective = own.usage + (higher.effective - own.usage) * part
            factor = 2.0 ** -(effective / own.shares / dampening) if own.shares > 0 else 0.0
            found[node.id] = msgspec.structs.replace(own, effective=effective, factor=factor)
            if not node.is_user:
                ahead.append(node)
    return found


#: Slurm's: the higher, the more it counts when an account has used less than its share.
_WEIGHT_OF_PARENT = 5.0


def _whatever_the_depth(own: Standing, above: Standing, siblings: float) -> float:
    """Its ratio of usage to shares is the account's, times its own among its siblings as far as that does not bring it back to 1."""
    if not (own.shares and above.shares and above.effective and own.usage):
        return own.usage
    ratio = above.effective / above.shares
    among = own.usage / own.shares / (siblings / above.shares)
    power = 1.0
    if math.log(ratio) * math.log(among) < 0:
        power = 1 / (1 + (_WEIGHT_OF_PARENT * math.log(ratio)) ** 2)
    return float(ratio * among**power * own.shares)


def _above(node: Node, known: Mapping[int, Node]) -> int:
    """Below whom it competes: an account with fairshare=parent hands its children to the one above it."""
    parent = known.get(node.parent)
    while parent is not None and parent.shares == PARENT and parent.parent:
        parent = known.get(parent.parent)
    return parent.id if parent is not None else 0


def _standing(node: Node, shares: float, used: float, everything: float) -> Standing:
    share = node.shares / shares if shares and node.shares != PARENT else 0.0
    effective = node.usage / used if used else 0.0
    if node.shares == PARENT:
        level = math.inf
    elif not share:
        level = 0.0
    else:
        level = share / effective if effective else math.inf
    return Standing(
        shares=share,
        usage=node.usage / everything if everything else 0.0,
        effective=effective,
        level=level,
        siblings=int(shares),
    )


def _by_level(nodes: list[Node], found: Mapping[int, Standing]) -> list[list[Node]]:
    """The furthest in front first; those of one level together."""
    ordered = sorted(nodes, key=lambda node: (-found[node.id].level, node.id))
    groups: list[list[Node]] = []
    for node in ordered:
        if groups and found[groups[-1][0].id].level == found[node.id].level:
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups
