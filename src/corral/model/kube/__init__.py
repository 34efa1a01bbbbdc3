"""Which things do Kubernetes' manifests speak of?

The attributes are those of Kubernetes' API in snake case; on the wire and in manifests they are in its own camel case. A field that is not
here is refused (services/manifests says why), so that nothing of a manifest is silently dropped.
"""
