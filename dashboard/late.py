"""Views whose modules are loaded when somebody first asks for them: those of few, that bring much along."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string


def late(name: str) -> Callable[..., HttpResponseBase]:
    """The view of that name in dashboard.views. What its decorators tell Django of it is to be told again: nobody has seen them."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        found: Any = import_string(f"dashboard.views.{name}")
        answer: HttpResponseBase = (found.as_view() if hasattr(found, "as_view") else found)(request, **arguments)
        return answer

    view.late = name  # type: ignore[attr-defined] # for the test that compares the two
    return view
