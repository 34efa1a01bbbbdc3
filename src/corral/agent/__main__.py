"""`python -m corral.agent`: what `corral agent` and `corral up` start."""

import argparse
import sys
from pathlib import Path

from corral.agent.inventory import VirtualNodes
from corral.agent.main import run
from corral.config import files
from corral.config.cluster import load
from corral.errors import CorralError
from corral.model.gres import GresDevice
from corral.syntax import hostlist


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="corral agent", description="Run one node's agent in the foreground.")
    options.add_argument("--config", metavar="FILE", help="corral.toml (default: the one in the state directory)")
    options.add_argument("--dir", metavar="DIR", required=True, help="state directory")
    options.add_argument("--name", required=True, help="the node's name in the cluster")
    options.add_argument("--log-file", action="store_true", help="log to a file in the state directory")
    virtual = options.add_argument_group("virtual nodes, of claimed sizes")
    virtual.add_argument("--nodes", metavar="LIST", help="their names: dgx[0180-0189]")
    virtual.add_argument("--cpus", type=int, default=1)
    virtual.add_argument("--sockets", type=int, default=1)
    virtual.add_argument("--cores-per-socket", type=int)
    virtual.add_argument("--threads-per-core", type=int, default=1)
    virtual.add_argument("--mem", type=int, default=1, help="MB")
    virtual.add_argument("--gpus", type=int, default=0)
    virtual.add_argument("--gpu-type", default="")
    virtual.add_argument("--features", default="", help="a,b,c")
    return options


def virtual_nodes(arguments: argparse.Namespace) -> VirtualNodes | None:
    if not arguments.nodes:
        return None
    gpus = GresDevice(name="gpu", type=arguments.gpu_type, count=arguments.gpus)
    return VirtualNodes(
        names=tuple(hostlist.expand(arguments.nodes)),
        cpus=arguments.cpus,
        sockets=arguments.sockets,
        cores_per_socket=arguments.cores_per_socket,
        threads_per_core=arguments.threads_per_core,
        memory_mb=arguments.mem,
        gres=(gpus,) if arguments.gpus else (),
        features=tuple(filter(None, arguments.features.split(","))),
    )


def main() -> int:
    arguments = parser().parse_args()
    try:
        config = load(files.find(arguments.config, arguments.dir))
        nodes = virtual_nodes(arguments)
    except CorralError as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return 1
    return run(config, arguments.name, Path(arguments.dir).absolute(), nodes, foreground=not arguments.log_file)


sys.exit(main())
