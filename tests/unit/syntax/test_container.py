"""The words of --container-*."""

import pytest

from corral.errors import InvalidContainer
from corral.syntax import container


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ubuntu", "ubuntu"),
        ("ubuntu:22.04", "ubuntu:22.04"),
        ("docker://ubuntu:22.04", "ubuntu:22.04"),
        ("nvcr.io#nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/pytorch:24.05-py3"),
        ("docker://$oauthtoken@nvcr.io#nvidia/pytorch:1", "nvcr.io/nvidia/pytorch:1"),
        ("docker://localhost:5000#x/y", "localhost:5000/x/y"),
        ("ubuntu@sha256:00ff", "ubuntu@sha256:00ff"),
        ("localhost/little:1", "localhost/little:1"),
    ],
)
def test_an_images_name_as_podman_writes_it(given: str, wanted: str) -> None:
    assert container.reference(given) == wanted


@pytest.mark.parametrize(
    "given", ["", "docker://", "http://x/y", "a b", "-rm", "docker://-v", "a\nb", "oci-archive:/tmp/a"]
)
def test_what_is_no_name_of_an_image(given: str) -> None:
    with pytest.raises(InvalidContainer):
        container.reference(given)


def test_mounts() -> None:
    assert container.mounts("/a:/b:ro+rprivate,./c,tmpfs:/t") == [
        ("/a", "/b", ("ro", "rprivate")), ("./c", "./c", ()), ("tmpfs", "/t", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "invalid format"),
        ("/a:", "invalid format"),
        ("a:/b", "mount source must be"),
        ("/a:b", "mount target must be"),
        ("/a:/b:rw+suid", "unknown flag suid"),
        ("/a,,/b", "invalid format"),
    ],
)
def test_what_is_no_mount(given: str, words: str) -> None:
    with pytest.raises(InvalidContainer, match=words):
        container.mounts(given)


def test_names() -> None:
    assert container.name("a") == ("a", "auto")
    assert container.name("a:no_exec") == ("a", "no_exec")
    for wrong in ("", ":exec", "a:b", "../a", "..", "a/b", "x" * 300):
        with pytest.raises(InvalidContainer):
            container.name(wrong)


def test_variables() -> None:
    assert container.variables("A,B") == ["A", "B"]
    for wrong in ("A,", "A=1"):
        with pytest.raises(InvalidContainer):
            container.variables(wrong)
