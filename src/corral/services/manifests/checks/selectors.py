"""Do selectors of labels make sense, and do they select the Pods of their template?"""

from corral.model.kube.meta import LabelSelector
from corral.model.kube.pod import NodeSelectorRequirement, PodTemplateSpec
from corral.services.manifests.checks.metadata import labels
from corral.services.manifests.problems import Problems
from corral.services.selectors import matches
from corral.syntax import kubenames


def check(selector: LabelSelector | None, path: str, problems: Problems) -> None:
    if selector is None:
        return
    labels(selector.match_labels, f"{path}.matchLabels", problems)
    for index, one in enumerate(selector.match_expressions):
        place = f"{path}.matchExpressions[{index}]"
        if why := kubenames.label_key(one.key):
            problems.invalid(f"{place}.key", one.key, why)
        if one.operator in ("In", "NotIn") and not one.values:
            problems.required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        if one.operator in ("Exists", "DoesNotExist") and one.values:
            problems.forbidden(f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        for number, value in enumerate(one.values):
            if why := kubenames.label_value(value):
                problems.invalid(f"{place}.values[{number}]", value, why)


def check_template(
    selector: LabelSelector, template: PodTemplateSpec, kind: str, path: str, problems: Problems
) -> None:
    """apps/v1: a selector is needed, and selects the template."""
    check(selector, f"{path}.selector", problems)
    if selector == LabelSelector():
        problems.required(f"{path}.selector", f"a {kind} needs the labels of its Pods")
    elif not problems.at(f"{path}.selector") and not matches(selector, template.metadata.labels):
        problems.invalid(
            f"{path}.template.metadata.labels", template.metadata.labels, "`selector` does not match template `labels`"
        )


def check_nodes(requirements: tuple[NodeSelectorRequirement, ...], path: str, problems: Problems) -> None:
    for index, one in enumerate(requirements):
        place = f"{path}[{index}]"
        if why := kubenames.label_key(one.key):
            problems.invalid(f"{place}.key", one.key, why)
        match one.operator:
            case "In" | "NotIn" if not one.values:
                problems.required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            case "Exists" | "DoesNotExist" if one.values:
                problems.forbidden(
                    f"{place}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
            case "Gt" | "Lt" if len(one.values) != 1 or not _is_whole(one.values[0]):
                problems.required(f"{place}.values", "must be one whole number when `operator` is 'Lt' or 'Gt'")


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()
