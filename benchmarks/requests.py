"""The contract's requests, each so many times that it takes some seconds."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils.module_loading import import_string

from .load import PEOPLE
from .measure import Request
from .rows import Rows

SWEEP = "/provider/expiredReservations"


class Requests:
    def __init__(self, rows: Rows, scale: float) -> None:
        self.rows, self.scale = rows, scale
        rows.upcoming(rows.few, 32)
        rows.upcoming(rows.many, 960)
        self.empty = self._request("empty DRF view", "GET", "/empty", range, 10_000)
        self.list_32 = self._list("list 32 bookable", rows.few, 8_000)
        self.list_960 = self._list("list 960 bookable", rows.many, 1_600)
        self.reserve = self._request(
            "reserve",
            "POST",
            "/client/reserve",
            rows.free,
            8_000,
            '{"client_id": {client}, "timeslot_id": {id}}',
        )
        self.confirm = self._request(
            "confirm",
            "PUT",
            "/client/confirm",
            rows.held,
            8_000,
            '{"client_id": 1, "reservation_id": {id}}',
        )
        self.empty_sweep = self._request("sweep of nothing", "PUT", SWEEP, range, 8_000)

    def publish(self, timeslots: int, times: int) -> Request:
        start = self.rows.today + timedelta(days=3)
        body = publication("{id}", start, start + timeslots * timedelta(minutes=15))
        return self._request(
            f"publish {timeslots:,}",
            "POST",
            "/provider/availability",
            self.rows.providers,
            times,
            body,
        )

    def sweep(self, timeslots: int) -> Request:
        """By one client: a second would find nothing left."""
        return Request(
            f"sweep of {timeslots:,}",
            "PUT",
            SWEEP,
            lambda _: self.rows.overdue(timeslots) and range(1),
            clients=1,
        )

    def _list(self, name: str, providers: range, times: int) -> Request:
        path = "/client/getProviderAvailability?provider_id={id}"
        return self._request(name, "GET", path, lambda _: providers, times)

    def _request(
        self,
        name: str,
        method: str,
        path: str,
        rows: Callable[[int], range],
        times: int,
        body: str = "",
    ) -> Request:
        return Request(name, method, path, rows, max(1, int(times * self.scale)), body)


def publication(provider_id: str, start: datetime, end: datetime) -> str:
    return (
        f'{{"provider_id": {provider_id}, "start_time": "{start:%Y-%m-%dT%H:%MZ}", '
        f'"end_time": "{end:%Y-%m-%dT%H:%MZ}"}}'
    )


def new_tokens(count: int) -> list[str]:
    """As headers, no two alike, of the same clients in the same order as the load has them."""
    access_token = import_string("scheduling.tokens.AccessToken")  # not before Django is set up
    made = []
    for nth in range(count):
        client, token = 1 + nth % PEOPLE, access_token()
        token.payload |= {"user_id": str(client), "role": "client", "client_id": client}
        made.append(f"Authorization: Bearer {token}")
    return made
