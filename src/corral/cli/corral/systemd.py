"""`corral systemd`: which unit lets systemd run a controller, an agent or a gateway of this installation?"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from corral.cli.corral.place import add_options

_WHAT = {"controller": "controller", "agent": "node agent", "gateway": "gateway to services"}

_UNIT = """\
# {path}
[Unit]
Description=Corral {what}
{order}
[Service]
Type={type}
ExecStart={command}
Restart=on-failure
RestartSec=2
{more}
[Install]
WantedBy={target}
"""

_OF_THE_SYSTEM = """\
Wants=network-online.target
After=network-online.target remote-fs.target nss-user-lookup.target time-sync.target
"""

_SERVICE = {
    "controller": """\
# Its message server and its proxy end after it, not with it.
KillMode=mixed
# It tells when it serves; a large record takes a while to read.
TimeoutStartSec=10min
LimitNOFILE=131072
""",
    "agent": """\
# Jobs outlive their agent: `systemctl restart` leaves them alone, and so does an upgrade.
KillMode=process
# Another agent of this name runs here.
RestartPreventExitStatus=3
# What jobs of their own limits would inherit of systemd's.
TasksMax=infinity
LimitNOFILE=131072
LimitMEMLOCK=infinity
LimitSTACK=infinity
# A job that the kernel kills for want of memory is no reason to end the agent.
OOMPolicy=continue
""",
    "gateway": """\
# Caddy goes on when the gateway is started again.
KillMode=process
LimitNOFILE=131072
""",
}


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    print(unit(given, _program(), is_system=os.geteuid() == 0), end="")
    return 0


def unit(given: Namespace, program: str, *, is_system: bool) -> str:
    """The text of the unit; is_system: of the machine's systemd, not of a user's own."""
    service: str = given.service
    words = [program, service]
    if given.dir:
        words += ["--dir", os.path.abspath(given.dir)]
    if given.config:
        words += ["--config", os.path.abspath(given.config)]
    if service == "agent":
        words += ["--name", given.name or "%l"]
    where = "/etc/systemd/system" if is_system else "~/.config/systemd/user"
    return _UNIT.format(
        path=f"{where}/corral-{service}.service",
        what=_WHAT[service],
        order=_OF_THE_SYSTEM if is_system else "",
        type="notify" if service == "controller" else "exec",
        command=" ".join(word if word == "%l" else _quoted(word) for word in words),
        more=_SERVICE[service] if is_system else _without_limits(_SERVICE[service]),
        target="multi-user.target" if is_system else "default.target",
    )


def _without_limits(text: str) -> str:
    """A user's systemd cannot raise them."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("Limit", "# What jobs")))


def _quoted(word: str) -> str:
    """As ExecStart= reads words: % begins a specifier, $ a variable."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not any(character in word for character in " \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _program() -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "corral")
    return beside if os.access(beside, os.X_OK) else os.path.abspath(sys.argv[0])


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="corral systemd",
        description="Print a systemd unit: as root one for the machine, else one for your own systemd (systemctl --user).",
    )
    parser.add_argument("service", choices=tuple(_WHAT))
    add_options(parser)
    parser.add_argument("--name", help="an agent's node (default: the machine's short host name, when it starts)")
    return parser
