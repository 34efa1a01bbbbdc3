"""By which variables does a program find the services?"""

from corral.agent.servicevariables import service_names, service_variables
from corral.protocol.orders import ServicePlace

WEB = ServicePlace("my-web", "127.0.0.1", 22000, "http://127.0.0.1:22000/", "http", service_port=80)
DATABASE = ServicePlace("db", "127.0.0.1", 22001, "", "postgres")


def test_the_first_port_of_each_service_and_the_named_ones() -> None:
    second = ServicePlace("my-web", "127.0.0.1", 22002, "http://127.0.0.1:22002/", "metrics", is_first=False)
    assert service_variables((WEB, second, DATABASE)) == {
        "CORRAL_SERVICE_MY_WEB_HOST": "127.0.0.1",
        "CORRAL_SERVICE_MY_WEB_PORT": "22000",
        "CORRAL_SERVICE_MY_WEB_URL": "http://127.0.0.1:22000/",
        "CORRAL_SERVICE_MY_WEB_PORT_HTTP": "22000",
        "CORRAL_SERVICE_MY_WEB_PORT_METRICS": "22002",
        "CORRAL_SERVICE_DB_HOST": "127.0.0.1",
        "CORRAL_SERVICE_DB_PORT": "22001",
        "CORRAL_SERVICE_DB_PORT_POSTGRES": "22001",
    }


def test_a_pod_has_kubernetes_names_too_and_its_own_way_to_the_gateway() -> None:
    found = service_variables((WEB,), of_pod=True, host="10.213.255.254")
    assert found["MY_WEB_SERVICE_HOST"] == found["CORRAL_SERVICE_MY_WEB_HOST"] == "10.213.255.254"
    assert found["CORRAL_SERVICE_MY_WEB_URL"] == "http://10.213.255.254:22000/"
    assert (found["MY_WEB_SERVICE_PORT"], found["MY_WEB_SERVICE_PORT_HTTP"]) == ("22000", "22000")
    assert found["MY_WEB_PORT"] == found["MY_WEB_PORT_80_TCP"] == "tcp://10.213.255.254:22000"
    assert (found["MY_WEB_PORT_80_TCP_ADDR"], found["MY_WEB_PORT_80_TCP_PORT"]) == ("10.213.255.254", "22000")


def test_pods_find_the_services_of_their_namespace_by_name() -> None:
    assert service_names((WEB, DATABASE), "prod") == [
        ("127.0.0.1", "my-web.prod.corral"),
        ("127.0.0.1", "db.prod.corral"),
    ]
    assert service_names((WEB,), "prod", "10.213.255.254") == [("10.213.255.254", "my-web.prod.corral")]
    assert service_names((ServicePlace("x", "nowhere.invalid", 1),), "prod") == []
