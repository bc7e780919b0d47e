"""How each kind of value is read from the environment. What cannot be read is named."""

import os
import re
import tempfile
from datetime import timedelta
from email.utils import parseaddr
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

env = environ.Env()

# First path segments that are taken; tests/test_edge.py compares them with urls.py.
PATHS_OF_OTHERS = {"provider", "client", "events", "webhooks", "unsubscribe", "auth"} | {
    "schema",
    "docs",
    "problems",
    "static",
}
PATHS_OF_OTHERS |= {"healthz", "readyz", "metrics", "provide", "web"}
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONSOLE = "django.core.mail.backends.console.EmailBackend"
NOWHERE = "django.core.mail.backends.dummy.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}


TRACING = {
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}


def number(name: str, default: int, least: int, most: int = 2**31) -> int:
    try:
        number = int(env.str(name, default=str(default)))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}.")
    return number


def seconds(name: str, default: int, least: int = 0) -> timedelta:
    return timedelta(seconds=number(name, default, least))


def flag(name: str, default: bool) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    word = env.str(name, default=str(default)).strip().lower()
    if word not in words:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
    return words[word]


def rate(name: str, default: str) -> tuple[int, int] | None:
    """So many requests in so many seconds; None for an empty value: no limit."""
    seconds = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
    text = env.str(name, default=default)
    count, _, period = text.partition("/")
    if not text:
        return None
    if not re.fullmatch("[1-9][0-9]{0,8}", count) or period not in seconds:
        raise ImproperlyConfigured(f"{name} must be such as 60/minute, or empty for no limit.")
    return int(count), seconds[period]


def database(name: str, url: str) -> dict[str, Any]:
    try:
        database: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        # Not chained: the reason quotes a piece of the address, which may be of the password.
        raise ImproperlyConfigured(f"{name} cannot be read.") from None
    options = database.setdefault("OPTIONS", {})
    # Each thread keeps its connection: opening one costs ten times a whole reserve.
    database["CONN_MAX_AGE"] = None
    if database.get("ENGINE") == "django.db.backends.sqlite3":
        if database["NAME"] == ":memory:":
            raise ImproperlyConfigured(f"{name} must name a file: sqlite:////path/to/file.")
        # IMMEDIATE: a writer waits its turn before it reads, instead of failing halfway through.
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", 20)
        # FULL: what was answered is on the disk, even when the power fails.
        options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
        return database
    if database.get("ENGINE") == "django.db.backends.postgresql":
        options.setdefault("connect_timeout", 5)
        # A server that vanished without a word is noticed after this many milliseconds.
        options.setdefault("tcp_user_timeout", 10_000)
        # Behind a PgBouncer in transaction mode, nothing outlasts a transaction: no prepared
        # statement, no cursor, no setting.
        is_pooled = flag("DATABASE_POOLED", default=False)
        if is_pooled and "options" in options:
            raise ImproperlyConfigured(f"{name}: options cannot be given if DATABASE_POOLED.")
        database["DISABLE_SERVER_SIDE_CURSORS"] = is_pooled
        # Statements are prepared after their fifth use.
        options["prepare_threshold"] = None if is_pooled else 5
        options.setdefault("server_side_binding", True)
        options.setdefault("application_name", "reservation_system")
        return database
    raise ImproperlyConfigured(f"{name} must start with sqlite:/// or postgresql://.")


def replica(url: str, *, of: dict[str, Any], redis_url: str) -> dict[str, Any]:
    name = "DATABASE_REPLICA_URL"
    replica = database(name, url)
    if not replica["ENGINE"] == of["ENGINE"] == "django.db.backends.postgresql":
        raise ImproperlyConfigured(f"{name} and DATABASE_URL must both start with postgresql://.")
    if not redis_url:
        raise ImproperlyConfigured(f"REDIS_URL must be set: {name} is.")
    # One that hangs is given up sooner than the primary, which is there in its place.
    given = parse_qs(urlsplit(url).query)
    replica["OPTIONS"] |= {
        option: most
        for option, most in {"connect_timeout": 2, "tcp_user_timeout": 1000}.items()
        if option not in given
    }
    return replica


def new_folder_for_counts() -> str:
    """In memory where there is such a place: a disk that fills up under a mapped file ends the
    process that writes to it."""
    memory = "/dev/shm"  # noqa: S108  mkdtemp makes a folder of our own in it
    has_memory = os.access(memory, os.W_OK | os.X_OK)
    return tempfile.mkdtemp(prefix="reservations-metrics-", dir=memory if has_memory else None)


def folder(path: str) -> str:
    if path and not (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)):
        raise ImproperlyConfigured("PROMETHEUS_MULTIPROC_DIR must be a folder to write into.")
    return path


