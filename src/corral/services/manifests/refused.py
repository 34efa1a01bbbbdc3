"""Which fields of Kubernetes' are not here, why, and what to do instead?

By the record they would be in. `takes`: the values that mean what is so here anyway; they are read and not kept.
"""

from typing import Any

import msgspec


class Refused(msgspec.Struct, frozen=True):
    why: str
    takes: tuple[Any, ...] = ()


_NAMESPACES = "processes of a Pod see only their own, as jobs' do"
_LABELS = "confinement is by users, cgroups and namespaces; there are no profiles for it"
_PRIORITY = "priorities are given by priorityClassName"
_STORAGE = "use a persistentVolumeClaim, or a hostPath volume on a shared file system"
_ONE_FAMILY = "services are reached through the gateway, which has the addresses of its host"
_IPV4 = "a Service has one address, of IPv4"
_LIMITED = "give the Pod's containers their own"
_OWNER = "files of a volume belong to the Pod's user"
_WINDOWS = "nodes run Linux"

_POD_SPEC = {
    "dnsConfig": Refused("Pods resolve names as their node does, and services' names beside"),
    "ephemeralContainers": Refused("use `corral exec`"),
    "evictionResponders": Refused("a Pod is told by SIGTERM and preStop that it has to go", ([],)),
    "hostIPC": Refused(_NAMESPACES, (False,)),
    "hostPID": Refused(_NAMESPACES, (False,)),
    "hostUsers": Refused("whether a container has a user namespace is its runtime's choice", (True,)),
    "hostnameOverride": Refused("a Pod's host name is its hostname, or its name", ("",)),
    "os": Refused(_WINDOWS, ({"name": "linux"}, {})),
    "overhead": Refused("a container's runtime costs nothing that is counted", ({},)),
    "preemptionPolicy": Refused(_PRIORITY, ("PreemptLowerPriority",)),
    "priority": Refused(_PRIORITY, (0,)),
    "readinessGates": Refused("a Pod is ready when its containers are: use a readinessProbe", ([],)),
    "resourceClaims": Refused("ask for GPUs under resources.limits: nvidia.com/gpu", ([],)),
    "resources": Refused(_LIMITED, ({},)),
    "runtimeClassName": Refused("containers run with the runtime that the cluster is configured with", ("",)),
    "schedulingGates": Refused("a Pod is queued when it is created; hold its job with `scontrol hold`", ([],)),
    "schedulingGroup": Refused("for many nodes at once submit a job with sbatch"),
    "setHostnameAsFQDN": Refused("a Pod's host name is its short name", (False,)),
    "shareProcessNamespace": Refused("containers of a Pod do not see each other's processes", (False,)),
}

_CONTAINER = {
    "resizePolicy": Refused("what a running Pod holds does not change; apply the new size", ([],)),
    "restartPolicyRules": Refused("use the Pod's restartPolicy", ([],)),
    "volumeDevices": Refused("there are no block volumes; " + _STORAGE, ([],)),
}

_CONFINED = {
    "appArmorProfile": Refused(_LABELS, ({"type": "Unconfined"},)),
    "seLinuxOptions": Refused(_LABELS, ({},)),
    "windowsOptions": Refused(_WINDOWS, ({},)),
}

_SECURITY = _CONFINED | {
    "privileged": Refused("a Pod has no more rights than its user", (False,)),
    "procMount": Refused("/proc is as the runtime of the container makes it", ("Default", "")),
}

_POD_SECURITY = _CONFINED | {
    "fsGroupChangePolicy": Refused("a volume belongs to fsGroup from its beginning", ("Always", "OnRootMismatch", "")),
    "seLinuxChangePolicy": Refused(_LABELS, ("",)),
    "supplementalGroupsPolicy": Refused("a Pod's processes have the groups of its user", ("Merge", "")),
    "sysctls": Refused("kernel parameters are the node's: ask its administrator", ([],)),
}

