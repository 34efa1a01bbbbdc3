"""Jobs in containers: real images, fetched by a real podman, seen by real tasks."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.cluster.live import COMMANDS, LiveCluster, wait_until
from tests.cluster.pods_kit import Pods

import corral
from corral.agent import boxes, container, mounts
from corral.agent.identity import Identity
from corral.model.container import Container
from corral.model.job import Owner

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("podman", "runc", "busybox", "mksquashfs")),
    reason="needs root, podman, runc, busybox and squashfs-tools",
)
IMAGE = "localhost/little:1"
_APPLETS = (
    "sh",
    "ls",
    "cat",
    "id",
    "env",
    "sleep",
    "pwd",
    "hostname",
    "touch",
    "true",
    "tty",
    "stty",
    "kill",
    "wc",
    "mkdir",
)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of images of its own, and the little image in it."""
    directory = tmp_path_factory.mktemp("podman")
    (directory / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]\n[engine]\nruntime = "runc"\n'
    )
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(directory / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(directory / "storage.conf"))
        root = directory / "root"
        for name in ("bin", "etc", "tmp", "root"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
        for name in _APPLETS:
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/link").symlink_to("/root")
        tar = subprocess.run(["tar", "-C", root, "-c", "."], capture_output=True, check=True).stdout
        changes = [
            "ENV GREETING=image",
            "WORKDIR /tmp",
            'ENTRYPOINT ["/bin/sh","-c","echo entry; exec \\"$0\\" \\"$@\\""]',
        ]
        options = [word for change in changes for word in ("--change", change)]
        subprocess.run(["podman", "import", "-q", *options, "-", IMAGE], input=tar, check=True, capture_output=True)
        yield directory


@pytest.fixture(scope="module")
def cluster(podman: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    one = LiveCluster(tmp_path_factory.mktemp("cluster"), "[timeouts]\nkill_wait = 1\n")
    try:
        one.up("--nodes=3", "--cpus=4", "--mem=4000", "--gpus=2", "--prefix=n1")
        yield one
    finally:
        one.down()


def inside(cluster: LiveCluster, script: str, *options: str) -> list[str]:
    """What a task says in the container, errors too."""
    done = cluster.run("srun", f"--container-image={IMAGE}", *options, "sh", "-c", f"exec 2>&1\n{script}", check=False)
    return (done.stdout + done.stderr).splitlines()


def test_tasks_see_the_image_and_what_is_mounted_and_stay_slurms_tasks(cluster: LiveCluster) -> None:
    (cluster.work / "data").mkdir()
    (cluster.work / "data/x").write_text("of the machine\n")
    lines = inside(
        cluster,
        "pwd; echo $GREETING $SLURM_PROCID $CUDA_VISIBLE_DEVICES; cat /data/x; touch /data/y; touch /z && ls /z; ls /scratch",
        "-G1", "--container-mounts=./data:/data:ro,tmpfs:/scratch",
    )  # fmt: skip
    assert lines == ["/tmp", "image 0 0", "of the machine", "touch: /data/y: Read-only file system", "/z"]
    assert inside(cluster, "ls /z") == [
        "ls: /z: No such file or directory", "srun: error: n1: task 0: Exited with exit code 1",
    ]  # fmt: skip
    hosts = cluster.text("srun", "-N3", f"--container-image={IMAGE}", "hostname").splitlines()
    assert sorted(hosts) == ["n1", "n2", "n3"]


def test_options_say_what_is_writable_where_it_runs_and_which_variables_count(cluster: LiveCluster) -> None:
    assert inside(cluster, "touch /z; touch /tmp/z && echo ok", "--container-readonly") == [
        "touch: /z: Read-only file system", "ok",
    ]  # fmt: skip
    assert inside(cluster, "pwd", "--container-workdir=/etc") == ["/etc"]
    assert inside(cluster, "pwd", "--container-entrypoint") == ["entry", "/tmp"]
    options = ("--export=ALL,GREETING=user", "--container-env=GREETING")
    assert inside(cluster, "echo $GREETING", *options[:1]) == ["image"]
    assert inside(cluster, "echo $GREETING", *options) == ["user"]


def test_a_batch_script_runs_in_one_and_sallocs_steps_too(cluster: LiveCluster) -> None:
    script = cluster.work / "job.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH --container-image={IMAGE}\necho $GREETING in $(pwd) on $(hostname) $1\n")
    cluster.run("sbatch", "-W", "-o", "job.out", str(script), "word")
    assert (cluster.work / "job.out").read_text() == "image in /tmp on n1 word\n"
    shell = cluster.run("salloc", "-Q", f"--container-image={IMAGE}", "srun", "pwd")
    assert shell.stdout == "/tmp\n"


def test_other_users_own_the_files_and_gain_nothing(cluster: LiveCluster) -> None:
    lines = inside(
        cluster, "id -u; touch /z && ls -ln /z | { read mode links uid rest; echo $uid; }; cat /data/secret",
        "--uid=daemon",
    )  # fmt: skip
    assert lines[:2] == ["1", "1"]
    assert inside(cluster, "cat /etc/passwd", "--uid=daemon")[1].startswith("daemon:x:1:1:daemon:")
    lines = inside(cluster, "id -u; touch /z && ls -ln /z | { read m l uid rest; echo $uid; }; kill -9 1; echo $HOME",
                   "--uid=daemon", "--container-remap-root")  # fmt: skip
    assert lines == ["0", "0", "sh: can't kill pid 1: Operation not permitted", "/root"]
    (cluster.work / "secret").mkdir(mode=0o700)
    (cluster.work / "secret/x").write_text("secret")
    path = cluster.work / "secret/x"
    refused = inside(cluster, "cat /x", "--uid=daemon", f"--container-mounts={path}:/x", "-D", "/")
    assert refused[0].endswith(f"error: cannot mount {path}: Permission denied")


def test_links_of_an_image_lead_nowhere_outside_of_it(cluster: LiveCluster) -> None:
    """/etc/link leads to /root: that is the container's own."""
    assert inside(cluster, "ls /root", "--container-mounts=/etc:/etc/link/deep-in-a-test") == ["deep-in-a-test"]
    assert not Path("/root/deep-in-a-test").exists()


def test_a_named_container_stays_with_its_job_and_can_be_saved(cluster: LiveCluster) -> None:
    script = cluster.work / "named.sh"
    script.write_text(
        f"""#!/bin/bash
srun --container-image={IMAGE} --container-name=mine touch /mark
srun --container-name=mine ls /mark
srun --container-name=mine:create true
srun --overlap --container-name=mine sh -c 'until [ -e /second ]; do sleep 0.05; done; echo joined' &
until srun --overlap --container-name=mine:exec touch /second 2>/dev/null; do :; done
wait
srun --container-name=mine --container-save=saved.sqsh true
"""
    )
    cluster.run("sbatch", "-n1", "-W", "-o", "named.out", str(script), check=False)
    said = (cluster.work / "named.out").read_text().splitlines()
    assert [line for line in said if not line.startswith(("slurmstepd", "srun"))] == ["/mark", "joined"]
    assert any("container mine exists already" in line for line in said)
    saved = cluster.run("srun", "--container-image=./saved.sqsh", "sh", "-c", "ls /mark /second; echo $GREETING; pwd")
    assert saved.stdout.split() == ["/mark", "/second", "image", "/tmp"]
    gone = cluster.run("srun", "--container-name=mine", "true", check=False)
    assert "there is no container mine in this job" in gone.stderr


def test_archives_are_images_too_and_what_is_none_is_said(cluster: LiveCluster, podman: Path) -> None:
    for kind, name in (("oci-archive", "a.oci"), ("docker-archive", "a.tar"), ("oci-dir", "a.dir")):
        subprocess.run(
            ["podman", "save", "-q", "--format", kind, "-o", cluster.work / name, IMAGE],
            check=True,
            capture_output=True,
        )
        done = cluster.run("srun", f"--container-image=./{name}", "sh", "-c", "echo $GREETING")
        assert done.stdout == "image\n", name
    for image, words in (
        ("/etc/passwd", "no image: neither squashfs, nor .sif, nor an archive"),
        ("/etc", "no OCI layout"),
        ("/nowhere.sqsh", "No such file or directory"),
        ("localhost/none:9", "podman: "),
    ):
        done = cluster.run("srun", f"--container-image={image}", "true", check=False)
        assert done.returncode == 1
        assert words in done.stderr, image
    (cluster.work / "own.sqsh").write_bytes(b"hsqs")
    (cluster.work / "own.sqsh").chmod(0o600)
    done = cluster.run(
        "srun", "--uid=daemon", "-D", "/", f"--container-image={cluster.work}/own.sqsh", "true", check=False
    )
    assert "Permission denied" in done.stderr


def test_nothing_is_left_of_one_that_is_cancelled(cluster: LiveCluster) -> None:
    cluster.run("srun", "-t", "1", f"--container-image={IMAGE}", "--immediate=60", "true")
    job = cluster.submit(f"--container-image={IMAGE}", "--wrap", "sleep 300")
    cluster.wait_for(job, "RUNNING")
    cluster.run("scancel", job)
    cluster.wait_for(job, "CANCELLED")
    wait_until(lambda: not list((cluster.directory / "agent").glob("*/steps/*/*/box")), what="the box is gone")
    assert str(cluster.directory) not in Path("/proc/mounts").read_text()


def test_nodes_fetch_before_the_job_begins_and_it_is_seen(podman: Path, tmp_path: Path) -> None:
    """This podman pulls when it is let, and says how far it is."""
    gate, bin_dir = tmp_path / "gate", tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "podman").write_text(
        f'#!/bin/sh\n[ "$1" != pull ] || until [ -e {gate} ]; do echo "Copying blob 3 of 6" >&2; sleep 0.1; done\n'
        f'exec {shutil.which("podman")} "$@"\n'
    )
    (bin_dir / "podman").chmod(0o755)
    archive = tmp_path / "image.oci"
    subprocess.run(
        ["podman", "save", "-q", "--format", "oci-archive", "-o", archive, IMAGE], check=True, capture_output=True
    )
    one = LiveCluster(tmp_path / "cluster")
    one.environment["PATH"] = f"{bin_dir}:{one.environment['PATH']}"
    try:
        one.up("--nodes=2", "--cpus=4", "--prefix=n1")
        job = one.submit("-N2", f"--container-image={archive}", "-o", "job.out", "--wrap", "echo $GREETING")
        words = ["squeue", "-h", "-t", "CF", "-o", "%t %r"]
        wait_until(
            lambda: "CF n1: Copying blob 3 of 6" in one.text(*words) or "CF n2: Copying blob 3 of 6" in one.text(*words)
        )
        gate.touch()
        one.wait_for(job, "COMPLETED")
        assert (one.work / "job.out").read_text() == "image\n"
        lines = one.text("corral", "image", "ls").splitlines()
        assert [line.split()[0] for line in lines] == ["IMAGE", str(archive)]
        assert lines[1].endswith("n[1-2]")
        assert one.text("corral", "image", "pull", "-w", "n2", str(archive)) == f"{archive} is on n2"
        wrong = one.run("corral", "image", "pull", "/etc/passwd", check=False)
        assert (wrong.returncode, wrong.stderr.count("no image: neither squashfs")) == (1, 2)
        assert (
            one.run("corral", "image", "pull", "-w", "n9", "x", check=False).stderr
            == "corral: error: there is no node n9\n"
        )
        assert one.text("corral", "image", "rm", str(archive)).startswith("removed from")
        assert one.run("corral", "image", "rm", str(archive), check=False).returncode == 1
    finally:
        one.down()


