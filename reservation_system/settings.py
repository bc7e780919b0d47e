"""How the service is deployed: one file for every environment, values from the environment.

A fresh checkout starts with none of them set. A value that is missing or cannot be read stops the
start with its name. The business's own numbers arrive here as durations; the rules made of them
are in scheduling/policy.py.
"""

from datetime import timedelta
from pathlib import Path

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from reservation_system.environment import (
    admin_path,
    asks_for_traces,
    broker,
    cache,
    database,
    env,
    flag,
    folder,
    is_safe_to_ask,
    mail,
    networks,
    number,
    origins,
    public_url,
    rate,
    replica,
    seconds,
    sender,
    templates,
)

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
DEVELOPMENT_KEY = "development-key-good-for-loopback-only-and-published-with-the-source"


# --- Who may reach it ----------------------------------------------------------------------------

DEBUG = flag("DEBUG", default=False)
HOST = env.str("HOST", default="127.0.0.1")
PORT = number("PORT", 8000, least=1, most=65535)
WEB_CONCURRENCY = number("WEB_CONCURRENCY", 2, least=1, most=1024)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=LOOPBACK_HOSTS)
# Which of the addresses this instance serves (urls.py).
SERVICE = env.str("SERVICE", default="all")
if SERVICE not in ("all", "provider", "client"):
    raise ImproperlyConfigured("SERVICE must be all, provider or client.")
# How long it says that it is about to stop, before it does (draining.py).
DRAIN = seconds("DRAIN_SECONDS", 0)

REDIS_URL = env.str("REDIS_URL", default="")
DATABASES = {
    "default": database(
        "DATABASE_URL", env.str("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
    ),
    # Where the past goes. Nobody connects to it but who archives, forgets or reports.
    "analytics": database(
        "ANALYTICS_DATABASE_URL",
        env.str("ANALYTICS_DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'analytics.sqlite3'}"),
    ),
}
DATABASE_ROUTERS = ["analytics.router.Router"]
# Where lists are read, as long as it is no further behind than that.
if replica_url := env.str("DATABASE_REPLICA_URL", default=""):
    DATABASES["replica"] = replica(replica_url, of=DATABASES["default"], redis_url=REDIS_URL)
HAS_REPLICA = "replica" in DATABASES
REPLICA_LAG = seconds("REPLICA_LAG_SECONDS", 1, least=1)

HAS_DATABASE_SERVER = DATABASES["default"]["ENGINE"].endswith("postgresql")
# Of each worker: requests at a time, requests that may wait for that (some 50 ms), and threads: for
# both, and some that are free to refuse the rest or to wait for a body.
WORKER_PLACES = 4
WORKER_ROOM = 32
WORKER_THREADS = WORKER_PLACES + WORKER_ROOM + 16
IS_FOR_THIS_MACHINE_ALONE = set(ALLOWED_HOSTS) <= set(LOOPBACK_HOSTS)
AUTHENTICATION = env.str("AUTHENTICATION", default="")
if AUTHENTICATION not in ("", "open", "required"):
    raise ImproperlyConfigured("AUTHENTICATION must be open or required.")
SECRET_KEY = env.str("SECRET_KEY", default="").strip() or DEVELOPMENT_KEY
# What these signed, tokens and sessions, is still taken: a key is replaced in two steps.
SECRET_KEY_FALLBACKS = [key.strip() for key in env.list("SECRET_KEY_FALLBACKS", default=[])]
if "" in SECRET_KEY_FALLBACKS:
    raise ImproperlyConfigured("SECRET_KEY_FALLBACKS must be keys with commas between them.")


def _require_what_others_could_abuse() -> None:
    reasons = {
        "DATABASE_URL names a server": HAS_DATABASE_SERVER,
        "ALLOWED_HOSTS is not loopback alone": not IS_FOR_THIS_MACHINE_ALONE,
        "AUTHENTICATION is required": AUTHENTICATION == "required",
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    missing = {
        "SECRET_KEY": bool({DEVELOPMENT_KEY, "..."} & {SECRET_KEY, *SECRET_KEY_FALLBACKS}),
        "AUTHENTICATION (open or required)": not AUTHENTICATION,
    }
    names = " and ".join(name for name, is_missing in missing.items() if is_missing)
    if reason and names:
        raise ImproperlyConfigured(f"{names} must be set: {reason}.")


_require_what_others_could_abuse()
AUTHENTICATION = AUTHENTICATION or "open"

# --- At the edge: what stands between callers and the service -----------------------------------

TRUSTED_PROXIES = networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=[]))
TLS = flag("TLS", default=not IS_FOR_THIS_MACHINE_ALONE)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
# Sent only on answers to requests that came over TLS.
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS
CSRF_FAILURE_VIEW = "scheduling.errors.foreign_form"
CORS_ALLOWED_ORIGINS = origins(env.list("CORS_ALLOWED_ORIGINS", default=[]))
CORS_ALLOW_HEADERS = [
    *default_headers,
    "idempotency-key",
    "if-match",
    "if-none-match",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "Date",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
]
ADMIN_PATH = admin_path(env.str("ADMIN_PATH", default="admin"))
CACHES = {"default": cache(REDIS_URL)}
CACHE_LISTS = flag("CACHE_LISTS", default=False)
if CACHE_LISTS and not REDIS_URL:
    raise ImproperlyConfigured("REDIS_URL must be set: CACHE_LISTS is true.")
