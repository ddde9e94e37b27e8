"""Previews: off unless asked for, each one recorded first, nothing but pictures and films, and all of it uncached."""

import pytest
from django.test import Client

from quarantine.accounts.staff import NotAllowedError
from quarantine.homeserver.sample import picture
from quarantine.models import Reveal, Role
from quarantine.models.append_only import AppendOnlyError
from quarantine.mxc import Mxc
from quarantine.reveals import reveal, sniffed
from tests.factories import make_ledger, make_local_media, make_staff

pytestmark = pytest.mark.django_db
ADDRESS = "/previews/matrix.example/abc/"
PAGE = "/media/matrix.example/abc/"
TOLD = "Who looked at the file"


@pytest.fixture
def mod(settings):
    settings.MEDIA_PREVIEWS = True
    make_ledger()
    make_local_media("abc")
    return make_staff("mod")


def as_(person):
    client = Client()
    client.force_login(person)
    return client


def test_a_picture_comes_with_nothing_that_could_run_or_stay(mod):
    answer = as_(mod).post(ADDRESS, headers={"If-None-Match": "1"})

    content = answer.getvalue()
    assert content == picture("mxc://matrix.example/abc")
    wanted = {
        "Content-Type": "image/png",
        "Content-Length": str(len(content)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    assert {name: answer[name] for name in wanted} == wanted
    assert set(answer["Content-Security-Policy"].split("; ")) == {"default-src 'none'", "sandbox"}


def test_each_look_is_recorded_for_good_and_told(mod):
    viewer = as_(make_staff("v", role=Role.VIEWER))
    assert TOLD not in as_(mod).get(PAGE).text
    as_(mod).post(ADDRESS).getvalue()

    told = Reveal.objects.get()
    assert (told.staff, told.mxc) == (mod, Mxc("matrix.example", "abc"))
    assert TOLD in as_(mod).get(PAGE).text
    assert TOLD not in viewer.get(PAGE).text
    conflict = {"update_conflicts": True, "unique_fields": ["id"], "update_fields": ["origin"]}
    ways = [told.save, told.delete, Reveal.objects.all().delete, lambda: Reveal.objects.update(origin="x")]
    for change in [*ways, lambda: Reveal.objects.bulk_create([told], **conflict)]:
        with pytest.raises(AppendOnlyError):
            change()


def test_who_may_not_gets_nothing_and_is_offered_nothing(mod, settings):
    viewer = make_staff("viewer", role=Role.VIEWER)
    declined = make_staff("declined", previews=False)
    for person in (viewer, declined):
        assert as_(person).post(ADDRESS).status_code == 403
        assert "data-preview" not in as_(person).get(PAGE).text
        with pytest.raises(NotAllowedError), reveal(Mxc("matrix.example", "abc"), staff=person):
            pass
    offered = as_(mod).get(PAGE)
    assert "data-preview" in offered.text
    assert "media-src blob:" in offered["Content-Security-Policy"]
    for off in ({"MEDIA_PREVIEWS": False}, {"HOMESERVER_ATTACHED": True, "HOMESERVER_URL": ""}):
        for name, value in off.items():
            setattr(settings, name, value)
        assert as_(mod).post(ADDRESS).status_code == 403
        refused = as_(mod).get(PAGE)
        assert "data-preview" not in refused.text
        assert "blob:" not in refused["Content-Security-Policy"]
        settings.MEDIA_PREVIEWS = True
    assert not Reveal.objects.exists()


def test_nothing_else_is_said_of_media_than_that_it_can_not_be_shown(mod):
    make_local_media("page", media_type="text/html")
    client = as_(mod)

    page = client.post("/previews/matrix.example/page/")
    none = client.post("/previews/never.example/abc/")

    assert (page.status_code, page.text) == (415, "This is no picture or film that can be shown safely.")
    assert (none.status_code, none["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert none.text == "The file of mxc://never.example/abc is not on this server."
    assert not Reveal.objects.exists()  # nothing was sent


def test_no_link_and_no_stranger_gets_a_file(mod):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mod)

    assert as_(mod).get(ADDRESS).status_code == 405
    assert Client().post(ADDRESS).status_code == 302
    assert strict.post(ADDRESS).status_code == 403
    assert not Reveal.objects.exists()


def test_four_at_once_and_a_closed_one_makes_room(mod):
    client = as_(mod)
    under_way = [client.post(ADDRESS) for _ in range(4)]

    fifth = client.post(ADDRESS)
    under_way.pop().chunks.close()
    sixth = client.post(ADDRESS)

    assert (fifth.status_code, fifth.text) == (503, "4 downloads are running already.")
    assert (sixth.status_code, Reveal.objects.count()) == (200, 5)
    for answer in [*under_way, sixth]:
        answer.chunks.close()


def test_previews_are_declined_under_your_account_and_kept_declined(mod, settings):
    client = as_(mod)
    assert 'name="previews" checked' in client.get("/account/").text

    client.post("/account/preferences/", {"single_keys": "on"})
    mod.refresh_from_db()
    assert (mod.single_keys, mod.previews) == (True, False)
    settings.MEDIA_PREVIEWS = False
    assert 'name="previews"' not in client.get("/account/").text
    client.post("/account/preferences/", {"single_keys": "on"})
    mod.refresh_from_db()
    assert not mod.previews


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"....ftypavif", "image/avif"),
        (b"....ftypisom", "video/mp4"),
        (b"....ftypqt  ", "video/mp4"),
        (b"\x1a\x45\xdf\xa3", "video/webm"),
        (b"<svg xmlns=", None),
        (b"<?xml version=", None),
        (b"<!DOCTYPE html>", None),
        (b" \x89PNG\r\n\x1a\n....", None),
        (b"RIFF....WAVE", None),
        (b"....ftypheic", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_what_it_is(beginning, kind):
    assert sniffed(beginning) == kind
