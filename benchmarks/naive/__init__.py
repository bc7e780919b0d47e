"""The straightforward way to write the endpoints, to compare with: model serializers in and out;
get, check and save inside a transaction; one save for each timeslot.

It is what a careful developer writes first: correct where that can be seen, select_related where
a name is shown, rows locked before they are checked. It runs on the service's own tables, so that
the database does the same work for a row, on gunicorn's sync workers with persistent connections:
DJANGO_SETTINGS_MODULE=benchmarks.naive.settings.
"""
