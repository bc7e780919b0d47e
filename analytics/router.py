"""Which tables are in which database."""

from typing import Any

from django.db.models import Model

DATABASE = LABEL = "analytics"


class Router:
    """The past is in the analytics database; that holds nothing else."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return DATABASE if model._meta.app_label == LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (db == DATABASE) == (app_label == LABEL)
