"""Django's admin, with a front page of ours."""

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "scheduling.site.OperatorsSite"
