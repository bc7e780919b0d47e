"""The migrations make what the models say, and can be gone through in both directions."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


@pytest.fixture
def migrated_again(transactional_db):
    yield
    call_command("migrate", "scheduling", verbosity=0)


def schema():
    """Columns, constraints, indexes, triggers and functions of ours, as the database has them."""
    with connection.cursor() as cursor:
        tables = [
            name
            for name in connection.introspection.table_names(cursor)
            if name.startswith("scheduling_")
        ]
        described = {
            table: (
                # In no order: to change a column, SQLite makes the table anew.
                sorted(connection.introspection.get_table_description(cursor, table)),
                # What SQLite has no name for is told apart by what it says.
                sorted(map(repr, connection.introspection.get_constraints(cursor, table).values())),
            )
            for table in tables
        }
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'index')"
                " AND tbl_name LIKE 'scheduling%'"
            )
        else:
            cursor.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE conname LIKE 'scheduling%' AND contype <> 'f'"
                " UNION ALL SELECT proname, pg_get_functiondef(oid) FROM pg_proc"
                " WHERE proname LIKE 'scheduling%'"
                " UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger"
                " WHERE tgname LIKE 'scheduling%'"
                " UNION ALL SELECT relname, reloptions::text FROM pg_class"
                " WHERE relname LIKE 'scheduling%' AND reloptions IS NOT NULL"
            )
        # Not by name alone: a trigger and its function that share one come as they like.
        return described, sorted(cursor.fetchall(), key=repr)


@pytest.mark.django_db(databases=["default", "analytics"])
def test_no_migration_is_missing():
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


def test_they_go_forward_backward_and_forward_again(migrated_again):
    graph = MigrationExecutor(connection).loader.graph
    [leaf] = graph.leaf_nodes("scheduling")
    names = [name for app, name in graph.forwards_plan(leaf) if app == "scheduling"]
    assert len(names) > 1
    whole = schema()
    assert "never_overlap" in repr(whole)
    # SQLite has nothing to clean up after.
    is_vacuumed_early = "autovacuum_vacuum_scale_factor=0.02" in repr(whole)
    assert is_vacuumed_early == (connection.vendor == "postgresql")
    stages = {}
    for name in reversed(names):
        call_command("migrate", "scheduling", name, verbosity=0)
        stages[name] = schema()
    call_command("migrate", "scheduling", "zero", verbosity=0)
    assert schema() == ({}, [])
    for name in names:
        call_command("migrate", "scheduling", name, verbosity=0)
        assert schema() == stages[name]
    assert schema() == whole
