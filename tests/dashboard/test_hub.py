"""The hub by itself: rings, positions, and one rendering for everyone. Over the wire: test_live.py."""

import asyncio
import gc
from contextlib import asynccontextmanager
from functools import partial, wraps

import psycopg
import pytest
from django.db import connections

from dashboard.events import HEARTBEAT, LIMIT, Event, encode, reset
from dashboard.heads import parameters
from dashboard.signing_in.admission import Admission, still_admitted
from dashboard.signing_in.session_store import SessionStore, stored
from dashboard.streaming import hub as hub_module
from dashboard.streaming.hub import Hub
from dashboard.streaming.live import PIECE, live, send_pieces
from dashboard.streaming.streams import HEARTBEAT_AFTER, STUCK_AFTER, Reader, View
from dashboard.views.live import Opening
from quarantine import ledger
from quarantine.models import Change, Ledger, Role
from tests.dashboard.test_live import cookie_of
from tests.factories import make_change, make_changes, make_staff

NOBODY = Admission(session_key="", staff_id=0, auth_hash="")
SOON = 20  # seconds


def in_a_loop(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), SOON))

    return run


def event(position):
    return Event(position, encode(name="change", position=position, data=f"row {position}"))


def data(*positions):
    return b"".join(event(position).data for position in positions)


def view_at(position, *positions):
    """A view that has been read from 0 up to a position, and found these."""
    view = View(query="", position=0)
    view.take([event(each) for each in positions], upto=position)
    return view


async def reader_of(view, position):
    reader = Reader(view=view, position=position, admission=NOBODY)
    view.readers.add(reader)
    return reader


def test_an_event_is_one_field_a_line_whatever_breaks_lines():
    sent = encode(name="change", position=7, data="<li>\r\nevent: reset\rid: 9\n\u2028</li>")

    assert sent.decode() == "id: 7\nevent: change\ndata: <li>\ndata: event: reset\ndata: id: 9\ndata: \u2028</li>\n\n"


def test_a_view_gives_what_is_above_a_position():
    view = view_at(9, 3, 5, 8)

    assert view.since(4) == data(5, 8)
    assert view.since(0) == data(3, 5, 8)
    assert view.since(8) == b""
    assert view.since(12) == b""


def test_one_new_event_is_the_same_bytes_for_everyone():
    view = view_at(9, 3, 5, 8)

    assert view.since(5) is view.since(6) is view.ring[-1].data


def test_a_burst_is_put_together_once_for_all_who_are_as_far():
    view = view_at(9, 3, 5, 8)

    burst = view.since(4)

    assert view.since(4) is burst
    view.take([event(10)], upto=10)
    assert (burst, view.since(4)) == (data(5, 8), data(5, 8, 10))
    view.skip(upto=1000)
    assert view.since(4) == reset(1000)


