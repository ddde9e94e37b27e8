"""The sample: the same for the same seed, and the same on both sides."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from quarantine import feed, ledger
from quarantine.entries import Entry
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.ledger import Appended
from quarantine.models import Action, Cause, Change, Ledger, MediaItem, Role, Source, Staff, State, Verb
from quarantine.mxc import Mxc
from quarantine.sample import names
from quarantine.sample.fill import SampleError, fill
from quarantine.sample.rhythm import from_ms
from quarantine.sample.story import Story
from quarantine.sweep import Sweep
from tests.quarantine.ledger_checks import catch_up_fully

pytestmark = pytest.mark.django_db

END = datetime(2026, 11, 22, 14, 32, 41, tzinfo=UTC)


@pytest.fixture
def staff():
    ledger.bind()
    return [
        Staff.objects.create(username=name, role=Role.MODERATOR, password="!") for name in ("moderator", "tom.okafor")
    ]


def fill_some(staff, **options):
    return fill(**({"changes": 900, "media": 800, "seed": 7, "staff": staff, "end": END} | options))


def quarantined_on_the_homeserver():
    local = {Mxc(settings.HOMESERVER_NAME, media_id) for media_id in ids(LocalMedia.objects.quarantined())}
    remote = RemoteMedia.objects.quarantined().values_list("media_origin", "media_id")
    return local | {Mxc(*pair) for pair in remote}


def ids(rows):
    return rows.values_list("media_id", flat=True)


def test_it_records_exactly_as_many_changes_as_asked(staff):
    filled = fill_some(staff)

    assert filled.changes == Change.objects.count() == ledger.current().head == 900
    assert list(Change.objects.order_by("stream_id").values_list("stream_id", flat=True)) == list(range(1, 901))


def test_it_makes_exactly_as_many_media_as_asked(staff):
    filled = fill_some(staff)

    deleted = Change.objects.filter(deleted=True).count()
    assert deleted > 0
    assert LocalMedia.objects.count() + RemoteMedia.objects.count() + deleted == filled.media == 800


@pytest.mark.parametrize(("changes", "media"), [(1, 1), (10, 1), (25, 3), (300, 40), (40, 300)])
def test_any_number_of_changes_fits_any_number_of_media(staff, changes, media):
    filled = fill_some(staff, changes=changes, media=media)

    assert (filled.changes, filled.media) == (changes, media)
    assert {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)} == quarantined_on_the_homeserver()


def test_the_ledger_and_the_homeserver_agree_on_every_item(staff):
    fill_some(staff)

    held = {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)}

    assert len(held) > 500
    assert held == quarantined_on_the_homeserver()


def test_the_media_items_and_counters_are_the_fold_of_the_changes(staff):
    fill_some(staff)

    fold = {change.mxc: change.state for change in Change.objects.order_by("stream_id")}

    items = {item.mxc: item.state for item in MediaItem.objects.exclude(stream_id=0)}
    quarantined = [mxc for mxc, state in fold.items() if state == State.QUARANTINED]
    local = sum(mxc.origin == settings.HOMESERVER_NAME for mxc in quarantined)
    assert items == fold
    assert ledger.current().quarantined_local == local
    assert ledger.current().quarantined_remote == len(quarantined) - local


def test_following_finds_nothing_afterwards(staff):
    filled = fill_some(staff)

    reader = Reader()

    caught = feed.catch_up(reader)
    swept = Sweep(newest=900).tick(lambda: catch_up_fully(reader))

    assert (caught.recorded, caught.repeated, caught.late, caught.position) == (0, 0, 0, filled.feed_position)
    assert swept == Appended(head=900)


def test_what_happens_afterwards_is_known_to_be_later(staff):
    fill_some(staff)
    homeserver = SampleHomeserver(user_id="@alice:matrix.example")
    mxc = homeserver.upload(File(sha256=None), uploader="@eve:matrix.example")
    homeserver.quarantine(mxc)

    feed.catch_up(Reader())

    assert Change.objects.older_than(None)[0].mxc == mxc
    assert Change.objects.older_than(None)[0].not_before == END


def test_the_rows_are_those_the_gate_would_record(staff):
    fill_some(staff)
    filled = everything()
    for model in (Change, MediaItem):
        model.objects.all().delete()
    Ledger.objects.update(**dict.fromkeys(COUNTERS, 0), last_seen_at=None)

    names = [person.username for person in staff]
    story = Story(changes=900, media=800, seed=7, staff=names, home=settings.HOMESERVER_NAME, end=END)
    told, first_id, deeds = [], 2, 0
    for incident in story.tell():
        if incident.deed:
            deeds += 1
            incident.deed.pk = deeds
        told += to_entries(incident, first_id=first_id)
        first_id += len(incident.items) * incident.in_feed
    ledger.append(told)

    assert everything() == filled


COUNTERS = ("head", "quarantined_local", "quarantined_remote", "repeats")


def everything():
    told = [
        field.attname for field in Change._meta.concrete_fields if field.attname not in {"salts", "digest", "chain"}
    ]
    return {
        "changes": list(Change.objects.order_by("stream_id").values(*told)),
        "items": list(MediaItem.objects.order_by("pk").values()),
        "ledger": Ledger.objects.values(*COUNTERS, "last_seen_at").get(),
    }


def to_entries(incident, *, first_id):
    for place, item in enumerate(incident.items):
        yield Entry(
            mxc=Mxc(item.origin, item.media_id),
            quarantined=incident.quarantined,
            deleted=incident.deleted,
            source=incident.source,
            cause=incident.cause,
            changed_by=incident.deed.staff if incident.deed else incident.by,
            not_before=incident.not_before or item.created,
            seen_at=incident.moment,
            action_id=incident.deed.pk if incident.deed else None,
            feed_generation=1 if incident.in_feed else None,
            feed_id=first_id + place if incident.in_feed else None,
            media_type=item.media_type,
            media_length=item.media_length,
            upload_name=item.upload_name,
            uploader=item.uploader or "",
            sha256=item.sha256,
        )


def test_every_feed_row_is_in_the_ledger_or_was_a_repeat(staff):
    filled = fill_some(staff)

    recorded = set(Change.objects.exclude(feed_id=None).values_list("feed_id", flat=True))
    rows = set(FeedChange.objects.values_list("stream_id", flat=True))

    assert rows == set(range(2, filled.feed_position + 1))
    assert recorded < rows
    assert len(rows - recorded) == filled.repeats == ledger.current().repeats > 0
    assert StreamPosition.objects.get().stream_id == ledger.current().feed_position == filled.feed_position


def test_a_feed_row_says_what_its_change_says(staff):
    fill_some(staff)
    rows = FeedChange.objects.in_bulk()

    for change in Change.objects.exclude(feed_id=None):
        row = rows[change.feed_id]
        assert (row.origin or settings.HOMESERVER_NAME, row.media_id) == (change.origin, change.media_id)
        assert row.quarantined == change.quarantined


def test_ninety_days_end_now_and_never_go_back(staff):
    fill_some(staff)

    times = list(Change.objects.order_by("stream_id").values_list("seen_at", flat=True))

    assert times == sorted(times)
    assert times[0] == END - timedelta(days=90)
    assert timedelta(0) <= END - times[-1] < timedelta(minutes=1)
    assert len({time.date() for time in times}) > 80


def test_nothing_changes_before_it_was_there_or_after_it_was_seen(staff):
    fill_some(staff)
    made = {Mxc(settings.HOMESERVER_NAME, row.media_id): row.created_ts for row in LocalMedia.objects.all()}
    made |= {Mxc(row.media_origin, row.media_id): row.created_ts for row in RemoteMedia.objects.all()}

    for change in Change.objects.all():
        assert change.not_before <= change.seen_at
        assert change.mxc not in made or from_ms(made[change.mxc]) <= change.seen_at


def test_nights_are_quieter_than_evenings(staff):
    fill_some(staff, changes=2_000, media=1_800)

    hours = Counter(Change.objects.exclude(source=Source.BACKFILL).values_list("seen_at__hour", flat=True))

    assert sum(hours[hour] for hour in range(17, 21)) > 2 * sum(hours[hour] for hour in range(1, 5))


def test_every_source_cause_and_state_occurs(staff):
    fill_some(staff, changes=3_000, media=3_000)

    assert set(Change.objects.values_list("source", flat=True)) == set(Source.values)
    assert set(Change.objects.values_list("cause", flat=True)) == set(Cause.values)
    assert {change.state for change in Change.objects.all()} == set(State)


def test_only_what_can_be_known_of_an_actor_is_told(staff):
    fill_some(staff)

    releases = Change.objects.filter(quarantined=False, deleted=False, source=Source.FEED)
    matches = Change.objects.filter(source=Source.AUDIT, quarantined=True)

    assert set(releases.values_list("changed_by", "cause")) == {("", Cause.UNKNOWN)}
    assert set(matches.values_list("changed_by", "cause", "feed_id")) == {("system", Cause.HASH, None)}
    assert set(Change.objects.filter(source=Source.FEED).values_list("cause", flat=True)) == {Cause.UNKNOWN}


def test_only_local_uploads_are_matched_by_hash(staff):
    fill_some(staff)

    assert LocalMedia.objects.filter(quarantined_by="system").count() > 50
    assert not RemoteMedia.objects.filter(quarantined_by="system").exists()
    assert not Change.objects.filter(changed_by="system", local=False).exists()


def test_staff_act_with_reasons_and_their_actions_have_their_changes(staff):
    fill_some(staff)

    done = Change.objects.filter(source=Source.ACTION).select_related("action__staff")

    assert len(done) > 100
    assert all(change.changed_by == change.action.staff.username for change in done)
    assert all(change.cause == change.action.cause for change in done)
    assert not Change.objects.exclude(source=Source.ACTION).exclude(action=None).exists()
    assert {action.staff.username for action in Action.objects.select_related("staff")} == {"moderator", "tom.okafor"}
    assert Action.objects.exclude(reason="").count() > 80


def test_a_sweep_that_was_a_mistake_is_undone_as_a_whole(staff):
    fill_some(staff, changes=2_500, media=3_000)

    undone = Action.objects.exclude(undoes=None).select_related("undoes")

    assert undone.exists()
    for action in undone:
        assert (action.verb, action.undoes.verb) == (Verb.RELEASE, Verb.QUARANTINE)
        assert media_of(action) == media_of(action.undoes) != set()


def media_of(action):
    return {change.mxc for change in action.changes.all()}


def test_copies_of_one_file_change_together(staff):
    fill_some(staff)
    shared = Counter(MediaItem.objects.values_list("sha256", flat=True))

    copies = [sha256 for sha256, count in shared.items() if count > 1]

    assert len(copies) > 20
    for sha256 in copies:
        assert MediaItem.objects.filter(sha256=sha256).values("state").distinct().count() == 1
    assert any(MediaItem.objects.filter(sha256=some).values("origin").distinct().count() > 1 for some in copies)


def test_protected_media_is_not_quarantined(staff):
    fill_some(staff, changes=2_000, media=1_800)

    protected = LocalMedia.objects.filter(safe_from_quarantine=True)

    assert protected.count() > 5
    assert not protected.quarantined().exists()


def test_names_from_everywhere_and_from_the_worst_arrive_unchanged(staff):
    fill_some(staff, changes=1_400, media=1_400)

    stored = set(Change.objects.values_list("upload_name", flat=True))

    assert {name for name, _ in names.HOSTILE} <= stored
    for text in ("Снимок экрана", "صورة", "スクリーンショット", "截图", "🔥"):
        assert any(text in name for name in stored), text
    assert not Change.objects.filter(cut=True).exists()


def test_a_ledger_that_holds_something_is_left_alone(staff):
    fill_some(staff, changes=5, media=5)
    before = list(Change.objects.values())

    with pytest.raises(SampleError, match="not empty: it holds 5 changes"):
        fill_some(staff)

    assert list(Change.objects.values()) == before


def test_a_filling_interrupted_between_the_two_databases_can_be_begun_again(staff):
    def interrupt_at_the_ledger(what, _done, _of):
        if what == "indexes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_some(staff, changes=30, media=30, seed=1, progress=interrupt_at_the_ledger)
    assert LocalMedia.objects.exists()
    assert ledger.current().head == 0
    assert not Change.objects.exists()

    filled = fill_some(staff, changes=20, media=20)

    assert (filled.changes, filled.media) == (20, 20)
    assert {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)} == quarantined_on_the_homeserver()


def test_without_staff_only_matrix_moderators_act():
    ledger.bind()

    fill_some([])

    assert not Action.objects.exists()
    assert not Change.objects.filter(source=Source.ACTION).exists()
