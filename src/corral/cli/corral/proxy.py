"""`corral proxy JOB PORT`: an address at the controller that shows a job's HTTP port in a browser."""

from __future__ import annotations

from argparse import ArgumentParser
from urllib.parse import urlsplit

from corral.cli.corral.place import add_options, endpoint_of
from corral.cli.run import Exit, say
from corral.client.connection import Connection
from corral.errors import Refused, Unreachable


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(
        prog="corral proxy",
        description="Print an address that shows a job's HTTP port in a browser, for you alone, as long as the job runs. "
        "It is good once, within five minutes; the browser then stays logged in.",
    )
    parser.add_argument("job", help="the id of a running job")
    parser.add_argument("port", type=int, help="at which it serves HTTP")
    parser.add_argument("--node", "-w", default="", help="of the job; its first where it is not said")
    parser.add_argument(
        "--absolute",
        action="store_true",
        help="its paths begin with /proxy/absolute/JOB/PORT/ (its base URL), and stay whole",
    )
    parser.add_argument(
        "--path",
        action="store_true",
        help="below a path of one host name for all jobs, for a browser that does not find JOB-PORT.DOMAIN",
    )
    add_options(parser)
    given = parser.parse_args(arguments)
    endpoint = endpoint_of(given)
    wanted = {"job": given.job, "port": given.port, "node": given.node, "absolute": given.absolute}
    wanted |= {"below_path": True} if given.path else {}
    try:
        with Connection(endpoint, timeout=30.0) as connection:
            url = connection.request("POST", "/v1/proxy", wanted)["url"]
    except Refused as error:
        raise Exit(1, f"corral: error: {given.job}: {error}") from None
    except Unreachable as error:
        raise Exit(1, f"corral: error: {error}") from None
    print(url)
    if is_for_another_machine(url, endpoint):
        say(
            "corral: this address is good on the controller's machine only: its [proxy] has no address for others. "
            f"From here: corral port-forward {given.job} {given.port}\n"
        )
    return 0


def is_for_another_machine(url: str, endpoint: str) -> bool:
    """Does this address lead to the machine of whoever opens it, and the controller is on another?"""
    names, asked = urlsplit(url).hostname or "", urlsplit(endpoint).hostname or ""
    return endpoint.startswith("https://") and _is_here(names) and not _is_here(asked)


def _is_here(name: str) -> bool:
    return name.endswith("localhost") or name.startswith("127.") or name == "::1"
