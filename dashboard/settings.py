"""The one settings module. Everything an operator may choose is an environment variable.

A missing or malformed value stops the start with a sentence that names it.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.utils.csp import CSP

from dashboard.environment import (
    check_alerts,
    env,
    env_address,
    env_addresses,
    env_bool,
    env_choice,
    env_database,
    env_folder,
    env_homeserver_url,
    env_hosts,
    env_mailer,
    env_networks,
    env_number,
    env_origins,
    env_replica,
    env_room,
    env_secret,
    env_sender,
    env_server_name,
    env_token,
)
from dashboard.logs import FORMATS, logging_to

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = env_secret("SECRET_KEY")
DEBUG = env_bool("DEBUG", default=False)
HTTPS = env_bool("HTTPS", default=True)
if DEBUG and HTTPS:
    msg = "DEBUG is on: its error pages show code and settings to anybody. It needs HTTPS=off, for this machine only."
    raise ImproperlyConfigured(msg)
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES", "127.0.0.0/8,::1/128")
ALLOWED_HOSTS = env_hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_origins("CSRF_TRUSTED_ORIGINS")
DATA_DIR = env_folder("DATA_DIR", BASE_DIR / "var")

# --- The two databases --------------------------------------------------------------------

POSTGRESQL = "django.db.backends.postgresql"
SQLITE_WRITER = {
    # One writer at a time, decided at BEGIN: a read never has to become a write half-way.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

LEDGER_DATABASE = env_database("DATABASE_URL", f"sqlite:///{DATA_DIR}/ledger.sqlite3")
if LEDGER_DATABASE["ENGINE"] == POSTGRESQL:
    LEDGER_DATABASE |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    # Whatever the database's default: what is read under the ledger's lock must be newer than the wait for it.
    LEDGER_DATABASE.setdefault("OPTIONS", {})["isolation_level"] = IsolationLevel.READ_COMMITTED
else:
    LEDGER_DATABASE["OPTIONS"] = SQLITE_WRITER
REPLICA_DATABASE = env_replica("DATABASE_REPLICA_URL", of=LEDGER_DATABASE)

HOMESERVER_ATTACHED = bool(os.environ.get("HOMESERVER_DATABASE_URL", "").strip())
HOMESERVER_KIND = "synapse" if HOMESERVER_ATTACHED else "sample"
HOMESERVER_NAME = env_server_name("HOMESERVER_NAME", None if HOMESERVER_ATTACHED else "matrix.example")
HOMESERVER_URL = env_homeserver_url("HOMESERVER_URL")
HOMESERVER_TOKEN = env_token("HOMESERVER_TOKEN", file=os.environ.get("HOMESERVER_TOKEN_FILE", "").strip())
if bool(HOMESERVER_URL) != bool(HOMESERVER_TOKEN):
    msg = "HOMESERVER_URL and HOMESERVER_TOKEN (or HOMESERVER_TOKEN_FILE) belong together: set both, or neither."
    raise ImproperlyConfigured(msg)
if HOMESERVER_URL and not HOMESERVER_ATTACHED:
    msg = "HOMESERVER_URL needs HOMESERVER_DATABASE_URL too: to act on a homeserver its database has to be read."
    raise ImproperlyConfigured(msg)


def attached(database: dict[str, Any]) -> dict[str, Any]:
    """Make the connection one that can only read, whatever its role may do."""
    if database["ENGINE"] == POSTGRESQL:
        # Short statements only: the homeserver's own work goes first.
        options = "-c default_transaction_read_only=on -c statement_timeout=10s -c lock_timeout=2s"
        connection = {"options": options, "connect_timeout": 5, "application_name": "quarantine-dashboard"}
        # A server that lost its power says nothing: notice within half a minute, not two hours.
        connection |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
        connection |= {"tcp_user_timeout": 30_000}
        connection = database.get("OPTIONS", {}) | connection  # such as sslmode
        return database | {"OPTIONS": connection, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    name = f"file:{quote(database['NAME'])}?mode=ro"
    return database | {
        "ENGINE": "quarantine.homeserver.sqlite",
        "NAME": name,
        "OPTIONS": {"timeout": 5, "init_command": "PRAGMA query_only=1;"},
    }


if HOMESERVER_ATTACHED:
    HOMESERVER_DATABASE = attached(env_database("HOMESERVER_DATABASE_URL"))
else:
    HOMESERVER_DATABASE = {
        "ENGINE": "quarantine.homeserver.sqlite",
        "NAME": str(DATA_DIR / "homeserver.sqlite3"),
        "OPTIONS": SQLITE_WRITER,
    }

DATABASES = {"default": LEDGER_DATABASE, "homeserver": HOMESERVER_DATABASE} | REPLICA_DATABASE
DATABASE_ROUTERS = ["quarantine.homeserver.router.HomeserverRouter"]
if REPLICA_DATABASE:
    DATABASE_ROUTERS += ["dashboard.replica.ReplicaRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The application ----------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "quarantine.homeserver",
    "quarantine",
    "dashboard",
]

MIDDLEWARE = [
    "dashboard.middleware.HeadersMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dashboard.middleware.PackingMiddleware",
    "dashboard.languages.LanguageMiddleware",
    "dashboard.middleware.PagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboard.middleware.SignInMiddleware",
    "dashboard.replica.WrittenMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "dashboard.urls"
WSGI_APPLICATION = "dashboard.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.awaiting.awaiting",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each in its own words
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = (
    "__Host-language" if HTTPS else "language"
)  # chosen on the sign-in page, or a copy of what the account chose
THEME_COOKIE_NAME = "__Host-theme" if HTTPS else "theme"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Shared by all processes, because the throttle of sign-ins counts in it; its table comes with `migrate`.
# What may differ between processes, such as rendered rows, has a cache of its own.
CACHES = {
    "default": {
        "BACKEND": "dashboard.shared_cache.PlainCache",
        "LOCATION": "dashboard_cache",
        # A full cache drops live entries too: it must not be filled by trying many names.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    "rows": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "rows",
        "TIMEOUT": None,  # a change never changes
        "OPTIONS": {"MAX_ENTRIES": 10_000},  # of some 4 kB
    },
}

# --- People -------------------------------------------------------------------------------

AUTH_USER_MODEL = "quarantine.Staff"
# Not allauth's own backend: it tells people with the right password that their account is disabled.
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "dashboard.sign_in.StaffAdapter"
ACCOUNT_FORMS = {"login": "dashboard.sign_in.SignInForm", "change_password": "dashboard.sign_in.PasswordForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True  # for SESSION_COOKIE_AGE; /account/ ends a session earlier
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
# Kept in the session, not in a cookie: what a notice says about media stays on the server.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Failed attempts, by address and by account. "login" would count those that succeed as well.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": "30/10m/ip,10/10m/key"}

# --- Files --------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dashboard.storage.ModuleStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_MAX_AGE = 3600
WHITENOISE_ALLOW_ALL_ORIGINS = False

# --- Security -----------------------------------------------------------------------------

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
# Nobody else learns where we were. Not "no-referrer": browsers then send `Origin: null` with our own forms too.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# __Host-: the browser itself refuses such a cookie from another host, another path or plain HTTP.
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "quarantine_session"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "quarantine_csrf"
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 14 * 86_400
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "dashboard.errors.forged"
# A pasted list of ten thousand media fits; nothing is ever uploaded.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0
# W005 and W021 want HSTS for every subdomain, and preloading: an operator's other subdomains are not ours to bind.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

MEDIA_DOWNLOADS = env_bool("MEDIA_DOWNLOADS", default=False)
# How much of the address of whoever signs in the access record keeps.
ACCESS_RECORD_ADDRESSES = env_choice("ACCESS_RECORD_ADDRESSES", "network", choices=("full", "network", "none"))
BULK_RELEASE_LIMIT = env_number("BULK_RELEASE_LIMIT", 100)  # media items; beyond it takes a lead
TWO_PERSON_RULE = env_bool("TWO_PERSON_RULE", default=False)
TWO_PERSON_LIMIT = env_number("TWO_PERSON_LIMIT", BULK_RELEASE_LIMIT)  # media items; to release more waits for approval
TWO_PERSON_HOURS = env_number("TWO_PERSON_HOURS", 24, lowest=1)  # until what waits expires
MEDIA_PREVIEWS = env_bool("MEDIA_PREVIEWS", default=False)
DEMO_PASSWORD = env("DEMO_PASSWORD", "demo")  # of the demo's accounts; nothing else looks at it

LOGGING = logging_to(env_choice("LOG_FORMAT", "plain", choices=FORMATS))

# --- Alerts -------------------------------------------------------------------------------

PUBLIC_URL = env_address("PUBLIC_URL").rstrip("/")
MAILERS = env_mailer("EMAIL_URL", "smtp://localhost:25")
ALERT_EMAIL_FROM = env_sender("ALERT_EMAIL_FROM", "quarantine@localhost")
ALERT_EMAIL_TO = env_addresses("ALERT_EMAIL_TO")
ALERT_WEBHOOK_URL = env_address("ALERT_WEBHOOK_URL")
ALERT_WEBHOOK_SECRET = env_token("ALERT_WEBHOOK_SECRET", file=os.environ.get("ALERT_WEBHOOK_SECRET_FILE", "").strip())
ALERT_MATRIX_URL = env_address("ALERT_MATRIX_URL", HOMESERVER_URL).rstrip("/")
ALERT_MATRIX_ROOM = env_room("ALERT_MATRIX_ROOM")
ALERT_MATRIX_TOKEN = env_token("ALERT_MATRIX_TOKEN", file=os.environ.get("ALERT_MATRIX_TOKEN_FILE", "").strip())
check_alerts(globals())