BROKER_URL = broker(env.str("BROKER_URL", default=""))
# Where webhooks may lead besides the public internet; by http too.
WEBHOOK_ALLOWED_NETWORKS = networks(
    "WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
)

# What sees every request: nothing of it is imported unless it is asked for.
TRACING = asks_for_traces()

# --- Accounts ------------------------------------------------------------------------------------

OPEN_PROVIDER_SIGNUP = flag("OPEN_PROVIDER_SIGNUP", default=False)
PUBLIC_AVAILABILITY = flag("PUBLIC_AVAILABILITY", default=True)
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": seconds("ACCESS_TOKEN_SECONDS", 900, least=1),
    "REFRESH_TOKEN_LIFETIME": seconds("REFRESH_TOKEN_SECONDS", 14 * 86400, least=1),
}
# A foreign identity provider, in the place of /auth and of accounts here.
IDENTITY_ISSUER = env.str("IDENTITY_ISSUER", default="")
IDENTITY_AUDIENCE = env.str("IDENTITY_AUDIENCE", default="")
IDENTITY_JWKS_URL = env.str("IDENTITY_JWKS_URL", default="")
IDENTITY_ROLE_CLAIM = env.str("IDENTITY_ROLE_CLAIM", default="role")
IDENTITY_PROVIDER_ID_CLAIM = env.str("IDENTITY_PROVIDER_ID_CLAIM", default="provider_id")
IDENTITY_CLIENT_ID_CLAIM = env.str("IDENTITY_CLIENT_ID_CLAIM", default="client_id")


def _require_a_whole_identity_provider() -> None:
    if not (IDENTITY_ROLE_CLAIM and IDENTITY_PROVIDER_ID_CLAIM and IDENTITY_CLIENT_ID_CLAIM):
        raise ImproperlyConfigured(
            "IDENTITY_ROLE_CLAIM, IDENTITY_PROVIDER_ID_CLAIM and IDENTITY_CLIENT_ID_CLAIM must be "
            "names of claims."
        )
    belong_together = {
        "IDENTITY_ISSUER": IDENTITY_ISSUER,
        "IDENTITY_AUDIENCE": IDENTITY_AUDIENCE,
        "IDENTITY_JWKS_URL": IDENTITY_JWKS_URL,
    }
    if not any(belong_together.values()):
        return
    missing = [name for name, value in belong_together.items() if not value]
    if AUTHENTICATION != "required":
        missing.append("AUTHENTICATION=required")
    if missing:
        names = " and ".join(missing)
        raise ImproperlyConfigured(f"{names} must be set: a setting of IDENTITY_... is.")
    if not is_safe_to_ask(IDENTITY_JWKS_URL):
        raise ImproperlyConfigured(
            "IDENTITY_JWKS_URL must start with https://; on this machine http:// will do."
        )


