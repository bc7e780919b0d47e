"""What the application server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reservation_system.settings")

_application = get_wsgi_application()

from .admission import Admission  # noqa: E402  needs the settings

application = Admission(_application)
