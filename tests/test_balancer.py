"""deploy/haproxy.cfg, before instances that take a request and go without a word."""

import pytest
import requests

from cluster import topology
from cluster.programs import wait_until
from cluster.topology import Cluster

from .database import free_port
from .receiver import Receiver

pytestmark = pytest.mark.services


@pytest.fixture
def instances():
    with Receiver(lambda _: None) as client, Receiver(lambda _: None) as provider:
        yield {"client": client, "provider": provider}


@pytest.fixture
def base_url(instances, tmp_path):
    cluster = Cluster(tmp_path, 0)
    cluster.ports["haproxy_port"] = port = free_port()
    cluster.values["haproxy_port"] = str(port)
    for service, instance in instances.items():
        for nth in (1, 2):
            cluster.values[f"{service}_{nth}_port"] = str(instance.port)
    cluster.add(0, "haproxy", ["/usr/sbin/haproxy", "-f", cluster.render("haproxy.cfg")])
    haproxy = cluster.programs["haproxy"]
    haproxy.start()
    wait_until(lambda: topology.listens(port), 10, "HAProxy does not start")
    yield f"http://127.0.0.1:{port}"
    haproxy.kill()


def post(base_url, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{base_url}/client/reserve", json={}, headers=given, timeout=10)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/client/reserve", "client"),
        ("/provider/create", "provider"),
        ("/webhooks", "provider"),
        ("/client", "provider"),
    ],
)
def test_a_path_leads_to_its_service(base_url, instances, path, service):
    requests.post(base_url + path, timeout=10)
    assert [name for name, instance in instances.items() if instance.received] == [service]
    assert instances[service].received[0].path == path


@pytest.mark.parametrize(("headers", "times"), [({}, 1), ({"Idempotency_Key": "one"}, 4)])
def test_what_was_perhaps_done_is_asked_again_only_under_a_key(base_url, instances, headers, times):
    assert post(base_url, **headers).status_code == 502
    assert len(instances["client"].received) == times


def test_callers_cannot_name_themselves(base_url, instances):
    requests.post(
        f"{base_url}/client/reserve",
        headers={"X-Forwarded-For": "10.9.8.7", "X_Forwarded_For": "10.9.8.7"},
        timeout=10,
    )
    [received] = instances["client"].received
    assert received.headers["x-forwarded-for"] == "127.0.0.1"
    assert "x_forwarded_for" not in received.headers


def test_a_request_has_an_id_from_here_on_unless_it_has_one(base_url, instances):
    post(base_url)
    post(base_url, X_Request_ID="my-own")
    ids = {one.headers["x-request-id"] for one in instances["client"].received}
    assert "my-own" in ids
    assert len(ids) == 2
