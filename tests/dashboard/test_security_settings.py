"""A setting that is missing or malformed stops the start, with one sentence that names it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from secrets import token_urlsafe

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache.backends.db import DatabaseCache
from django.utils.module_loading import import_string

from tests.environment import ROOT, declared_variables, process_environ, settings_with

GOOD = {"SECRET_KEY": token_urlsafe(50), "HTTPS": "on", "ALLOWED_HOSTS": "quarantine.example"}
PASSWORD = "hunter2"
TO_ACT = {"HOMESERVER_DATABASE_URL": "postgres://u@h/x", "HOMESERVER_NAME": "h"}
AT_PROVIDER = {"OIDC_CLIENT_ID": "x", "OIDC_ROLES": "a=viewer"}
REFUSED = [
    {"SECRET_KEY": ""},
    {"SECRET_KEY": "short"},
    {"SECRET_KEY": "a" * 60},
    {"SECRET_KEY": "django-insecure-" + token_urlsafe(50)},
    {"DEBUG": "maybe"},
    {"DEBUG": "on"},  # with HTTPS on, it is a server's
    {"HTTPS": "perhaps"},
    {"TRUSTED_PROXIES": "*"},
    {"TRUSTED_PROXIES": "10.0.0.1/8"},
    {"TRUSTED_PROXIES": "proxy.example"},
    {"ALLOWED_HOSTS": "*"},
    {"ALLOWED_HOSTS": "https://quarantine.example"},
    {"ALLOWED_HOSTS": "quarantine.example:443"},
    {"ALLOWED_HOSTS": "a b"},
    {"CSRF_TRUSTED_ORIGINS": "quarantine.example"},
    {"CSRF_TRUSTED_ORIGINS": "https://quarantine.example/path"},
    {"DATA_DIR": "/etc/passwd"},
    {"DATABASE_URL": f"mysql://u:{PASSWORD}@h/x"},
    {"DATABASE_URL": f"postgres://u:{PASSWORD}@h:port/x"},
    {"DATABASE_URL": f"postgres://u:{PASSWORD}@[h/x"},
    {"DATABASE_URL": f"postgres://u:{PASSWORD}@h/"},
    {"DATABASE_URL": "sqlite:///:memory:"},
    {"DATABASE_REPLICA_URL": f"mysql://u:{PASSWORD}@h/x"},
    {"DATABASE_REPLICA_URL": f"postgres://u:{PASSWORD}@h/x"},  # of a ledger on SQLite
    {"DATABASE_REPLICA_URL": "sqlite:////replica", "DATABASE_URL": "postgres://u@h/x"},
    {"HOMESERVER_DATABASE_URL": f"mysql://u:{PASSWORD}@h/x", "HOMESERVER_NAME": "example.com"},
    {"HOMESERVER_NAME": "", "HOMESERVER_DATABASE_URL": "postgres://u@h/x"},
    {"HOMESERVER_NAME": "https://example.com"},
    {"HOMESERVER_NAME": "<script>"},
    {"HOMESERVER_URL": "ftp://h", **TO_ACT},
    {"HOMESERVER_URL": f"https://u:{PASSWORD}@h/", **TO_ACT},
    {"HOMESERVER_URL": "http://matrix.example.com", **TO_ACT},  # an admin's token, unencrypted
    {"HOMESERVER_URL": "http://127.0.0.1:8008"},
    {"HOMESERVER_URL": "http://127.0.0.1:8008", "HOMESERVER_TOKEN": PASSWORD},  # no database
    {"HOMESERVER_TOKEN": f"{PASSWORD} {PASSWORD}", **TO_ACT},
    {"HOMESERVER_TOKEN_FILE": "/nowhere", "HOMESERVER_URL": "http://localhost"},
    {"MEDIA_DOWNLOADS": "2"},
    {"MEDIA_PREVIEWS": "2"},
    {"ACCESS_RECORD_ADDRESSES": "all"},
    {"BULK_RELEASE_LIMIT": "-1"},
    {"TWO_PERSON_RULE": "2"},
    {"TWO_PERSON_LIMIT": "many"},
    {"TWO_PERSON_HOURS": "0"},
    {"PUBLIC_URL": "quarantine.example"},
    {"EMAIL_URL": f"smtp://u:{PASSWORD}@mail.example.com"},  # over the network, unencrypted
    {"ALERT_EMAIL_FROM": "nobody"},
    {"ALERT_EMAIL_TO": "nobody"},
    {"ALERT_EMAIL_TO": "\xf6ncall@example.com"},
    {"EMAIL_URL": "smtps://me:p%C3%A4ss@mail.example.com"},
    {"ALERT_WEBHOOK_URL": f"http://hooks.example.com/{PASSWORD}"},
    {"ALERT_WEBHOOK_SECRET": PASSWORD, "ALERT_WEBHOOK_URL": "https://hooks.example.com"},
    {"ALERT_WEBHOOK_SECRET_FILE": "/nowhere"},
    {"ALERT_MATRIX_ROOM": "#alias:example.com"},
    {"ALERT_MATRIX_TOKEN": f"{PASSWORD} {PASSWORD}"},
    {"ALERT_MATRIX_TOKEN_FILE": "/nowhere"},
    {"ALERT_MATRIX_URL": "matrix.example"},
    {"LOG_FORMAT": "xml"},
    {"MFA_REQUIRED": "always"},
    {"SESSION_IDLE_MINUTES": "-1"},
    {"SESSION_MAX_HOURS": "0"},
    {"REAUTH_MINUTES": "soon"},
    {"OIDC_ISSUER": "login.example", **AT_PROVIDER},
    {"OIDC_ISSUER": "http://login.example", **AT_PROVIDER},  # sign-ins, unencrypted
    {"OIDC_ISSUER": f"https://u:{PASSWORD}@login.example", **AT_PROVIDER},
    {"OIDC_CLIENT_ID": "", "OIDC_ISSUER": "https://login.example", "OIDC_ROLES": "a=viewer"},
    {"OIDC_CLIENT_SECRET": f"{PASSWORD} {PASSWORD}"},
    {"OIDC_CLIENT_SECRET_FILE": "/nowhere"},
    {"OIDC_ROLES": "", "OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "x"},
    {"OIDC_ROLES": "admins"},
    {"OIDC_ROLES": "admins=emperor"},
    {"OIDC_ORIGINS": "login.example"},
    {"OIDC_SESSION_MINUTES": "-1"},
    {"DATABASE_STATEMENT_SECONDS": "1m"},
    {"SSO_ONLY": "on"},
]


def start(extra):
    """`manage.py check` with these settings."""
    environ = process_environ(GOOD | extra)
    command = [sys.executable, "-W", "error", "manage.py", "check"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def runs():
    """All of them, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(start, REFUSED))


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=map("+".join, REFUSED))
def test_a_bad_value_is_refused_in_one_sentence(runs, number):
    run, name = runs[number], next(iter(REFUSED[number]))

    assert run.returncode == 1
    assert run.stderr.startswith(f"manage.py: {name} ")
    assert len(run.stderr.splitlines()) == 1
    assert PASSWORD not in run.stderr


