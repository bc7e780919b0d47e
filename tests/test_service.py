"""SERVICE: which addresses an instance serves, so that a proxy can send each its own."""

import pytest
import requests
from django.urls import get_resolver

from .server import Server

pytestmark = pytest.mark.once

# By first segment; those of neither are served by both.
OF_CLIENTS = {"client"}
OF_PROVIDERS = {"", "provide", "web", "provider", "events", "webhooks", "schema", "docs", "admin"}
OF_BOTH = {"auth", "healthz", "readyz", "metrics", "unsubscribe", "problems"}
NOT_SERVED = {"client": OF_PROVIDERS, "provider": OF_CLIENTS}


def first(path):
    return path.partition("/")[0]


def paths():
    return [str(pattern.pattern) for pattern in get_resolver().url_patterns]


def test_each_address_belongs_to_one_service_or_to_both():
    assert {first(path) for path in paths()} == OF_CLIENTS | OF_PROVIDERS | OF_BOTH


@pytest.mark.parametrize("service", ["client", "provider"])
def test_an_instance_serves_what_is_its_own(api, empty_database_url, tmp_path, service):
    with Server(tmp_path, empty_database_url, SERVICE=service) as server:

        def ask(method, path, **sent):
            address = f"{server.base_url}/{path}"
            return requests.request(method, address, allow_redirects=False, timeout=10, **sent)

        for path in paths():
            is_of_the_other = first(path) in NOT_SERVED[service]
            # No address that is served answers a DELETE like this.
            answer = ask("DELETE", path)
            is_problem = answer.headers["Content-Type"] == "application/problem+json"
            is_unknown = is_problem and answer.json()["code"] == "not_found"
            assert is_unknown == is_of_the_other, (path, answer.status_code, answer.text)
        # Links lead to where they were made.
        made = ask("POST", f"{service}/calendarLink", json={f"{service}_id": 1})
        assert requests.get(made.json()["calendar_link"], timeout=10).status_code == 200
        told = server.log.read_text().partition("{")[0]
        assert ("/client/getProviderAvailability" in told) == (service == "client")
        assert (f"{server.base_url}/docs" in told) == (service == "provider")
        if service == "provider":
            schemas = ask("GET", "schema").json(), api.get("/schema").json()
            of_the_instance, whole = ({*schema["paths"]} for schema in schemas)
            assert of_the_instance == whole
