"""What `scontrol show config` is told."""

from corral.controller.slurm_config import slurm_keys
from corral.model.cluster import ClusterConfig, PriorityWeights, Scheduling

FACTS = {
    "host": "head",
    "state_dir": "/var/lib/corral",
    "config": "/etc/corral.toml",
    "user": "root(0)",
    "started": 1.0,
}

#: What programs look for.
READ = (
    "AccountingStorageType", "BOOT_TIME", "ClusterName", "KillWait", "MaxArraySize", "MaxJobCount", "MinJobAge", "PreemptMode",
    "PriorityType", "PropagateResourceLimits", "SLURM_CONF", "SLURM_VERSION", "SchedulerType", "SelectType", "SelectTypeParameters",
    "SlurmctldHost[0]", "StateSaveLocation", "TopologyPlugin",
)  # fmt: skip


def test_what_programs_look_for_is_there() -> None:
    keys = slurm_keys(ClusterConfig(), FACTS)
    assert [name for name in READ if name not in keys] == []
    assert (keys["SLURM_VERSION"], keys["SLURM_CONF"], keys["MinJobAge"]) == ("22.05.8", "/etc/corral.toml", "300 sec")


def test_the_keys_stand_by_the_alphabet() -> None:
    """But for one, which the real one has after PreemptType."""
    names = list(slurm_keys(ClusterConfig(), FACTS))
    assert names.index("PreemptExemptTime") == names.index("PreemptType") + 1
    names.remove("PreemptExemptTime")
    assert names == sorted(names, key=str.lower)


def test_of_the_two_default_memories_the_one_that_counts_is_shown() -> None:
    keys = slurm_keys(ClusterConfig(scheduling=Scheduling(default_memory_per_cpu_mb=100)), FACTS)
    assert (keys["DefMemPerCPU"], "DefMemPerNode" in keys) == ("100", False)
    assert slurm_keys(ClusterConfig(), FACTS)["DefMemPerNode"] == "UNLIMITED"


def test_weights_are_shown() -> None:
    keys = slurm_keys(ClusterConfig(priority=PriorityWeights(age=7, tres={"cpu": 1, "gres/gpu": 2})), FACTS)
    assert (keys["PriorityWeightAge"], keys["PriorityWeightTRES"], keys["PriorityMaxAge"]) == (
        7,
        "cpu=1,gres/gpu=2",
        "7-00:00:00",
    )
