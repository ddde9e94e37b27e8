"""Pages read from a real streaming replica: one that is there, that lags, that dies, and that dies half-way."""

import json
import re
import threading

import pytest

from quarantine import consumers, ledger
from quarantine.models import Role, Scope
from tests import databases, environment
from tests.dashboard.readers import STORM, read_through_a_storm
from tests.dashboard.test_live import append, cookie_of
from tests.factories import make_staff
from tests.quarantine.followers import eventually
from tests.servers import running_server
from tests.standby import standby_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]
# The last statement of a page: it is read where the changes are. To ask how far the replica has got is none.
READ = """
    SELECT pid, query_start FROM pg_stat_activity
    WHERE application_name = 'quarantine-replica' AND query LIKE '%"quarantine_savedview"%'
"""


@pytest.fixture(scope="module")
def replica(engine, pg_cluster):
    with standby_of(pg_cluster) as standby:
        yield standby


@pytest.fixture(scope="module")
def server(engine, ledgers, replica, pg_cluster, django_db_blocker):
    name = databases.CURRENT["DATABASE_URL"].rpartition("/")[2]
    with django_db_blocker.unblock():
        ledger.bind()
    url = {"DATABASE_REPLICA_URL": replica.cluster.url_of(name)}
    with running_server(environment.process_environ(databases.CURRENT | url)) as server:
        yield server


@pytest.fixture
def reader(server, replica, transactional_db):
    """Somebody who looks at pages of a ledger of five changes, which the replica has too."""
    replica.start()
    ledger.bind()
    cookie = cookie_of(make_staff("anna", role=Role.ADMIN))
    append(5)
    return Reader(server, replica, cookie)


class Reader:
    def __init__(self, server, replica, cookie):
        self.server, self.replica, self.cookie = server, replica, cookie

    def get(self, path="/"):
        answer = self.server.request("GET", path, headers={"Cookie": self.cookie})
        assert answer.status == 200
        return answer.body.decode()

    def rows(self, path="/"):
        return [int(number) for number in re.findall(r'id="c(\d+)"', self.get(path))]

    def asks_replica(self, path="/", *, last=READ):
        """Whether this page is read there."""
        before = set(self.replica.ask(last))  # the last statement of each connection
        self.get(path)
        return not set(self.replica.ask(last)) <= before

    def changes(self, token, after=0):
        """What the changes API gives to a program: positions."""
        path = f"/_synapse/admin/v1/media/quarantine_changes?from={after}"
        answer = self.server.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200
        return [change["stream_id"] for change in json.loads(answer.body)["changes"]]


def test_pages_are_read_from_the_replica(reader, replica, pg_cluster):
    replica.catch_up(pg_cluster)

    assert reader.asks_replica("/")
    assert reader.asks_replica("/?scope=local")
    assert reader.rows() == [5, 4, 3, 2, 1]


def test_a_replica_that_lags_answers_only_what_it_has_reached(reader, replica, pg_cluster):
    replica.catch_up(pg_cluster)
    replica.hold_back()
    try:
        append(2)

        assert reader.rows() == [7, 6, 5, 4, 3, 2, 1]
        assert not reader.asks_replica("/")
        assert reader.asks_replica("/?cursor=4")
        assert reader.rows("/?cursor=4") == [3, 2, 1]
        assert not reader.asks_replica("/?cursor=7")
    finally:
        replica.let_go()


def test_who_has_done_something_is_answered_by_a_replica_that_knows_it(reader, replica, pg_cluster):
    other = Reader(reader.server, replica, cookie_of(make_staff("ben", role=Role.VIEWER)))
    replica.catch_up(pg_cluster)
    replica.hold_back()
    try:
        do_something(reader)

        assert not reader.asks_replica("/?cursor=4")
        assert other.asks_replica("/?cursor=4")
    finally:
        replica.let_go()
    replica.catch_up(pg_cluster)
    assert reader.asks_replica("/?cursor=4")


def do_something(reader):
    """Something that moves no position: add a kind of reason."""
    answer = reader.server.request("GET", "/", headers={"Cookie": reader.cookie})
    csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.body.decode())[1]
    cookies = f"{reader.cookie}; {answer.getheader('Set-Cookie').partition(';')[0]}"
    body = f"csrfmiddlewaretoken={csrf}&label=Something"
    headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
    assert reader.server.request("POST", "/reasons/add/", headers=headers, body=body).status == 302


def test_a_replica_that_dies_is_not_noticed_and_one_that_comes_back_is_used(reader, replica, pg_cluster):
    replica.catch_up(pg_cluster)
    assert reader.asks_replica()

    replica.stop()

    assert reader.rows() == [5, 4, 3, 2, 1]
    append()
    assert reader.rows() == [6, 5, 4, 3, 2, 1]
    assert reader.server.logged("The replica can't be read")
    replica.start()
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)


ANYTHING = READ.partition("AND query")[0] + "AND query NOT LIKE '%pg_is_in_recovery%'"  # but how far it has got


def test_insights_are_read_from_the_replica(reader, replica, pg_cluster):
    replica.catch_up(pg_cluster)
    eventually(lambda: reader.asks_replica("/insights/", last=ANYTHING))


def test_a_replica_that_hangs_keeps_nobody_waiting_for_long(reader, replica, pg_cluster):
    """It answers nothing and closes nothing; whoever asks gets everything, from the primary."""
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)
    assert reader.changes(token) == [1, 2, 3, 4, 5]

    with replica.backends_stopped("quarantine-replica"):
        append()
        assert reader.changes(token, after=3) == [4, 5, 6]
        assert reader.rows() == [6, 5, 4, 3, 2, 1]
        assert reader.server.logged("The replica can't be read")

    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)
    assert reader.changes(token) == [1, 2, 3, 4, 5, 6]


def test_a_program_in_a_storm_of_writers_gets_each_change_once_from_a_replica_that_lags(reader, replica, pg_cluster):
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    replica.catch_up(pg_cluster)
    lag = threading.Timer(0.5, replica.hold_back)
    lag.start()

    seen = read_through_a_storm(reader.server.port, token)

    lag.join()
    replica.let_go()
    assert seen == list(range(1, 5 + STORM + 1))


def test_a_replica_that_dies_half_way_through_a_page_is_not_noticed(reader, replica, pg_cluster):
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)  # not left alone any more
    found = []
    page = threading.Thread(target=lambda: found.append(reader.rows()))
    with pg_cluster.connect(databases.CURRENT["DATABASE_URL"].rpartition("/")[2]) as locker, locker.transaction():
        locker.execute("LOCK TABLE quarantine_change IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: replica.ask("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation > 9999"))
        page.start()
        eventually(lambda: replica.ask("SELECT 1 FROM pg_locks WHERE NOT granted"))
        replica.hold_back()

    replica.stop()
    page.join(60)

    assert found == [[5, 4, 3, 2, 1]]
