"""The settings start from an empty environment, and name what stops them."""

import os
import runpy
import socket
import subprocess
import sys
import time
import traceback
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from redis.exceptions import RedisError

from .server import ROOT

pytestmark = pytest.mark.once

NAMES = [
    *(
        "SERVICE",
        "DATABASE_URL",
        "DATABASE_POOLED",
        "HOST",
        "PORT",
        "WEB_CONCURRENCY",
        "LOG_LEVEL",
    ),
    *("ANALYTICS_DATABASE_URL", "ARCHIVE_AFTER_DAYS"),
    *("HOLD_SECONDS", "NOTICE_SECONDS", "NOTICE_GRACE_SECONDS", "MAX_HOLDS_PER_CLIENT"),
    *("TRUSTED_PROXIES", "TLS", "CORS_ALLOWED_ORIGINS", "ADMIN_PATH", "REDIS_URL"),
    *("BROKER_URL", "WEBHOOK_ALLOWED_NETWORKS"),
    *("DATABASE_REPLICA_URL", "REPLICA_LAG_SECONDS", "CACHE_LISTS"),
    *("DEBUG", "ALLOWED_HOSTS", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "AUTHENTICATION"),
    *("IDENTITY_ISSUER", "IDENTITY_AUDIENCE", "IDENTITY_JWKS_URL", "IDENTITY_ROLE_CLAIM"),
    *("IDENTITY_PROVIDER_ID_CLAIM", "IDENTITY_CLIENT_ID_CLAIM"),
    *("OPEN_PROVIDER_SIGNUP", "PUBLIC_AVAILABILITY", "ACCESS_TOKEN_SECONDS"),
    *("REFRESH_TOKEN_SECONDS", "SIGN_IN_RATE", "SIGN_UP_RATE", "RESERVE_RATE"),
    "RESERVE_RATE_PER_ADDRESS",
    *("EMAIL_URL", "EMAIL_FROM", "EMAIL_TIMEOUT", "EMAIL_TEMPLATES", "PUBLIC_URL"),
    "REMINDER_SECONDS",
]
SERVER = "postgresql://somebody:secret@db.example:5433/reservations"


@pytest.fixture
def read(monkeypatch):
    """The settings, read afresh with nothing but the given values in the environment."""

    def read(**environment):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "reservation_system" / "settings.py"))

    return read


