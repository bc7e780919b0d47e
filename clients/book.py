import sys
from typing import TypeVar
from uuid import uuid4

from booking import Client
from booking.api.client import confirm_reservation, create_client, find_timeslots, reserve_timeslot
from booking.api.provider import list_providers
from booking.models import Code, ConfirmInput, PersonInput, Problem, ReserveInput
from httpx import Timeout

T = TypeVar("T")
api = Client(base_url=sys.argv[1], timeout=Timeout(10), raise_on_unexpected_status=True)


def granted(answer: T | Problem | None) -> T:
    """What was asked for; or else the sentence that the service has for people."""
    if answer is None or isinstance(answer, Problem):
        raise RuntimeError(answer and answer.detail)
    return answer


providers = granted(list_providers.sync(client=api, limit=100)).providers
ids = ",".join(str(provider.provider_id) for provider in providers)
found = granted(find_timeslots.sync(client=api, provider_ids=ids, limit=1))
[timeslot] = found.available_timeslots or sys.exit("Nobody has a timeslot that can be booked.")

person = PersonInput(first_name="Emmy", last_name="Noether")
client_id = granted(create_client.sync(client=api, body=person)).client_id
wanted = ReserveInput(client_id=client_id, timeslot_id=timeslot.timeslot_id)
answer = reserve_timeslot.sync(client=api, body=wanted, idempotency_key=str(uuid4()))
held = granted(answer).reservation_scheduled
again = reserve_timeslot.sync(client=api, body=wanted)  # without that key: another request
if isinstance(again, Problem) and again.code == Code.TIMESLOT_TAKEN:
    print(f"Refused: {again.detail}")

firm = ConfirmInput(client_id=client_id, reservation_id=held.reservation_id)
confirmed = granted(confirm_reservation.sync(client=api, body=firm)).reservation_is_confirmed
print(f"Confirmed: {timeslot.last_name}, {confirmed.start_time.astimezone():%A, %d %B, %H:%M}")
