"""Where do scripts and environments go, and what may be left out of a request?"""

import json

from corral.controller.submission import Prepared, decode, prepare
from corral.model.cluster import Limits
from corral.protocol.blobs import environment_digest, script_digest
from corral.protocol.replies import Rejected


def prepared(*jobs, limits=None):
    return prepare(decode(json.dumps({"type": "SubmitJobs", "jobs": jobs}).encode()), limits or Limits())


def test_texts_become_digests():
    found = prepared({"spec": {"name": "a"}, "script": "#!/bin/sh", "environment": {"A": "1"}})
    assert isinstance(found, Prepared)
    [job] = found.message.jobs
    assert job.spec.script_digest == script_digest("#!/bin/sh")
    assert job.spec.environment_digest == environment_digest({"A": "1"})
    assert set(found.blobs) == {job.spec.script_digest, job.spec.environment_digest}


def test_equal_texts_are_kept_once():
    job = {"spec": {"name": "a"}, "script": "#!/bin/sh", "environment": {"A": "1"}}
    assert len(prepared(*[job] * 100).blobs) == 2


def test_a_digest_stands_for_a_text_of_the_same_request():
    digest = environment_digest({"A": "1"})
    first = {"spec": {"name": "a"}, "environment": {"A": "1"}}
    found = prepared(first, {"spec": {"name": "b", "environment_digest": digest}})
    assert [job.spec.environment_digest for job in found.message.jobs] == [digest, digest]


def test_a_digest_of_another_request_is_refused():
    found = prepared({"spec": {"name": "a"}}, {"spec": {"name": "b", "environment_digest": "0" * 64}})
    assert isinstance(found, Rejected)
    assert found.index == 1


def test_an_environment_that_is_too_large_is_refused():
    found = prepared({"spec": {}, "environment": {"A": "x" * 100}}, limits=Limits(max_environment_bytes=50))
    assert found == Rejected(error="environment: larger than 50 bytes")


def test_the_environment_of_a_step_is_kept():
    message = {"type": "CreateStep", "job": "1", "spec": {"argv": ["true"]}, "environment": {"A": "1"}}
    found = prepare(decode(json.dumps(message).encode()), Limits())
    assert found.message.spec.environment_digest == environment_digest({"A": "1"})
    assert found.message.environment == {}


def test_a_digest_does_not_depend_on_the_order():
    assert environment_digest({"A": "1", "B": "2"}) == environment_digest({"B": "2", "A": "1"})
    assert environment_digest({"A": "1", "B": "2"}) != environment_digest({"A": "1\0B=2"})
