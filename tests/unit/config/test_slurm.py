"""Slurm's configuration as ours."""

from pathlib import Path

import msgspec
import pytest

from corral.config import slurm
from corral.config.cluster import parse
from corral.errors import ConfigError
from corral.model.cluster import ClusterConfig

SLURM_CONF = r"""
# The lab's cluster
ClusterName=lab
SlurmctldHost=head(10.0.0.1)
GresTypes=gpu
KillWait=15
SlurmdTimeout=120
PriorityType=priority/multifactor
PriorityWeightAge=1000
PriorityWeightTRES=CPU=1000,GRES/gpu=2000
PriorityMaxAge=7-0
SelectType=select/cons_tres
SchedulerParameters=bf_window=2880,bf_licenses
JobSubmitPlugins=lua
NodeName=DEFAULT RealMemory=64000 State=UNKNOWN
NodeName=dgx[0180-0189] Sockets=2 CoresPerSocket=4 ThreadsPerCore=2 \
   Gres=gpu:8 Feature=v100,ib Weight=10
nodename=cpu[1-4] cpus=8
PartitionName=DEFAULT MaxTime=1-0
PartitionName=batch Nodes=ALL Default=YES MaxTime=UNLIMITED
PartitionName=gpu Nodes=dgx[0180-0189] DefaultTime=4:00:00 AllowGroups=ml QOS=high
DownNodes=cpu4 Reason=broken
"""


def imported(folder: Path, slurm_conf: str, gres_conf: str = "") -> tuple[ClusterConfig, list[str]]:
    """The configuration, and the lines that were left."""
    (folder / "slurm.conf").write_text(slurm_conf)
    if gres_conf:
        (folder / "gres.conf").write_text(gres_conf)
    found = slurm.read(folder / "slurm.conf")
    return parse(found.toml()), [f"{Path(line.file).name}:{line.number}: {why}" for line, why in found.left]


def test_nodes_partitions_timeouts_and_weights_are_carried_over(tmp_path: Path) -> None:
    config, _ = imported(tmp_path, SLURM_CONF)
    assert config.cluster == "lab"
    assert (config.timeouts.kill_wait, config.timeouts.node) == (15, 120)
    assert (config.priority.age, config.priority.max_age) == (1000, 604800)
    assert config.priority.tres == {"cpu": 1000, "gres/gpu": 2000}
    dgx, cpu = config.node
    assert (dgx.name, dgx.cpus, dgx.sockets, dgx.memory_mb, dgx.gres) == ("dgx[0180-0189]", 16, 2, 64000, "gpu:8")
    assert (dgx.features, dgx.weight) == (("v100", "ib"), 10)
    assert (cpu.name, cpu.cpus, cpu.memory_mb) == ("cpu[1-4]", 8, 64000)
    batch, gpu = config.partition
    assert (batch.name, batch.nodes, batch.default) == ("batch", "ALL", True)
    assert (gpu.max_time, gpu.default_time, gpu.allow_groups) == (86400, 14400, ("ml",))
    assert gpu.qos == "high"


def test_billing_weights_are_carried_over_with_memory_by_the_gb(tmp_path: Path) -> None:
    config, left = imported(
        tmp_path, 'ClusterName=lab\nPartitionName=a Nodes=ALL TRESBillingWeights="CPU=1.0,Mem=0.25G,GRES/gpu=2"\n'
    )  # fmt: skip
    assert (config.partition[0].billing_weights, left) == ({"cpu": 1.0, "mem": 0.25, "gres/gpu": 2.0}, [])


def test_what_is_enforced_and_fair_share_are_carried_over(tmp_path: Path) -> None:
    text = "ClusterName=lab\nAccountingStorageEnforce=limits,qos,safe\nPriorityWeightFairshare=10\nPriorityDecayHalfLife=1-0\n"
    config, left = imported(tmp_path, text)
    assert config.accounting.enforce == ("limits", "qos", "safe")
    assert (config.priority.fair_share, config.priority.decay_half_life, left) == (10, 86400, [])


def test_every_line_that_is_lost_is_listed(tmp_path: Path) -> None:
    _, left = imported(tmp_path, SLURM_CONF, "Name=shard Count=8\n")
    assert [entry.split(":")[0] + ":" + entry.split(":")[1] for entry in left] == [
        "slurm.conf:14", "slurm.conf:22", "gres.conf:1",
    ]  # fmt: skip