def test_nothing_needs_to_be_set(read):
    settings = read()
    assert settings["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert str(settings["DATABASES"]["default"]["NAME"]) == str(ROOT / "db.sqlite3")
    assert str(settings["DATABASES"]["analytics"]["NAME"]) == str(ROOT / "analytics.sqlite3")
    assert settings["ARCHIVE_AFTER"] == timedelta(0)
    assert settings["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]
    assert settings["SECRET_KEY"]
    assert settings["SECRET_KEY_FALLBACKS"] == []
    assert settings["AUTHENTICATION"] == "open"
    assert settings["SERVICE"] == "all"
    assert settings["DRAIN"] == timedelta(0)
    assert settings["TRUSTED_PROXIES"] == settings["CORS_ALLOWED_ORIGINS"] == []
    assert settings["WEBHOOK_ALLOWED_NETWORKS"] == []
    assert settings["ADMIN_PATH"] == "admin"
    assert settings["CACHES"]["default"]["BACKEND"].endswith("LocMemCache")
    assert settings["BROKER_URL"] == ""
    assert list(settings["DATABASES"]) == ["default", "analytics"]
    assert settings["HAS_REPLICA"] is settings["CACHE_LISTS"] is False
    assert settings["REPLICA_LAG"] == timedelta(seconds=1)
    assert settings["DEBUG"] is False
    assert (settings["HOST"], settings["PORT"]) == ("127.0.0.1", 8000)
    assert settings["HOLD"] == timedelta(minutes=30)
    assert settings["NOTICE"] == timedelta(hours=24)
    assert settings["NOTICE_GRACE"] == timedelta(0)
    assert settings["MAX_HOLDS_PER_CLIENT"] == 0
    assert settings["REMINDER"] == timedelta(hours=24)
    assert settings["EMAIL_BACKEND"].endswith("console.EmailBackend")
    assert settings["EMAIL_FROM"] == "Reservations <reservations@localhost>"
    assert settings["EMAIL_TIMEOUT"] == 10
    assert settings["PUBLIC_URL"] == ""
    assert settings["TEMPLATES"][0]["DIRS"] == []


def test_what_is_set_is_taken(read):
    settings = read(
        DATABASE_URL=SERVER,
        SECRET_KEY="ours",
        SECRET_KEY_FALLBACKS="former,older",
        AUTHENTICATION="required",
        SERVICE="client",
        DRAIN_SECONDS="15",
        HOST="0.0.0.0",
        PORT="9000",
        WEB_CONCURRENCY="4",
        HOLD_SECONDS="60",
        NOTICE_SECONDS="3600",
        NOTICE_GRACE_SECONDS="300",
        MAX_HOLDS_PER_CLIENT="5",
        DEBUG="true",
        ALLOWED_HOSTS="reservations.example,localhost",
    )
    database = settings["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], str(database["PORT"])) == ("db.example", "5433")
    assert (database["NAME"], database["PASSWORD"]) == ("reservations", "secret")
    assert (settings["HOST"], settings["PORT"]) == ("0.0.0.0", 9000)
    assert settings["WEB_CONCURRENCY"] == 4
    assert settings["HOLD"] == timedelta(minutes=1)
    assert settings["NOTICE"] == timedelta(hours=1)
    assert settings["NOTICE_GRACE"] == timedelta(minutes=5)
    assert settings["MAX_HOLDS_PER_CLIENT"] == 5
    assert settings["DEBUG"] is True
    assert settings["SECRET_KEY"] == "ours"
    assert settings["SECRET_KEY_FALLBACKS"] == ["former", "older"]
    assert settings["AUTHENTICATION"] == "required"
    assert settings["SERVICE"] == "client"
    assert settings["DRAIN"] == timedelta(seconds=15)
    assert settings["ALLOWED_HOSTS"] == ["reservations.example", "localhost"]


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": SERVER},
        {"DATABASE_URL": "postgresql://127.0.0.1/reservations"},
        {"ALLOWED_HOSTS": "reservations.example"},
        {"ALLOWED_HOSTS": "localhost,reservations.example"},
        {"ALLOWED_HOSTS": "*"},
        {"ALLOWED_HOSTS": "0.0.0.0"},
    ],
)
@pytest.mark.parametrize("mode", ["open", "required"])
def test_a_key_and_a_mode_are_demanded_as_soon_as_others_can_reach_it(read, environment, mode):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY and AUTHENTICATION") as refused:
        read(**environment)
    assert next(iter(environment)) in str(refused.value)
    with pytest.raises(ImproperlyConfigured, match="AUTHENTICATION"):
        read(**environment, SECRET_KEY="ours")
    with pytest.raises(ImproperlyConfigured, match="AUTHENTICATION"):
        read(**environment, SECRET_KEY="ours", AUTHENTICATION="")
    for no_key in ({}, {"SECRET_KEY": ""}):
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
            read(**environment, **no_key, AUTHENTICATION=mode)
    settings = read(**environment, SECRET_KEY="ours", AUTHENTICATION=mode)
    assert (settings["SECRET_KEY"], settings["AUTHENTICATION"]) == ("ours", mode)


def test_the_past_has_a_place_of_its_own(read):
    server = {"DATABASE_URL": SERVER, "SECRET_KEY": "ours", "AUTHENTICATION": "required"}
    past = f"{SERVER}-past"
    settings = read(**server, ANALYTICS_DATABASE_URL=past, ARCHIVE_AFTER_DAYS="180")
    assert settings["DATABASES"]["analytics"]["NAME"] == "reservations-past"
    assert settings["ARCHIVE_AFTER"] == timedelta(days=180)
    assert read(ARCHIVE_AFTER_DAYS="180")["ARCHIVE_AFTER"] == timedelta(days=180)
    assert read(**server)["DATABASES"]["analytics"]["ENGINE"].endswith("sqlite3")
    with pytest.raises(ImproperlyConfigured, match="ANALYTICS_DATABASE_URL must be set"):
        read(**server, ARCHIVE_AFTER_DAYS="180")
    for same in (server, {"DATABASE_URL": "sqlite:////tmp/a"}):
        with pytest.raises(ImproperlyConfigured, match="must not be DATABASE_URL"):
            read(**same, ANALYTICS_DATABASE_URL=same["DATABASE_URL"])


@pytest.mark.parametrize("key", ["   ", "...", "\t"])
def test_a_key_that_is_none_is_not_taken_for_one(read, key):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        read(AUTHENTICATION="required", SECRET_KEY=key)


def test_former_keys_are_taken_without_the_blanks_around_them(read):
    settings = read(SECRET_KEY="ours", SECRET_KEY_FALLBACKS="former, older")
    assert settings["SECRET_KEY_FALLBACKS"] == ["former", "older"]
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FALLBACKS"):
        read(SECRET_KEY="ours", SECRET_KEY_FALLBACKS="former, ")


def test_required_authentication_never_runs_on_the_published_key(read):
    published = read()["SECRET_KEY"]
    for environment in (
        {},
        {"SECRET_KEY": published},
        {"SECRET_KEY": "ours", "SECRET_KEY_FALLBACKS": published},
        {"DATABASE_URL": SERVER, "SECRET_KEY": published},
    ):
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
            read(AUTHENTICATION="required", **environment)
    assert read(AUTHENTICATION="required", SECRET_KEY="ours")["AUTHENTICATION"] == "required"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HOLD_SECONDS", value) for value in ("soon", "", "0", "-1", "1.5", "9" * 5000)),
        *(("NOTICE_SECONDS", value) for value in ("a day", "", "-1", "1e5")),
        *(("NOTICE_GRACE_SECONDS", value) for value in ("x", "", "-1", "0.5")),
        *(("MAX_HOLDS_PER_CLIENT", value) for value in ("five", "", "-1", "2.5")),
        *(("ARCHIVE_AFTER_DAYS", value) for value in ("180d", "", "-1", "36501")),
        *(("ANALYTICS_DATABASE_URL", value) for value in ("mysql://x/y", "sqlite://:memory:", "x")),
        *(("PORT", value) for value in ("http", "", "0", "-1", "65536")),
        *(("WEB_CONCURRENCY", value) for value in ("all", "", "0", "-1")),
        *(("DEBUG", value) for value in ("perhaps", "", "2")),
        *(("DATABASE_POOLED", value) for value in ("perhaps", "2")),
        *(("REPLICA_LAG_SECONDS", value) for value in ("", "0", "0.5", "soon")),
        *(("CACHE_LISTS", value) for value in ("perhaps", "2")),
        *(("AUTHENTICATION", value) for value in ("perhaps", "Required", "none")),
        *(("SERVICE", value) for value in ("", "Client", "both")),
        *(("DRAIN_SECONDS", value) for value in ("", "-1", "long")),
        *(("OPEN_PROVIDER_SIGNUP", value) for value in ("perhaps", "")),
        *(("PUBLIC_AVAILABILITY", value) for value in ("perhaps", "")),
        *(("ACCESS_TOKEN_SECONDS", value) for value in ("", "0", "soon")),
        *(("REFRESH_TOKEN_SECONDS", value) for value in ("", "0", "-1")),
        *(("SIGN_IN_RATE", value) for value in ("5", "0/minute", "5/week", "/minute", "x/hour")),
        *(("SIGN_UP_RATE", value) for value in ("5/min", "-1/hour", "1.5/day")),
        *(("RESERVE_RATE", value) for value in ("60 / minute", "9999999999/day")),
        *(("RESERVE_RATE_PER_ADDRESS", value) for value in ("none", "\u0661/minute")),
        *(("LOG_LEVEL", value) for value in ("LOUD", "", "10")),
        *(("REMINDER_SECONDS", value) for value in ("", "-1", "a day")),
        *(("EMAIL_TIMEOUT", value) for value in ("", "0", "soon")),
        *(("EMAIL_TEMPLATES", value) for value in ("/no/such/folder", __file__)),
        *(("PUBLIC_URL", value) for value in ("reservations.example", "http://r.example")),
        *(("PUBLIC_URL", f"https://{value}") for value in ("", "r.example/?a", "u:p@r.example")),
        *(("PUBLIC_URL", f"https://r.example{value}") for value in (":port", "#a", "/a b", "\n")),
        *(
            ("EMAIL_FROM", value)
            for value in ("desk", "desk@", "Desk <desk@example>", "é@r.example")
        ),
        *(("EMAIL_FROM", f"{value} <desk@r.example>") for value in ("A\nB: c", "A\u2028B", "A,")),
        ("IDENTITY_ROLE_CLAIM", ""),
        ("IDENTITY_PROVIDER_ID_CLAIM", ""),
        ("IDENTITY_CLIENT_ID_CLAIM", ""),
        *(("TLS", value) for value in ("perhaps", "", "https")),
        *(("TRUSTED_PROXIES", value) for value in ("*", "proxy", "10.0.0.1/8", "127.0.0.1 ::1")),
        *(("TRUSTED_PROXIES", value) for value in ("0.0.0.0/0", "127.0.0.1,::/0", "1", " ")),
        *(
            ("WEBHOOK_ALLOWED_NETWORKS", value)
            for value in ("*", "10.0.0.1/8", "::/0", "localhost")
        ),
        *(("CORS_ALLOWED_ORIGINS", value) for value in ("*", "null", "app.example", "https://")),
        *(("CORS_ALLOWED_ORIGINS", f"https://{value}") for value in ("*.example", "a.example/")),
        *(("CORS_ALLOWED_ORIGINS", f"https://{value}") for value in ("A.example", "a:b@c", "a?b")),
        *(("CORS_ALLOWED_ORIGINS", f"https://{value}") for value in ("a,b", "a b", "a:", "a:port")),
        *(("ADMIN_PATH", value) for value in ("/", "a//b", "a b", "a.b", "../a", "é", "a?b", "a%")),
        *(("ADMIN_PATH", value) for value in ("client", "/docs/", "provider/desk", "static/x")),
        *(("ADMIN_PATH", value) for value in ("healthz", "readyz", "auth", "schema", "problems")),
        *(("REDIS_URL", value) for value in ("redis", "localhost:6379", "redis://", "unix://")),
        *(("REDIS_URL", value) for value in ("http://h", "redis://h:port", "redis://h:70000")),
        *(("BROKER_URL", value) for value in ("rabbitmq", "localhost:5672", "amqp://", "amqps:")),
        *(("BROKER_URL", value) for value in ("redis://h", "amqp://h:port", "amqp://h:70000")),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "reservations"),
        ("DATABASE_URL", "mysql://localhost/reservations"),
        ("DATABASE_URL", "postgresql://localhost:port/reservations"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "sqlite:///"),
    ],
)
@pytest.mark.filterwarnings("ignore:Engine not recognized")  # django-environ's own
def test_what_cannot_be_read_is_named(read, name, value):
    environment = {"AUTHENTICATION": "open", name: value}
    if name == "DATABASE_POOLED":
        environment["DATABASE_URL"] = SERVER
    with pytest.raises(ImproperlyConfigured, match=name):
        read(**environment, SECRET_KEY="ours")


