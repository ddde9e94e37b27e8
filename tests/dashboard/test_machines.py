"""What programs read beside the changes: what is quarantined now, files, and the description of it all."""

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import OperationalError

from quarantine import consumers
from quarantine.downloads import Written
from quarantine.models import Access, AccessEntry, Consumer, Role, Scope, State
from tests.factories import make_change, make_changes, make_ledger, make_local_media, make_remote_media, make_staff

pytestmark = pytest.mark.django_db
NOW = "/api/v1/quarantined"
FILE = "/_matrix/client/v1/media/download/"
BYPASS = "?admin_unsafely_bypass_quarantine=true"


@pytest.fixture
def ask(client, db):
    """A function: GET with a token of these scopes; "" for none."""
    make_ledger()

    def get(path, *scopes, **headers):
        name = "+".join(scopes)
        token = consumers.create(f"{name}{Consumer.objects.count()}", scopes=scopes) if scopes else ""
        return client.get(path, headers={"Authorization": f"Bearer {token}"} | headers)

    return get


# --- What is quarantined now --------------------------------------------------------------


def ids(page):
    return [row["media_id"] for row in page["quarantined"]]


def test_only_what_is_quarantined_now_is_listed_with_its_hash(ask):
    make_change(media_id="kept", sha256="ab" * 32)
    make_change(media_id="released")
    make_change(media_id="deleted")
    make_change(media_id="released", state=State.RELEASED)
    make_change(media_id="deleted", state=State.DELETED)

    page = ask(NOW, Scope.CHANGES).json()

    assert (page["head"], page["next_cursor"], ids(page)) == (5, None, ["kept"])
    assert (page["quarantined"][0]["sha256"], page["quarantined"][0]["stream_id"]) == ("ab" * 32, 1)


def test_a_pass_meets_all_that_stayed_though_items_change_meanwhile(ask):
    for name in "abcde":
        make_change(media_id=name)
    first = ask(f"{NOW}?limit=2", Scope.CHANGES).json()
    make_change(media_id="a", state=State.RELEASED)
    make_change(media_id="c", state=State.RELEASED)
    make_change(media_id="d", state=State.RELEASED)
    make_change(media_id="d")

    second = ask(f"{NOW}?limit=2&cursor={first['next_cursor']}", Scope.CHANGES).json()

    assert (ids(first), ids(second), second["next_cursor"]) == (["a", "b"], ["e", "d"], None)


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "cursor=", "limit=0", "limit=1001", f"cursor={2**63}"])
def test_a_bad_parameter_is_refused(ask, query):
    answer = ask(f"{NOW}?{query}", Scope.CHANGES)

    assert (answer.status_code, answer.json()["errcode"]) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("path", [NOW, f"{FILE}matrix.example/abc{BYPASS}"])
def test_another_scope_opens_nothing(ask, path):
    make_changes(1)

    assert ask(path, Scope.METRICS).json()["errcode"] == "M_FORBIDDEN"


# --- Files --------------------------------------------------------------------------------


@pytest.fixture
def on(settings):
    settings.MEDIA_DOWNLOADS = True


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("remote", [False, True])
def test_a_file_comes_as_an_attachment_that_nothing_keeps_or_runs(ask, remote):
    make_remote_media("abc", quarantined_by="x") if remote else make_local_media("abc", quarantined_by="x")
    origin = "remote.example" if remote else "matrix.example"

    answer = ask(f"{FILE}{origin}/abc{BYPASS}", Scope.MEDIA, **{"If-None-Match": "1"})
    content = b"".join(answer.streaming_content)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    assert content.startswith(b"\x89PNG")
    assert int(answer.headers["Content-Length"]) == len(content)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("path", ["remote.example/abc", "matrix.example/none", "matrix.example/%2e%2e%2fx"])
def test_what_can_not_be_had_is_not_found(ask, path):
    answer = ask(f"{FILE}{path}{BYPASS}", Scope.MEDIA)

    assert (answer.status_code, answer.json()["errcode"]) == (404, "M_NOT_FOUND")


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("media_id", ["~YWJj", "a/b", "..", "a b", "é", 'x"\r\nX-Injected: 1'])
def test_an_id_is_what_it_is_whatever_it_looks_like(ask, media_id):
    make_remote_media(media_id, quarantined_by="x")

    answer = ask(f"{FILE}remote.example/{quote(media_id, safe='')}{BYPASS}", Scope.MEDIA)
    b"".join(answer.streaming_content)

    assert (answer.status_code, answer.headers["Content-Disposition"]) == (200, "attachment")
    assert "X-Injected" not in answer.headers


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("query", ["", "?admin_unsafely_bypass_quarantine=1"])
def test_without_the_bypass_nothing_is_sent(ask, query):
    make_local_media("abc", quarantined_by="x")

    assert ask(f"{FILE}matrix.example/abc{query}", Scope.MEDIA).status_code == 404


