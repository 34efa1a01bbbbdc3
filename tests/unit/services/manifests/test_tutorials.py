"""The manifests of Kubernetes' documentation are taken as they are, or refused with the reason: what is shown of each is in a golden file.

`python tests/unit/services/manifests/test_tutorials.py` writes those anew.
"""

import sys
from pathlib import Path

import pytest

from corral.errors import InvalidManifest
from corral.services.manifests.reading import parse
from corral.services.manifests.writing import to_manifest
from corral.syntax import yamltext

TESTS = Path(__file__).parents[3]
DATA = TESTS / "data" / "kubernetes"
GOLDEN = TESTS / "golden" / "manifests"
FILES = sorted(path for path in DATA.iterdir() if path.suffix in (".yaml", ".json"))


def documents(path):
    """Each object alone: those of a List are its items."""
    for document in yamltext.documents(path.read_text()):
        if document.get("kind") == "List":
            yield from document["items"]
        else:
            yield document


def what_becomes_of(path):
    parts = []
    for document in documents(path):
        try:
            parts.append(yamltext.dumped(to_manifest(parse(document, "default"))))
        except InvalidManifest as error:
            parts.append(f"# {error.message}\n")
    return "---\n".join(parts)


def refusals(text):
    return [line for line in text.splitlines() if line.startswith("# ")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_manifest_of_the_documentation(path):
    text, golden = what_becomes_of(path), (GOLDEN / f"{path.stem}.yaml").read_text()
    assert yamltext.documents(text) == yamltext.documents(golden)
    assert refusals(text) == refusals(golden)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_shown_is_read_as_the_same_object(path):
    for document in yamltext.documents(what_becomes_of(path)):
        one = parse(document, "default")
        assert to_manifest(one) == document


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in FILES:
        (GOLDEN / f"{name.stem}.yaml").write_text(what_becomes_of(name))
    sys.exit()
