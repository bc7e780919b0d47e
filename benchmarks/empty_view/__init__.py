"""The floor of the application's cost: an empty REST framework view, every default left alone.

DJANGO_SETTINGS_MODULE=benchmarks.empty_view.settings serves it with the service's own command.
"""
