from django.apps import AppConfig

from . import checks, postgresql  # noqa: F401  they register themselves


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"
