"""What each `code` of a refusal means: the page that the problem details' `type` points to."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from scheduling import errors


def every_refusal(request: HttpRequest) -> HttpResponse:
    return render(request, "scheduling/problems.html", {"refusals": errors.every_refusal()})
