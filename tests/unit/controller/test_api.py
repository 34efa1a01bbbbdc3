"""Does every door answer as documented, and does bad input get a 4xx that names what is wrong?"""

import http.client
import json
import re
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.controller.running import running, wait_until
from tests.unit.controller.test_loop import column, submit

from corral.auth import tokens
from corral.engine import snapshotfile
from corral.errors import Refused
from corral.model.cluster import ClusterConfig, PriorityWeights


def refusal(api, method, path, body=None, raw=None):
    with pytest.raises(Refused) as caught:
        api.request(method, path, body, raw=raw)
    return caught.value


def test_jobs_are_projected_to_the_fields_asked_for(api):
    [job] = submit(api, "a", hold=True, ntasks=3, gpus=[["gpu", "v100", 2]], stdio={"stdout": "%x-%j.txt"})
    answer = api.request("GET", "/v1/jobs?fields=id,name,cpus,node_count,tres_req,stdout_path,state,reason")
    assert answer["fields"] == ["id", "name", "cpus", "node_count", "tres_req", "stdout_path", "state", "reason"]
    path = f"/tmp/a-{job}.txt"
    assert answer["rows"] == [[job, "a", 3, 1, "cpu=3,node=1,billing=35,gres/gpu=2", path, "PENDING", "JobHeldUser"]]


def test_without_fields_there_are_all(api):
    submit(api, "a", hold=True)
    answer = api.request("GET", "/v1/jobs")
    assert len(answer["fields"]) == len(answer["rows"][0]) > 80


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"names": "b"}, ["b"]),
        ({"ids": "1,3"}, ["a", "c"]),
        ({"ids": "1", "names": "b"}, []),
        ({"states": "pending"}, ["a", "b", "c"]),
        ({"states": "RUNNING"}, []),
        ({"users": "root,nobody"}, ["a", "b", "c"]),
        ({"users": "nobody"}, []),
        ({"accounts": "vision"}, ["c"]),
        ({"partitions": "batch"}, ["a", "b", "c"]),
        ({"qos": "normal"}, ["a", "b", "c"]),
        ({"nodes": "n[1-2]"}, []),
    ],
)
def test_conditions_on_jobs(api, query, names):
    submit(api, "a", "b", hold=True)
    submit(api, "c", hold=True, account="vision")
    assert column(api, "name", **query) == names


def test_an_array_is_found_whole_and_by_element(controller, api):
    [job] = submit(api, "a", array="0-3", hold=True)
    assert column(api, "array_waiting", ids=job) == [[[0, 3, 1]]]
    rows = api.request("GET", f"/v1/jobs/{job}_2?fields=array_job_id,array_task_id,array_waiting")["rows"]
    assert rows == [[job, 2, []]]
    assert refusal(api, "GET", f"/v1/jobs/{job}_9").fields["status"] == 404


def test_what_runs_shows_its_allocation(controller, api):
    controller.agent.ends_at_once = False
    [job] = submit(api, "a", ntasks=2, gpus=[["gpu", "", 1]])
    wait_until(lambda: controller.agent.launched)
    rows = api.request("GET", f"/v1/jobs/{job}?fields=state,nodes,batch_host,alloc_detail,tres_alloc,cpus")["rows"]
    assert rows == [
        ["RUNNING", "n1", "n1", [["n1", "0-1", 0, "gpu:v100:1(IDX:0)"]], "cpu=2,node=1,billing=18,gres/gpu=1", 2]
    ]
    nodes = api.request("GET", "/v1/nodes?fields=name,state,state_text,cpus_alloc,gres_used,jobs")["rows"]
    assert nodes[0] == ["n1", "MIXED", "mix", 2, "gpu:v100:1(IDX:0)", [job]]
    assert nodes[1] == ["n2", "IDLE", "idle", 0, "gpu:v100:0(IDX:N/A)", []]
    steps = api.request("GET", f"/v1/steps?job={job}&fields=text,name,state,nodes,ntasks")["rows"]
    assert steps == [[f"{job}.batch", "batch", "RUNNING", "n1", 1]]
    history = api.request("GET", f"/v1/history?ids={job}&steps=1&fields=jobid,state,end")["rows"]
    assert history == [[str(job), "RUNNING", 0.0], [f"{job}.batch", "RUNNING", 0.0]]


def test_cancelling_by_address(controller, api):
    [job] = submit(api, "a", hold=True)
    api.request("DELETE", f"/v1/jobs/{job}")
    assert column(api, "state") == ["CANCELLED"]