IDENTITY = {
    "IDENTITY_ISSUER": "https://identity.example/realms/practice",
    "IDENTITY_AUDIENCE": "reservations",
    "IDENTITY_JWKS_URL": "https://identity.example/realms/practice/certs",
}
REQUIRED = {"AUTHENTICATION": "required", "SECRET_KEY": "ours"}


def test_an_identity_provider_is_named_as_a_whole(read):
    settings = read(**REQUIRED, **IDENTITY)
    assert {name: settings[name] for name in IDENTITY} == IDENTITY
    assert settings["IDENTITY_ROLE_CLAIM"] == "role"
    assert settings["IDENTITY_PROVIDER_ID_CLAIM"] == "provider_id"
    assert settings["IDENTITY_CLIENT_ID_CLAIM"] == "client_id"
    for missing in IDENTITY:
        some = {name: value for name, value in IDENTITY.items() if name != missing}
        for less in (some, some | {missing: ""}):
            with pytest.raises(ImproperlyConfigured, match=f"^{missing} must be set"):
                read(**REQUIRED, **less)
        two = "^" + " and ".join(some)
        with pytest.raises(ImproperlyConfigured, match=two):
            read(**REQUIRED, **{missing: IDENTITY[missing]})


@pytest.mark.parametrize("mode", [{}, {"AUTHENTICATION": "open"}])
def test_an_identity_provider_needs_authentication_to_be_required(read, mode):
    with pytest.raises(ImproperlyConfigured, match=r"^AUTHENTICATION=required"):
        read(SECRET_KEY="ours", **mode, **IDENTITY)


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://identity.example:8443/certs", True),
        ("HTTPS://identity.example/certs", True),
        ("http://localhost:8080/certs", True),
        ("http://127.0.0.1/certs", True),
        ("http://[::1]:8080/certs", True),
        ("http://identity.example/certs", False),
        ("http://127.0.0.1@identity.example/certs", False),
        ("http://localhost.example/certs", False),
        ("http://192.168.1.7/certs", False),
        ("file:///etc/certs", False),
        ("ftp://localhost/certs", False),
        ("https:///certs", False),
        ("https://[::1/certs", False),
        ("identity.example/certs", False),
        ("/certs", False),
    ],
)
def test_keys_come_by_tls_or_from_this_machine(read, url, is_taken):
    environment = REQUIRED | IDENTITY | {"IDENTITY_JWKS_URL": url}
    if is_taken:
        assert read(**environment)["IDENTITY_JWKS_URL"] == url
        return
    with pytest.raises(ImproperlyConfigured, match="IDENTITY_JWKS_URL"):
        read(**environment)


