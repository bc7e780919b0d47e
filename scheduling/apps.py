from django.apps import AppConfig

from . import checks  # noqa: F401  registers the system checks


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"