def test_an_agent_that_is_not_root_makes_a_user_namespace(podman: Path) -> None:
    """Two containers of the same image; in the second the user looks like root."""
    directory = Path(tempfile.mkdtemp(prefix="corral-nobody-"))
    try:
        image = directory / "image"
        shutil.copytree(podman / "root", image / "rootfs", symlinks=True)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        said = [
            in_a_process(partial(_contained, directory / name, image / "rootfs", remap_root=name == "root"))
            for name in ("own", "root")
        ]
        assert said == ["65534 /z\n", "0 /z\n"]
    finally:
        shutil.rmtree(directory)


def in_a_process(act: Callable[[], bytes]) -> str:
    """What it gives, done as nobody."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            mounts.own_proc_files()
            os.write(write_end, act())
        except BaseException as error:
            os.write(write_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def _contained(scratch: Path, root: Path, *, remap_root: bool) -> bytes:
    nobody = Identity(Owner(uid=65534, gid=65534, user="nobody", group="nogroup"))
    wanted = Container(image="x", remap_root=remap_root, writable=True, mount_home=False)
    box = container.make(wanted, str(root), boxes.place_at(str(scratch)), nobody, "/", "")
    read_end, write_end = os.pipe()
    if not os.fork():
        os.dup2(write_end, 1)
        box.enter()
        box.settle()
        os.execv("/bin/sh", ["sh", "-c", "touch /z; echo $(id -u) $(ls /z)"])
    os.close(write_end)
    with open(read_end, "rb") as file:
        return file.read()


RING = """#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    int rank, size, sum;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (!rank) printf("%d ranks, sum %d, %s\\n", size, sum, access("/etc/link", F_OK) ? "outside" : "inside");
    MPI_Finalize();
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("mpicc.mpich") is None, reason="needs MPICH")
def test_an_mpi_program_finds_its_peers_on_other_nodes(cluster: LiveCluster) -> None:
    """The image has no MPI: the machine's libraries are mounted."""
    (cluster.work / "ring.c").write_text(RING)
    cluster.run("mpicc.mpich", "ring.c", "-o", "ring")
    mounts = ",".join(
        [*(f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if Path(path).exists()), "./ring:/ring:ro"]
    )
    words = ("-N2", "-n8", "--mpi=pmi2", f"--container-image={IMAGE}", f"--container-mounts={mounts}", "/ring")
    assert cluster.text("srun", *words) == "8 ranks, sum 28, inside"