@pytest.mark.parametrize("password", ["hunter2/battery", "hunter2[battery", "hunter2%zz:5x"])
@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "DATABASE_REPLICA_URL", "REDIS_URL", "BROKER_URL"]
)
def test_a_password_in_an_address_that_cannot_be_read_is_not_shown(read, name, password):
    """What stops the start is shown with its traceback, by manage.py and in the journal."""
    scheme = {"REDIS_URL": "redis", "BROKER_URL": "amqp"}.get(name, "postgresql")
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        read(AUTHENTICATION="open", SECRET_KEY="ours", **{name: f"{scheme}://us:{password}@h:5x/n"})
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_a_rate_is_so_many_in_so_many_seconds(read):
    settings = read(SIGN_IN_RATE="5/second", SIGN_UP_RATE="", RESERVE_RATE="7/day")
    assert settings["SIGN_IN_RATE"] == (5, 1)
    assert settings["SIGN_UP_RATE"] is None
    assert settings["RESERVE_RATE"] == (7, 86400)
    assert settings["RESERVE_RATE_PER_ADDRESS"] == (600, 60)


def test_nobody_asks_without_limit_unless_that_is_said(read):
    settings = read()
    assert settings["SIGN_IN_RATE"] == (30, 60)
    assert settings["SIGN_UP_RATE"] == (20, 3600)
    assert settings["RESERVE_RATE"] == (60, 60)
    assert settings["RESERVE_RATE_PER_ADDRESS"] == (600, 60)


