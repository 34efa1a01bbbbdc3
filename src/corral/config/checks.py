"""Which values have the right type and are wrong all the same?"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

import msgspec

from corral.config.lines import KeyPath
from corral.errors import UsageError
from corral.model.cluster import PRIORITY_FLAGS, ClusterConfig, GatewayConfig, NodeConfig, PriorityWeights
from corral.model.partition import oversubscribe
from corral.model.podplace import LABEL_NAME, LABEL_VALUE, taint_of
from corral.model.preemption import Mode, mode_of
from corral.model.topology import Topology, block_problem
from corral.syntax import arrayspec, exitcodes, gpuwords, hostlist, tres
from corral.syntax import container as containers

_ONE_OF = {
    ("scheduling", "placement"): ("fragmentation", "pack", "spread"),
    ("log_level",): ("debug", "info", "warning", "error"),
}
#: As in Slurm's PropagateResourceLimits.
LIMIT_NAMES = ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS")
_ACCOUNTING = ("associations", "limits", "qos", "safe")
#: What every process of the node must see as it is.
_NEVER_PRIVATE = (
    "",
    "/",
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/sbin",
    "/home",
    "/root",
    "/run",
    "/var",
)
#: Units of one kind of device on a node: each is given out by its number.
_MOST_UNITS = 1 << 16
_ENFORCEABLE = ("cpu", "memory", "devices")
_POSITIVE = (
    ("timeouts", "heartbeat"),
    ("timeouts", "node"),
    ("scheduling", "time_limit_step"),
    ("first_job_id",),
    ("autoscaling", "interval"),
)


class BadValue(Exception):
    """What is wrong at this key."""

    def __init__(self, path: KeyPath, problem: str) -> None:
        super().__init__(problem)
        self.path, self.problem = path, problem


def check(config: ClusterConfig, tree: dict[str, Any]) -> None:
    """BadValue for the first one. `tree` is what was written: only that can be wrong."""
    for path, number in _numbers(tree, ()):
        least = 1e-9 if path in _POSITIVE else 0
        if number < least and path[:1] != ("priority",):
            raise BadValue(
                path, f"{path[-1]!r} cannot be {number}: it must be {'more than' if least else 'at least'} 0"
            )
    for path, choices in _ONE_OF.items():
        value = _at(tree, path)
        if value is not None and value not in choices:
            raise BadValue(path, f"{path[-1]!r} cannot be {value!r}: it is one of {', '.join(choices)}")
    for key in ("propagate_limits", "propagate_limits_except"):
        for name in getattr(config, key):
            if name not in LIMIT_NAMES and (key != "propagate_limits" or name not in ("ALL", "NONE")):
                raise BadValue((key,), f"{name!r} is no limit: it is one of {', '.join(LIMIT_NAMES)}")
    if config.step_ports:
        _parsed(_ports, config.step_ports, ("step_ports",))
    if config.pod_ports:
        _parsed(_ports, config.pod_ports, ("pod_ports",))
    if config.pod_network:
        try:
            size = ipaddress.IPv4Network(config.pod_network).num_addresses
        except ValueError as error:
            raise BadValue(("pod_network",), f"'pod_network' is no network: {error}") from None
        if not 16 <= size <= 1 << 16:
            raise BadValue(
                ("pod_network",), "'pod_network' must have 16 to 65536 addresses: 10.213.0.0/16, for instance"
            )
    if config.kubernetes.service_cidr:
        _check_service_cidr(config)
    if "gateway" in tree or "pod_ports" in tree:
        _check_gateway(config.gateway, config.pod_ports)
    for limit in config.enforce:
        if limit not in _ENFORCEABLE:
            raise BadValue(("enforce",), f"{limit!r} cannot be enforced: it is one of {', '.join(_ENFORCEABLE)}")
    if not math.isfinite(config.priority.decay_half_life) or config.priority.decay_half_life < 0:
        raise BadValue(("priority", "decay_half_life"), "'decay_half_life' must be a time, or 0: use counts for ever")
    _check_priority(config.priority)
    for index, what in enumerate(config.accounting.enforce):
        if what not in _ACCOUNTING:
            raise BadValue(
                ("accounting", "enforce", index), f"{what!r} cannot be enforced: it is one of {', '.join(_ACCOUNTING)}"
            )
    for index, place in enumerate(config.isolation.private_dirs):
        if not place.startswith("/") or place.rstrip("/") in _NEVER_PRIVATE or ".." in place.split("/"):
            raise BadValue(("isolation", "private_dirs", index), f"{place!r} cannot be each job's own")
    if 0 < config.gpus.idle_end <= config.gpus.idle_warn:
        raise BadValue(
            ("gpus", "idle_warn"), "'idle_warn' must be less than idle_end: who is told has time to do something"
        )
    if config.gpus.idle_percent >= 100:
        raise BadValue(("gpus", "idle_percent"), "'idle_percent' is from 0 to 99")
    if config.proxy.domain and not re.fullmatch(
        r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,180}[A-Za-z0-9])?", config.proxy.domain
    ):
        raise BadValue(("proxy", "domain"), f"{config.proxy.domain!r} is no domain: write it as proxy.example.org")
    for index, number in enumerate(config.gpus.drain_xids):
        if number in config.gpus.ignore_xids:
            raise BadValue(("gpus", "drain_xids", index), f"Xid {number} is in ignore_xids too")
    if config.gpu_sharing.starts_mps and "/dev/shm" in config.isolation.private_dirs:
        index = config.isolation.private_dirs.index("/dev/shm")
        problem = "'/dev/shm' cannot be each job's own with fence = \"mps\": jobs reach its daemon through it"
        raise BadValue(("isolation", "private_dirs", index), problem)
    if config.isolation.memory_soft_percent > 100:
        raise BadValue(
            ("isolation", "memory_soft_percent"),
            f"'memory_soft_percent' cannot be {config.isolation.memory_soft_percent:g}: it is at most 100",
        )
    for index, text in enumerate(config.containers.mounts):
        try:
            containers.mounts(text)
        except UsageError as error:
            raise BadValue(("containers", "mounts", index), str(error)) from None
    if not config.cluster or not all(c.isalnum() or c in "-_" for c in config.cluster):
        raise BadValue(("cluster",), f"{config.cluster!r} is no name: letters, digits, - and _ may be in it")
    for name, count in config.licenses.items():
        if not name or any(c in ",;:|*=" or c.isspace() for c in name):
            raise BadValue(("licenses", name), f"{name!r} is no name of a licence: no space and none of , ; : | * =")
        if count >= 1 << 31:
            raise BadValue(("licenses", name), f"{count} licences are more than can be counted")
    for key in ("requeue_exit", "requeue_exit_hold"):
        try:
            exitcodes.parse(getattr(config, key))
        except ValueError as error:
            raise BadValue((key,), f"{key!r} cannot be {getattr(config, key)!r}: {error}") from None
    _check_nodes(config)
    _check_gres(config)
    _check_preemption(config)
    _check_partitions(config)
    _check_switches(config)
    _check_blocks(config)
    _check_addresses(config)
    _check_store(config)
    _check_purges(config)


def _check_priority(weights: PriorityWeights) -> None:
    for index, flag in enumerate(weights.flags):
        if flag not in PRIORITY_FLAGS:
            raise BadValue(
                ("priority", "flags", index), f"{flag!r} is no flag: it is one of {', '.join(PRIORITY_FLAGS)}"
            )
    for key in ("calc_period", "max_age"):
        value = getattr(weights, key)
        if not math.isfinite(value) or value < (1 if key == "calc_period" else 0):
            raise BadValue(("priority", key), f"{key!r} cannot be {value}: it is a time, from 1 second on")
    if weights.fair_share_dampening < 1 or weights.fair_share_dampening > 65535:
        raise BadValue(("priority", "fair_share_dampening"), "'fair_share_dampening' is a number from 1 to 65535")


def _check_preemption(config: ClusterConfig) -> None:
    given = config.preemption
    if problem := _mode_problem(given.mode, config):
        raise BadValue(("preemption", "mode"), problem)
    mode = mode_of(given.mode) or Mode()
    if (given.type != "none") != (mode.action != "OFF"):
        what = "needs a mode that is not OFF" if given.type != "none" else f"has no use for mode {given.mode}"
        raise BadValue(("preemption", "type"), f"type {given.type} {what}")
    if mode.within and given.type != "qos":
        raise BadValue(("preemption", "mode"), "WITHIN is for type qos")
    if not 5 <= given.time_slice <= 65533:
        raise BadValue(("preemption", "time_slice"), "'time_slice' is from 5 to 65533 seconds")


def _mode_problem(text: str, config: ClusterConfig) -> str:
    mode = mode_of(text)
    if mode is None:
        return f"{text!r} is no mode: it is OFF, CANCEL, REQUEUE or SUSPEND, with GANG and WITHIN after a comma"
    cluster = mode_of(config.preemption.mode)
    if mode.action == "SUSPEND" and not (cluster is not None and cluster.gang):
        return "SUSPEND needs GANG in the mode of [preemption], to let suspended jobs go on"
    return ""


def _check_switches(config: ClusterConfig) -> None:
    for index, switch in enumerate(config.switch):
        for key, text in (("nodes", switch.nodes), ("switches", switch.switches)):
            if text:
                _parsed(hostlist.expand, text, ("switch", index, key))
    if problem := Topology(config.switch).problem():
        raise BadValue(("switch", problem[0], problem[1]), problem[2])


def _check_blocks(config: ClusterConfig) -> None:
    for index, block in enumerate(config.block):
        if config.switch:
            raise BadValue(("block", index), "nodes are in blocks or at switches, not both")
        _parsed(hostlist.expand, block.nodes, ("block", index, "nodes"))
    if problem := block_problem(config.block, config.block_sizes):
        number, key, words = problem
        raise BadValue((key,) if number is None else ("block", number, key), words)


def _check_words(node: NodeConfig, index: int) -> None:
    for number, text in enumerate(node.taints):
        try:
            taint_of(text)
        except ValueError as error:
            raise BadValue(("node", index, "taints", number), str(error)) from None
    for name, value in node.labels.items():
        if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(value):
            raise BadValue(("node", index, "labels", name), f"{name!r} = {value!r} is no label of Kubernetes")


def _check_nodes(config: ClusterConfig) -> None:
    seen: set[str] = set()
    for index, node in enumerate(config.node):
        names = _parsed(hostlist.expand, node.name, ("node", index, "name"))
        if not names:
            raise BadValue(("node", index, "name"), "a node needs a name")
        if twice := sorted(seen.intersection(names)):
            raise BadValue(("node", index, "name"), f"node {twice[0]} is there twice")
        seen.update(names)
        if not node.watts_idle <= node.watts_busy <= 1e9:
            problem = f"'watts_busy' cannot be {node.watts_busy:g}: it is at least watts_idle ({node.watts_idle:g}), and at most 1e9"
            raise BadValue(("node", index, "watts_busy" if node.watts_busy else "watts_idle"), problem)
        if node.gres:
            _check_shards(_parsed(tres.parse_gres, node.gres, ("node", index, "gres")), index)
        _check_connected(node, index)
        _check_words(node, index)


def _check_gres(config: ClusterConfig) -> None:
    for index, table in enumerate(config.gres):
        if table.name == "shard" or table.name not in config.gres_types:
            known = ", ".join(name for name in config.gres_types if name != "shard")
            raise BadValue(("gres", index, "name"), f"{table.name!r} is not among gres_types ({known})")
        if table.nodes.upper() != "ALL":
            _parsed(hostlist.expand, table.nodes, ("gres", index, "nodes"))
        files = [name for text in table.files for name in _parsed(hostlist.expand, text, ("gres", index, "files"))]
        if wrong := [file for file in files if not file.startswith("/dev/")]:
            raise BadValue(("gres", index, "files"), f"{wrong[0]!r} is no device file: it begins with /dev/")
        if table.count is None and not files:
            raise BadValue(("gres", index), "either 'files' or 'count' must say how many there are")
        if table.count is not None and table.count > _MOST_UNITS:
            raise BadValue(("gres", index, "count"), f"{table.count} units: {_MOST_UNITS} can be counted")
        if table.count is not None and files and table.count != len(files):
            raise BadValue(("gres", index, "count"), f"{table.count} units have {len(files)} files")


def _check_connected(node: NodeConfig, index: int) -> None:
    gpus = sum(one.count for one in tres.parse_gres(node.gres) if one.name == "gpu") if node.gres else 0
    for key, lines, parse in (
        ("gpu_links", node.gpu_links, gpuwords.links),
        ("gpu_cores", node.gpu_cores, gpuwords.cores),
    ):
        try:
            parse(lines)
        except UsageError as error:
            raise BadValue(("node", index, key), str(error)) from None
        if lines and gpus and len(lines) != gpus:
            raise BadValue(("node", index, key), f"{len(lines)} texts for {gpus} GPUs")


def _check_shards(gres: list[tres.Gres], index: int) -> None:
    """Each GPU of a node is counted in as many shards."""
    if any(one.milli for one in gres):
        raise BadValue(
            ("node", index, "gres"), "a node has whole GPUs; shard:N says into how many parts they are counted"
        )
    gpus, shards = (sum(one.count for one in gres if one.name == name) for name in ("gpu", "shard"))
    if shards and gpus and shards % gpus:
        raise BadValue(("node", index, "gres"), f"{shards} shards are not the same number for each of {gpus} GPUs")
    if most := [one for one in gres if one.count > _MOST_UNITS]:
        raise BadValue(
            ("node", index, "gres"), f"{most[0].count} units of {most[0].name}: {_MOST_UNITS} can be counted"
        )
    if shards > 1000 * max(1, gpus):
        raise BadValue(("node", index, "gres"), "a GPU has 1,000 shards at most")


def _check_partitions(config: ClusterConfig) -> None:
    seen: set[str] = set()
    default = ""
    known = {name for node in config.node for name in hostlist.expand(node.name)}
    if not config.partition:
        raise BadValue(("partition",), "there must be a partition")
    for index, partition in enumerate(config.partition):
        if not partition.name:
            raise BadValue(("partition", index, "name"), "a partition needs a name")
        if partition.name in seen:
            raise BadValue(("partition", index, "name"), f"partition {partition.name} is there twice")
        if partition.default and default:
            raise BadValue(("partition", index, "default"), f"there are two defaults: {default} and {partition.name}")
        default = partition.name if partition.default else default
        seen.add(partition.name)
        if partition.preempt_mode and (problem := _mode_problem(partition.preempt_mode, config)):
            raise BadValue(("partition", index, "preempt_mode"), problem)
        if oversubscribe(partition.oversubscribe) is None:
            problem = f"'oversubscribe' cannot be {partition.oversubscribe!r}: it is NO, EXCLUSIVE, YES:4 or FORCE:4, with any number"
            raise BadValue(("partition", index, "oversubscribe"), problem)
        for name, weight in partition.billing_weights.items():
            if not 0 <= weight <= 1e9:
                raise BadValue(
                    ("partition", index, "billing_weights", name), f"{weight} is no weight: it is from 0 to 1e9"
                )
        if partition.nodes != "ALL":
            names = _parsed(hostlist.expand, partition.nodes, ("partition", index, "nodes"))
            if known and (unknown := [name for name in names if name not in known]):
                raise BadValue(("partition", index, "nodes"), f"there is no [[node]] {unknown[0]}")


def _check_purges(config: ClusterConfig) -> None:
    for key in ("purge_jobs_after", "purge_steps_after", "purge_usage_after", "purge_events_after"):
        if 0 < getattr(config.accounting, key) < 3600:
            raise BadValue(("accounting", key), f"{key!r} is at least an hour, or 0 for never")
    if config.accounting.archive_dir and not config.accounting.archive_dir.startswith("/"):
        raise BadValue(("accounting", "archive_dir"), "'archive_dir' is a whole path, beginning with /")


def _check_service_cidr(config: ClusterConfig) -> None:
    path = ("kubernetes", "service_cidr")
    try:
        network = ipaddress.IPv4Network(config.kubernetes.service_cidr)
    except ValueError as error:
        raise BadValue(path, f"'service_cidr' is no network: {error}") from None
    if not 8 <= network.prefixlen <= 28:
        raise BadValue(path, "'service_cidr' is a /8 to /28: 10.96.0.0/12, for instance")
    if config.pod_network and network.overlaps(ipaddress.IPv4Network(config.pod_network)):
        raise BadValue(path, f"'service_cidr' and 'pod_network' ({config.pod_network}) have addresses in common")


def _check_gateway(gateway: GatewayConfig, pod_ports: str) -> None:
    for key in ("ports", "node_ports"):
        _parsed(_ports, getattr(gateway, key), ("gateway", key))
    for key in ("http_port", "https_port", "metrics_port", "dns_port"):
        if getattr(gateway, key) > 65535:
            raise BadValue(("gateway", key), f"{key!r} cannot be {getattr(gateway, key)}: ports go up to 65535")
    ports = [gateway.http_port, gateway.https_port, gateway.metrics_port]
    for index, key in enumerate(("http_port", "https_port", "metrics_port")):
        if ports[index] and ports[index] in ports[:index]:
            raise BadValue(
                ("gateway", key), f"{key!r} cannot be {ports[index]}: another port of the gateway is that already"
            )
    ranges = {"ports": gateway.ports, "node_ports": gateway.node_ports}
    numbers = {key: frozenset(arrayspec.parse(text, 1 << 16).indices) for key, text in ranges.items()}
    if both := numbers["ports"] & numbers["node_ports"]:
        raise BadValue(("gateway", "node_ports"), f"'node_ports' and 'ports' cannot both have {min(both)}")
    if pod_ports and (both := frozenset(arrayspec.parse(pod_ports, 1 << 16).indices) & numbers["ports"]):
        raise BadValue(("gateway", "ports"), f"'ports' cannot have {min(both)}: it is one of pod_ports")
    for key in ("http_port", "https_port", "metrics_port"):
        for name, known in numbers.items():
            if getattr(gateway, key) in known:
                raise BadValue(("gateway", key), f"{key!r} cannot be {getattr(gateway, key)}: it is one of '{name}'")
    try:
        address = ipaddress.ip_address(gateway.listen)
    except ValueError:
        raise BadValue(("gateway", "listen"), f"'listen' cannot be {gateway.listen!r}: it is an IP address") from None
    if address.is_unspecified and not gateway.host:
        raise BadValue(
            ("gateway", "listen"),
            f"with 'listen' {gateway.listen!r} a 'host' is needed: the name in the URLs of services",
        )
    for key in ("host", "domain"):
        if not re.fullmatch(r"[A-Za-z0-9._:-]*", getattr(gateway, key)):
            raise BadValue(("gateway", key), f"{key!r} cannot be {getattr(gateway, key)!r}: it is a name or an address")


def _check_store(config: ClusterConfig) -> None:
    url = config.store.url
    if "://" in url and not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise BadValue(
            ("store", "url"), 'it begins with sqlite:/// or postgresql://; "" is SQLite in the state directory'
        )


def _check_addresses(config: ClusterConfig) -> None:
    for path, address in (
        (("nats", "listen"), config.nats.listen), (("api", "listen"), config.api.listen), (("proxy", "listen"), config.proxy.listen),
    ):  # fmt: skip
        host, _, port = address.rpartition(":")
        if address and not (host and port.isdigit() and int(port) < 65536):
            raise BadValue(path, f"{address!r} is not host:port")
    prometheus = config.autoscaling.prometheus
    if prometheus and not prometheus.startswith(("http://", "https://")):
        raise BadValue(("autoscaling", "prometheus"), f"{prometheus!r} is not http://host:port or https://host:port")
    if config.api.advertise and not config.api.advertise.startswith("https://"):
        raise BadValue(("api", "advertise"), f"{config.api.advertise!r} is not https://host:port")
    if config.api.listen and not (config.api.certificate and config.api.key):
        raise BadValue(("api", "listen"), "HTTPS needs 'certificate' and 'key' in [api] as well")
    proxy = config.proxy
    if bool(proxy.certificate) != bool(proxy.key):
        raise BadValue(("proxy", "certificate"), "'certificate' and 'key' go together")
    is_local = proxy.listen.rpartition(":")[0] in ("", "localhost", "127.0.0.1", "[::1]")
    if not is_local and not (proxy.certificate or config.api.certificate):
        raise BadValue(
            ("proxy", "listen"), "other machines come by HTTPS: it needs 'certificate' and 'key', in [proxy] or [api]"
        )


def _ports(text: str) -> None:
    if min(arrayspec.parse(text, 1 << 16).indices) < 1024:
        raise UsageError(reason=f"{text}: ports below 1024 are not for users")


def _parsed(parse: Callable[[str], Any], text: str, path: KeyPath) -> Any:
    try:
        return parse(text)
    except UsageError as error:
        raise BadValue(path, str(error)) from None


def _numbers(tree: Any, path: KeyPath) -> Iterable[tuple[KeyPath, float]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*path, key), value
        else:
            yield from _numbers(value, (*path, key))


def _at(tree: Any, path: KeyPath) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def record_behind(record: Any, key: str) -> Any:
    """The record that a key of this record holds, also in a tuple; None when it is a plain value."""
    for field in msgspec.structs.fields(record) if record is not None else ():
        if field.name == key:
            for kind in (field.type, *get_args(field.type)):
                if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                    return kind
    return None
