"""How does an agent start: `corral agent`, or `python -m corral.agent.main SETUP.json` from `corral up`?"""

import asyncio
import gc
import hashlib
import os
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from corral.agent import addresses, cgroup, names, podnet_root, podnet_user
from corral.agent.access import Access
from corral.agent.addressfile import path_in
from corral.agent.control import ShepherdSettings
from corral.agent.images import Images
from corral.agent.inventory import VirtualNodes, address_towards, inventory_of_this_machine, virtual_inventories
from corral.agent.loop import AgentLoop
from corral.agent.mps import Mps
from corral.agent.podnet import Maker, PodNetworks
from corral.agent.recovery import AgentIsRunning, lock_state
from corral.agent.resolverfile import directory_of
from corral.agent.shepherds import Shepherds
from corral.agent.spawner import SpawnerHandle
from corral.agent.spawner import start as start_spawner
from corral.agent.spool import Spool
from corral.agent.xid import Rules
from corral.bus.nats import NatsBus
from corral.daemon import clock, natrules
from corral.daemon.logs import Log
from corral.daemon.signals import on_stop
from corral.errors import ConfigError
from corral.model import devices as known_devices
from corral.model.cluster import ClusterConfig
from corral.model.gres import GresDevice
from corral.model.node import NodeInventory
from corral.syntax import hostlist

#: Exit status when another agent of this name runs here.
ALREADY_RUNNING = 3


class AgentSetup(msgspec.Struct, frozen=True, kw_only=True):
    """All that a started agent must know, as JSON in a file."""

    config: ClusterConfig
    name: str
    state_dir: str
    virtual: VirtualNodes | None = None  #: None = the machine itself, as one node of the agent's name


#: Where ip, iptables and the like are, and shells.
SYSTEM_PROGRAMS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


def agent_directory(state_dir: str | Path, name: str) -> Path:
    return Path(state_dir) / "agent" / name


def cluster_endpoint(config: ClusterConfig, state_dir: str | Path) -> str:
    """The controller's socket, if it is on this machine."""
    return f"unix://{config.api.socket or Path(state_dir).absolute() / 'corral.sock'}"


def run(
    config: ClusterConfig,
    name: str,
    state_dir: str | Path,
    virtual: VirtualNodes | None = None,
    *,
    foreground: bool = False,
) -> int:
    """Serve this machine's node `name`, or the virtual nodes, until told to end; the exit status.

    In the foreground the log goes to standard error, else to agent.log in the agent's directory.
    """
    directory = agent_directory(state_dir, name)
    os.umask(0o022)
    os.environ["PATH"] = searched(os.environ.get("PATH", ""))
    try:
        lock = lock_state(directory)
    except AgentIsRunning as error:
        print(f"corral agent: {error}", file=sys.stderr)
        return ALREADY_RUNNING
    log = Log(None if foreground else directory / "agent.log", config.log_level, agent=name)
    now = clock.now()
    if virtual is not None:
        nodes = virtual_inventories(virtual, now)
    else:
        found = inventory_of_this_machine(name, now, config.gres, str(directory / "gpus"))
        nodes = (
            msgspec.structs.replace(found, address=config.address or address_towards(config.nats.url) or found.address),
        )
    endpoint = cluster_endpoint(config, state_dir)
    settings = _settings(config, group_name(config.cluster, name, directory), nodes[0], endpoint, directory.absolute())
    cgroup.divide(settings)
    unenforced = cgroup.not_enforced(settings)
    if config.pod_network and (why := pod_networks(config)[1]):
        unenforced = (*unenforced, f"networks of Pods ({why})")
    if config.kubernetes.service_cidr and (why := addresses.why_not(config.kubernetes.service_cidr)):
        unenforced = (*unenforced, f"addresses of services ({why})")
    if config.gateway.dns_port and (why := names.why_not()):
        unenforced = (*unenforced, f"names of services in jobs ({why})")
    nodes = tuple(msgspec.structs.replace(node, unenforced=unenforced) for node in nodes)
    spool = Spool(directory)
    cgroup.remove_resting(settings)
    try:
        _serve(config, name, Path(state_dir), nodes, spool, settings, log, endpoint)
    except ConfigError as error:
        log.error("the agent cannot start", reason=str(error))
        print(f"corral: error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        log.error("the agent fails", error)
        raise
    finally:
        cgroup.remove_base(settings)
        os.close(lock)
    return 0


def group_name(cluster: str, agent: str, directory: Path) -> str:
    """Of the control groups. A machine may have several clusters of one name: the state directory tells them apart."""
    return f"corral-{cluster}-{agent}-{group_mark(directory)}"


def group_mark(directory: Path) -> str:
    return hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:8]


