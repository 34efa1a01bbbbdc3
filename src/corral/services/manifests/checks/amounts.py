"""Are the resources that a container asks for such as can be given?"""

from corral.model.kube.pod import ResourceRequirements
from corral.services.manifests.problems import Problems
from corral.syntax import kubenames, quantity

#: What is counted here; GPUs are whole, and a request of them is a limit.
PLAIN = ("cpu", "memory")
GPUS = ("nvidia.com/gpu", "amd.com/gpu")

_REASONS = {
    "ephemeral-storage": "local disk space is not counted; limit an emptyDir by its sizeLimit",
    "storage": "local disk space is not counted",
}


def check(given: ResourceRequirements, path: str, problems: Problems) -> None:
    for wire, amounts in (("limits", given.limits), ("requests", given.requests)):
        for name, amount in amounts.items():
            if wire == "requests" and given.limits.get(name) == amount:
                continue  # it has been looked at
            _check_one(name, amount, f"{path}.{wire}[{name}]", problems)
    if problems.at(path):
        return
    for name, amount in given.requests.items():
        limit = given.limits.get(name)
        if limit is not None and name in GPUS and quantity.nanos(amount) != quantity.nanos(limit):
            problems.invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}")
        elif limit is not None and quantity.nanos(amount) > quantity.nanos(limit):
            problems.invalid(f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}")
        elif limit is None and name in GPUS:
            problems.required(f"{path}.limits", f"a limit must be set for {name}, equal to its request")


def _check_one(name: str, amount: str | int | float, path: str, problems: Problems) -> None:
    if name in _REASONS:
        problems.unsupported(path, _REASONS[name])
    elif name.startswith("hugepages-"):
        problems.unsupported(path, "huge pages are the node's")
    elif name not in PLAIN and name not in GPUS:
        if "/" not in name or kubenames.label_key(name):
            problems.invalid(path, name, "must be a standard resource type or fully qualified")
        else:
            problems.unsupported(path, f"there are {', '.join((*PLAIN, *GPUS))}")
    elif quantity.nanos(amount) < 0:
        problems.invalid(path, amount, "must be greater than or equal to 0")
    elif name in GPUS and quantity.nanos(amount) % 10**9:
        problems.invalid(path, amount, "must be an integer")