@in_a_loop
async def test_what_is_long_is_sent_to_everybody_piece_by_piece():
    long, taken = bytes(range(256)) * (PIECE // 100), []

    async def to(who, message):
        taken.append((who, message["body"]))

    await asyncio.gather(*(send_pieces(partial(to, who), long) for who in "ab"))

    assert [who for who, _ in taken] == list("ababab")
    assert max(len(piece) for _, piece in taken) == PIECE
    assert b"".join(piece for who, piece in taken if who == "b") == long


def test_a_ring_holds_the_newest_and_resets_whoever_is_below_them():
    view = view_at(LIMIT + 50, *range(1, LIMIT + 51))

    assert view.since(50) == data(*range(51, LIMIT + 51))
    assert view.since(49) == reset(LIMIT + 50)


@in_a_loop
async def test_a_reader_that_was_slow_gets_one_reset_and_goes_on():
    view = view_at(0)
    reader = await reader_of(view, 0)
    for position in range(1, LIMIT + 2):
        view.take([event(position)], upto=position)

    assert await reader.next_chunk() == reset(LIMIT + 1)

    view.take([event(LIMIT + 5)], upto=LIMIT + 5)
    assert await reader.next_chunk() == data(LIMIT + 5)


@in_a_loop
async def test_a_reader_ahead_of_its_view_gets_nothing_twice():
    view = view_at(5, 4)
    reader = await reader_of(view, 7)
    view.take([event(6), event(7), event(8)], upto=8)

    assert await reader.next_chunk() == data(8)


@in_a_loop
async def test_a_burst_is_one_reset_to_all():
    view = view_at(5, 4)
    first, second = await reader_of(view, 5), await reader_of(view, 3)
    view.skip(upto=1000)

    assert await first.next_chunk() == await second.next_chunk() == reset(1000)


@in_a_loop
async def test_heartbeats_come_after_silence_only():
    reader = await reader_of(view_at(5), 5)
    reader.tend(reader.last_sent + HEARTBEAT_AFTER - 1)
    assert not reader.heartbeat_due

    reader.tend(reader.last_sent + HEARTBEAT_AFTER + 1)

    assert await reader.next_chunk() == HEARTBEAT


@in_a_loop
async def test_a_reader_that_takes_nothing_is_cut_off():
    view = view_at(0)
    taken = asyncio.Event()

    async def send_into_the_void():
        reader = await reader_of(view, 0)
        await reader.next_chunk()
        taken.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(send_into_the_void())
    view.take([event(1)], upto=1)
    await taken.wait()
    [reader] = view.readers
    reader.tend(reader.last_sent + STUCK_AFTER + 1)

    with pytest.raises(asyncio.CancelledError):
        await task
    assert reader.cut_off


@in_a_loop
async def test_last_words_come_once():
    reader = await reader_of(view_at(5), 5)
    reader.end(b"bye")
    reader.end(b"again")

    assert await reader.next_chunk() == b"bye"
    assert await reader.next_chunk() is None


# --- On real databases --------------------------------------------------------------------


@pytest.fixture
def admitted(transactional_db):
    """A session of a signed-in account, and what it lets in."""
    staff = make_staff("anna")
    session = SessionStore()
    session.create()
    return Admission(
        session_key=stored(session.session_key), staff_id=staff.pk, auth_hash=staff.get_session_auth_hash()
    )


@pytest.fixture
def cookie(transactional_db):
    ledger.bind()
    return cookie_of(make_staff("anna", role=Role.VIEWER))


async def elsewhere(function, *args, **kwargs):
    """Call it in another thread, with a connection of its own."""

    def call():
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


@asynccontextmanager
async def running_hub():
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()
        await asyncio.sleep(0)  # let cancelled tasks end


def positions(chunk):
    return [int(line.removeprefix(b"id: ")) for line in chunk.split(b"\n") if line.startswith(b"id: ")]


@in_a_loop
async def test_a_commit_reaches_every_reader_in_the_same_bytes(admitted):
    async with running_hub() as hub:
        readers = [hub.join(query="", position=0, admission=admitted) for _ in range(3)]
        await elsewhere(make_change)

        first, *others = [await reader.next_chunk() for reader in readers]

    assert positions(first) == [1]
    assert all(chunk is first for chunk in others)


@in_a_loop
async def test_each_view_gets_what_it_asked_for(admitted):
    async with running_hub() as hub:
        everything = hub.join(query="", position=0, admission=admitted)
        released = hub.join(query="state=released", position=0, admission=admitted)
        await elsewhere(make_changes, 3)
        await elsewhere(make_change, state="released")

        assert positions(await released.next_chunk()) == [4]
        seen = []
        while len(seen) < 4:
            seen += positions(await everything.next_chunk())

    assert seen == [1, 2, 3, 4]


@in_a_loop
async def test_each_language_has_rows_of_its_own(admitted):
    async with running_hub() as hub:
        english = hub.join(query="", position=0, admission=admitted)
        german = hub.join(query="", position=0, admission=admitted, language="de")
        await elsewhere(make_change)

        rows = [(await reader.next_chunk()).decode() for reader in (english, german)]

    assert [("Release…" in row, "Freigeben…" in row) for row in rows] == [(True, False), (False, True)]


@in_a_loop
async def test_readers_that_saw_an_older_head_miss_nothing(admitted):
    """Two openings at once: the later one made the view, the earlier one joins it."""
    await elsewhere(make_changes, 6)
    async with running_hub() as hub:
        later = hub.join(query="", position=6, admission=admitted)
        earlier = hub.join(query="", position=4, admission=admitted)

        assert positions(await earlier.next_chunk()) == [5, 6]
        await elsewhere(make_change)
        assert positions(await later.next_chunk()) == [7]


@in_a_loop
async def test_a_ledger_that_went_back_ends_the_streams(admitted):
    """It was restored from a backup: positions above its head will be given out again."""
    await elsewhere(make_changes, 6)
    async with running_hub() as hub:
        reader = hub.join(query="", position=6, admission=admitted)
        await elsewhere(set_back, to=2)
        assert await reader.next_chunk() is None
        hub.leave(reader)

        again = hub.join(query="", position=2, admission=admitted)
        await elsewhere(make_change)
        assert positions(await again.next_chunk()) == [3]


def set_back(*, to):
    Change.objects.filter(pk__gt=to).delete()
    Ledger.objects.update(head=to)


@in_a_loop
async def test_a_change_that_cannot_be_shown_ends_the_streams(admitted, caplog):
    """Better a page that says Reconnecting than one that says Live and is not."""
    async with running_hub() as hub:
        reader = hub.join(query="", position=0, admission=admitted)
        await elsewhere(make_change, media_id="unseen", cause="unheard of")

        assert await reader.next_chunk() is None

    assert "The live view failed" in caplog.text


@pytest.mark.postgresql
@in_a_loop
async def test_a_database_that_does_not_answer_ends_the_streams(admitted, monkeypatch, caplog):
    monkeypatch.setattr(hub_module, "BLIND_AFTER", 4)  # longer than between two looks
    release = asyncio.Event()
    async with running_hub() as hub, holding_the_ledger(release):
        reader = hub.join(query="", position=0, admission=admitted)
        assert await reader.next_chunk() is None
        hub.leave(reader)
        release.set()

        again = hub.join(query="", position=0, admission=admitted)
        await elsewhere(make_change)
        assert positions(await again.next_chunk()) == [1]

    assert "The ledger could not be read for 4 s, a live view ends: no answer" in caplog.text


@asynccontextmanager
async def holding_the_ledger(release):
    """Locks the table of the head until told to let go."""
    other = await psycopg.AsyncConnection.connect(**parameters())
    await other.execute("LOCK TABLE quarantine_ledger IN ACCESS EXCLUSIVE MODE")

    async def let_go():
        await release.wait()
        await other.close()

    releasing = asyncio.create_task(let_go())
    yield
    await releasing


@in_a_loop
async def test_nobody_watches_without_readers(admitted, monkeypatch):
    monkeypatch.setattr(hub_module, "LINGER", 0)
    async with running_hub() as hub:
        reader = hub.join(query="", position=0, admission=admitted)
        watching = hub.watching
        hub.leave(reader)

        with pytest.raises(asyncio.CancelledError):
            await watching

    assert hub.watching is None
    assert hub.views == {}


def test_admission_lasts_as_long_as_session_account_and_password(admitted):
    assert still_admitted({admitted, NOBODY}) == {admitted}


def opening_of(hub, cookie):
    """What the server would hand to `live`."""
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    scope = {"type": "http", "method": "GET", "path": "/changes/live", "query_string": b"since=0", "headers": headers}
    where = {"scheme": "http", "http_version": "1.1", "server": ("localhost", 80), "client": None}
    return scope | where | {"state": {"hub": hub}}


@pytest.mark.django_db(transaction=True)
@in_a_loop
async def test_what_a_reader_had_missed_is_not_held_while_it_watches(cookie):
    await elsewhere(make_changes, 3)
    sent = asyncio.Queue()
    async with running_hub() as hub:
        watching = asyncio.create_task(live(opening_of(hub, cookie), asyncio.Event().wait, sent.put))
        _, missed = await sent.get(), await sent.get()
        while not hub.readers:
            await asyncio.sleep(0)

        held = [each.content for each in gc.get_objects() if type(each) is Opening]
        watching.cancel()

    assert positions(missed["body"]) == [1, 2, 3]
    assert held == [b""]
