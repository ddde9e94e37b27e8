"""Addresses that pages lead to, of which a page has hundreds."""

from functools import cache
from urllib.parse import urlencode

from django.urls import reverse

from dashboard.wording.terms import Term


@cache
def address_of(page: str) -> str:
    """Of a page without arguments: worked out once, for a row has half a dozen links to two of them."""
    return reverse(page)


def filter_url(name: str, value: object) -> str:
    """The timeline with this one filter."""
    return f"{address_of('timeline')}?{urlencode({name: str(Term(value, str(value)))})}"


def plan_url(verb: str, name: str, value: object) -> str:
    """The plan of one such action; nothing is done by following it."""
    return f"{address_of('action-new')}?{urlencode({'verb': verb, name: str(value)})}"