_require_a_whole_identity_provider()
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "scheduling.authentication.ByEmail",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    # Harder to guess at on graphics cards than the default, and cheaper here: 245 ms of CPU for a
    # sign-in instead of 447. What the default hashed is hashed again when its owner signs in.
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# An account is locked at one address only, so that nobody can lock out somebody elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_USERNAME_CALLABLE = "scheduling.authentication.attempted_account"
AXES_CLIENT_IP_CALLABLE = "scheduling.authentication.address_of"
AXES_LOCKOUT_CALLABLE = "scheduling.authentication.locked_out"

SIGN_IN_RATE = rate("SIGN_IN_RATE", "30/minute")
SIGN_UP_RATE = rate("SIGN_UP_RATE", "20/hour")
RESERVE_RATE = rate("RESERVE_RATE", "60/minute")
RESERVE_RATE_PER_ADDRESS = rate("RESERVE_RATE_PER_ADDRESS", "600/minute")

# --- The business's numbers ----------------------------------------------------------------------

HOLD = seconds("HOLD_SECONDS", 1800, least=1)
NOTICE = seconds("NOTICE_SECONDS", 86400)
NOTICE_GRACE = seconds("NOTICE_GRACE_SECONDS", 0)
CANCEL_NOTICE = seconds("CANCEL_NOTICE_SECONDS", 0)
MAX_HOLDS_PER_CLIENT = number("MAX_HOLDS_PER_CLIENT", 0, least=0)
REMINDER = seconds("REMINDER_SECONDS", 86400)
ARCHIVE_AFTER = timedelta(days=number("ARCHIVE_AFTER_DAYS", 0, least=0, most=36500))


def _require_a_place_for_the_past() -> None:
    def place(name: str) -> list[str]:
        return [str(DATABASES[name].get(part, "")) for part in ("HOST", "PORT", "NAME")]

    if place("analytics") == place("default"):
        raise ImproperlyConfigured("ANALYTICS_DATABASE_URL must not be DATABASE_URL.")
    # A file beside one of several workers is no place, least of all in a container.
    if ARCHIVE_AFTER and HAS_DATABASE_SERVER and not env.str("ANALYTICS_DATABASE_URL", default=""):
        raise ImproperlyConfigured(
            "ANALYTICS_DATABASE_URL must be set: ARCHIVE_AFTER_DAYS is, and DATABASE_URL names a "
            "server."
        )


_require_a_place_for_the_past()

# --- Messages to people --------------------------------------------------------------------------

EMAIL_URL = env.str("EMAIL_URL", default="")
EMAIL_FROM = env.str("EMAIL_FROM", default="")
if EMAIL_URL and not EMAIL_FROM:
    raise ImproperlyConfigured("EMAIL_FROM must be set: EMAIL_URL is.")
EMAIL_FROM = sender(EMAIL_FROM or "Reservations <reservations@localhost>")
(
    EMAIL_BACKEND,
    EMAIL_HOST,
    EMAIL_PORT,
    EMAIL_HOST_USER,
    EMAIL_HOST_PASSWORD,
    EMAIL_USE_TLS,
    EMAIL_USE_SSL,
) = mail(EMAIL_URL, is_tried_out=IS_FOR_THIS_MACHINE_ALONE and not HAS_DATABASE_SERVER)
DEFAULT_FROM_EMAIL = EMAIL_FROM
EMAIL_TIMEOUT = number("EMAIL_TIMEOUT", 10, least=1, most=300)
PUBLIC_URL = public_url(env.str("PUBLIC_URL", default=""))

# --- The application -----------------------------------------------------------------------------

