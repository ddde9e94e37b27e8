"""docs/access.md says of every address who may do what; here everybody tries everything."""

from copy import deepcopy

import pytest
from django.db import transaction
from django.test import Client

from quarantine.models import Capability, Role
from quarantine.models.access import includes
from tests.dashboard.access_table import (
    METHODS,
    PEOPLE,
    SCOPES,
    STRANGER,
    make_world,
    pages,
    rows,
    signed_in,
    with_token,
    word,
    written,
)
from tests.factories import make_staff

FOR_PEOPLE, FOR_PROGRAMS = "Page", "Address"


@pytest.fixture
def ask(db, settings):
    """A function: who asks, their client. Made in a world of their own."""
    settings.MEDIA_PREVIEWS = settings.MEDIA_DOWNLOADS = True

    def client_of(who):
        staff = make_staff("somebody", role=who if who in Role.values else Role.ADMIN)
        make_world(staff)
        if who in SCOPES:
            return with_token(who)
        return Client() if who == STRANGER else signed_in(staff)

    return client_of


def answers(client):
    """{(path, view, method): word}; whatever an answer changed is taken back, so each finds the same world."""
    found, cookies = {}, client.cookies
    for page in pages():
        for method in METHODS:
            client.cookies = deepcopy(cookies)
            point = transaction.savepoint_create()
            answer = client.generic(method, page.address)
            if answer.streaming:
                answer.getvalue()  # ends what it holds open
            transaction.savepoint_rollback(point)
            found[page.path, page.view, method] = word(answer)
    return found


def differences(found, table, who):
    """What is not as written, each with the row as it would have to be."""
    wrong = []
    for (path, view, method), told in found.items():
        row = table.get((path, view, method))
        if row is None and (told is None or other_method_refused(path, view, told, table, who)):
            continue
        if row is None or row[who] != (told or "405"):
            wrong.append(f"{who}: {method} `{path}` ({view}) is {told or 405!r}, written {row and row[who]!r}")
    return wrong


def other_method_refused(path, view, told, table, who):
    """Strangers are sent to sign in whatever the method is: so the page is written with another."""
    return told == "sign in" and any(key[:2] == (path, view) and row[who] == told for key, row in table.items())


@pytest.mark.sqlite
@pytest.mark.parametrize("who", PEOPLE)
def test_everybody_gets_what_is_written(ask, who):
    found = answers(ask(who))

    assert differences(found, written(PEOPLE, FOR_PEOPLE), who) == []


@pytest.mark.sqlite
@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_opens_what_is_written_and_is_no_sign_in(ask, scope):
    found = answers(ask(scope))
    table = {key: row | {scope: row[STRANGER]} for key, row in written(PEOPLE, FOR_PEOPLE).items()}
    table |= written((scope,), FOR_PROGRAMS)

    assert differences(found, table, scope) == []


def test_the_document_has_the_roles_as_the_code_has_them():
    table = {(row["Capability"], role): row[role] == "yes" for row in rows("Capability") for role in Role.values}

    assert table == {(held, role): includes(role, held) for held in Capability for role in Role.values}


def test_every_address_is_written_and_no_other():
    table = {key[:2] for key in written(PEOPLE, FOR_PEOPLE)}

    assert table == {(page.path, page.view) for page in pages()}
