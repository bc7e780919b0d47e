"""How the database went about a statement: counted by PostgreSQL, planned by SQLite."""

from contextlib import contextmanager

from django.db import connection


@contextmanager
def plans(is_postgresql):
    """Those of all statements that are sent meanwhile: PostgreSQL's as a tree, SQLite's as text."""
    found = []
    explain = "EXPLAIN (ANALYZE, FORMAT JSON)" if is_postgresql else "EXPLAIN QUERY PLAN"

    def explained(execute, sql, params, many, context):
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"{explain} {sql}", params)
            rows = cursor.fetchall()
            found.append(rows[0][0][0]["Plan"] if is_postgresql else "\n".join(map(str, rows)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        yield found


def rows_read(plan, table):
    """Those that were found and those passed over, as PostgreSQL counted them."""
    found = 0
    if plan.get("Relation Name") == table:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        found = rows * plan["Actual Loops"]
    return found + sum(rows_read(inner, table) for inner in plan.get("Plans", ()))