_VOLUME = {
    name: Refused(_STORAGE)
    for name in (
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
        "gcePersistentDisk", "glusterfs", "iscsi", "photonPersistentDisk", "portworxVolume", "quobyte",
        "rbd", "scaleIO", "storageos", "vsphereVolume",
    )
} | {
    "gitRepo": Refused("clone in an init container into an emptyDir"),
    "image": Refused("copy what is needed from the image in an init container into an emptyDir"),
}  # fmt: skip

_DIRECTORIES = "volumes are directories: hostPath, local or nfs"
_NO_COPIES = "a claim begins empty: copy what it needs in an init container"
_MOUNTED = "file systems are mounted by the nodes' administrator, with the options that he gives"

_VOLUME_SOURCES = {
    name: Refused(_DIRECTORIES)
    for name in (
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
        "gcePersistentDisk", "glusterfs", "iscsi", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO",
        "storageos", "vsphereVolume",
    )
}  # fmt: skip

_TEMPLATE_META = {
    name: Refused("Pods of a template are named after their owner, and get this from the cluster", takes)
    for name, takes in (
        ("generateName", ("",)), ("ownerReferences", ([],)), ("finalizers", ([],)), ("uid", ()), ("resourceVersion", ()),
        ("generation", ()), ("creationTimestamp", ()), ("deletionTimestamp", ()), ("deletionGracePeriodSeconds", ()),
        ("managedFields", ()), ("selfLink", ()),
    )
}  # fmt: skip

