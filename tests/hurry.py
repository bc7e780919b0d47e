"""Imported into a worker (`--include`): who was killed is followed after seconds, not a minute.

Under kills that come every half second, nothing would be sent otherwise before they are over.
"""

from datetime import timedelta

from scheduling import relay

relay.LEASE = timedelta(seconds=5)
