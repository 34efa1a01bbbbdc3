"""`corral token`: credentials for a node's agent, or for a user who is not on the controller's machine."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.place import add_options, place_of
from corral.cli.run import Exit
from corral.client.connection import Connection, default_endpoint
from corral.config.quantities import seconds
from corral.errors import Refused, Unreachable, UsageError


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    wanted: dict[str, object] = {"kind": given.kind, "name": given.name}
    if given.kind == "node":
        wanted["nodes"] = given.nodes
    else:
        wanted["role"] = given.role
        if given.lifetime is not None:
            try:
                wanted["lifetime"] = 0 if given.lifetime == "0" else seconds(given.lifetime)
            except UsageError as error:
                raise Exit(1, f"corral: error: --lifetime: {error}") from None
    endpoint = default_endpoint() if given.dir is None and given.config is None else place_of(given).endpoint
    try:
        with Connection(endpoint, timeout=10.0) as connection:
            print(connection.request("POST", "/v1/tokens", wanted)["token"])
    except (Refused, Unreachable) as error:
        raise Exit(1, f"corral: error: {error}") from None
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral token", description="Print a token. Who has it is let in: keep it to yourself."
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="node|user")
    node = kinds.add_parser("node", help="for the agent of a node: the file [nats] credentials names")
    node.add_argument("name", help="what `corral agent --name` says")
    node.add_argument("--nodes", default="", metavar="LIST", help="its virtual nodes")
    user = kinds.add_parser("user", help="for CORRAL_TOKEN, or ~/.config/corral/token")
    user.add_argument("name", nargs="?", default="", help="default: yourself")
    user.add_argument(
        "--role", default="administrator", choices=("user", "operator", "administrator"), help="at most this"
    )
    user.add_argument("--lifetime", metavar="TIME", help="7d, 12h; 0 for ever (default: [api] token_lifetime)")
    for one in (node, user):
        add_options(one)
    return parser