def test_a_wait_ends_with_the_job_and_not_before(controller, api):
    controller.agent.ends_at_once = False
    [job] = submit(api, "a")
    [launch] = wait_until(lambda: controller.agent.launched)
    found = []

    def wait():
        with controller.connection() as other:
            found.append(other.request("GET", f"/v1/jobs/{job}/wait?until=ended&timeout=60&fields=state")["rows"])

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: controller.watchers._waiting)
    assert not found
    controller.call(controller.agent.end, launch)
    waiting.join(60)
    assert found == [[["COMPLETED"]]]


def test_a_wait_gives_up_at_its_timeout(controller, api):
    [job] = submit(api, "a", hold=True)
    assert api.request("GET", f"/v1/jobs/{job}/wait?until=started&timeout=0.01&fields=state")["rows"] == [["PENDING"]]


def test_a_script_is_its_owners(controller, api):
    [job] = submit(api, "a", hold=True)
    assert api.request("GET", f"/v1/jobs/{job}/script") == "#!/bin/sh\n"


def test_a_step_gets_the_way_to_its_streams(controller, api):
    controller.agent.ends_at_once = False
    [job] = submit(api, "a")
    wait_until(lambda: controller.agent.launched)
    step = api.request("POST", f"/v1/jobs/{job}/steps", {"spec": {"argv": ["true"], "ntasks": 1}})
    assert step["access"]["url"] == "nats://127.0.0.1:4222"
    assert step["access"]["key"] == f"{job}.0.0"
    assert api.request("GET", f"/v1/jobs/{job}/access/0")["token"] == step["access"]["token"]


def test_partitions_config_status_and_the_document(api):
    assert api.request("GET", "/v1/partitions?fields=name,nodes,total_cpus,default")["rows"] == [
        ["batch", "n[1-2]", 32, True]
    ]
    assert api.request("GET", "/v1/config")["ClusterName"] == "corral"
    assert api.request("GET", "/v1/status")["nodes"] == {"idle": 2}
    document = api.request("GET", "/openapi.json")
    assert "/v1/jobs/{id}/wait" in document["paths"]
    assert "SubmitJobs" in document["components"]["schemas"]


def test_every_route_is_in_the_document(api):
    from corral.controller.api.app import MODULES

    documented = {
        (method.upper(), path)
        for path, methods in api.request("GET", "/openapi.json")["paths"].items()
        for method in methods
    }
    routes = {
        (method, path.replace("{path:path}", "{path}"))  # OpenAPI has no word for "with slashes"
        for module in MODULES
        for method, path, _ in module.ROUTES
    } - {("GET", "/openapi.json")}
    assert documented == routes


def test_the_document_names_each_part_of_a_path(api):
    for path, methods in api.request("GET", "/openapi.json")["paths"].items():
        for operation in methods.values():
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"\{(.*?)\}", path)), path


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "Expected `object`"),
        (b'{"type":"Nonsense"}', "Nonsense"),
        (b'{"type":"SubmitJobs"}', "jobs"),
        (b'{"type":"SubmitJobs","jobs":[]}', "at least one"),
        (b'{"type":"SubmitJobs","jobs":[{"spec":{"ntasks":"four"}}]}', "$.jobs[0].spec.ntasks"),
        (b'{"type":"SubmitJobs","jobs":[{"spec":{},"nonsense":1}]}', "nonsense"),
        (b'{"type":"SubmitJobs","jobs":[{"spec":{},"environment":{"a":1}}]}', "Expected `str`"),
        (b'{"type":"SubmitJobs","jobs":[{"spec":{},"environment":7}]}', "Expected `object`"),
        (b'{"type":"SubmitJobs","jobs":[{"spec":{"script_digest":"abc"},"script":""}]}', "script_digest"),
        (b'{"type":"CancelJobs"}', "selection"),
        (b"\xff\xfe{}", "JSON"),
    ],
)
def test_a_malformed_body_is_refused_with_the_field(api, body, named):
    found = refusal(api, "POST", "/v1/requests", raw=body)
    assert found.fields["status"] == 400
    assert named in str(found)


def test_an_unknown_field_is_named_with_what_it_may_mean(api):
    found = refusal(api, "POST", "/v1/requests", raw=b'{"type":"SubmitJobs","jobs":[{"spec":{"of_tomorrow":1}}]}')
    assert found.fields["code"] == "unknown_field"
    assert "knows no `of_tomorrow`: it is older than the program that asks" in found.fields["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs?fields=nonsense", 400),
        ("/v1/jobs?states=ASLEEP", 400),
        ("/v1/jobs?nodes=n[1-", 400),
        ("/v1/jobs?ids=abc", 404),
        ("/v1/jobs/abc", 404),
        ("/v1/jobs/999", 404),
        ("/v1/jobs/1_[0-4294967294]", 404),
        ("/v1/jobs/999/wait?timeout=nan", 400),
        ("/v1/jobs/1/wait?until=never", 400),
        ("/v1/jobs/999/access/0", 404),
        ("/v1/steps/1/x/wait", 404),
        ("/v1/history?since=yesterday", 400),
        ("/v1/nodes/none", 404),
        ("/nowhere", 404),
    ],
)
def test_a_bad_address_is_refused(api, path, status):
    assert refusal(api, "GET", path).fields["status"] == status


