"""Every refusal, one class each, and the one place that renders them (RFC 9457)."""

import logging
import sys
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from . import failover

logger = logging.getLogger(__name__)

# Locked, full, read-only, restarting, gone. Where only the answer was lost, what was asked may have
# happened (failover.py).
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
PROBLEM_JSON = "application/problem+json"


class Refusal(exceptions.APIException):
    """An understood request that is not granted. `members` are added to the problem details."""

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.members = members


class InvalidInput(Refusal):
    status_code = 400
    default_code = "invalid"
    default_detail = "The request cannot be understood as it stands; `errors` says why."

    def __init__(self, *, field: str, code: str, detail: str) -> None:
        errors = [{"field": field, "code": code, "detail": detail}]
        super().__init__(_sentence(errors), errors=errors)


class MalformedJSON(Refusal):
    status_code = 400
    default_code = "malformed_json"
    default_detail = "The body is not valid JSON in UTF-8."


class BadRequest(Refusal):
    status_code = 400
    default_code = "bad_request"
    default_detail = "The request cannot be understood, or names a host that is not served here."


class WrongCredentials(Refusal):
    status_code = 401
    default_code = "wrong_credentials"
    default_detail = "No account has this e-mail address and this password."


class TokenInvalid(Refusal):
    status_code = 401
    default_code = "token_invalid"
    default_detail = "This token is not one that is good here. Sign in again."


class TokenExpired(Refusal):
    status_code = 401
    default_code = "token_expired"
    default_detail = "This token has ended. Refresh it or sign in again."


class NotYourReservation(Refusal):
    status_code = 403
    default_code = "not_your_reservation"
    default_detail = "This reservation belongs to another client."


class ForeignForm(Refusal):
    status_code = 403
    default_code = "foreign_form"
    default_detail = (
        "This form was not sent from the service's own page, or that page is too old. "
        "Open the page again, with cookies allowed, and send it from there."
    )


class NotFound(Refusal):
    status_code = 404
    default_code = "not_found"
    default_detail = "Nothing is served at this path."


class ProviderNotFound(Refusal):
    status_code = 404
    default_code = "provider_not_found"
    default_detail = "No provider has this id."


class ClientNotFound(Refusal):
    status_code = 404
    default_code = "client_not_found"
    default_detail = "No client has this id."


class TimeslotNotFound(Refusal):
    status_code = 404
    default_code = "timeslot_not_found"
    default_detail = "No timeslot has this id."


class ReservationNotFound(Refusal):
    status_code = 404
    default_code = "reservation_not_found"
    default_detail = "No reservation has this id."


class WebhookNotFound(Refusal):
    status_code = 404
    default_code = "webhook_not_found"
    default_detail = "You have no webhook with this id."


class DeliveryNotFound(Refusal):
    status_code = 404
    default_code = "delivery_not_found"
    default_detail = "You have no webhook with a delivery of this id."


class TimeslotTaken(Refusal):
    status_code = 409
    default_code = "timeslot_taken"
    default_detail = "Somebody else holds this timeslot or has confirmed it. Choose another."


class NoticeTooShort(Refusal):
    status_code = 409
    default_code = "notice_too_short"
    default_detail = "This timeslot starts too soon: reservations are made well ahead."


class TooManyHolds(Refusal):
    status_code = 409
    default_code = "too_many_holds"
    default_detail = (
        "This client has as many unconfirmed reservations as are allowed. "
        "Confirm one or let it lapse."
    )


class AlreadyConfirmed(Refusal):
    status_code = 409
    default_code = "already_confirmed"
    default_detail = "This reservation is already confirmed; nothing more is needed."


class Cancelled(Refusal):
    status_code = 409
    default_code = "cancelled"
    default_detail = "This reservation was cancelled. Reserve a timeslot again."


class TimeslotsOverlap(Refusal):
    status_code = 409
    default_code = "timeslots_overlap"
    default_detail = "The provider already has timeslots in this window."


class TimeslotsReserved(Refusal):
    status_code = 409
    default_code = "timeslots_reserved"
    default_detail = (
        "Clients have reserved some of these timeslots, so nothing was removed. "
        "Send cancel_reservations to cancel what they have."
    )


class TooLateToCancel(Refusal):
    status_code = 409
    default_code = "too_late_to_cancel"
    default_detail = "It is too late for a client to give this reservation up."


class TooManyWebhooks(Refusal):
    status_code = 409
    default_code = "too_many_webhooks"
    default_detail = "There are as many webhooks as are allowed. Delete one that is not needed."


class WebhookDisabled(Refusal):
    status_code = 409
    default_code = "webhook_disabled"
    default_detail = "This webhook is disabled, so nothing is sent to it. Enable it first."


class EmailTaken(Refusal):
    status_code = 409
    default_code = "email_taken"
    default_detail = "Another account has this e-mail address. Nothing was stored."


class AlreadyRegistered(Refusal):
    status_code = 409
    default_code = "already_registered"
    default_detail = "Your account is one already; refresh your token to act as it."


class HoldExpired(Refusal):
    status_code = 410
    default_code = "hold_expired"
    default_detail = "This reservation was not confirmed in time. Reserve a timeslot again."


class HistoryArchived(Refusal):
    status_code = 410
    default_code = "history_archived"
    default_detail = (
        "Something that happened after this position has been archived. Read the history anew, "
        "without `after`."
    )


class ChangedMeanwhile(Refusal):
    status_code = 412
    default_code = "changed_meanwhile"
    default_detail = (
        "It is no longer as If-Match says. Get it again, and decide whether you still want this."
    )


class StillRunning(Refusal):
    status_code = 409
    default_code = "still_running"
    default_detail = "The first request with this Idempotency-Key is not answered yet."
    wait = 1


