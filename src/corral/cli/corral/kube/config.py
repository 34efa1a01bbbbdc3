"""`corral kubeconfig`: a kubeconfig for kubectl and Kubernetes' client libraries."""

from __future__ import annotations

from argparse import ArgumentParser

from corral.cli.corral.kube import printing
from corral.cli.corral.kube.session import Session, add_options
from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral kubeconfig",
        description="Print a kubeconfig with a token of yours: corral kubeconfig > ~/.kube/config. Who has it is let in as you.",
    )
    parser.add_argument(
        "--lifetime",
        default="",
        metavar="TIME",
        help="of the token: 7d, 12h; 0 for ever (default: [api] token_lifetime)",
    )
    parser.add_argument(
        "--server",
        default="",
        metavar="URL",
        help="where the API is reached (default: as the controller advertises it)",
    )
    add_options(parser)
    given = parser.parse_args(arguments)
    session = Session(given)
    wanted: dict[str, Any] = {"kind": "user", "role": "administrator"}
    if given.lifetime:
        from corral.config.quantities import seconds
        from corral.errors import UsageError

        try:
            wanted["lifetime"] = 0 if given.lifetime == "0" else seconds(given.lifetime)
        except UsageError as error:
            raise Exit(1, f"corral: error: --lifetime: {error}") from None
    place = session.request("GET", "/v1/kubeconfig")
    token = session.request("POST", "/v1/tokens", wanted)["token"]
    from binascii import b2a_base64

    from corral.syntax import yamltext

    name, user = place["cluster"], place["user"]
    authority = b2a_base64(place["authority"].encode(), newline=False).decode()
    context = f"{user}@{name}"
    printing.out(
        yamltext.dumped(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": name,
                        "cluster": {"server": given.server or place["server"], "certificate-authority-data": authority},
                    }
                ],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [
                    {"name": context, "context": {"cluster": name, "user": user, "namespace": session.namespace}}
                ],
                "current-context": context,
            }
        )
    )
    return 0
