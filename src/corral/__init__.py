"""Corral: Slurm's commands and Kubernetes' manifests on one scheduler. How is one pool of machines shared by both?"""

TYPE_CHECKING = False  # typing's own costs an import in every command
if TYPE_CHECKING:
    from corral.client.client import ClusterClient as Client
    from corral.client.client import job

__all__ = ["Client", "job"]


def __getattr__(name: str) -> object:
    # Lazy, so that a command pays only for what it imports itself.
    if name == "Client":
        from corral.client.client import ClusterClient

        return ClusterClient
    if name == "job":
        from corral.client.client import job

        return job
    raise AttributeError(f"module 'corral' has no attribute {name!r}")