ROOT_URLCONF = "reservation_system.urls"
CELERY_APP = "reservation_system.celery.app"  # imported only where there is a BROKER_URL
WSGI_APPLICATION = "reservation_system.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FIXTURE_DIRS = [BASE_DIR / "fixtures"]
# What the pages for people are written in, by its own name.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_TZ = True
TIME_ZONE = "UTC"
APPEND_SLASH = False
SILENCED_SYSTEM_CHECKS = [
    # SQLite keeps the covering index without its extra columns; it works, only less far.
    "models.W040",
    # No redirect to https: a caller that is led there has sent its token in the clear already.
    "security.W008",
    # Whether browsers know the domain beforehand is for its owner to decide.
    "security.W021",
]
BODY_LIMIT = 2**20
# At least 6: the server gives up when a worker it has replaced fails again within 5.5 seconds.
BODY_DEADLINE = seconds("BODY_DEADLINE_SECONDS", 30, least=6)
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT

INSTALLED_APPS = [
    "reservation_system.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *(["corsheaders"] if CORS_ALLOWED_ORIGINS else []),
    "scheduling",
    "analytics",
    "web",
]

MIDDLEWARE = [
    "reservation_system.middleware.BehindProxies",
    *(["reservation_system.tracing.Trace"] if TRACING else []),
    "reservation_system.middleware.RequestLog",
    # What adds headers stands before the gate: its refusals carry them too.
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "reservation_system.middleware.PagePolicy",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "reservation_system.middleware.Gate",
    "scheduling.throttling.RateLimitFields",
    # What is asked most goes from here straight to its view.
    "reservation_system.middleware.BookingLane",
    "reservation_system.middleware.Compression",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    # People with a browser session are found on the admin pages only.
    "reservation_system.middleware.AdminSessions",
    "reservation_system.middleware.AdminAuthentication",
    "reservation_system.middleware.AdminMessages",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # A deployer's own come first.
        "DIRS": templates(env.str("EMAIL_TEMPLATES", default="")),
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
# Asked about before each use: scripts of two versions would not understand each other.
WHITENOISE_MAX_AGE = 0

REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": [],  # wire.JSONRequest reads bodies
    "DEFAULT_RENDERER_CLASSES": ["scheduling.wire.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "scheduling.wire.AlwaysJSON",
    "DEFAULT_AUTHENTICATION_CLASSES": ["scheduling.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["scheduling.permissions.ByTheTable"],
    "DEFAULT_THROTTLE_CLASSES": ["scheduling.throttling.ByTheTable"],
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
    "GET_LIB_DOC_EXCLUDES": "reservation_system.schema.say_nothing_of_calls",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "scheduling.openapi.sent.any_of_the_forms",
    ],
    "ENUM_SUFFIX": "",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ReservationStatus": "scheduling.openapi.answers.RESERVATION_STATUSES",
        "DeliveryStatus": "scheduling.openapi.answers.DELIVERY_STATUSES",
        "EventName": "scheduling.fields.EVENT_NAMES",
    },
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "TAGS": [
        {"name": "provider", "description": "What a provider does."},
        {"name": "client", "description": "What a client does."},
        {"name": "events", "description": "What happened."},
        {"name": "webhooks", "description": "Who else is told what happened."},
        {"name": "auth", "description": "Signing in and out."},
    ],
}

# --- What it says of itself ----------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured("LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR and CRITICAL.")

# Where the processes keep their counts, when they are to be shown as one from several places.
METRICS_FOLDER = folder(env.str("PROMETHEUS_MULTIPROC_DIR", default=""))
# Of the worker, which answers nothing else; the service has /metrics.
METRICS_PORT = number("METRICS_PORT", 0, least=0, most=65535)

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
        # No statement is ever logged: people's names are among its parameters.
        "django.db.backends": {"level": "INFO"},
        # What it has to say of sign-ins, `scheduling.authentication` says without names.
        "axes": {"level": "CRITICAL"},
        # Two lines for each task; what a task did, its verb says. AMQP's DEBUG shows passwords.
        "celery": {"level": "WARNING"},
        "amqp": {"level": "INFO"},
    },
}
