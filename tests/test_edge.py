"""At the edge: who is believed about the caller, TLS, other origins, and what protects browsers."""

import contextlib
import gzip
import os
import re
import secrets
import subprocess
import sys
from email.utils import parsedate_to_datetime

import pytest
import requests
from django.core.cache import cache
from django.urls import get_resolver
from redis.exceptions import RedisError

from reservation_system import schema
from reservation_system.environment import PATHS_OF_OTHERS, networks

from .conftest import JSONClient
from .database import free_port
from .factories import make_provider, make_timeslot
from .server import ROOT, Server
from .test_refusals import ADDRESSES, CALLS, refusal

pytestmark = pytest.mark.once

HOST = "reservations.example.org"
FORGED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
PASSWORD = "correct horse battery staple"


# --- Who is calling ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "caller"),
    [
        ("", "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.0/8", "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.0/8", "192.0.2.1", "198.51.100.7, 10.0.0.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "198.51.100.7", "198.51.100.7"),
        ("192.0.2.1", "192.0.2.2", "198.51.100.7", "192.0.2.2"),
        # What the caller wrote itself stands to the left of what the proxy saw.
        ("192.0.2.1", "192.0.2.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.1,198.51.100.7", "198.51.100.7"),
        ("192.0.2.1, 10.0.0.0/8", "192.0.2.1", "1.1.1.1, 198.51.100.7, 10.9.8.7", "198.51.100.7"),
        ("192.0.2.1,10.0.0.0/8", "192.0.2.1", "10.0.0.1,10.0.0.2", "10.0.0.1"),
        # What is no address ends the chain where it was still known.
        ("192.0.2.1", "192.0.2.1", "unknown", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "198.51.100.7, _hidden", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "198.51.100.7,", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "1'; DROP TABLE", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "198.51.100.7 10.0.0.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "3232235777", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.1/24", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1", "fe80::1%eth0", "192.0.2.1"),
        ("192.0.2.1,10.0.0.1", "192.0.2.1", "198.51.100.7, unknown, 10.0.0.1", "10.0.0.1"),
        # A port says nothing of who is calling.
        ("192.0.2.1", "192.0.2.1", "198.51.100.7:5678", "198.51.100.7"),
        ("192.0.2.1", "192.0.2.1", "[2001:db8::1]:80", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1", "[2001:db8::1]", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1", "[]:80", "192.0.2.1"),
        # One address, one spelling.
        ("192.0.2.1", "192.0.2.1", "2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7", "198.51.100.7"),
        ("", "::ffff:192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("2001:db8::/32", "2001:db8::5", "198.51.100.7", "198.51.100.7"),
        ("192.0.2.0/24", "2001:db8::5", "198.51.100.7", "2001:db8::5"),
    ],
)
def test_the_callers_address_is_what_trusted_proxies_say(
    api, settings, trusted, peer, forwarded_for, caller
):
    settings.TRUSTED_PROXIES = networks("TRUSTED_PROXIES", trusted.split(",") if trusted else [])
    said = {} if forwarded_for is None else {"HTTP_X_FORWARDED_FOR": forwarded_for}
    request = api.get("/healthz", REMOTE_ADDR=peer, **said).wsgi_request
    assert request.META["REMOTE_ADDR"] == caller
    assert "X-Forwarded-For" not in request.headers


@pytest.mark.parametrize(
    ("proto", "is_secure"),
    [
        *(("https", True), ("HTTPS", True), (" https ", True), ("http, https", True)),
        *(("http", False), ("https, http", False), ("", False), ("on", False), ("https:", False)),
        *(("wss", False), ("https,", False)),
    ],
)
def test_the_scheme_is_what_a_trusted_proxy_says(api, settings, proto, is_secure):
    answer = api.get("/healthz", HTTP_X_FORWARDED_PROTO=proto)
    assert not answer.wsgi_request.is_secure()
    settings.TRUSTED_PROXIES = networks("TRUSTED_PROXIES", ["127.0.0.1"])
    answer = api.get("/healthz", HTTP_X_FORWARDED_PROTO=proto)
    assert answer.wsgi_request.is_secure() is is_secure
    assert "X-Forwarded-Proto" not in answer.wsgi_request.headers


class Mirror(Server):
    """A server that says what it takes its caller for."""

    command = ("reservation_system.serve",)


@pytest.mark.parametrize("trusted", ["127.0.0.1", "203.0.113.1", ""])
def test_only_a_trusted_peer_is_believed(tmp_path, trusted):
    is_trusted = trusted == "127.0.0.1"
    environment = {"DJANGO_SETTINGS_MODULE": "tests.mirror", "WEB_CONCURRENCY": "1"}
    with Mirror(tmp_path, TRUSTED_PROXIES=trusted, **environment) as mirror:
        plain = requests.get(mirror.base_url, timeout=5).json()
        assert (plain["address"], plain["is_secure"]) == ("127.0.0.1", False)
        for spelled in (str.title, str.lower, lambda name: name.replace("-", "_")):
            forged = {spelled(name): value for name, value in FORGED.items()}
            seen = requests.get(mirror.base_url, headers=forged, timeout=5).json()
            assert seen["address"] == ("198.51.100.7" if is_trusted else "127.0.0.1")
            assert seen["is_secure"] is is_trusted
            assert seen["headers"] == plain["headers"]


# --- Over TLS ------------------------------------------------------------------------------------


def log_in(server, **headers):
    """The answer to an operator's login form, sent as a browser would from an https page."""
    headers |= {"Host": HOST}
    login = f"{server.base_url}/admin/login/"
    page = requests.get(login, headers=headers, timeout=5)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    cookie = re.match(r"csrftoken=\w+", page.headers["Set-Cookie"])[0]
    return requests.post(
        f"{login}?next=/admin/",
        {"username": "operator", "password": PASSWORD, "csrfmiddlewaretoken": token},
        headers=headers
        | {"Origin": f"https://{HOST}", "Referer": f"https://{HOST}/admin/", "Cookie": cookie},
        allow_redirects=False,
        timeout=5,
    )


@pytest.mark.parametrize("is_trusted", [True, False])
def test_behind_a_proxy_that_speaks_tls(empty_database_url, tmp_path, is_trusted):
    server = Server(
        tmp_path,
        empty_database_url,
        ALLOWED_HOSTS=f"{HOST},127.0.0.1",
        TRUSTED_PROXIES="127.0.0.1" if is_trusted else "203.0.113.1",
    )
    with server:
        subprocess.run(
            [sys.executable, "manage.py", "createsuperuser", "--noinput"],
            cwd=ROOT,
            env=server.environment
            | {
                "DJANGO_SUPERUSER_USERNAME": "operator",
                "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
                "DJANGO_SUPERUSER_EMAIL": "operator@example.org",
            },
            check=True,
            capture_output=True,
        )
        window = {
            "provider_id": 1,
            "start_time": "2031-01-01T10:00",
            "end_time": "2031-01-01T11:00",
        }
        published = requests.post(
            f"{server.base_url}/provider/availability", json=window, headers=FORGED, timeout=5
        )
        page = requests.get(
            f"{server.base_url}/client/getProviderAvailability?provider_id=1&limit=1",
            headers=FORGED | {"Host": HOST},
            timeout=5,
        )
        plain = requests.get(f"{server.base_url}/healthz", timeout=5)
        login = log_in(server, **FORGED)
    assert (published.status_code, page.status_code) == (201, 200)
    assert "Strict-Transport-Security" not in plain.headers
    scheme = "https" if is_trusted else "http"
    assert page.links["next"]["url"].startswith(f"{scheme}://{HOST}/client/")
    if not is_trusted:
        assert "Strict-Transport-Security" not in page.headers
        assert (login.status_code, login.json()["code"]) == (403, "foreign_form")
        assert "Origin checking failed" in server.log.read_text()
        return
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert (login.status_code, login.headers["Location"]) == (302, "/admin/")
    cookies = re.findall(
        r"(?:sessionid|csrftoken)=[^,]*(?:, \d[^,]*)?", login.headers["Set-Cookie"]
    )
    assert len(cookies) == 2
    for cookie in cookies:
        assert "; Secure" in cookie
        assert "; SameSite=Lax" in cookie
    assert "; HttpOnly" in next(cookie for cookie in cookies if "sessionid" in cookie)


def test_a_production_environment_passes_djangos_own_check():
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    run = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment
        | {
            "DATABASE_URL": "postgresql://reservations:secret@db.example.org:5432/reservations",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": HOST,
            "AUTHENTICATION": "required",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "no issues (2 silenced)" in run.stdout + run.stderr


# --- Forms ---------------------------------------------------------------------------------------


@pytest.fixture
def browser(db):
    """A client that is asked for the form's token, as browsers are."""
    return JSONClient(enforce_csrf_checks=True, raise_request_exception=False)


def test_the_calls_ask_for_no_forms_token(browser, admin_user, clock):
    provider, timeslot = make_provider(), make_timeslot()
    browser.force_login(admin_user)
    browser.cookies["csrftoken"] = "x" * 32
    for path, (method, body) in CALLS.items():
        status = browser.generic(method, path, b"{}", content_type="application/json").status_code
        assert status == 400, (path, body)
    ids = {"client_id": 10**9, "timeslot_id": timeslot.pk}
    assert refusal(browser.post("/client/reserve", ids), 404)["code"] == "client_not_found"
    assert browser.put("/provider/expiredReservations").status_code == 200
    query = {"provider_id": provider.pk}
    assert browser.get("/client/getProviderAvailability", query).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/provide", "/healthz", "/readyz", "/schema", "/docs", "/problems"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_without_a_form_refuse_the_method_and_not_the_form(browser, path, method):
    assert refusal(browser.generic(method, path), 405)["code"] == "method_not_allowed"


def test_a_redirect_asks_for_no_forms_token(browser):
    assert browser.post("/admin").status_code == 302


@pytest.mark.parametrize("headers", [{}, {"HTTP_ORIGIN": "https://evil.example"}])
def test_a_foreign_form_is_refused(browser, admin_user, headers):
    form = {"username": "admin", "password": "password"}
    answer = browser.post("/admin/login/", form, format="multipart", **headers)
    assert refusal(answer, 403)["code"] == "foreign_form"
    assert "sessionid" not in answer.cookies


def test_the_services_own_form_is_taken(browser, admin_user):
    page = browser.get("/admin/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"username": "admin", "password": "password", "csrfmiddlewaretoken": token}
    answer = browser.post("/admin/login/?next=/admin/", form, format="multipart")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


# --- Other origins -------------------------------------------------------------------------------

APP = "https://app.example.org"


def of_cors(answer):
    return {name.lower() for name in answer.headers if name.lower().startswith("access-control")}


def preflight(server, origin, path="/client/reserve", headers="authorization,content-type"):
    return requests.options(
        server.base_url + path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers,
        },
        timeout=5,
    )


def test_pages_of_allowed_origins_may_call(empty_database_url, tmp_path):
    allowed = f"{APP}, http://localhost:3000"
    with Server(tmp_path, empty_database_url, CORS_ALLOWED_ORIGINS=allowed) as server:
        for origin in (APP, "http://localhost:3000"):
            answer = preflight(server, origin)
            assert answer.status_code == 200
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
            named = answer.headers["Access-Control-Allow-Headers"].split(", ")
            assert {"authorization", "content-type", "x-request-id"} <= set(named)
            assert {"idempotency-key", "if-match", "if-none-match"} <= set(named)

        from_app = {"Origin": APP}
        call = f"{server.base_url}/client/getProviderAvailability"
        refused = f"{server.base_url}/client/reserve"
        answers = {
            200: requests.get(call, {"provider_id": 1}, headers=from_app, timeout=5),
            404: requests.get(call, {"provider_id": 99}, headers=from_app, timeout=5),
            405: requests.delete(call, headers=from_app, timeout=5),
            413: requests.post(refused, b"x" * (2**20 + 1), headers=from_app, timeout=5),
            411: requests.post(refused, iter([b"{}"]), headers=from_app, timeout=5),
            400: requests.get(call, headers=from_app | {"Host": "evil.example"}, timeout=5),
        }
        for status, answer in answers.items():
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == APP
            assert "origin" in answer.headers["Vary"].lower()
            exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
            assert exposed == [
                "Date",
                "ETag",
                "Idempotent-Replayed",
                "Link",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-ID",
            ]
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert parsedate_to_datetime(answer.headers["Date"])

        for origin in ("https://evil.example", f"{APP}.evil.example", "null", f"{APP}:8443"):
            assert not of_cors(preflight(server, origin)), origin
            got = requests.get(call, {"provider_id": 1}, headers={"Origin": origin}, timeout=5)
            assert got.status_code == 200
            assert not of_cors(got), origin


@pytest.mark.parametrize("path", ["/client/reserve", "/healthz", "/nothing", "/admin/login/"])
def test_no_other_origin_is_allowed_unless_it_is_named(api, path):
    asked = {"HTTP_ORIGIN": APP, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    for method in ("OPTIONS", "GET", "POST"):
        answer = api.generic(method, path, **asked)
        assert not of_cors(answer)
        assert "origin" not in answer.get("Vary", "").lower()


# --- The admin's place ---------------------------------------------------------------------------


def test_the_admin_can_stand_elsewhere(empty_database_url, tmp_path):
    with Server(tmp_path, empty_database_url, ADMIN_PATH="back-office/Desk_1") as server:
        desk = requests.get(f"{server.base_url}/back-office/Desk_1", timeout=5)
        assert desk.status_code == 200
        assert desk.url.endswith("/back-office/Desk_1/login/?next=/back-office/Desk_1/")
        for path in ("/admin", "/admin/", "/admin/login/", "/back-office/", "/back-office"):
            assert requests.get(server.base_url + path, timeout=5).status_code == 404, path
        assert requests.get(f"{server.base_url}/docs", timeout=5).status_code == 200


def test_there_can_be_no_admin_at_all(empty_database_url, tmp_path):
    with Server(tmp_path, empty_database_url, ADMIN_PATH="") as server:
        for path in ("/admin", "/admin/", "/admin/login/", "//", "//login/"):
            assert requests.get(server.base_url + path, timeout=5).status_code == 404, path
        for path in ("/docs", "/problems", "/schema", "/readyz"):
            assert requests.get(server.base_url + path, timeout=5).status_code == 200, path


def test_no_address_but_the_admins_own_can_be_taken_by_it():
    paths = {str(pattern.pattern) for pattern in get_resolver().url_patterns}
    firsts = {path.partition("/")[0] for path in {*paths, *(path[1:] for path in ADDRESSES)}}
    assert len(firsts) > 6
    assert firsts - {"", "admin"} <= PATHS_OF_OTHERS


# --- What protects browsers ----------------------------------------------------------------------

EVERY_KIND = {
    "a call": ("GET", "/client/getProviderAvailability", {}, 400),
    "an empty list": ("PUT", "/provider/expiredReservations", {}, 200),
    "no such path": ("GET", "/nothing", {}, 404),
    "another method": ("DELETE", "/client/reserve", {}, 405),
    "a foreign host": ("GET", "/docs", {"HTTP_HOST": "evil.example"}, 400),
    "a body too large": ("POST", "/client/reserve", {"CONTENT_LENGTH": str(2**30)}, 413),
    "chunks": ("POST", "/client/reserve", {"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
    "a probe": ("GET", "/readyz", {}, 200),
    "the schema": ("GET", "/schema", {}, 200),
    "a redirect": ("GET", "/admin", {}, 302),
    "a script": ("GET", "/static/admin/js/core.js", {}, 200),
    "a page's script": ("GET", "/docs?script=", {}, 200),
    "the docs": ("GET", "/docs", {}, 200),
    "booking": ("GET", "/", {}, 200),
    "providing": ("GET", "/provide", {}, 200),
    "the refusals": ("GET", "/problems", {}, 200),
    "the login": ("GET", "/admin/login/", {}, 200),
    "a way to the login": ("GET", "/admin/", {}, 302),
}
PAGES = {"booking", "providing", "the docs", "the refusals", "the login"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_answer_carries_what_protects_browsers(api, kind):
    method, path, environment, status = EVERY_KIND[kind]
    answer = api.generic(method, path, **environment)
    assert answer.status_code == status
    assert {name: answer.get(name) for name in HEADERS} == HEADERS
    assert len(answer["X-Request-ID"]) == 32
    is_page = answer.get("Content-Type", "").startswith("text/html") and status == 200
    assert is_page is (kind in PAGES)
    if is_page:
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy.pop("default-src") == "'self'"
        assert policy.pop("img-src") == "'self' data:"
        assert policy.pop("form-action") == "'self'"
        assert policy == dict.fromkeys(["object-src", "base-uri", "frame-ancestors"], "'none'")
    if "json" in answer.get("Content-Type", "") or "javascript" in answer.get("Content-Type", ""):
        assert "Content-Security-Policy" not in answer
    answer.close()


def test_a_fault_carries_it_too(api, monkeypatch):
    def broken():
        raise RuntimeError

    monkeypatch.setattr(schema, "_rendered", broken)
    answer = api.get("/schema")
    assert refusal(answer, 500)["code"] == "internal_error"
    assert {name: answer.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "path", ["/docs", "/problems", "/admin/", "/admin/scheduling/provider/1/change/"]
)
def test_no_page_needs_more_than_its_policy_allows(admin_client, path):
    make_provider()
    page = admin_client.get(path).content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<base", page)
    for attributes in re.findall(r"<script([^>]*)>", page):
        assert "src=" in attributes or 'type="application/json"' in attributes


# --- The schema and the cache --------------------------------------------------------------------


def test_the_schema_needs_no_cache_and_is_made_once(api, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}",
        }
    }
    with pytest.raises(RedisError):
        cache.get("anything")
    schema._rendered.cache_clear()
    for query in ("", "?version=2", "?lang=de"):
        answer = api.get(f"/schema{query}")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/vnd.oai.openapi+json"
    assert schema._rendered.cache_info().misses == 1


# --- Compression ---------------------------------------------------------------------------------


def body(answer):
    with contextlib.closing(answer):
        return b"".join(answer) if answer.streaming else answer.content


@pytest.mark.parametrize("path", ["/", "/static/web/page.css", "/web/text/de.js"])
def test_pages_and_files_leave_compressed_for_who_reads_that(api, path):
    plain = api.get(path)
    packed = api.get(path, HTTP_ACCEPT_ENCODING="gzip")
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert gzip.decompress(body(packed)) == body(plain)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_file_that_has_not_changed_is_not_sent_again(api, encoding):
    path = "/static/web/page.css"
    first = api.get(path, HTTP_ACCEPT_ENCODING=encoding)
    first.close()
    assert first["Cache-Control"].startswith("max-age=0")
    again = api.get(path, HTTP_ACCEPT_ENCODING=encoding, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, body(again)) == (304, b"")
    other = api.get(path, HTTP_ACCEPT_ENCODING=encoding, HTTP_IF_NONE_MATCH='"another"')
    assert other.status_code == 200
    other.close()


def test_who_asks_for_a_piece_of_a_file_gets_all_of_it(api):
    path = "/static/web/page.css"
    answer = api.get(path, HTTP_RANGE="bytes=0-99", HTTP_ACCEPT_ENCODING="gzip")
    assert answer.status_code == 200
    assert gzip.decompress(body(answer)) == body(api.get(path))


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "de-AT,en;q=0.5", "de"),
        ("en", "de", "en"),
        ("DE", "en", "de"),
        ("De-AT", "en", "de"),
        ("../x", "fr,*;q=0", "en"),
        ("\x00", ";;q=é", "en"),
    ],
)
def test_pages_are_in_a_language_there_is(api, cookie, accepted, language):
    api.cookies["django_language"] = cookie
    answer = api.get("/", HTTP_ACCEPT_LANGUAGE=accepted)
    html = answer.content.decode()
    assert f'<html lang="{language}" dir="ltr"' in html
    assert {"Accept-Language", "Cookie"} <= {one.strip() for one in answer["Vary"].split(",")}
    assert api.get(f"/web/text/{language}.js").status_code == 200
    assert api.get("/web/text/xx.js").json()["code"] == "not_found"
