"""Words within file names, through PostgreSQL's trigrams: the same rows as without, sooner; never a long statement."""

import pytest
from django.db import DatabaseError, connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from dashboard.search import pages, scattered
from dashboard.search.filters import ChangeFilter
from dashboard.search.pages import change_page
from quarantine import name_words
from quarantine.models import Change
from tests.factories import make_action, make_change, make_ledger

NAMES = ["Cat picture.JPG", "dog.png", "concatenate.txt", "Ärger.mp4", "50%_off.gif", "", "kitten in a hat.png"]


@pytest.fixture
def _named(db, monkeypatch):
    """Far behind the first window: a few names that are rare, before many that are not."""
    monkeypatch.setattr(pages, "FIRST_WINDOW", 5)
    spam = make_action(reason="A cat again")
    for name in NAMES:
        make_change(upload_name=name, action=spam if name == "dog.png" else None)
    for number in range(30):
        make_change(upload_name=f"IMG_{number}.jpg")
    make_ledger(head=len(NAMES) + 30)


def found(query):
    page = change_page(ChangeFilter(QueryDict(query), queryset=Change.objects.all()), head=len(NAMES) + 30, budget=60)
    assert page.searched_back_to is None
    return [change.upload_name for change in page.changes]


@pytest.mark.usefixtures("_named")
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=cat", ["concatenate.txt", "dog.png", "Cat picture.JPG"]),
        ("q=cat+dog", ["dog.png"]),
        ("q=%C3%A4rger", ["Ärger.mp4"]),
        ("q=50%25_", ["50%_off.gif"]),
        ("q=kitten&q=picture", ["kitten in a hat.png", "Cat picture.JPG"]),
        ("q=in+hat", ["kitten in a hat.png"]),
        ("q=zzzz", []),
        ("q=cat&origin=none.example", []),
        ("q=-img", ["kitten in a hat.png", "", "50%_off.gif", "Ärger.mp4", "concatenate.txt", "dog.png", "Cat picture.JPG"]),
        ("q=cat&before=2001-01-01", []),
    ],
)  # fmt: skip
def test_words_find_the_same_on_both_engines(query, names):
    assert found(query) == names


@pytest.mark.postgresql
@pytest.mark.usefixtures("_named")
def test_rare_words_are_looked_up_and_not_searched_for():
    with connection.cursor() as db:
        db.execute("SET LOCAL enable_seqscan = off")
        with CaptureQueriesContext(connection) as captured:
            assert found("q=concat") == ["concatenate.txt"]
        of_names = [each["sql"] for each in captured if 'UPPER("quarantine_change"."upload_name"' in each["sql"]]
        [looked_up] = [sql for sql in of_names if "stream_id" not in where(sql)]
        db.execute(f"EXPLAIN {looked_up}")
        plan = "\n".join(line for [line] in db.fetchall())
    windows = [sql for sql in of_names if '"stream_id" >=' in sql]

    assert name_words.INDEX in plan
    assert len(windows) == 1, "only the first, in which most searches end"


def where(sql):
    return sql.partition("WHERE")[2]


@pytest.mark.postgresql
@pytest.mark.usefixtures("_named")
def test_common_words_are_left_to_the_windows(monkeypatch):
    monkeypatch.setattr(scattered, "MOST", 10)

    assert ChangeFilter(QueryDict("q=img"), queryset=Change.objects.all()).scattered is None
    assert ChangeFilter(QueryDict("q=concat"), queryset=Change.objects.all()).scattered == [3]
    assert len(found("q=img&limit=200")) == 30


@pytest.mark.postgresql
@pytest.mark.usefixtures("_named")
@pytest.mark.parametrize(("most", "looked_up"), [(10, False), (1_000, True)])
def test_words_are_not_looked_up_where_a_window_tells_that_they_are_common(monkeypatch, most, looked_up):
    monkeypatch.setattr(pages, "MOST_SCATTERED", most)

    with CaptureQueriesContext(connection) as captured:
        assert len(found("q=img&limit=200")) == 30  # five in the first window of five: as many as there are positions

    assert any("statement_timeout" in query["sql"] for query in captured) == looked_up


@pytest.mark.postgresql
@pytest.mark.usefixtures("_named")
def test_a_lookup_that_takes_long_is_given_up(monkeypatch):
    with connection.cursor() as db:  # as a large table would be: slow, and nobody's fault
        db.execute("""
            CREATE FUNCTION pg_temp.slow(text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS
            $$ BEGIN PERFORM pg_sleep(5); RETURN true; END $$
        """)
    monkeypatch.setattr(scattered, "PATIENCE", 50)
    slow = Change.objects.extra(where=["pg_temp.slow(upload_name)"])  # the ORM has no functions of its own

    assert ChangeFilter(QueryDict("q=cat"), queryset=slow).scattered is None
    assert found("q=concat") == ["concatenate.txt"], "the transaction around it goes on"


@pytest.mark.postgresql
@pytest.mark.usefixtures("_named")
def test_without_the_index_words_are_found_in_windows():
    with connection.cursor() as db:
        db.execute(f"DROP INDEX {name_words.INDEX}")

    assert found("q=cat") == ["concatenate.txt", "dog.png", "Cat picture.JPG"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_broken_off_is_built_again():
    with connection.cursor() as db:
        db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [name_words.INDEX])
    assert not name_words.is_built(connection)

    assert name_words.build(connection)
    assert name_words.is_built(connection)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_role_that_may_not_create_the_extension_does_without(monkeypatch):
    name_words.drop(connection)
    try:
        monkeypatch.setattr(name_words, "EXTENSION", "plperlu_of_nobody")  # not there
        assert not name_words.build(connection)
        monkeypatch.setattr(name_words, "EXTENSION", "pageinspect")  # there, and for superusers alone
        with connection.cursor() as db:
            db.execute("CREATE ROLE plain")
            db.execute("SET ROLE plain")
        with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as db:
            db.execute("CREATE EXTENSION pageinspect")
        assert not name_words.build(connection)
    finally:
        with connection.cursor() as db:
            db.execute("RESET ROLE")
            db.execute("DROP ROLE IF EXISTS plain")
        monkeypatch.undo()
        assert name_words.build(connection)