REFUSED: dict[str, dict[str, Refused]] = {
    "PodSpec": _POD_SPEC,
    "Container": _CONTAINER,
    "SecurityContext": _SECURITY,
    "PodSecurityContext": _POD_SECURITY,
    "Volume": _VOLUME,
    "TemplateMeta": _TEMPLATE_META,
    "JobTemplateMeta": _TEMPLATE_META
    | {
        "name": Refused("Jobs are named after their CronJob"),
        "namespace": Refused("Jobs are in the namespace of their CronJob"),
    },
    "SeccompProfile": {"localhostProfile": Refused("there are RuntimeDefault and Unconfined", ("",))},
    "Lifecycle": {"stopSignal": Refused("containers are ended by SIGTERM; send another one in preStop")},
    "EnvVarSource": {"fileKeyRef": Refused("read the file in the container's command")},
    "ResourceRequirements": {"claims": Refused("ask for GPUs under limits: nvidia.com/gpu", ([],))},
    "HTTPGetAction": {"protocol": Refused("probes speak HTTP/1.1", ("HTTP1", ""))},
    "GRPCAction": {"mode": Refused("a probe's connection is not encrypted", ("Plaintext", ""))},
    "EmptyDirVolume": {"mode": Refused("an emptyDir belongs to the Pod's user alone, and to fsGroup")},
    "ConfigMapVolume": {"defaultUser": Refused(_OWNER)},
    "SecretVolume": {"defaultUser": Refused(_OWNER)},
    "KeyToPath": {"user": Refused(_OWNER)},
    "VolumeProjection": {
        "clusterTrustBundle": Refused("put certificates into a ConfigMap"),
        "podCertificate": Refused("put the certificate into a Secret of type kubernetes.io/tls"),
    },
    "VolumeMount": {
        "bindMountOptions": Refused("mounts have the options of their file system", ([],)),
        "mountPropagation": Refused("mounts made in a container stay in it", ("None", "")),
        "recursiveReadOnly": Refused("readOnly holds for the volume's own mount", ("Disabled", "")),
    },
    "PodAffinityTerm": {
        "namespaceSelector": Refused("list the namespaces under namespaces"),
    },
    "TopologySpreadConstraint": {
        "nodeAffinityPolicy": Refused("nodes that the Pod's affinity excludes are not counted", ("Honor",)),
        "nodeTaintsPolicy": Refused("taints are not looked at when domains are counted", ("Ignore",)),
    },
    "ClaimTemplate": {"status": Refused("it is the cluster's", ({}, {"phase": "Pending"}))},
    "ClaimTemplateMeta": {
        name: Refused("claims of a template are named after it and their Pod, and get this from the cluster", takes)
        for name, takes in (
            ("generateName", ("",)),
            ("ownerReferences", ([],)),
            ("finalizers", ([],)),
            ("uid", ()),
            ("resourceVersion", ()),
            ("generation", ()),
            ("creationTimestamp", ()),
            ("deletionTimestamp", ()),
            ("deletionGracePeriodSeconds", ()),
            ("managedFields", ()),
            ("selfLink", ()),
        )
    },
    "PersistentVolumeClaimSpec": {
        "dataSource": Refused(_NO_COPIES),
        "dataSourceRef": Refused(_NO_COPIES),
        "volumeAttributesClassName": Refused("directories have no attributes", ("",)),
    },
    "VolumeResourceRequirements": {
        "limits": Refused("a directory has no quota: sizes are counted, not enforced", ({},))
    },
    "PersistentVolumeSpec": _VOLUME_SOURCES
    | {
        "mountOptions": Refused(_MOUNTED, ([],)),
        "volumeAttributesClassName": Refused("directories have no attributes", ("",)),
    },
    "LocalVolume": {"fsType": Refused(_MOUNTED, ("",))},
    "ObjectReference": {"fieldPath": Refused("a volume is a whole claim's", ("",))},
    "StorageClass": {
        "mountOptions": Refused(_MOUNTED, ([],)),
        "allowedTopologies": Refused("say in the Pod on which nodes it may be: nodeSelector, affinity", ([],)),
    },
    "JobSpec": {
        "scheduling": Refused("for many nodes at once submit a job with sbatch"),
        "backoffLimitPerIndex": Refused("use backoffLimit, which counts over all indexes"),
        "managedBy": Refused("Corral manages all Jobs", ("kubernetes.io/job-controller",)),
        "manualSelector": Refused("a Job's selector is made by the cluster", (False,)),
        "maxFailedIndexes": Refused("use backoffLimit, which counts over all indexes"),
        "podFailurePolicy": Refused("each failed Pod counts towards backoffLimit"),
        "podReplacementPolicy": Refused("a Pod is replaced as soon as it is ending", ("TerminatingOrFailed",)),
        "successPolicy": Refused("a Job has succeeded when all its completions have"),
    },
    "ServiceSpec": {
        "allocateLoadBalancerNodePorts": Refused("a load balancer has a node port too", (True,)),
        "externalIPs": Refused(_ONE_FAMILY, ([],)),
        "externalTrafficPolicy": Refused("the gateway sends to every ready Pod", ("Cluster", "")),
        "healthCheckNodePort": Refused("the gateway looks at the Pods itself", (0,)),
        "internalTrafficPolicy": Refused("the gateway sends to every ready Pod", ("Cluster", "")),
        "ipFamilies": Refused(_IPV4, ([], ["IPv4"])),
        "ipFamilyPolicy": Refused(_IPV4, ("SingleStack", "PreferDualStack", "")),
        "loadBalancerClass": Refused("the gateway is the load balancer"),
        "loadBalancerIP": Refused(_ONE_FAMILY, ("",)),
        "loadBalancerSourceRanges": Refused("use the host's firewall, or annotations that ask for a token", ([],)),
        "trafficDistribution": Refused("the gateway sends to the Pod with the fewest requests in flight"),
    },
    "IngressBackend": {"resource": Refused("an ingress leads to services")},
    "HPAScalingRules": {"tolerance": Refused("the tolerance is 10 %")},
    "Namespace": {"spec": Refused("nothing waits before a namespace goes", ({}, {"finalizers": ["kubernetes"]}))},
    "ResourceQuotaSpec": {
        "scopes": Refused("a quota counts all of the namespace", ([],)),
        "scopeSelector": Refused("a quota counts all of the namespace"),
    },
    "ServiceAccount": {
        "secrets": Refused("tokens are asked for: a projected volume, or `kubectl create token NAME`", ([],))
    },
    "ClusterRole": {"aggregationRule": Refused("name all rules of the role")},
    "PodDisruptionBudgetSpec": {
        "unhealthyPodEvictionPolicy": Refused("Pods that are not ready count as unavailable", ("IfHealthyBudget",))
    },
}