def test_preemption_is_carried_over(tmp_path: Path) -> None:
    text = """PreemptType=preempt/partition_prio
PreemptMode=SUSPEND,GANG
PreemptExemptTime=00:10:00
SchedulerTimeSlice=60
SchedulerParameters=preempt_youngest_first,preempt_reorder_count=5,preempt_strict_order
SlurmctldParameters=preempt_send_user_signal
NodeName=n1 CPUs=4
PartitionName=lo Nodes=n1 PreemptMode=REQUEUE GraceTime=30 OverSubscribe=FORCE:1
PartitionName=hi Nodes=n1 PriorityTier=10 PreemptMode=OFF
"""
    config, left = imported(tmp_path, text)
    given = config.preemption
    assert (given.type, given.mode, given.exempt_time) == ("partition_prio", "GANG,SUSPEND", 600)
    assert (given.time_slice, given.strict_order, given.send_user_signal) == (60, True, True)
    assert [(one.preempt_mode, one.grace_time) for one in config.partition] == [("REQUEUE", 30), ("OFF", 0)]
    assert left == []


def test_types_of_gpus_come_from_gres_conf(tmp_path: Path) -> None:
    config, left = imported(
        tmp_path,
        "NodeName=a,b Gres=gpu:8\nPartitionName=x Nodes=a,b\n",
        "AutoDetect=nvml\nNodeName=a,b Name=gpu Type=v100 File=/dev/nvidia[0-7]\n",
    )
    assert config.node[0].gres == "gpu:v100:8"
    assert left == []


def test_included_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "nodes.conf").write_text("NodeName=n1 CPUs=4\n")
    config, _ = imported(tmp_path, "Include nodes.conf\nPartitionName=x Nodes=n1\n")
    assert config.node[0].name == "n1"


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"slurm.conf:2: .*CPUs=many"):
        imported(tmp_path, "# nodes\nNodeName=n1 CPUs=many\n")


def test_the_tree_of_switches_comes_with_it(tmp_path: Path) -> None:
    (tmp_path / "topology.conf").write_text(
        "SwitchName=leaf1 Nodes=n[1-4] LinkSpeed=10\nSwitchName=leaf2 Nodes=n[5-8]\nSwitchName=top Switches=leaf[1-2]\n"
    )
    config, left = imported(
        tmp_path,
        "TopologyPlugin=topology/tree\nSchedulerParameters=max_switch_wait=60,bf_window=10\nNodeName=n[1-8] CPUs=4\n",
    )
    assert [(one.name, one.nodes, one.switches, one.link_speed) for one in config.switch] == [
        ("leaf1", "n[1-4]", "", 10), ("leaf2", "n[5-8]", "", 1), ("top", "", "leaf[1-2]", 1),
    ]  # fmt: skip
    assert config.scheduling.max_switch_wait == 60
    assert left == []


def test_a_topology_file_that_slurm_does_not_read_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "topology.conf").write_text("SwitchName=leaf1 Nodes=n[1-4]\n")
    assert imported(tmp_path, "NodeName=n[1-8] CPUs=4\n")[0].switch == ()


def test_how_a_partition_shares_its_cpus(tmp_path: Path) -> None:
    config, left = imported(
        tmp_path,
        "NodeName=n1 CPUs=4\nPartitionName=a Nodes=n1 OverSubscribe=FORCE:2 DefCpuPerGPU=4 MaxMemPerCPU=2000\n"
        "PartitionName=b Nodes=n1 Shared=YES\n",
    )
    a, b = config.partition
    assert (a.oversubscribe, a.default_cpus_per_gpu, a.max_memory_per_cpu_mb) == ("FORCE:2", 4, 2000)
    assert b.oversubscribe == "YES:4"
    assert left == []


def test_how_priorities_are_made_is_carried_over(tmp_path: Path) -> None:
    text = """ClusterName=lab
PriorityType=priority/basic
PriorityFlags=ACCRUE_ALWAYS,no_fair_tree,FAIR_TREE
PriorityFavorSmall=YES
PriorityCalcPeriod=5
PriorityUsageResetPeriod=monthly
FairShareDampeningFactor=5
PriorityWeightAssoc=70
"""
    config, left = imported(tmp_path, text)
    found = config.priority
    assert (found.type, found.flags, found.favor_small) == ("basic", ("ACCRUE_ALWAYS", "NO_FAIR_TREE"), True)
    assert (found.calc_period, found.usage_reset_period, found.fair_share_dampening) == (300, "MONTHLY", 5)
    assert (found.assoc, left) == (70, [])