def test_good_values_start():
    run = start({})

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("asked", [["verify", "--help"], ["token", "list", "-h"], ["help", "verify"], ["help"], []])
def test_help_is_there_before_anything_is_set(asked):
    run = manage(*asked)

    assert (run.returncode, run.stderr) == (0, "")
    assert "manage.py" in run.stdout
    assert ("backfill" in run.stdout.split()) == (asked in ([], ["help"]))


def test_what_only_looks_like_asking_for_help_is_not_done_without_a_secret():
    run = manage("quarantine", "--", "--help")

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("manage.py: SECRET_KEY is not set")


def manage(*words):
    environ = process_environ({"SECRET_KEY": ""})
    command = [sys.executable, "-W", "error", "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_every_kind_of_value_is_tried():
    """A new variable must be tried here, or be one that takes any text."""
    free_text = {"DEMO_PASSWORD", "OIDC_NAME", "OIDC_ROLE_CLAIM", "OIDC_SCOPES"}

    assert declared_variables() - free_text <= {name for case in REFUSED for name in case}


def test_deployment_checks_are_clean():
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environ = process_environ(GOOD)

    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert "no issues (2 silenced)" in run.stdout
    assert settings.SILENCED_SYSTEM_CHECKS == ["security.W005", "security.W021"]


def test_djangos_admin_is_not_there():
    assert not [app for app in settings.INSTALLED_APPS if "admin" in app]


def test_sessions_live_in_the_database_and_the_throttle_is_shared():
    assert issubclass(import_module(settings.SESSION_ENGINE).SessionStore, SessionStore)
    assert issubclass(import_string(settings.CACHES["default"]["BACKEND"]), DatabaseCache)


def test_transport_security_of_an_attached_database_is_kept():
    url = "postgres://reader@db.example/synapse?sslmode=verify-full&sslrootcert=/etc/ca.pem"

    options = settings_with({"HOMESERVER_DATABASE_URL": url, "HOMESERVER_NAME": "example.com"})["HOMESERVER_DATABASE"][
        "OPTIONS"
    ]

    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/etc/ca.pem")
    assert "default_transaction_read_only=on" in options["options"]


def test_an_attached_database_cannot_be_made_writable_by_its_url():
    url = "postgres://reader@db.example/synapse?options=-c%20default_transaction_read_only%3Doff"

    options = settings_with({"HOMESERVER_DATABASE_URL": url, "HOMESERVER_NAME": "example.com"})["HOMESERVER_DATABASE"][
        "OPTIONS"
    ]

    assert "read_only=off" not in options["options"]
