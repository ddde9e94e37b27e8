"""Saved views: who keeps, shares, changes and deletes them, and what an address of one is."""

import pytest
from django.test import Client
from pytest_django.asserts import assertInHTML

from quarantine.accounts.staff import NotAllowedError
from quarantine.models import Role, SavedView
from quarantine.saved_views import MOST, SavedViewError, change_view, delete_view, save_view
from tests.factories import make_change, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return {role: make_staff(role, role=role) for role in Role}


def as_(person):
    client = Client()
    client.force_login(person)
    return client


def kept(staff, name="Spam", query="origin=a.example", *, shared=False):
    return save_view(staff=staff, name=name, query=query, shared=shared)


def test_filters_are_kept_under_a_name_as_an_address(people):
    client = as_(people["viewer"])
    make_change(origin="a.example")
    make_change(origin="b.example")
    shown = client.get("/?by=&origin=a.example&scope=remote")
    assertInHTML(
        '<a class="btn btn-s btn-ghost" href="/views/?query=scope%3Dremote%26origin%3Da.example">Save view</a>',
        shown.text,
    )

    form = client.get("/views/?query=scope%3Dremote%26origin%3Da.example")
    assertInHTML('<input type="hidden" name="query" value="scope=remote&amp;origin=a.example">', form.text)
    answer = client.post("/views/add/", {"query": "origin=a.example&scope=remote", "name": "  A  server "})

    assert answer["Location"] == "/?scope=remote&origin=a.example"
    assert SavedView.objects.get().name == "A server"
    page = client.get(answer["Location"])
    assertInHTML('<span class="views-name">A server</span>', region(page, "views-menu"))
    assert "Save view" not in page.text
    assert "Unsaved view" in client.get("/?scope=remote").text


@pytest.mark.parametrize(
    "data",
    [
        {"name": "", "query": "scope=local"},
        {"name": "x" * 65, "query": "scope=local"},
        {"name": "a\u202eb", "query": "scope=local"},
        {"name": "Spam", "query": "state=released"},
        {"name": "New", "query": "state=banana"},
        {"name": "New", "query": "q=" + "&q=".join(f"{number:0>90}" for number in range(95))},
    ],
)
def test_what_makes_no_sense_is_said_and_not_kept(people, data):
    kept(people["viewer"])

    answer = as_(people["viewer"]).post("/views/add/", data)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert SavedView.objects.count() == 1


def test_only_leads_share(people):
    assert as_(people["viewer"]).post("/views/add/", {"name": "S", "query": "", "shared": "on"}).status_code == 403
    view = kept(people["viewer"])
    assert as_(people["viewer"]).post(f"/views/{view.pk}/change/", {"name": "S", "shared": "on"}).status_code == 403
    assert as_(people["moderator"]).post("/views/add/", {"name": "M", "query": "", "shared": "on"}).status_code == 403
    as_(people["lead"]).post("/views/add/", {"name": "Team", "query": "scope=local", "shared": "on"})

    names = list(SavedView.objects.filter(shared=True).values_list("name", flat=True))

    assert names == ["Team"]
    assert "Team" in as_(people["viewer"]).get("/").text
    assert "Spam" not in as_(people["moderator"]).get("/views/").text


def test_views_are_their_owners(people):
    own, shared = kept(people["moderator"]), kept(people["lead"], "Team", shared=True)
    other = as_(people["viewer"])

    assert other.post(f"/views/{own.pk}/delete/").status_code == 404
    assert other.post(f"/views/{shared.pk}/delete/").status_code == 403
    assert other.post(f"/views/{shared.pk}/change/", {"name": "Mine"}).status_code == 403
    for act in (lambda: delete_view(shared, staff=people["viewer"]), lambda: delete_view(own, staff=people["admin"])):
        with pytest.raises(NotAllowedError):
            act()
    assert SavedView.objects.count() == 2
    assert as_(people["admin"]).post(f"/views/{shared.pk}/delete/").status_code == 302
    assert as_(people["moderator"]).post(f"/views/{own.pk}/delete/").status_code == 302
    assert not SavedView.objects.exists()


def test_one_is_renamed_and_shared_and_taken_back(people):
    view, _ = kept(people["lead"]), kept(people["lead"], "Other")
    client = as_(people["lead"])

    client.post(f"/views/{view.pk}/change/", {"name": "Better", "shared": "on"})
    assert SavedView.objects.filter(name="Better", shared=True, query="origin=a.example").count() == 1
    assert client.post(f"/views/{view.pk}/change/", {"name": "Other"}).status_code == 422
    client.post(f"/views/{view.pk}/change/", {"name": "Better"})
    assert SavedView.objects.filter(name="Better", shared=False).count() == 1


def test_those_who_lost_their_role_take_back_what_they_shared(people):
    view = kept(people["lead"], shared=True)
    people["lead"].role = Role.VIEWER

    change_view(view, staff=people["lead"], name="Spam", shared=False)

    with pytest.raises(NotAllowedError):
        change_view(view, staff=people["lead"], name="Spam", shared=True)


def test_auditors_read_what_is_shared_and_keep_nothing(people):
    view, shared = kept(people["viewer"]), kept(people["lead"], "Team", shared=True)
    people["viewer"].role = Role.AUDITOR
    people["viewer"].save()
    client = as_(people["viewer"])

    assert "Team" in client.get("/views/").text
    assert client.post("/views/add/", {"name": "New", "query": "scope=local"}).status_code == 403
    for number in (view.pk, shared.pk):
        assert client.post(f"/views/{number}/delete/").status_code == 403
    assert SavedView.objects.count() == 2


def test_there_is_an_end_to_it(people):
    for number in range(MOST):
        kept(people["viewer"], str(number))

    with pytest.raises(SavedViewError, match="Delete one first"):
        kept(people["viewer"])


def test_a_view_of_an_older_version_is_still_listed(people):
    kept(people["viewer"], "Old", "colour=red")

    assert "filters that no longer exist" in as_(people["viewer"]).get("/views/").text
