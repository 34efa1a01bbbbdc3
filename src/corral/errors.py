"""What can go wrong, as one tree. A class's docstring is its message; braces are filled from the keywords it is raised with.

CorralError
├── StoreUnavailable          what must be durable cannot be written
├── StoreSuperseded           another controller leads now
├── StoreUnusable             the store is no store of ours, or a newer one's
├── Unreachable               no controller answers
├── Refused                   the controller said no, and why
│   ├── NotFound              there is no such thing
│   └── PermissionDenied      not yours, and you are no operator
├── ConfigError               a configuration file cannot be used
├── BadWorkload               a trace cannot be simulated
└── UsageError                what the user wrote cannot be read; exit_code is the command's
    ├── InvalidHostlist       node[01-04,07]
    ├── InvalidDuration       1-12:00:00
    ├── InvalidTimestamp      now+1hour
    ├── InvalidSize           4G
    ├── InvalidTres           cpu=4,mem=8G
    ├── InvalidGres           gpu:v100:2
    │   └── InvalidShare      gpu:0.5
    ├── InvalidGpuWords       -1,4,4,0
    ├── InvalidArraySpec      0-31:4%8
    ├── InvalidJobId          42_7.batch
    ├── InvalidDependency     afterok:42
    ├── InvalidFeatures       (a|b)&c
    ├── InvalidLicenses       matlab:2,ansys
    ├── InvalidDistribution   block:cyclic,Pack
    ├── InvalidBinding        map_cpu:0,4
    ├── InvalidFilename       slurm-%j.out
    ├── InvalidContainer      --container-mounts=/data:/data:ro
    ├── InvalidQuantity       500m, 1Gi
    ├── NoPriorityClass       priorityClassName names none
    ├── InvalidManifest       a Kubernetes manifest, with all that is wrong in it
    └── InvalidSnapshot       a file of `corral snapshot`
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


class CorralError(Exception):
    """Something went wrong."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__((type(self).__doc__ or "").format(**fields))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.fields)  # keywords survive the way out of a worker process

    @property
    def message(self) -> str:
        """What the user reads."""
        return str(self)


def _rebuilt(kind: type[CorralError], fields: dict[str, Any]) -> CorralError:
    return kind(**fields)


class StoreUnavailable(CorralError):
    """The store cannot be written: {reason}"""


class StoreSuperseded(CorralError):
    """Another controller has begun to lead this cluster (term {term}). This one has stopped."""


class StoreUnusable(CorralError):
    """The store cannot be used: {reason}"""


class Unreachable(CorralError):
    """No cluster answers at {endpoint} ({reason}). Start one with `corral up`, or name another in CORRAL_ENDPOINT."""


class Refused(CorralError):
    """{error}"""


class NotFound(Refused):
    """No such {kind}: {name}"""


class PermissionDenied(Refused):
    """Permission denied: {action}"""


class ConfigError(CorralError):
    """{file}:{line}: {problem}"""


class BadWorkload(CorralError):
    """{file}, line {line}, column {column}: {problem}"""


class UsageError(CorralError):
    """{reason}"""

    exit_code = 1


class InvalidHostlist(UsageError):
    """Not a node list: {text!r} (at column {column})."""


class InvalidLicenses(UsageError):
    """Not a list of licences: {text!r}."""


class InvalidDuration(UsageError):
    """Not a time limit: {text!r}. Write minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]], or UNLIMITED."""


class InvalidTimestamp(UsageError):
    """Not a time: {text!r}. Write now+2hours, 16:00, tomorrow or 2030-01-31T16:00:00, for instance."""


class InvalidSize(UsageError):
    """Not a size: {text!r}. Write a whole number and K, M, G or T; without a letter it counts megabytes."""


class InvalidTres(UsageError):
    """Not a list of trackable resources: {text!r} (at {part!r}). Write cpu=4,mem=8G,gres/gpu=2, for instance."""


class InvalidGres(UsageError):
    """Not a list of generic resources: {text!r} (at {part!r}). Write gpu:2 or gpu:v100:2, for instance."""


class InvalidShare(InvalidGres):
    """Not a share of a GPU: {part!r}: {problem}."""


class InvalidGpuWords(UsageError):
    """Not the links or the cores of a GPU: {text!r} ({reason}). Write -1,4,4,0 or 0-15, for instance."""


class InvalidArraySpec(UsageError):
    """Not an array specification: {text!r} ({reason})."""


class InvalidJobId(UsageError):
    """Not a job id: {text!r}."""


class InvalidCron(UsageError):
    """Not a line of a crontab: {text!r} ({reason})."""


class InvalidDependency(UsageError):
    """Not a dependency: {text!r} (at {part!r}). Write afterok:42:43, for instance."""


class InvalidFeatures(UsageError):
    """Not a feature constraint: {text!r} ({reason})."""


class InvalidDistribution(UsageError):
    """Not a distribution of tasks: {text!r}. Write block:cyclic or plane=4, for instance."""


class InvalidBinding(UsageError):
    """Not a binding of tasks: {text!r} (at {part!r})."""


class InvalidContainer(UsageError):
    """{text}"""


class InvalidQuantity(UsageError):
    """Not a quantity: {text!r}. Write 2, 500m, 1.5 or 512Mi, for instance."""


class NoPriorityClass(UsageError):
    """No PriorityClass with name {name} was found. An operator makes one: `corral apply -f` with kind PriorityClass."""


class InvalidManifest(UsageError):
    """{kind} {name!r} is invalid: {text}"""


class InvalidFilename(UsageError):
    """Not a file name: {text!r} ({reason})."""


class InvalidSnapshot(UsageError):
    """{file}: {problem}"""
