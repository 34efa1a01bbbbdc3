"""Reading corral.toml."""

import pytest

from corral.config.cluster import load, parse
from corral.errors import ConfigError
from corral.model.cluster import ClusterConfig
from corral.model.job import UNLIMITED


def test_an_empty_file_is_the_default_configuration() -> None:
    assert parse("") == ClusterConfig() == load(None)


def test_times_and_sizes_can_be_written_as_people_do() -> None:
    config = parse(
        """
        [timeouts]
        node = "2m"
        heartbeat = "500ms"
        [scheduling]
        default_memory_per_cpu_mb = "4G"
        [[partition]]
        name = "batch"
        max_time = "1-00:00:00"
        default_time = "UNLIMITED"
        """
    )
    assert (config.timeouts.node, config.timeouts.heartbeat) == (120, 0.5)
    assert config.scheduling.default_memory_per_cpu_mb == 4096
    assert (config.partition[0].max_time, config.partition[0].default_time) == (86400, UNLIMITED)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("clustr = 'x'", 1, "there is no key 'clustr'; did you mean 'cluster'?"),
        ("# a remark\n\n[timeouts]\n# another\nkillwait = 3", 5, "there is no key 'timeouts.killwait'; did you mean 'kill_wait'?"),
        ("[gateway]\nports = '80-90'", 2, "ports below 1024 are not for users"),
        ("[gateway]\nlisten = 'here'", 2, "it is an IP address"),
        ("[gateway]\nlisten = '0.0.0.0'", 2, "a 'host' is needed"),
        ("[gateway]\nhttp_port = 22000", 2, "it is one of 'ports'"),
        ("[gateway]\nports = '30000-30010'", 1, "cannot both have 30000"),
        ("pod_ports = '20000-29000'", 1, "it is one of pod_ports"),
        ("[gateway]\nhttps_port = 70000", 2, "ports go up to 65535"),
        ("[timeoutz]\nnode = 3", 1, "there is no key 'timeoutz'; did you mean 'timeouts'?"),
        ("[timeouts]\nnode = 'soon'", 2, "Not a time limit: 'soon'"),
        ("[limits]\nmax_job_count = 'many'", 2, "'limits.max_job_count' cannot be 'many': expected `int`"),
        ("timeouts.node = []", 1, "'timeouts.node' cannot be []"),
        ("[[partition]]\nname='a'\n[[partition]]\nname='b'\ncolour=1", 5, "there is no key 'partition.colour'"),
        ("[[partition]]\nname='a'\n[[partition]]\nname='a'", 4, "partition a is there twice"),
        ("[[partition]]\nname='a'\ndefault=true\n[[partition]]\nname='b'\ndefault=true", 6, "there are two defaults: a and b"),
        ("[[partition]]\nname='a'\nnodes='n[1-'", 3, "Not a node list: 'n[1-'"),
        ("[[node]]\nname='n[1-2]'\n[[partition]]\nname='a'\nnodes='n[1-3]'", 5, "there is no [[node]] n3"),
        ("[[node]]\nname='n1'\n[[node]]\nname='n[1-2]'", 4, "node n1 is there twice"),
        ("[[node]]\ncpus=3", 1, "'node' needs a key 'name'"),
        ("[[node]]\nname='n1'\nmemory_mb='lots'", 3, "Not a size: 'lots'"),
        ("[[node]]\nname='n1'\ngres='gpu:x:y:z'", 3, "Not a list of generic resources"),
        ("[isolation]\nmemory_soft_percent=120", 2, "it is at most 100"),
        ("[gpus]\nignore_xids=[48]\ndrain_xids=[109, 48]", 3, "Xid 48 is in ignore_xids too"),
        ("[[gres]]\nname='fpga'\ncount=2", 2, "'fpga' is not among gres_types (gpu)"),
        ("[[gres]]\nname='gpu'\nfiles=['nvidia0']", 3, "'nvidia0' is no device file"),
        ("[[gres]]\nname='gpu'\ncount=100000", 3, "100000 units: 65536 can be counted"),
        ("[[node]]\nname='n1'\ngres='gpu:2,bw:10G'", 3, "10737418240 units of bw: 65536 can be counted"),
        ("[[gres]]\nname='gpu'", 1, "either 'files' or 'count' must say how many there are"),
        ("[[gres]]\nname='gpu'\ncount=3\nfiles=['/dev/nvidia[0-1]']", 3, "3 units have 2 files"),
        ("[scheduling]\nplacement = 'anywhere'", 2, "'placement' cannot be 'anywhere': it is one of fragmentation, pack, spread"),
        ("[scheduling]\ntime_limit_step = 0", 2, "'time_limit_step' cannot be 0"),
        ("[timeouts]\nkill_wait = -1", 2, "'kill_wait' cannot be -1"),
        ("log_level = 'loud'", 1, "it is one of debug, info, warning, error"),
        ("enforce = ['magic']", 1, "'magic' cannot be enforced"),
        ("cluster = 'a b'", 1, "'a b' is no name"),
        ("[nats]\nlisten = 'here'", 2, "'here' is not host:port"),
        ("[api]\nlisten = '0.0.0.0:6820'", 2, "HTTPS needs 'certificate' and 'key'"),
        ("partition = []", 1, "there must be a partition"),
        ("a = 1\nb =", 2, "this is not TOML"),
        ("a = 1\na = 2", 2, "this is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "lab.toml")
    message = str(caught.value)
    assert message.startswith(f"lab.toml:{line}: ")
    assert words in message


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nonexistent/corral\.toml:1: the file cannot be read: No such file"):
        load("/nonexistent/corral.toml")
