"""The timeline."""

import pytest

from tests.factories import make_changes, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(client):
    client.force_login(make_staff())
    return client


def test_shows(client):
    make_changes(3)

    assert client.get("/").text.count('<li class="row"') == 3
