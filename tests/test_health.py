"""/healthz says that the process lives, /readyz that it can serve."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from reservation_system import health

from .database import free_port


@pytest.fixture
def just_started():
    """What a success taught the process about its migrations is forgotten, before and after."""
    health._require_migrations.cache_clear()
    yield
    health._require_migrations.cache_clear()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_it_is_well(api, just_started, path, method):
    answer = getattr(api, method)(path)
    assert answer.status_code == 200
    if method == "get":
        assert answer.json() == {"status": "ok"}


def test_healthz_asks_nobody(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert api.get("/healthz").status_code == 200


def test_readyz_asks_once_for_the_migrations_and_then_only_for_an_answer(
    api, just_started, django_assert_num_queries
):
    assert api.get("/readyz").status_code == 200
    with django_assert_num_queries(1):
        assert api.get("/readyz").status_code == 200


def test_it_is_not_ready_while_a_migration_is_missing(api, just_started):
    recorder = MigrationRecorder(connection)
    [last] = MigrationLoader(connection).graph.leaf_nodes("scheduling")
    recorder.record_unapplied(*last)
    for _ in range(2):
        answer = api.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "manage.py migrate" in answer.json()["detail"]
        assert int(answer["Retry-After"]) > 0
        assert api.get("/healthz").status_code == 200
    recorder.record_applied(*last)
    assert api.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_only_while_the_database_answers(api, monkeypatch, is_postgresql, tmp_path):
    assert api.get("/readyz").status_code == 200
    connection.close()
    with monkeypatch.context() as away:
        if is_postgresql:
            away.setitem(connection.settings_dict, "PORT", str(free_port()))
        else:
            away.setitem(connection.settings_dict, "NAME", str(tmp_path / "missing" / "db"))
        answer = api.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer["Retry-After"]) > 0
        assert api.get("/healthz").status_code == 200
    assert api.get("/readyz").status_code == 200