def _settings(
    config: ClusterConfig, groups: str, node: NodeInventory, endpoint: str, directory: Path
) -> ShepherdSettings:
    settings = ShepherdSettings(
        endpoint=endpoint,
        api_ca=_absolute(config.api.ca or config.nats.ca),
        bus_ca=_absolute(config.nats.ca),
        virtual=node.virtual,
        cgroups="auto" if config.enforce else "off",
        enforce=config.enforce,
        cgroup_name=groups,
        containers=config.containers,
        isolation=config.isolation,
        images=str(directory / "images"),
        boxes=str(directory / "boxes"),
        pods=str(directory / "pods"),
        names=directory_of(str(directory)) if config.gateway.dns_port and not names.why_not() else "",
        devices=_as_counted(config, node),
        mps=str(directory / "mps") if config.gpu_sharing.starts_mps and not node.virtual else "",
    )
    # A job that is fenced in sees its own GPUs only, and CUDA counts what it sees.
    has_fence = not any(word.startswith("devices") for word in cgroup.not_enforced(settings))
    return msgspec.structs.replace(
        settings, renumber_gpus=has_fence and any(one.name == "gpu" and one.files for one in settings.devices)
    )


def _as_counted(config: ClusterConfig, node: NodeInventory) -> tuple[GresDevice, ...]:
    """As the controller does where its configuration is this one."""
    entry = next((entry for entry in config.node if node.name in hostlist.expand(entry.name)), None)
    return known_devices.counted(node.gres, entry) if entry is not None and not node.virtual else node.gres


def searched(path: str) -> str:
    """A PATH with where the system's own programs are (ip, iptables): a user's, and a root's by `su`, often lacks it."""
    known = path.split(":") if path else []
    return ":".join([*known, *(one for one in SYSTEM_PROGRAMS if one not in known)])


def pod_networks(config: ClusterConfig) -> tuple[Maker | None, str]:
    """The way in which Pods get networks here; None: they do not, and why."""
    if not config.pod_network:
        return None, "not configured"
    if os.geteuid() == 0:
        why = podnet_root.why_not()
        return (None, why) if why else (podnet_root.RootNetworks(config.pod_network), "")
    why = podnet_user.why_not()
    return (None, why) if why else (podnet_user.UserNetworks(), "")


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _serve(
    config: ClusterConfig,
    name: str,
    state_dir: Path,
    nodes: tuple[NodeInventory, ...],
    spool: Spool,
    settings: ShepherdSettings,
    log: Log,
    endpoint: str,
) -> None:
    def spawner() -> SpawnerHandle:
        return start_spawner(str(spool.root), settings)

    networks = pod_networks(config)[0] is not None
    known = (
        names.NodeNames(str(spool.root.absolute()), log, config.gateway.domain, has_pod_networks=networks)
        if settings.names
        else None
    )
    shepherds = Shepherds(spool, settings, spawner)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            real = () if settings.virtual else settings.devices
            runner.run(_main(config, name, state_dir, nodes, spool, shepherds, log, endpoint, real, known))
    finally:
        shepherds.close()


def _addresses(config: ClusterConfig, spool: Spool, log: Log) -> addresses.NodeAddresses | None:
    """None: this node cannot translate them."""
    if not config.kubernetes.service_cidr or addresses.why_not(config.kubernetes.service_cidr):
        natrules.remove_below(spool.root)  # as it may have been with another configuration
        Path(path_in(str(spool.root))).unlink(missing_ok=True)
        return None
    return addresses.NodeAddresses(str(spool.root.absolute()), group_mark(spool.root), log)


async def _main(
    config: ClusterConfig,
    name: str,
    state_dir: Path,
    nodes: tuple[NodeInventory, ...],
    spool: Spool,
    shepherds: Shepherds,
    log: Log,
    endpoint: str,
    devices: tuple[GresDevice, ...],
    known: names.NodeNames | None,
) -> None:
    access = Access(config.nats, state_dir, config.cluster, name, tuple(node.name for node in nodes))

    def on_change(problem: str) -> None:
        if problem:
            log.warning("no message server", problem=problem)
        else:
            log.info("bus connected", url=access.url())

    bus = NatsBus(access.url, access.jwt, name=f"agent {name}", ca_file=config.nats.ca, on_change=on_change)
    images = Images(spool.root / "images", config.containers)
    images.remove_unfinished()
    agent = AgentLoop(
        agent=name,
        cluster=config.cluster,
        nodes=nodes,
        bus=bus,
        spool=spool,
        shepherds=shepherds,
        log=log,
        heartbeat=config.timeouts.heartbeat,
        epilog_timeout=config.timeouts.prolog,
        endpoint=endpoint,
        images=images,
        networks=PodNetworks(str(spool.root / "boxes"), group_mark(spool.root), log, pod_networks(config)[0]),
        names=known,
        addresses=_addresses(config, spool, log),
        devices=devices,
        mps=Mps(spool.root / "mps", devices, log) if config.gpu_sharing.starts_mps and not nodes[0].virtual else None,
        xids=Rules(config.gpus.drain_xids, config.gpus.ignore_xids),
    )
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        agent.stop()

    def end_all() -> None:
        stopping.set()
        agent.end_all()

    on_stop(stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, end_all)
    access.jwt()  # what is wrong with it is said now; later it only keeps the bus away
    await access.known(stopping)
    gc.collect()
    gc.freeze()
    await agent.run()


def main(arguments: list[str]) -> int:
    setup = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=AgentSetup)
    return run(setup.config, setup.name, setup.state_dir, setup.virtual, foreground="--foreground" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