def test_a_wrong_method_is_refused(api):
    assert refusal(api, "PUT", "/v1/jobs", {}).fields["status"] == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SPEC = st.dictionaries(
    st.sampled_from(
        ["name", "ntasks", "nodes_min", "nodes_max", "cpus_per_task", "gres", "gpus", "array", "dependency", "constraint",
         "nodelist", "exclude", "time_limit", "begin_time", "partition", "signal", "rlimits", "stdio", "step", "kind"]
    ),
    JSON | st.sampled_from([-1, 0, 1 << 62, "0-99999999999", "n[1-9999999999]", "afterok:0", "a&&b", [["gpu", "", -1]]]),
    max_size=4,
)  # fmt: skip
BODY = JSON | st.builds(
    lambda kind, rest: {"type": kind, **rest},
    st.sampled_from(["SubmitJobs", "CancelJobs", "UpdateJob", "UpdateNodes", "CreateStep", "HoldJobs", "SignalStep"]),
    st.dictionaries(
        st.sampled_from(
            ["jobs", "selection", "ids", "id", "job", "step", "nodes", "state", "changes", "spec", "signal"]
        ),
        JSON
        | st.builds(lambda spec: [{"spec": spec, "script": "#!/bin/sh\n"}], SPEC)
        | st.builds(lambda: {"ids": ["1"]}),
        max_size=4,
    ),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODY)
def test_no_body_brings_more_than_a_refusal(controller, api, body):
    status = 200
    try:
        api.request("POST", "/v1/requests", raw=json.dumps(body).encode())
    except Refused as error:
        status = error.fields["status"]
    assert status in (200, 400, 403, 404, 409)
    assert not controller.loop._failure


def test_a_body_that_is_too_large_is_refused(controller, api, monkeypatch):
    monkeypatch.setattr("corral.controller.api.http.body_of.__defaults__", (1000,))
    assert "larger than 1000 bytes" in str(refusal(api, "POST", "/v1/requests", raw=b"x" * 2000))


def test_a_script_that_is_too_large_is_refused(controller, api):
    from corral.model.cluster import Limits

    limit = Limits().max_script_bytes
    body = {"jobs": [{"spec": {"name": "a"}, "script": "x" * (limit + 1)}]}
    assert f"script: larger than {limit} bytes" in str(refusal(api, "POST", "/v1/jobs", body))


