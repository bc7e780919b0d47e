"""What each `code` of a refusal means: the page that the problem details' `type` points to."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from scheduling import errors


@require_safe
def every_refusal(request: HttpRequest) -> HttpResponse:
    return render(request, "scheduling/problems.html", {"refusals": errors.every_refusal()})