@pytest.mark.parametrize(
    ("hold", "notice", "grace", "expected"),
    [
        (1800, 86400, 0, []),
        (1800, 86400, 86400, []),
        (1800, 86400, 86401, ["scheduling.E002"]),
        (3599, 3600, 0, []),
        (3600, 3600, 0, ["scheduling.E001"]),
        (3601, 3600, 0, ["scheduling.E001"]),
        (3600, 3600, 3601, ["scheduling.E001", "scheduling.E002"]),
    ],
)
def test_durations_that_contradict_each_other_are_found(settings, hold, notice, grace, expected):
    settings.HOLD = timedelta(seconds=hold)
    settings.NOTICE = timedelta(seconds=notice)
    settings.NOTICE_GRACE = timedelta(seconds=grace)
    assert [found.id for found in run_checks() if found.id.startswith("scheduling")] == expected


def test_a_contradiction_stops_the_start():
    run = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=os.environ | {"HOLD_SECONDS": "3600", "NOTICE_SECONDS": "3600"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 1
    assert "HOLD_SECONDS must be less than NOTICE_SECONDS" in run.stderr


@pytest.mark.parametrize(
    ("hosts", "tls", "expected"),
    [
        ("localhost,127.0.0.1,[::1]", None, False),
        ("reservations.example", None, True),
        ("localhost,reservations.example", None, True),
        ("reservations.example", "false", False),
        ("localhost", "true", True),
    ],
)
def test_tls_is_expected_wherever_others_can_reach_it(read, hosts, tls, expected):
    given = {} if tls is None else {"TLS": tls}
    settings = read(ALLOWED_HOSTS=hosts, SECRET_KEY="ours", AUTHENTICATION="open", **given)
    assert settings["TLS"] is expected
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is expected
    assert settings["SECURE_HSTS_SECONDS"] == (31_536_000 if expected else 0)


def test_what_stands_at_the_edge_is_taken(read):
    settings = read(
        TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8,2001:db8::/32",
        WEBHOOK_ALLOWED_NETWORKS="10.1.0.0/16, ::1",
        CORS_ALLOWED_ORIGINS="https://app.example:8443, http://[::1]:3000,capacitor://localhost",
        ADMIN_PATH="/back-office/Desk_1/",
    )
    assert [str(network) for network in settings["TRUSTED_PROXIES"]] == [
        *("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32")
    ]
    assert [str(network) for network in settings["WEBHOOK_ALLOWED_NETWORKS"]] == [
        *("10.1.0.0/16", "::1/128")
    ]
    assert settings["CORS_ALLOWED_ORIGINS"] == [
        *("https://app.example:8443", "http://[::1]:3000", "capacitor://localhost")
    ]
    assert settings["ADMIN_PATH"] == "back-office/Desk_1"
    assert read(ADMIN_PATH="")["ADMIN_PATH"] == ""


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://:a,b;c@h:6379/1",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_is_the_cache_where_it_is_named(read, url):
    cache = read(REDIS_URL=url)["CACHES"]["default"]
    assert cache["BACKEND"].endswith("RedisCache")
    assert cache["LOCATION"] == [url]
    assert cache["KEY_PREFIX"]


REPLICA = SERVER.replace("db.", "replica.")


def test_a_replica_is_read_from_where_it_is_named(read):
    settings = read(
        **{"AUTHENTICATION": "open", "SECRET_KEY": "ours", "REDIS_URL": "redis://h"},
        DATABASE_URL=SERVER,
        DATABASE_REPLICA_URL=f"{REPLICA}?connect_timeout=7",
        REPLICA_LAG_SECONDS="3",
    )
    replica = settings["DATABASES"]["replica"]
    assert (replica["HOST"], settings["DATABASES"]["default"]["HOST"]) == (
        *("replica.example", "db.example"),
    )
    assert replica["OPTIONS"]["connect_timeout"] == 7
    assert replica["OPTIONS"]["tcp_user_timeout"] == 1000
    assert settings["HAS_REPLICA"] is True
    assert settings["REPLICA_LAG"] == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DATABASE_REPLICA_URL": REPLICA}, "DATABASE_URL"),
        ({"DATABASE_REPLICA_URL": "sqlite:////a/file"}, "DATABASE_REPLICA_URL"),
        ({"DATABASE_REPLICA_URL": "sqlite:////a", "DATABASE_URL": SERVER}, "DATABASE_REPLICA_URL"),
        ({"DATABASE_REPLICA_URL": REPLICA, "DATABASE_URL": SERVER}, "REDIS_URL"),
        ({"CACHE_LISTS": "true"}, "REDIS_URL"),
    ],
)
def test_reads_that_scale_need_what_instances_share(read, environment, named):
    with pytest.raises(ImproperlyConfigured, match=named):
        read(AUTHENTICATION="open", SECRET_KEY="ours", **environment)


