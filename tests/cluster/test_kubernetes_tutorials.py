"""Tutorials of Kubernetes' documentation, as they are: their programs find each other by the names and ports that the manifests say.

No registry is reached. Images of these names are made of busybox and some lines of shell, which speak as much of the protocol as is needed
to see that the right ones have met.
"""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.live import LiveCluster, wait_until

_LIBRARIES = ("libc.so.6", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2")
_FROM = Path("/lib/x86_64-linux-gnu")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0
    or not all(shutil.which(name) for name in ("podman", "runc", "busybox", "ip", "iptables"))
    or not all((_FROM / name).exists() for name in _LIBRARIES),
    reason="needs root, podman, runc, busybox, iproute2, iptables, and Debian's libraries",
)
DATA = Path(__file__).parents[1] / "data" / "kubernetes"

#: A database of one table: a line of password, verb and words; and it keeps what it is given where a volume is mounted.
_MYSQL = """
read -r password verb words
[ "$password" = "$MYSQL_PASSWORD" ] || { echo denied; exit; }
case $verb in INSERT) echo "$words" >> /var/lib/mysql/posts; echo ok;; *) cat /var/lib/mysql/posts;; esac
"""
_WORDPRESS = """
echo Content-type: text/plain; echo
echo "$WORDPRESS_DB_PASSWORD ${QUERY_STRING:-SELECT}" | tr + ' ' | nc -w 5 "$WORDPRESS_DB_HOST" 3306
"""
_LEADER = 'read -r verb words; case $verb in SET) echo "$words" >> /tmp/entries; echo ok;; *) cat /tmp/entries;; esac'
_FOLLOWER = 'read -r line; echo "$line" | nc -w 5 redis-leader 6379'
_FRONTEND = """
echo Content-type: text/plain; echo
case $QUERY_STRING in SET*) echo "$QUERY_STRING" | tr + ' ' | nc -w 5 redis-leader 6379;; *) echo GET | nc -w 5 redis-follower 6379;; esac
"""
#: Image, port, what answers there; over HTTP or by itself.
IMAGES = (
    ("docker.io/library/mysql:8.0", 3306, _MYSQL, False),
    ("docker.io/library/wordpress:6.2.1-apache", 80, _WORDPRESS, True),
    ("docker.io/library/redis:6.0.5", 6379, _LEADER, False),
    ("us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower:v2", 6379, _FOLLOWER, False),
    ("us-docker.pkg.dev/google-samples/containers/gke/gb-frontend:v5", 80, _FRONTEND, True),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    directory = tmp_path_factory.mktemp("podman")
    (directory / "containers.conf").write_text('[engine]\nruntime = "runc"\n')
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(directory / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(directory / "storage.conf"))
        for number, image in enumerate(IMAGES):
            _make_image(directory / str(number), *image)
        one = LiveCluster(tmp_path_factory.mktemp("cluster"))
        try:
            one.up("--nodes=2", "--cpus=16", "--mem=16000", "--prefix=k")
            yield one
        finally:
            one.down()


def _make_image(root: Path, name: str, port: int, script: str, is_http: bool) -> None:
    for path in ("bin", "etc", "tmp", "lib/x86_64-linux-gnu", "lib64", "www/cgi-bin", "var/lib/mysql", "var/www/html"):
        (root / path).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
    for applet in ("sh", "nc", "httpd", "cat", "tr", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")
    for library in _LIBRARIES:
        shutil.copy(_FROM / library, root / "lib/x86_64-linux-gnu")
    shutil.copy("/lib64/ld-linux-x86-64.so.2", root / "lib64")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    answers = root / ("www/cgi-bin/page" if is_http else "bin/answer")
    answers.write_text(f"#!/bin/sh\n{script}")
    answers.chmod(0o755)
    serve = (
        f'["httpd", "-f", "-p", "{port}", "-h", "/www"]'
        if is_http
        else f'["nc", "-ll", "-p", "{port}", "-e", "/bin/answer"]'
    )
    tar = subprocess.run(["tar", "-C", root, "-c", "."], capture_output=True, check=True).stdout
    options = ["--change", f"CMD {serve}", "--change", "ENV PATH=/bin"]
    subprocess.run(["podman", "import", "-q", *options, "-", name], input=tar, check=True, capture_output=True)


def _said(cluster: LiveCluster, service: str, query: str = "") -> str:
    """By its page, as a browser outside of the cluster sees it; "" = not yet."""
    url = cluster.text("corral", "get", "svc", service, "-o", "jsonpath={.status.url}")
    try:
        with urllib.request.urlopen(f"{url}cgi-bin/page?{query}", timeout=20) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _see(cluster: LiveCluster, service: str, text: str) -> None:
    wait_until(lambda: text in _said(cluster, service), what=lambda: _said(cluster, service))


def test_wordpress_keeps_its_posts_in_mysql(cluster: LiveCluster) -> None:
    """Which it finds by the name of a headless Service and its own port."""
    cluster.run("corral", "apply", "-f", str(DATA / "wordpress.yaml"))
    wait_until(
        lambda: _said(cluster, "wordpress", "INSERT+hello+world") == "ok\n",
        what=lambda: cluster.text("corral", "get", "pods"),
    )
    _see(cluster, "wordpress", "hello world")
    cluster.run("corral", "delete", "pod", "-l", "tier=mysql")  # another one takes its place, with what it has kept
    _see(cluster, "wordpress", "hello world")
    cluster.run("corral", "delete", "-f", str(DATA / "wordpress.yaml"))


def test_the_guestbook_writes_to_the_leader_and_reads_from_followers(cluster: LiveCluster) -> None:
    cluster.run("corral", "apply", "-f", str(DATA / "guestbook.yaml"))
    wait_until(
        lambda: _said(cluster, "frontend", "SET+first+guest") == "ok\n",
        what=lambda: cluster.text("corral", "get", "pods"),
    )
    _see(cluster, "frontend", "first guest")
    cluster.run("corral", "delete", "-f", str(DATA / "guestbook.yaml"))