def test_off_is_no_404_that_a_program_would_skip(ask):
    make_local_media("abc", quarantined_by="x")

    answer = ask(f"{FILE}matrix.example/abc{BYPASS}", Scope.MEDIA)

    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")


@pytest.mark.usefixtures("on")
def test_four_at_once_and_a_closed_one_makes_room(ask):
    make_local_media("abc", quarantined_by="x")
    path = f"{FILE}matrix.example/abc{BYPASS}"
    under_way = [ask(path, Scope.MEDIA) for _ in range(4)]

    fifth = ask(path, Scope.MEDIA)
    under_way.pop().chunks.close()
    sixth = ask(path, Scope.MEDIA)

    assert (fifth.status_code, fifth.headers["Retry-After"], sixth.status_code) == (503, "2", 200)
    for answer in [*under_way, sixth]:
        answer.chunks.close()


def told():
    """What is on record of downloads, oldest first."""
    lines = AccessEntry.objects.filter(what=Access.DOWNLOAD).order_by("pk")
    return list(lines.values_list("who", "target", "address", "staff"))


def fetch(client, token, media_id):
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.get(f"{FILE}matrix.example/{media_id}{BYPASS}", headers=headers, REMOTE_ADDR="192.0.2.77")
    if answer.streaming:
        answer.chunks.close()
    return answer.status_code


@pytest.mark.usefixtures("on")
def test_a_file_that_is_handed_out_is_on_record_once_a_day(client, monkeypatch):
    make_ledger()
    make_local_media("abc", quarantined_by="x")
    make_local_media("def", quarantined_by="x")
    hma, other = (consumers.create(name, scopes=[Scope.MEDIA]) for name in ("hma", "other"))

    statuses = [
        fetch(client, token, name) for token, name in [(hma, "abc"), (hma, "abc"), (hma, "def"), (other, "abc")]
    ]
    monkeypatch.setattr("quarantine.downloads.datetime", Tomorrow)
    fetch(client, hma, "abc")

    assert statuses == [200] * 4
    abc, place = "mxc://matrix.example/abc", "192.0.2.0/24"
    first, *rest = told()
    assert first == ("hma", abc, place, None)
    assert [line[:2] for line in rest] == [("hma", "mxc://matrix.example/def"), ("other", abc), ("hma", abc)]


class Tomorrow:
    @staticmethod
    def now(zone):
        return datetime.now(zone) + timedelta(days=1)


@pytest.mark.usefixtures("on")
def test_what_was_not_handed_out_is_not_on_record(client, monkeypatch):
    make_ledger()
    make_local_media("abc", quarantined_by="x")
    hma, changes = (consumers.create(scope, scopes=[scope]) for scope in (Scope.MEDIA, Scope.CHANGES))

    assert [fetch(client, hma, "none"), fetch(client, changes, "abc")] == [404, 403]
    monkeypatch.setattr("quarantine.downloads.write", away)
    assert fetch(client, hma, "abc") == 503  # and nothing leaves unrecorded
    monkeypatch.undo()
    assert told() == []


def away(*_args, **_more):
    raise OperationalError


def test_what_is_held_of_it_is_bounded():
    written = Written(most=2)
    for key in "abac":
        assert written.has(key) or not written.add(key)

    assert [written.has(key) for key in "abc"] == [True, False, True]


# --- The description ----------------------------------------------------------------------


def test_the_description_is_for_any_token_and_for_whoever_signed_in(ask, client):
    assert ask("/api/openapi.json").status_code == 401
    assert ask("/api/openapi.json", Scope.METRICS).json()["openapi"] == "3.1.0"
    client.force_login(make_staff(role=Role.VIEWER))
    assert client.get("/api/openapi.json").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/nowhere",
        f"{NOW}/",
        "/_synapse/admin/v1/media/quarantine_change",
        "/_synapse/<b>",
        f"{FILE}matrix.example/",
        "/_matrix/client/versions",
    ],
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_what_programs_may_not_ask_for_is_said_in_synapses_shape(client, path, method, language):
    answer = client.generic(method, path, headers={"Accept": "text/html", "Accept-Language": language})

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"].startswith("q-")
    if method != "HEAD":
        assert answer.json() == {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}


@pytest.mark.parametrize("path", ["/nowhere", "/apis/x", "/_synapses"])
def test_people_are_told_on_a_page_that_there_is_none(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
