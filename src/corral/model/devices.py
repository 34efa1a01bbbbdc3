"""Which devices has a node, when what its agent found and what the operator says of it are put together?

What is said wins, and what was found fills in the rest: files, links, cores. Units keep the order in which they were found, since the agent
and the controller both count them so.
"""

from collections.abc import Sequence

import msgspec

from corral.model.cluster import GresConfig, NodeConfig
from corral.model.gres import GresDevice
from corral.syntax import gpuwords, hostlist, tres

Devices = tuple[GresDevice, ...]
#: How the name of a slice of a GPU begins.
MIG = "MIG-"
#: A group, and a unit's place in it.
_Unit = tuple[GresDevice, int]


def declared(found: Devices, tables: Sequence[GresConfig], node: str) -> Devices:
    """With the `[[gres]]` tables of this node, which stand for all devices of their names."""
    mine = [table for table in tables if table.nodes.upper() == "ALL" or node in hostlist.expand(table.nodes)]
    names = {table.name for table in mine}
    return (*(one for one in found if one.name not in names), *(_declared(found, table) for table in mine))


def _declared(found: Devices, table: GresConfig) -> GresDevice:
    files = tuple(name for text in table.files for name in hostlist.expand(text))
    count = len(files) if table.count is None else table.count
    known = {
        device.files[place]: (device, place)
        for device in found
        if device.name == table.name
        for place in range(min(device.count, len(device.files)))
    }
    units = [known[file] for file in files if file in known]
    if not files or len(units) < len(files) or len({id(device) for device, _ in units}) > 1:
        return GresDevice(name=table.name, type=table.type, count=count, files=files)
    device = picked(units)
    return msgspec.structs.replace(device, type=table.type or device.type, count=count)


def picked(units: Sequence[_Unit]) -> GresDevice:
    """These units of one group, as a group."""
    device, places = units[0][0], [place for _, place in units]

    def of(values: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(values[place] for place in places) if len(values) == device.count else ()

    return msgspec.structs.replace(
        device,
        count=len(places),
        files=of(device.files),
        uuids=of(device.uuids),
        buses=of(device.buses),
        cores=of(device.cores),
        more_files=of(device.more_files),
        links=tuple(tuple(row[place] for place in places) for row in of(device.links)),
    )


def counted(found: Devices, entry: NodeConfig) -> Devices:
    """With gres, gpu_links and gpu_cores of a `[[node]]` table."""
    devices = _as_said(found, tres.parse_gres(entry.gres)) if entry.gres else found
    return _connected(devices, entry) if entry.gpu_links or entry.gpu_cores else devices


def _as_said(found: Devices, wanted: Sequence[tres.Gres]) -> Devices:
    left = {id(device): list(range(device.count)) for device in found}
    made: list[tuple[int, GresDevice]] = []
    exactly = [g for g in wanted if g.name != "shard" and any((g.name, g.type) == (d.name, d.type) for d in found)]
    for said in (*exactly, *(g for g in wanted if g.name != "shard" and g not in exactly)):
        made += _taken(found, said, left, is_exact=said in exactly)
    if not made:  # only into how many shards the GPUs that are there are counted
        made = [(place, device) for place, device in enumerate(found) if device.name == "gpu"]
    named = {g.name for g in wanted} | {"gpu", "shard"}
    made += [(place, device) for place, device in enumerate(found) if device.name not in named]  # of a [[gres]] table
    gres = [device for _, device in sorted(made, key=lambda one: one[0])]
    types = {device.type for device in gres if device.name == "gpu"}
    if shards := sum(g.count for g in wanted if g.name == "shard"):  # as in Slurm, they are of the GPUs' type
        gres.append(GresDevice(name="shard", type=types.pop() if len(types) == 1 else "", count=shards))
    return tuple(gres)


def _taken(
    found: Devices, said: tres.Gres, left: dict[int, list[int]], *, is_exact: bool
) -> list[tuple[int, GresDevice]]:
    """Units for one word of gres, each group with its place among those found. The count is what was said, also where they are too few."""
    need, made = said.count, list[tuple[int, GresDevice]]()
    for place, device in enumerate(found):
        fits = device.type == said.type if is_exact else said.type.lower() in device.type.lower()
        units = left[id(device)][:need]
        if device.name == said.name and fits and units:
            left[id(device)] = left[id(device)][len(units) :]
            part = picked([(device, unit) for unit in units])
            made.append((place, msgspec.structs.replace(part, type=said.type or device.type)))
            need -= len(units)
    if not made:
        return [(len(found), GresDevice(name=said.name, type=said.type, count=said.count))]
    if need:
        place, last = made[-1]
        made[-1] = place, msgspec.structs.replace(last, count=last.count + need)
    return made


def _connected(devices: Devices, entry: NodeConfig) -> Devices:
    """With what is said of the links and cores of GPUs. Links between GPUs of two types are not counted."""
    links, cores = gpuwords.links(entry.gpu_links), gpuwords.cores(entry.gpu_cores)
    made, first = [], 0
    for device in devices:
        if device.name == "gpu":
            upto = first + device.count
            rows = tuple(row[first:upto] for row in links[first:upto]) if links else device.links
            device = msgspec.structs.replace(device, links=rows, cores=cores[first:upto] if cores else device.cores)
            first = upto
        made.append(device)
    return tuple(made)


def shortage(found: Devices, wanted: Devices, before: Devices) -> str:
    """Why a node has fewer GPUs than it should, in Slurm's words and with those that are gone; "" = it has not."""
    there = _gpus(found)
    should = max(_gpus(wanted), sum(1 for uuid in _names(before) if not uuid.startswith(MIG)))
    if there >= should:
        return ""
    text = f"gres/gpu count reported lower than configured ({there} < {should})"
    lost = [uuid for uuid in _names(before) if uuid not in _names(found)]
    return f"{text}: {', '.join(lost)} gone" if lost else text


def _gpus(devices: Devices) -> int:
    return sum(device.count for device in devices if device.name == "gpu")


def _names(devices: Devices) -> list[str]:
    """Of GPUs that have one."""
    return [uuid for device in devices if device.name == "gpu" for uuid in device.uuids]
