"""What the application server loads."""

import os

from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reservation_system.settings")

_application = get_wsgi_application()

from .admission import Admission  # noqa: E402  needs the settings

# Django looks through all connections before and after each request, and once more to forget logged
# queries; a place has its own, and admission.py looks after them: 40 us less for each request.
request_started.disconnect(reset_queries)
request_started.disconnect(close_old_connections)
request_finished.disconnect(close_old_connections)

application = Admission(_application)