def test_lists_are_kept_where_that_is_said(read):
    assert read(REDIS_URL="redis://h", CACHE_LISTS="true")["CACHE_LISTS"] is True


@pytest.mark.parametrize("url", ["", "amqp://h", "amqps://user:secret@broker.example:5671/vhost"])
def test_a_broker_is_optional(read, url):
    assert read(BROKER_URL=url)["BROKER_URL"] == url


def test_a_redis_that_does_not_answer_is_not_waited_for(read, settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.CACHES = read(REDIS_URL=url)["CACHES"]
        started = time.monotonic()
        with pytest.raises(RedisError):
            cache.get("anything")
        assert time.monotonic() - started < 2
        cache.close()


@pytest.mark.parametrize("is_pooled", [False, True])
def test_behind_a_pooler_nothing_outlasts_a_transaction(read, is_pooled):
    ours = {"SECRET_KEY": "ours", "AUTHENTICATION": "open", "DATABASE_POOLED": str(is_pooled)}
    database = read(DATABASE_URL=SERVER, **ours)["DATABASES"]["default"]
    assert database["DISABLE_SERVER_SIDE_CURSORS"] is is_pooled
    assert database["OPTIONS"]["prepare_threshold"] == (None if is_pooled else 5)
    url = f"{SERVER}?options=-c%20statement_timeout%3D1s"
    if not is_pooled:
        assert read(DATABASE_URL=url, **ours)["DATABASES"]["default"]["OPTIONS"]["options"]
        return
    with pytest.raises(ImproperlyConfigured, match="DATABASE_POOLED"):
        read(DATABASE_URL=url, **ours)


def test_sqlite_waits_its_turn_and_writes_ahead(read):
    options = read()["DATABASES"]["default"]["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] >= 5
    assert "journal_mode=WAL" in options["init_command"]


MAIL = {"EMAIL_FROM": "Praxis B\u00fccher <desk@r.example>"}
SMTP = [f"EMAIL_{name}" for name in ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD")]


@pytest.mark.parametrize(
    ("url", "server", "is_tls", "is_ssl"),
    [
        ("smtp://mail.example", ("mail.example", 25, "", ""), False, False),
        ("smtp://[::1]:1025/", ("::1", 1025, "", ""), False, False),
        ("smtp://u:p@localhost:1025", ("localhost", 1025, "u", "p"), False, False),
        # A password goes to another machine by TLS only.
        ("smtp://u:p@mail.example:587", ("mail.example", 587, "u", "p"), True, False),
        ("smtp+tls://mail.example", ("mail.example", 587, "", ""), True, False),
        (
            "smtp+tls://u%40r.example:a%2Fb%23c@mail.example:2525",
            ("mail.example", 2525, "u@r.example", "a/b#c"),
            *(True, False),
        ),
        ("smtp+ssl://u:a@b:c@MAIL.example", ("mail.example", 465, "u", "a@b:c"), False, True),
    ],
)
def test_mail_leaves_by_smtp_where_that_is_said(read, url, server, is_tls, is_ssl):
    settings = read(EMAIL_URL=url, **MAIL, EMAIL_TIMEOUT="3")
    assert settings["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert tuple(settings[name] for name in SMTP) == server
    assert (settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (is_tls, is_ssl)
    assert settings["EMAIL_TIMEOUT"] == 3
    assert settings["EMAIL_FROM"] == settings["DEFAULT_FROM_EMAIL"] == MAIL["EMAIL_FROM"]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "mail.example",
            "mail.example:25",
            "smtp:",
            "smtp://",
            "smtp://:25",
            "smtp://u:hunter2-@",
        ),
        *("smtps://u:hunter2-@h", "imap://u:hunter2-@h", "smtp://u:hunter2-@h:port"),
        *("smtp://u:hunter2-@h:70000", "smtp://u:hunter2-@h:0", "smtp://u:hunter2-/x@h"),
        *("smtp+tls://u:hunter2-#x@h", "smtp+tls://u:hunter2-?x@h", "smtp://u:hunter2-@h/path"),
        *("smtp://u:hunter2-@a b", "smtp://u:hunter2-@[::1", "smtp://u:123/hunter2-@h"),
        "consolemail://h",
    ],
)
def test_a_mail_server_that_cannot_be_read_is_named_without_its_password(read, url):
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL must be") as refused:
        read(EMAIL_URL=url, **MAIL)
    trace = "".join(traceback.format_exception(refused.value))
    assert "hunter2-" not in trace


@pytest.mark.parametrize("url", ["smtp://mail.example", "consolemail://"])
def test_who_sends_mail_says_from_whom(read, url):
    for missing in ({}, {"EMAIL_FROM": ""}):
        with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_FROM must be set"):
            read(EMAIL_URL=url, **missing)


@pytest.mark.parametrize(
    ("environment", "backend"),
    [
        ({}, "console"),
        ({"ALLOWED_HOSTS": "localhost"}, "console"),
        ({"ALLOWED_HOSTS": "reservations.example"}, "dummy"),
        ({"DATABASE_URL": SERVER}, "dummy"),
        ({"DATABASE_URL": SERVER, "EMAIL_URL": "consolemail://", **MAIL}, "console"),
    ],
)
def test_mail_is_printed_where_the_service_is_tried_out_alone(read, environment, backend):
    settings = read(**environment, SECRET_KEY="ours", AUTHENTICATION="open")
    assert settings["EMAIL_BACKEND"] == f"django.core.mail.backends.{backend}.EmailBackend"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://reservations.example/", "https://reservations.example"),
        ("https://r.example:8443/book/me", "https://r.example:8443/book/me"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_links_in_mail_lead_to_the_public_address(read, given, url):
    assert read(PUBLIC_URL=given)["PUBLIC_URL"] == url


def test_a_deployers_templates_come_first(read, tmp_path):
    [engine] = read(EMAIL_TEMPLATES=str(tmp_path))["TEMPLATES"]
    assert engine["DIRS"] == [tmp_path]


def test_reminders_can_be_left_out(read):
    assert read(REMINDER_SECONDS="0")["REMINDER"] == timedelta(0)
