"""What is a node told of a Pod's container: its variables, ports, probes and hooks? Part of LaunchStep."""

import msgspec

#: Stands in a variable for the Pod's address, which its node alone knows.
POD_IP = "\x00podIP\x00"
#: Likewise for the node's.
HOST_IP = "\x00hostIP\x00"
#: How it begins what a node says of an image that is not to be had.
NO_IMAGE = "ErrImagePull: "
#: Likewise why a Pod may not stay.
EVICTED = "Evicted: "


class PodVariable(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A variable of a container; $(NAME) in it is expanded on the node, out of those before it."""

    name: str
    value: str
    is_sealed: bool = False  #: of a Secret: whoever sends the order opens it
    is_literal: bool = False  #: nothing in it is expanded


class PodPort(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A port of the Pod, and the node's port by which it is reached."""

    port: int
    host_port: int
    name: str = ""
    protocol: str = "TCP"


class AccountToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token of a ServiceAccount that whoever sends the order makes: void when the Pod's job has ended."""

    account: str  #: NAMESPACE:NAME
    account_uid: str
    user: str  #: whose what it makes is
    job: int
    restart: int
    audience: str = ""  #: "" = the API
    seconds: int = 3600


class PodFile(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A file of a ConfigMap or a Secret."""

    path: str  #: below the volume
    value: bytes
    mode: int = 0o644
    is_sealed: bool = False  #: as of a variable; then `value` is the sealed text
    token: AccountToken | None = None  #: `value` is made when the order is sent
    is_authority: bool = False  #: likewise: whom to trust who says that he is the API


class PodVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that containers of a Pod mount."""

    name: str
    kind: str  #: empty, memory, host, files, claim (a directory that is made), nfs
    path: str = ""  #: of the node; of nfs server:/path
    type: str = ""  #: what must be there (DirectoryOrCreate, File, Socket, ...); "" = nobody asks
    owner: tuple[int, int] = (0, 0)  #: uid and gid: whose a claim's directory becomes
    read_only: bool = False
    size_mb: int = 0  #: of one in memory; 0 = no limit
    files: tuple[PodFile, ...] = ()


class PodMount(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Where a volume is seen in a container."""

    volume: str
    target: str
    sub_path: str = ""
    read_only: bool = False


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is tried of a container: by a probe, or before and after its life."""

    how: str  #: exec, http, https, tcp, grpc, sleep
    command: tuple[str, ...] = ()
    host: str = ""  #: "" = the Pod
    port: int = 0
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    service: str = ""  #: of gRPC's health protocol
    seconds: float = 0.0  #: to sleep


class ProbeOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check that is made again and again. Times are seconds."""

    kind: str  #: startup, readiness, liveness
    check: Check
    delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    successes: int = 1
    failures: int = 3


class PodRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a container of a Pod."""

    namespace: str
    name: str
    uid: str
    container: str
    number: int = 0  #: how often it has been started anew
    host_name: str = ""
    host_ip: str = ""  #: by which others reach the node
    host_network: bool = False
    ports: tuple[PodPort, ...] = ()  #: of the whole Pod
    variables: tuple[PodVariable, ...] = ()
    volumes: tuple[PodVolume, ...] = ()  #: those that it mounts
    mounts: tuple[PodMount, ...] = ()
    domain: str = ""  #: of its host name, behind it
    host_aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: lines of its /etc/hosts
    stdin: bool = False  #: who attaches types into it
    stdin_once: bool = False  #: its input ends when the first who typed has ended
    tty: bool = False  #: it has a terminal
    termination_path: str = ""  #: what it writes there is told as its end's message
    cpu_millis: int = 0  #: it has no more time of CPUs than so many thousandths of one's; 0 = no limit
    run_as: tuple[int, int] | None = None  #: uid and gid, where these are not the owner's
    groups: tuple[int, ...] = ()  #: beside those of its user: who has its volumes (fsGroup)
    more_groups: tuple[int, ...] = ()  #: beside these too
    no_new_privileges: bool = False  #: nothing that it executes has more rights than it
    drop: tuple[str, ...] = ()  #: capabilities that it does without; ALL = all
    keep: tuple[str, ...] = ()  #: of these
    filter_calls: bool = False  #: the kernel denies it what administers a machine
    locks_memory: bool = False  #: as much as it has
    auths: tuple[
        PodVariable, ...
    ] = ()  #: with which its image may be pulled: Secrets' .dockerconfigjson, by their names
    pull: str = ""  #: its image: missing, always, never; "" = as the cluster says
    grace: float = 30.0  #: seconds from SIGTERM to SIGKILL where an order says nothing else
    gateway_host: str = ""  #: of services, for Pods with a network of their own; "" = as for everybody
    probes: tuple[ProbeOrder, ...] = ()
    post_start: Check | None = None
    pre_stop: Check | None = None
