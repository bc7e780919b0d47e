"""The two parties of a reservation: where each kind is found, and what is said of who is not."""

from . import errors
from .models import Client, Person, Provider, Reservation

Party = Reservation.Party
PERSONS: dict[Party, type[Person]] = {Party.PROVIDER: Provider, Party.CLIENT: Client}
NOT_FOUND: dict[type[Person], type[errors.Refusal]] = {
    Provider: errors.ProviderNotFound,
    Client: errors.ClientNotFound,
}


def require(party: Party, party_id: int) -> None:
    """Raises ProviderNotFound or ClientNotFound."""
    kind = PERSONS[party]
    if not kind._default_manager.filter(pk=party_id).exists():
        raise NOT_FOUND[kind]
