"""Of which services are the programs of a job or a Pod told by variables? Those of its namespace, as they are when it starts."""

from corral.engine.context import Context
from corral.model.job import JobSpec
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.pod import Pod
from corral.protocol.orders import ServicePlace
from corral.services.endpoints import speech_of

#: Of jobs, which have none of their own.
NAMESPACE = "default"
#: Where there are more, a program is told of the first ones by name: its environment has its limits.
_MOST = 100


def told_to(ctx: Context, spec: JobSpec) -> tuple[ServicePlace, ...]:
    objects = ctx.state.objects
    if not objects.services_changed:
        return ()
    namespace = NAMESPACE
    if spec.pod is not None:
        namespace = spec.pod.namespace
        pod = objects.get(ObjectKey("Pod", namespace, spec.pod.name))
        if not isinstance(pod, Pod) or not pod.spec.enable_service_links:
            return ()
    as_of = objects.services_changed, ctx.config.gateway
    known, found = ctx.service_links
    if known != as_of:
        found = {}
        ctx.service_links = as_of, found
    if namespace not in found:
        found[namespace] = tuple(_places(ctx, namespace))
    return found[namespace]


def _places(ctx: Context, namespace: str) -> list[ServicePlace]:
    config = ctx.config.gateway
    places: list[ServicePlace] = []
    count = 0
    for one in ctx.state.objects.of_kind("Service", namespace):
        if not isinstance(one, Service) or not one.status.ports:
            continue
        count += 1
        if count > _MOST:
            break
        speeches = {port.port: speech_of(port) for port in one.spec.ports}
        names = {port.port: port.name for port in one.spec.ports}
        for index, said in enumerate(one.status.ports):
            is_http = speeches.get(said.port) != "tcp"
            places.append(
                ServicePlace(
                    name=one.metadata.name,
                    host=config.host or config.listen,
                    port=said.gateway_port,
                    url=said.url if is_http else "",
                    port_name=names.get(said.port, ""),
                    is_first=index == 0,
                    service_port=said.port,
                    address=one.spec.cluster_ip,
                )
            )
    return places