def test_a_flag_that_there_is_not_is_told(tmp_path: Path) -> None:
    _, left = imported(
        tmp_path, "ClusterName=lab\nPriorityFlags=TICKET_BASED\nPrioritySiteFactorPlugin=site_factor/x\n"
    )
    assert [line.split(": ", 1)[0] for line in left] == ["slurm.conf:2", "slurm.conf:3"]


@pytest.mark.parametrize(
    ("lines", "rules", "left"),
    [
        ("", ("nodes", False, False, "cyclic", "fragmentation"), []),  # Slurm's own default is select/linear
        (
            "SelectType=select/linear\nSelectTypeParameters=CR_Memory",
            ("nodes", True, False, "cyclic", "fragmentation"),
            [],
        ),
        ("SelectType=select/cons_tres", ("cores", True, False, "cyclic", "fragmentation"), []),
        (
            "SelectType=select/cons_res\nSelectTypeParameters=CR_CPU",
            ("cores", False, False, "cyclic", "fragmentation"),
            [],
        ),
        (
            "SelectType=select/cons_tres\n"
            "SelectTypeParameters=CR_Core_Memory,CR_ONE_TASK_PER_CORE,CR_CORE_DEFAULT_DIST_BLOCK,CR_LLN",
            ("cores", True, True, "block", "spread"),
            [],
        ),
        (
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Socket_Memory",
            ("cores", True, False, "cyclic", "fragmentation"),
            [
                "slurm.conf:3: CR_SOCKET_MEMORY: sockets are not given out whole: cores are (use --exclusive for nodes)",
            ],
        ),
        (
            "SelectType=select/cray_aries",
            ("cores", True, False, "cyclic", "fragmentation"),
            ["slurm.conf:2: select/cray_aries: cores, memory and GPUs are given out singly"],
        ),
    ],
)
def test_what_is_given_out(tmp_path: Path, lines: str, rules: tuple[object, ...], left: list[str]) -> None:
    text = f"ClusterName=lab\n{lines}\nNodeName=n1 CPUs=4\nPartitionName=batch Nodes=ALL\n"
    config, lost = imported(tmp_path, text)
    found = config.scheduling
    assert (found.select, found.count_memory, found.one_task_per_core, found.core_order, found.placement) == rules
    assert lost == left


def test_ports_of_steps(tmp_path: Path) -> None:
    text = "ClusterName=lab\nSelectType=select/cons_tres\nMpiParams=ports=12000-12999\nNodeName=n1 CPUs=4\n"
    config, lost = imported(tmp_path, text + "PartitionName=batch Nodes=ALL\n")
    assert (config.step_ports, lost) == ("12000-12999", [])


def test_what_says_who_gets_a_planned_start_is_carried_over(tmp_path: Path) -> None:
    words = (
        "bf_window=2880,bf_resolution=120,bf_max_job_test=500,bf_max_job_user=20,bf_max_job_part=50,bf_max_job_assoc=9"
    )
    words += ",bf_max_job_array_resv=5,bf_min_age_reserve=600,bf_min_prio_reserve=7,bf_job_part_count_reserve=3,bf_busy_nodes"
    words += ",sched_min_interval=2000000,bf_interval=60,bf_continue,default_queue_depth=1000,bf_licenses,defer"
    config, left = imported(tmp_path, f"SchedulerParameters={words}\nNodeName=n[1-8] CPUs=4\n")
    named = msgspec.structs.asdict(config.scheduling)
    assert {key: named[key] for key in named if key.startswith("backfill_") or key == "cycle_interval"} == {
        "backfill_window": 172800, "backfill_resolution": 120, "backfill_max_jobs": 500, "backfill_max_per_user": 20,
        "backfill_max_per_partition": 50, "backfill_max_per_association": 9, "backfill_max_array": 5, "backfill_min_age": 600,
        "backfill_min_priority": 7, "backfill_plans_per_partition": 3, "backfill_busy_nodes": True, "cycle_interval": 2.0,
    }  # fmt: skip
    assert left == []


