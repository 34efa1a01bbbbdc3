"""What `import corral` gives."""

import corral
from corral.client.client import ClusterClient
from corral.client.client import job as make_job


def test_client_and_job_are_there_at_first_use() -> None:
    assert corral.Client is ClusterClient
    assert corral.job is make_job


def test_other_names_are_not() -> None:
    assert not hasattr(corral, "nonsense")
