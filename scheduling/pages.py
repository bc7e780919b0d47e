"""The page to which a message's link leads that wants no more of them."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from . import errors, notifications


# The key in the address is the proof; mail programs that ask by themselves have no cookies.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest) -> HttpResponse:
    """A GET changes nothing, since programs look at links too; a POST opts out (RFC 8058)."""
    key = request.GET.get("key", "")
    try:
        if request.method == "POST":
            notifications.opt_out(key=key)
        else:
            notifications.require_key(key)
    except errors.Refusal as refused:
        return errors.response(refused)
    is_done = request.method == "POST"
    return render(request, "scheduling/unsubscribe.html", {"is_done": is_done})