def test_words_of_the_scheduler_that_have_no_meaning_here_are_listed(tmp_path: Path) -> None:
    _, left = imported(
        tmp_path, "SchedulerParameters=bf_window=x,assoc_limit_stop,bf_topopt_enable\nNodeName=n1 CPUs=4\n"
    )
    assert len(left) == 1
    assert "bf_window=x, assoc_limit_stop, bf_topopt_enable" in left[0]


def beside(folder: Path, slurm_conf: str, **files: str) -> tuple[ClusterConfig, list[str]]:
    for name, text in files.items():
        (folder / f"{name}.conf").write_text(text)
    return imported(folder, "ClusterName=lab\nNodeName=n1 CPUs=4 Gres=gpu:2,fpga:2\nGresTypes=gpu,fpga\n" + slurm_conf)


def test_what_cgroups_enforce_is_carried_over(tmp_path: Path) -> None:
    text = (
        "CgroupAutomount=yes\nConstrainCores=yes\nConstrainDevices=yes\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n"
    )
    text += "AllowedSwapSpace=12.5\nConstrainKmemSpace=no\nAllowedRAMSpace=100\n"
    config, left = beside(tmp_path, "", cgroup=text)
    assert (config.enforce, config.isolation.swap_percent) == (("cpu", "memory", "devices"), 12.5)
    assert left == []


def test_what_cgroups_do_not_enforce_is_not_enforced_here(tmp_path: Path) -> None:
    config, left = beside(tmp_path, "", cgroup="ConstrainCores=yes\nMemorySwappiness=10\nAllowedRAMSpace=95\n")
    assert config.enforce == ("cpu",)
    assert [line.partition(": ")[0] for line in left] == ["cgroup.conf:2", "cgroup.conf:3"]
    assert "set vm.swappiness on the nodes" in left[0]
    assert "memory_soft_percent in [isolation]" in left[1]


def test_private_directories_are_carried_over(tmp_path: Path) -> None:
    container = "AutoBasePath=true\nBasePath=/local Dirs=/tmp,/var/tmp InitScript=/etc/x.sh\n"
    config, left = beside(tmp_path, "JobContainerType=job_container/tmpfs\n", job_container=container)
    assert config.isolation.private_dirs == ("/tmp", "/var/tmp")
    assert [line.partition(": ")[2] for line in left] == [
        "the directories lie in the agent's state directory, not in BasePath", "no program is run for it: use [programs] prolog",
    ]  # fmt: skip
    config, left = beside(tmp_path, "", job_container=container)
    assert (config.isolation.private_dirs, left) == ((), []), "without JobContainerType the file says nothing"


def test_devices_that_nobody_finds_come_with_their_files(tmp_path: Path) -> None:
    gres = "AutoDetect=nvml\nName=gpu File=/dev/nvidia[0-1]\nNodeName=n1 Name=fpga Type=u55 File=/dev/fpga[0-1]\n"
    config, left = beside(tmp_path, "", gres=gres)
    (device,) = config.gres
    assert (device.name, device.type, device.nodes, device.files) == ("fpga", "u55", "n1", ("/dev/fpga[0-1]",))
    assert (config.node[0].gres, left) == ("gpu:2,fpga:u55:2", [])


def test_mps_becomes_shares_with_a_daemon_of_the_agents(tmp_path: Path) -> None:
    text = "ClusterName=lab\nGresTypes=gpu,mps\nNodeName=n1 Gres=gpu:2,mps:200\nNodeName=n2 Gres=gpu:2,mps:400\n"
    config, left = imported(tmp_path, text, "Name=mps Count=200\n")
    assert (config.gres_types, config.gpu_sharing.fence) == (("gpu", "shard"), "mps")
    assert [node.gres for node in config.node] == ["gpu:2", "gpu:2"]
    assert left == ["slurm.conf:4: mps: each of the 2 GPUs counts 100, not 200"]


def test_how_nodes_boot_and_what_a_prolog_is_for(tmp_path: Path) -> None:
    text = "ClusterName=lab\nRebootProgram=/sbin/reboot\nResumeTimeout=600\nPrologFlags=X11,Contain\n"
    config, left = imported(tmp_path, text)
    assert (config.programs.reboot, config.timeouts.resume, left) == ("/sbin/reboot", 600, [])
    _, left = imported(tmp_path, "ClusterName=lab\nPrologFlags=Alloc,X11\n")
    assert len(left) == 1
    assert "Alloc" in left[0]