class KeyReused(Refusal):
    status_code = 422
    default_code = "key_reused"
    default_detail = (
        "Another request came with this Idempotency-Key. Send a new key with a new request."
    )


class LengthRequired(Refusal):
    status_code = 411
    default_code = "length_required"
    default_detail = "Send the body with a Content-Length header, not in chunks."


class BodyTooLarge(Refusal):
    status_code = 413
    default_code = "body_too_large"
    default_detail = "The body is larger than 1 MiB."


class TooManyAttempts(Refusal):
    status_code = 429
    default_code = "too_many_attempts"
    default_detail = (
        "Signing in to this account failed too often from your address. Try again later."
    )

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = wait


class Fault(Refusal):
    status_code = 500
    default_code = "internal_error"
    default_detail = "The service failed; the fault has been logged under this request's id."


class Unavailable(Refusal):
    status_code = 503
    default_code = "unavailable"
    default_detail = "The database cannot be used just now. Try again in a few seconds."
    wait = 2


class Draining(Refusal):
    status_code = 503
    default_code = "draining"
    default_detail = "This instance is about to stop. Ask another."
    wait = 1


class Overloaded(Refusal):
    status_code = 503
    default_code = "overloaded"
    default_detail = "More is asked than can be answered in time. Try again in a moment."
    wait = 1


_FRAMEWORK_CODES = {"permission_denied": "not_permitted"}
_FRAMEWORK_REFUSALS: dict[type[exceptions.APIException], str] = {
    exceptions.NotAuthenticated: "Send an access token: Authorization: Bearer ...",
    exceptions.PermissionDenied: "Who is calling may not do this.",
    exceptions.MethodNotAllowed: "The Allow header says which methods this address takes.",
    exceptions.Throttled: "You ask too often; Retry-After says when to ask again.",
    exceptions.UnsupportedMediaType: "Send the body as application/json.",
}


def render(exception: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The REST framework's exception handler. Unknown exceptions are faults and left alone."""
    refusal = _as_refusal(exception)
    return None if refusal is None else response(refusal)


def response(refusal: exceptions.APIException) -> HttpResponse:
    """The answer to a refused request."""
    return HttpResponse(
        orjson.dumps(problem(refusal), option=orjson.OPT_UTC_Z),
        status=refusal.status_code,
        headers=_headers(refusal),
        content_type=PROBLEM_JSON,
    )


def _headers(refusal: exceptions.APIException) -> dict[str, str]:
    if wait := getattr(refusal, "wait", None):  # in seconds; the framework's Throttled has it too
        return {"Retry-After": str(wait)}
    if isinstance(refusal, TokenInvalid | TokenExpired):
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # RFC 6750, 3.1
    if refusal.status_code == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {}


def problem(refusal: exceptions.APIException) -> dict[str, Any]:
    """The members of a problem detail, in the order in which a person reads them."""
    code = refusal.get_codes()
    members = getattr(refusal, "members", {})
    if isinstance(refusal, exceptions.ValidationError):
        fields: Any = refusal.detail  # of ours, each names its field
        errors = [
            {"field": field, "code": message.code, "detail": str(message)}
            for field, messages in fields.items()
            for message in messages
        ]
        code, detail, members = "invalid", _sentence(errors), {"errors": errors}
    else:
        code = _FRAMEWORK_CODES.get(str(code), str(code))
        what_to_do = _FRAMEWORK_REFUSALS.get(type(refusal), "")
        detail = f"{refusal.detail} {what_to_do}".strip()
    return {
        "type": f"/problems#{code}",
        "title": HTTPStatus(refusal.status_code).phrase,
        "status": refusal.status_code,
        "detail": detail,
        "code": code,
        **members,
    }


def every_refusal() -> list[dict[str, Any]]:
    """Code, status and meaning of each refusal there is, by status."""
    meanings: dict[type[Any], str] = {
        **{kind: str(kind.default_detail) for kind in Refusal.__subclasses__()},
        **_FRAMEWORK_REFUSALS,
    }
    refusals = [
        {
            "code": _FRAMEWORK_CODES.get(kind.default_code, kind.default_code),
            "status": kind.status_code,
            "detail": meaning,
        }
        for kind, meaning in meanings.items()
    ]
    return sorted(refusals, key=lambda refusal: (refusal["status"], refusal["code"]))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a host that is not ours, a form that is no form."""
    return response(BodyTooLarge() if isinstance(exception, RequestDataTooBig) else BadRequest())


def not_permitted(request: HttpRequest, exception: Exception) -> HttpResponse:
    return response(exceptions.PermissionDenied())


def foreign_form(request: HttpRequest, reason: str) -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW. Behind TLS, a missing TRUSTED_PROXIES shows in its line."""
    # What follows the dash is an address that the caller has sent.
    logger.warning("form refused", extra={"reason": reason.partition(" - ")[0]})
    return response(ForeignForm())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return response(NotFound())


def fault(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the exception is being handled."""
    refusal = _as_refusal(sys.exc_info()[1])
    return response(refusal if isinstance(refusal, Unavailable) else Fault())


def _as_refusal(exception: BaseException | None) -> exceptions.APIException | None:
    if isinstance(exception, exceptions.APIException):
        return exception
    if isinstance(exception, DATABASE_AWAY):
        if failover.was_refused(exception):
            connection.close()  # the next request looks for the new primary
        logger.error("database unavailable", extra={"reason": str(exception).strip()})
        return Unavailable()
    if isinstance(exception, Http404):
        return NotFound()
    if isinstance(exception, PermissionDenied):
        return exceptions.PermissionDenied()
    return None


def _sentence(errors: list[dict[str, str]]) -> str:
    return " ".join(f"{error['field']}: {error['detail']}" for error in errors)
