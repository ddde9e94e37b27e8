"""The request as views see it, and the one place that answers htmx."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


def render_page(
    request: HtmxRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    swaps: Mapping[str, str] | None = None,
    url: str | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """The page; or, when htmx asks for one of its regions, just that.

    `swaps` maps the id of a region to the partial that renders it. `url` is the canonical address of
    what is shown: a swap that leads there carries it, or htmx would push one with every blank field.
    """
    partial = region_asked_for(request, swaps or {})
    response = render(request, f"{template}#{partial}" if partial else template, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    if partial and url:
        response.headers["HX-Push-Url"] = url
    return response


def region_asked_for(request: HtmxRequest, swaps: Mapping[str, str]) -> str | None:
    """The partial for this swap. Restoring history names no target, and so gets the whole page."""
    if not request.htmx or request.htmx.history_restore_request:
        return None
    return swaps.get(request.htmx.target or "")
