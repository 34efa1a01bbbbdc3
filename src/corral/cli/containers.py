"""Which container do the --container-* options ask for, and how does salloc hand that on to srun?"""

from __future__ import annotations

from corral.cli.options.containers import OPPOSITES

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given


def spec(given: Given, here: str) -> dict[str, Any] | None:
    """In the shape of model.container's Container; None = no container is asked for. `here`: of relative paths."""
    picked = {name: value for name, value in given.values.items() if name.startswith("container-")}
    if not picked:
        return None
    named, how = picked.get("container-name", ("", ""))
    image_given = picked.get("container-image", "")
    if not image_given and not named:
        raise given.program.failed("pyxis: --container-image is missing: there is no container to set up")
    if image_given.startswith(("./", "../")):
        image_given = f"{here}/{image_given}"
    result: dict[str, Any] = {
        "image": image_given,
        "mounts": picked.get("container-mounts"),
        "work_dir": picked.get("container-workdir"),
        "name": named,
        "how": how,
        "save": picked.get("container-save"),
        "environment": picked.get("container-env"),
    }
    result = {key: value for key, value in result.items() if value}
    if "mounts" in result:
        result["mounts"] = [
            {"source": source, "target": target, "flags": list(flags)} for source, target, flags in result["mounts"]
        ]
    for name in OPPOSITES:
        if name in picked:
            result[name.removeprefix("container-").replace("-", "_")] = picked[name]
    return result


def exported(given: Given) -> dict[str, str]:
    """For srun inside an allocation: the variables that say the same (of salloc)."""
    result: dict[str, str] = {}
    for name, value in given.values.items():
        if not name.startswith("container-"):
            continue
        variable = "PYXIS_" + name.upper().replace("-", "_")
        if isinstance(value, bool):
            result[variable] = "1" if value else "0"
        elif name == "container-mounts":
            result[variable] = ",".join(
                ":".join((source, target, *(["+".join(flags)] if flags else []))) for source, target, flags in value
            )
        elif name == "container-name":
            result[variable] = ":".join(value)
        else:
            result[variable] = value if isinstance(value, str) else ",".join(value)
    return result