def test_a_pod_has_its_volumes_variables_network_and_probes_in_an_image(cluster: LiveCluster) -> None:
    pods = Pods(cluster)
    seen = "echo $GREETING $WHO $(cat /data/x) $(pwd) $(hostname); cat /etc/hosts; sleep 100"
    pods.put(
        "imaged",
        {
            "name": "main",
            "image": IMAGE,
            "command": ["sh", "-c", seen],
            "env": [{"name": "WHO", "value": "pod"}, {"name": "GREETING", "value": "own"}],
            "volumeMounts": [{"name": "shared", "mountPath": "/data"}],
            "readinessProbe": {"exec": {"command": ["ls", "/data/x"]}},
        },
        {"name": "plain", "image": IMAGE, "args": ["sleep", "100"]},
        initContainers=[
            {
                "name": "first", "image": IMAGE, "command": ["sh", "-c", "echo shared > /work/x"],
                "volumeMounts": [{"name": "shared", "mountPath": "/work"}],
            }
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
        terminationGracePeriodSeconds=1,
    )  # fmt: skip
    pods.wait_ready("imaged")

    def logs() -> dict[str, str]:
        return {
            path.parent.name: path.read_text() for path in cluster.directory.glob("agent/*/pods/*/*imaged*/*/0.log")
        }

    wait_until(lambda: logs()["plain"] == "entry\n" and logs()["main"].count("\n") > 1, what=logs)
    assert logs()["main"].splitlines()[:2] == ["own pod shared /tmp imaged", "127.0.0.1\tlocalhost"]
    job = str(pods.status("imaged")["job"])
    said = cluster.text(
        "srun", f"--jobid={job}", "--overlap", "--container-name=main:exec", "sh", "-c", "cat /data/x; id -u"
    )
    assert said == "shared\n0"
    pods.delete("imaged")
    pods.wait_gone("imaged")


def test_a_step_is_started_from_inside(cluster: LiveCluster) -> None:
    """With this Python and its commands mounted; the cluster's socket is there by itself."""
    there = [sys.base_prefix, sys.prefix, str(Path(corral.__file__).parents[1]), "/usr", "/lib", "/lib64"]
    mounts = ",".join(f"{path}:{path}:ro" for path in dict.fromkeys(there) if os.path.exists(path))
    step = f"{COMMANDS}/srun --overlap -N2 -n2 sh -c 'echo $SLURM_STEP_ID on $SLURMD_NODENAME'"
    script = f"{step}; {COMMANDS}/squeue -h -o %j -j $SLURM_JOB_ID"
    job = cluster.submit(
        "-N2", "-n2", "-J", "outer", "-W", "-o", f"{cluster.work}/nested", f"--container-image={IMAGE}",
        f"--container-mounts={mounts},{cluster.work}", "--wrap", script,
    )  # fmt: skip
    cluster.wait_for(job, "COMPLETED")
    assert sorted((cluster.work / "nested").read_text().splitlines()) == ["0 on n1", "0 on n2", "outer"]


def test_a_named_container_may_stay_for_its_users_later_jobs(podman: Path, tmp_path: Path) -> None:
    one = LiveCluster(tmp_path, '[timeouts]\nkill_wait = 1\n[containers]\nscope = "global"\n')
    one.up("--nodes=1", "--cpus=4", "--mem=4000", "--prefix=n1")
    try:
        one.run("srun", f"--container-image={IMAGE}", "--container-name=mine", "touch", "/mark")
        assert one.text("srun", "--container-name=mine", "ls", "/mark") == "/mark"
        gate = one.work / "gate"
        wait = f"echo there > {one.work}/begun; until [ -e {gate} ]; do sleep 0.05; done"
        holding = one.submit(
            "-o", "/dev/null", "--container-name=mine", f"--container-mounts={one.work}", "--wrap", f"exec 2>/dev/null; {wait}"
        )  # fmt: skip
        one.wait_for(holding, "RUNNING", "FAILED")
        wait_until((one.work / "begun").exists)
        other = one.run("srun", "--container-name=mine", "true", check=False)
        assert f"container mine is used by job {holding} on n1: one job may have it at a time" in other.stderr
        gate.touch()
        one.wait_for(holding, "COMPLETED")
        assert one.text("srun", "--container-name=mine:remove", "ls", "/mark") == "/mark"
        gone = one.run("srun", "--container-name=mine", "true", check=False)
        assert "there is no container mine of yours on n1" in gone.stderr
    finally:
        one.down()
