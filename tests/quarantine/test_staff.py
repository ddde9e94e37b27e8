"""Who may do what, and the accounts themselves."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import product
from threading import Barrier

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import connection

from dashboard.signing_in.session_store import stored
from quarantine.accounts.staff import (
    NotAllowedError,
    StaffError,
    account_of_automation,
    account_of_terminal,
    add_staff,
    disable_staff,
    enable_staff,
    require,
    set_password,
    set_role,
)
from quarantine.models import Capability, Role, Staff

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


def make_staff(name="anna", role=Role.MODERATOR):
    return add_staff(name=name, role=role, password=PASSWORD)


def make_session(staff):
    session = SessionStore()
    session["_auth_user_id"] = str(staff.pk)
    session.save()
    key = stored(session.session_key)
    UserSession.objects.create(user=staff, session_key=key, ip="192.0.2.7", user_agent="x")
    return session.session_key


# --- Roles --------------------------------------------------------------------------------


# Written down a second time, by role: a slip in the code's own table is a difference from this one.
READS = {"ledger:read", "ledger:export"}
MODERATES = READS | {"views:keep", "media:act", "media:preview", "reveals:read"}
LEADS = MODERATES | {"media:release-bulk", "servers:act", "actions:approve", "views:share", "views:manage"}
LEADS |= {"reasons:read", "reasons:manage"}
ADMINISTERS = {"backfill:run", "tokens:manage", "accounts:manage", "settings:manage"}
WATCHES = {"reasons:read", "reveals:read", "operations:read", "access:read"}
MAY = {
    "viewer": READS | {"views:keep"},
    "moderator": MODERATES,
    "lead": LEADS,
    "admin": LEADS | ADMINISTERS | WATCHES,
    "auditor": READS | WATCHES,
}


@pytest.mark.parametrize(("mine", "needed"), list(product(Role, Capability)))
def test_a_role_may_what_is_written_and_nothing_else(mine, needed):
    staff = Staff(username="anna", role=mine)

    if needed in MAY[mine]:
        require(staff, needed)
    else:
        with pytest.raises(NotAllowedError) as refused:
            require(staff, needed)
        assert str(refused.value) == f"The role {mine} may not {needed.label}."


def test_an_auditor_changes_nothing():
    assert {held for held in Capability if Staff(role=Role.AUDITOR).may(held)} == {
        held for held in Capability if held.endswith((":read", ":export"))
    }


@pytest.mark.parametrize("needed", Capability)
@pytest.mark.parametrize("account", [{"role": Role.ADMIN, "is_active": False}, {"role": "of the next version"}])
def test_disabled_accounts_and_unknown_roles_may_nothing(needed, account):
    with pytest.raises(NotAllowedError):
        require(Staff(username="anna", **account), needed)


def test_accounts_are_managed_by_admins_alone():
    anna = make_staff()
    attempts = [
        lambda by: add_staff(name="new", role=Role.ADMIN, password=PASSWORD, by=by),
        lambda by: set_role(name="anna", role=Role.ADMIN, by=by),
        lambda by: set_password(name="anna", password="another horse battery", by=by),
        lambda by: disable_staff("anna", by=by),
        lambda by: enable_staff("anna", by=by),
    ]
    for role, attempt in product(set(Role) - {Role.ADMIN}, attempts):
        with pytest.raises(NotAllowedError, match="may not manage accounts"):
            attempt(Staff(username="x", role=role))
    assert list(Staff.objects.values_list("username", "role", "is_active")) == [("anna", "moderator", True)]
    assert Staff.objects.get().password == anna.password

    for attempt in attempts:
        attempt(Staff(username="root", role=Role.ADMIN))


def test_the_terminal_may_what_leads_may_also_if_an_earlier_version_made_its_account():
    Staff.objects.create(username="terminal", role=Role.MODERATOR)

    assert account_of_terminal().may(Capability.ACT_ON_SERVER)
    assert not account_of_automation().may(Capability.RELEASE_BULK)
    with pytest.raises(StaffError, match="not a person's account"):
        set_role(name="terminal", role=Role.ADMIN)


# --- Opening accounts ---------------------------------------------------------------------


def test_an_account_opens_with_a_hashed_password():
    staff = Staff.objects.get(pk=make_staff().pk)

    assert (staff.username, staff.role, staff.is_active) == ("anna", "moderator", True)
    assert staff.check_password(PASSWORD)
    assert PASSWORD not in staff.password


@pytest.mark.parametrize("name", ["anna", "Anna", "ANNA"])
def test_a_name_is_taken_whatever_its_case(name):
    make_staff()

    with pytest.raises(StaffError, match="an account 'anna' already"):
        make_staff(name, Role.ADMIN)

    assert list(Staff.objects.values_list("username", "role")) == [("anna", "moderator")]


LOOKALIKES = [
    "system",
    "@anna:matrix.example",
    "anna:x",
    "ann\u202ea",
    "\u0430nna",
    "\ufb00",
    "<script>",
    "../anna",
    "=1+1",
]
MALFORMED = ["", "-anna", "an na", "anna\n", "anna\0", "\ud800", "a" * 151]


@pytest.mark.parametrize("name", LOOKALIKES + MALFORMED)
def test_a_name_that_could_be_taken_for_something_else_is_refused(name):
    with pytest.raises(StaffError):
        make_staff(name)

    assert not Staff.objects.exists()


@pytest.mark.parametrize("password", ["", "short", "1q2w3e4r5t6y", "123456789012", "annabella-moderator"])
def test_a_weak_password_is_refused(password):
    with pytest.raises(StaffError):
        add_staff(name="annabella-moderator", role=Role.VIEWER, password=password)

    assert not Staff.objects.exists()


def test_only_who_asks_for_it_gets_a_weak_password():
    staff = add_staff(name="viewer", role=Role.VIEWER, password="demo", any_password=True)

    assert staff.check_password("demo")


# --- Disabling ----------------------------------------------------------------------------


def test_disabling_ends_the_sessions_of_that_account_alone():
    anna, ben = make_staff(), make_staff("ben")
    hers, his = [make_session(anna), make_session(anna)], make_session(ben)

    disable_staff("anna")

    assert not Staff.objects.get(username="anna").is_active
    assert [SessionStore().exists(key) for key in [*hers, his]] == [False, False, True]
    assert list(UserSession.objects.values_list("user__username", flat=True)) == ["ben"]


def test_an_enabled_account_is_as_it_was():
    make_staff()
    disable_staff("anna")

    staff = enable_staff("anna")

    assert staff.is_active
    assert staff.role == "moderator"
    assert staff.check_password(PASSWORD)


def test_a_new_password_ends_every_session():
    key = make_session(make_staff())

    set_password(name="anna", password="another horse battery")

    assert Staff.objects.get().check_password("another horse battery")
    assert not SessionStore().exists(key)


@pytest.mark.parametrize("name", ["nobody", "ANNA", "", "anna\0", "\u202e"])
def test_an_unknown_name_is_said_to_be_so(name):
    make_staff()

    for change in (disable_staff, enable_staff, lambda name: set_role(name=name, role=Role.ADMIN)):
        with pytest.raises(StaffError, match="There is no account"):
            change(name)

    assert Staff.objects.get().is_active


# --- The last admin -----------------------------------------------------------------------


def lose(name):
    return disable_staff(name)


def demote(name):
    return set_role(name=name, role=Role.MODERATOR)


@pytest.mark.parametrize("change", [lose, demote])
def test_the_last_admin_stays(change):
    make_staff("root", Role.ADMIN)
    make_staff("gone", Role.ADMIN)
    change("gone")

    with pytest.raises(StaffError, match="'root' is the last admin"):
        change("root")

    staff = Staff.objects.get(username="root")
    assert (staff.is_active, staff.role) == (True, "admin")


def test_a_moderator_can_be_disabled_when_there_is_one_admin():
    make_staff("root", Role.ADMIN)
    make_staff()

    assert not disable_staff("anna").is_active


def at_once(change, name, barrier):
    try:
        barrier.wait()
        change(name)
    except StaffError as error:
        return str(error)
    finally:
        connection.close()
    return "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("changes", [(lose, lose), (demote, demote), (lose, demote)] * 2)
def test_two_admins_cannot_shut_out_each_other(changes):
    for name in ("root", "boss"):
        make_staff(name, Role.ADMIN)
    barrier = Barrier(2)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(at_once, changes, ("root", "boss"), [barrier, barrier]))

    assert outcomes[1] == "done"
    assert "is the last admin" in outcomes[0]
    assert Staff.objects.filter(is_active=True, role=Role.ADMIN).count() == 1
