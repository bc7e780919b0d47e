"""What `django-admin startproject` writes, the REST framework, and the service's database."""

from benchmarks.empty_view.settings import *  # noqa: F403
from benchmarks.empty_view.settings import INSTALLED_APPS as DEFAULT_APPS
from benchmarks.empty_view.settings import env

ROOT_URLCONF = "benchmarks.naive.urls"
WSGI_APPLICATION = "benchmarks.naive.wsgi.application"
INSTALLED_APPS = [*DEFAULT_APPS, "scheduling"]
DATABASES = {"default": env.db("DATABASE_URL") | {"CONN_MAX_AGE": None}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