def test_who_comes_by_tcp_needs_a_token(controller):
    def get(headers):
        connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
        connection.request("GET", "/v1/jobs", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    good = tokens.sign(tokens.Claims(user="root"), b"k" * 32)
    assert get({})[0] == 403
    assert get({"Authorization": "Bearer nonsense"})[0] == 403
    assert get({"Authorization": f"Bearer {good}"})[0] == 200
    assert get({"Authorization": f"Bearer {tokens.sign(tokens.Claims(user='root'), b'x' * 32)}"})[0] == 403
    late = tokens.sign(tokens.Claims(user="root", expires=1.0), b"k" * 32)
    assert "expired" in get({"Authorization": f"Bearer {late}"})[1]


def test_an_admin_level_in_the_accounts_raises_who_comes_by_token(controller, api):
    def change(kind, verb, names, token="", **settings):
        body = {"type": "ChangeAccounts", "verb": verb, "kind": kind, "where": {"names": names}, "settings": settings}
        if not token:
            return api.request("POST", "/v1/requests", body)["type"]
        connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
        connection.request("POST", "/v1/requests", json.dumps(body), {"Authorization": f"Bearer {token}"})
        return connection.getresponse().status

    daemon = tokens.sign(tokens.Claims(user="daemon"), b"k" * 32)
    assert change("account", "add", ["chem"], daemon) == 403
    assert change("account", "add", ["chem"]) == "AccountsChanged"
    body = {"names": ["daemon"], "accounts": ["chem"]}
    body = {"type": "ChangeAccounts", "verb": "add", "kind": "user", "where": body, "settings": {}}
    api.request("POST", "/v1/requests", body)
    for level, status in (("Operator", 200), ("None", 403), ("Administrator", 200)):
        change("user", "modify", ["daemon"], words={"admin_level": level})
        assert change("account", "add", [f"of{level}".lower()], daemon) == status


def test_jobs_tell_which_association_they_are_charged_to(api):
    where = {"type": "ChangeAccounts", "verb": "add", "settings": {}}
    api.request("POST", "/v1/requests", where | {"kind": "account", "where": {"names": ["chem"]}})
    who = {"names": ["root"], "accounts": ["chem"]}
    api.request("POST", "/v1/requests", where | {"kind": "user", "where": who})
    [job] = submit(api, "a", hold=True, account="chem")
    known = api.request("GET", "/v1/accounts")["associations"]
    [wanted] = [one["id"] for one in known if (one["user"], one["account"]) == ("root", "chem")]
    assert column(api, "association") == [wanted]
    answer = api.request("GET", f"/v1/history?ids={job}&fields=association")
    assert answer["rows"] == [[wanted]]


def test_what_is_no_http_is_refused_and_the_next_one_served(controller, api):
    with socket.create_connection(("127.0.0.1", controller.port), 5) as plain:
        plain.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in plain.recv(1000)
    assert column(api, "id") == []


def test_the_controller_counts_what_it_is_asked(api):
    submit(api, "a", "b", hold=True)
    api.request("GET", "/v1/jobs")
    shown = api.request("GET", "/v1/statistics")
    assert (shown["jobs"]["submitted"], shown["pending"], shown["running"]) == (2, 2, 0)
    counted = {one["name"]: one["count"] for one in shown["requests"]}
    assert (counted["SubmitJobs"], counted["get_jobs"], counted["AgentRegistered"]) == (1, 1, 1)
    assert sum(one["count"] for one in shown["users"]) >= 2
    api.request("DELETE", "/v1/statistics")
    assert api.request("GET", "/v1/statistics")["jobs"]["submitted"] == 0


def test_priorities_are_told_share_by_share(tmp_path):
    config = ClusterConfig(priority=PriorityWeights(job_size=1000, tres={"cpu": 100}))
    with running(tmp_path, config=config) as controller, controller.connection() as api:
        api.request(
            "POST", "/v1/requests", {"type": "UpdatePartition", "name": "batch", "changes": {}, "state": "DOWN"}
        )
        [small] = submit(api, "small", ntasks=8, nice=5)
        submit(api, "held", hold=True)
        answer = api.request("GET", "/v1/priorities")
    [job] = answer["jobs"]
    assert answer["weights"]["job_size"] == 1000
    assert (job["id"], job["partition"], job["nice"], job["set"]) == (small, "batch", 5, False)
    assert job["tres"] == {"cpu": 0.25}
    assert job["priority"] == 1000 * job["job_size"] + 25 - 5


def test_a_snapshot_tells_of_the_cluster_what_the_scheduler_knows(api):
    [job] = submit(api, "a", hold=True)
    file = snapshotfile.load(api.call("GET", "/v1/snapshot"))
    assert [(one.id, one.held_by) for one in file.jobs] == [(job, "user")]


def test_a_snapshot_is_for_operators(controller):
    connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
    token = tokens.sign(tokens.Claims(user="daemon"), b"k" * 32)
    connection.request("GET", "/v1/snapshot", headers={"Authorization": f"Bearer {token}"})
    assert connection.getresponse().status == 403


def test_why_explains_own_jobs_and_nobody_elses(controller, api):
    [job] = submit(api, "a", hold=True)
    [found] = api.request("GET", f"/v1/why?jobs={job}")["jobs"]
    assert [cause["kind"] for cause in found["causes"]] == ["held"]
    token = tokens.sign(tokens.Claims(user="daemon"), b"k" * 32)

    def get(path):
        connection = http.client.HTTPConnection("127.0.0.1", controller.port, timeout=60)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    assert get(f"/v1/why?jobs={job}")[0] == 404
    status, answer = get("/v1/why")
    assert (status, answer["queue"]["waiting"], answer["queue"]["hidden"]) == (200, 0, 1)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("jobs=99", "Invalid job id specified"),
        ("jobs=x", "Invalid job id specified"),
        ("jobs=1_[0-4000000000]", "array elements are too many"),
        ("jobs=1.0", "Invalid job id specified"),
        ("nodes=nope", "Node nope not found"),
        ("nodes=n[1-200]", "200 nodes are too many"),
        ("nodes=n[1-", "nodes: Not a node list"),
    ],
)
def test_bad_questions_are_refused(api, query, said):
    assert said in str(refusal(api, "GET", f"/v1/why?{query}"))
