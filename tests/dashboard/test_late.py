"""Views that are loaded late: Django is told of them what it would be told by themselves."""

import pytest
from django.urls import get_resolver
from django.utils.module_loading import import_string

LATE = {pattern.name: pattern.callback for pattern in get_resolver().url_patterns if hasattr(pattern.callback, "late")}


def is_open(view) -> bool:
    return not getattr(view, "login_required", True)


@pytest.mark.parametrize("name", sorted(LATE))
def test_whether_it_is_for_strangers_is_told_with_its_address(name):
    found = import_string(f"dashboard.views.{LATE[name].late}")
    view = found.as_view() if hasattr(found, "as_view") else found

    assert is_open(LATE[name]) == is_open(view)


def test_they_are_found():
    assert {"mfa_authenticate", "mfa_login_webauthn", "sso-begin", "account_reauthenticate"} <= LATE.keys()
