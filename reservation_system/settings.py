"""How the service is deployed: one file for every environment, values from the environment.

A fresh checkout starts with none of them set. A value that is missing or cannot be read stops the
start with its name. The business's own numbers arrive here as durations; the rules made of them
are in scheduling/policy.py.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
DEVELOPMENT_KEY = "development-key-good-for-loopback-only-and-published-with-the-source"

env = environ.Env()


def _number(name: str, default: int, least: int, most: int = 2**31) -> int:
    try:
        number = int(env.str(name, default=str(default)))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}.")
    return number


def _seconds(name: str, default: int, least: int = 0) -> timedelta:
    return timedelta(seconds=_number(name, default, least))


def _flag(name: str, default: bool) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    word = env.str(name, default=str(default)).strip().lower()
    if word not in words:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
    return words[word]


def _database(url: str) -> dict[str, Any]:
    try:
        database: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError as unreadable:
        raise ImproperlyConfigured("DATABASE_URL cannot be read.") from unreadable
    options = database.setdefault("OPTIONS", {})
    # Each thread keeps its connection: opening one costs ten times a whole reserve.
    database["CONN_MAX_AGE"] = None
    if database.get("ENGINE") == "django.db.backends.sqlite3":
        if database["NAME"] == ":memory:":
            raise ImproperlyConfigured("DATABASE_URL must name a file: sqlite:////path/to/file.")
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
        # Statements are prepared after their fifth use; give 0 behind a PgBouncer before 1.21.
        options["prepare_threshold"] = options.get("prepare_threshold", 5) or None
        options.setdefault("server_side_binding", True)
        options.setdefault("application_name", "reservation_system")
        database["CONN_HEALTH_CHECKS"] = _flag("DATABASE_HEALTH_CHECKS", default=False)
        return database
    raise ImproperlyConfigured("DATABASE_URL must start with sqlite:/// or postgresql://.")


# --- Who may reach it ----------------------------------------------------------------------------

DEBUG = _flag("DEBUG", default=False)
HOST = env.str("HOST", default="127.0.0.1")
PORT = _number("PORT", 8000, least=1, most=65535)
WEB_CONCURRENCY = _number("WEB_CONCURRENCY", 2, least=1, most=1024)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=LOOPBACK_HOSTS)

DATABASES = {
    "default": _database(env.str("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}"))
}

SECRET_KEY = env.str("SECRET_KEY", default="") or DEVELOPMENT_KEY
if SECRET_KEY == DEVELOPMENT_KEY:
    if DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        raise ImproperlyConfigured("SECRET_KEY must be set: DATABASE_URL names a server.")
    if not set(ALLOWED_HOSTS) <= set(LOOPBACK_HOSTS):
        raise ImproperlyConfigured("SECRET_KEY must be set: ALLOWED_HOSTS is not loopback alone.")

# --- The business's numbers ----------------------------------------------------------------------

HOLD = _seconds("HOLD_SECONDS", 1800, least=1)
NOTICE = _seconds("NOTICE_SECONDS", 86400)
NOTICE_GRACE = _seconds("NOTICE_GRACE_SECONDS", 0)

# --- The application -----------------------------------------------------------------------------

ROOT_URLCONF = "reservation_system.urls"
WSGI_APPLICATION = "reservation_system.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FIXTURE_DIRS = [BASE_DIR / "fixtures"]
USE_TZ = True
TIME_ZONE = "UTC"
APPEND_SLASH = False
# SQLite keeps the covering index without its extra columns; it works, only less far.
SILENCED_SYSTEM_CHECKS = ["models.W040"]
BODY_LIMIT = 2**20
# At least 6: the server gives up when a worker it has replaced fails again within 5.5 seconds.
BODY_DEADLINE = _seconds("BODY_DEADLINE_SECONDS", 30, least=6)
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "scheduling",
]

MIDDLEWARE = [
    "reservation_system.middleware.RequestLog",
    "reservation_system.middleware.Gate",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # People with a browser session are found on the admin pages only; the API pays for none of it.
    "reservation_system.middleware.AdminSessions",
    "reservation_system.middleware.AdminAuthentication",
    "reservation_system.middleware.AdminMessages",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

STATIC_URL = "/static/"
# Static files are served from where the packages keep them: nothing to collect before a start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["scheduling.wire.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["scheduling.wire.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "scheduling.wire.AlwaysJSON",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "scheduling.errors.render",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Reservation service",
    "DESCRIPTION": (
        "Providers publish when they work; clients reserve a timeslot at least 24 hours ahead and "
        "confirm it within 30 minutes. Times are ISO 8601; they go out in UTC. "
        "Every refusal is a problem detail (RFC 9457) with a stable `code`."
    ),
    "VERSION": "1.0.0",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "TAGS": [
        {"name": "provider", "description": "What a provider does."},
        {"name": "client", "description": "What a client does."},
    ],
}

# --- What it says of itself ----------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured("LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR and CRITICAL.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "reservation_system.logs.AddRequestID"}},
    "formatters": {
        "json": {"()": "reservation_system.logs.JSON"},
        "text": {"()": "reservation_system.logs.Text"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "text" if DEBUG else "json",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # The request log has a line for each request; Django adds the traceback of a fault.
        "django.request": {"level": "ERROR"},
        "django.server": {"level": "WARNING"},
        # A request refused as suspicious is the caller's doing, not a fault with a traceback.
        "django.security": {"level": "CRITICAL"},
    },
}