def asks_for_traces() -> bool:
    """By the standard variables of OpenTelemetry; all the others, its SDK reads by itself."""

    def given(*names: str) -> str:
        return next((os.environ[name].strip() for name in names if os.environ.get(name)), "")

    exporter = given("OTEL_TRACES_EXPORTER").lower()
    endpoint = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    is_off = given("OTEL_SDK_DISABLED").lower() == "true" or exporter == "none"
    if is_off or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        raise ImproperlyConfigured("OTEL_TRACES_EXPORTER must be otlp or none.")
    protocol = given("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        raise ImproperlyConfigured("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf.")
    if missing := [name for name, module in TRACING.items() if not _is_installed(module)]:
        raise ImproperlyConfigured(
            f"The OTEL_ variables ask for traces, but {' and '.join(missing)} cannot be found: "
            "pip install -r requirements-tracing.txt."
        )
    return True


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # of the packages that it is in
        return False


def networks(name: str, entries: list[str]) -> list[IPv4Network | IPv6Network]:
    try:
        networks = [ip_network(entry.strip()) for entry in entries]
    except ValueError as unreadable:
        raise ImproperlyConfigured(f"{name}: {unreadable}.") from unreadable
    if not all(network.prefixlen for network in networks):
        raise ImproperlyConfigured(f"{name} must not be everybody.")
    return networks


def origins(entries: list[str]) -> list[str]:
    origins = [entry.strip() for entry in entries]
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ImproperlyConfigured(
                f"CORS_ALLOWED_ORIGINS: {origin!r} is no origin, as https://app.example.org is."
            )
    return origins


def admin_path(given: str) -> str:
    path = given.strip("/")
    if given and not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", path):
        raise ImproperlyConfigured(
            "ADMIN_PATH must be made of letters, digits, - and _, with / between segments."
        )
    if path.partition("/")[0] in PATHS_OF_OTHERS:
        raise ImproperlyConfigured(f"ADMIN_PATH: {path.partition('/')[0]} is taken.")
    return path


def cache(url: str) -> dict[str, Any]:
    if not url:
        return {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # Counts of callers are dropped for room: there should be some.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    try:
        address = urlsplit(url)
        is_readable = address.port != 0
    except ValueError:
        is_readable = False
    if is_readable and address.scheme == "unix":
        is_readable = bool(address.path)
    elif is_readable:
        is_readable = address.scheme in ("redis", "rediss") and bool(address.hostname)
    if not is_readable:
        raise ImproperlyConfigured(
            "REDIS_URL must be redis://host:port/number, rediss:// or unix:///path."
        )
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [url],  # a plain string would be split at each comma of a password
        "KEY_PREFIX": "reservations",
        # A cache that does not answer is done without, rather than waited for.
        "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.25},
    }


def broker(url: str) -> str:
    try:
        address = urlsplit(url)
        is_readable = address.port != 0 and bool(address.hostname)
    except ValueError:
        is_readable = False
    if url and not (is_readable and address.scheme in ("amqp", "amqps")):
        raise ImproperlyConfigured(
            "BROKER_URL must be amqp://user:password@host:5672/virtual-host, or amqps://."
        )
    return url


class Mail(NamedTuple):
    """In the order in which settings.py gives them Django's names."""

    backend: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    is_tls: bool = False  # STARTTLS
    is_ssl: bool = False


def mail(url: str, *, is_tried_out: bool) -> Mail:
    """How messages leave. Unless that is said, they are printed for who tries the service out;
    anywhere else they leave not at all, since what it prints there ends up in some log."""
    if not url:
        return Mail(CONSOLE if is_tried_out else NOWHERE)
    if url == "consolemail://":
        return Mail(CONSOLE)
    try:
        address = urlsplit(url)
        host, port = address.hostname or "", address.port
        # A / or # that stands in a password as it is would make another host of it.
        is_whole = not (address.path.strip("/") or address.query or address.fragment)
        is_readable = address.scheme in SMTP_PORTS and port != 0 and is_whole
    except ValueError:
        is_readable = False
    # The value is repeated nowhere, nor the error in which urlsplit repeats it.
    if not is_readable or not HOST.fullmatch(host):
        raise ImproperlyConfigured(
            "EMAIL_URL must be smtp://user:password@host:25, smtp+tls://user:password@host:587, "
            "smtp+ssl://user:password@host:465 or consolemail://, special characters as %XX."
        )
    user, password = unquote(address.username or ""), unquote(address.password or "")
    is_ssl = address.scheme == "smtp+ssl"
    # A password goes to another machine by TLS only.
    must_be_tls = address.scheme == "smtp+tls" or (bool(user) and host not in LOOPBACK)
    return Mail(
        *(SMTP, host, port or SMTP_PORTS[address.scheme], user, password),
        is_tls=must_be_tls and not is_ssl,
        is_ssl=is_ssl,
    )


def sender(given: str) -> str:
    _, address = parseaddr(given)
    try:
        validate_email(address)
    except ValidationError:
        address = ""
    if not address or not given.isprintable() or not address.isascii():
        raise ImproperlyConfigured("EMAIL_FROM must be Name <name@example.org>.")
    return given


def public_url(given: str) -> str:
    url = given.rstrip("/")
    is_readable = re.fullmatch(rf"{ORIGIN.pattern}(/[A-Za-z0-9._~-]+)*", url)
    if url and not (is_readable and is_safe_to_ask(url)):
        raise ImproperlyConfigured(
            "PUBLIC_URL must be such as https://reservations.example.org; on this machine http:// "
            "will do."
        )
    return url


def templates(folder: str) -> list[Path]:
    """Where templates are looked for first."""
    if folder and not Path(folder).is_dir():
        raise ImproperlyConfigured(f"EMAIL_TEMPLATES: {folder} is no folder.")
    return [Path(folder).resolve()] if folder else []


def is_safe_to_ask(url: str) -> bool:
    """Whether nobody on the way can put an answer of their own in its place."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in LOOPBACK
    return parts.scheme == "https" and bool(parts.hostname)
