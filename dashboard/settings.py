"""The one settings module. Everything an operator may choose is an environment variable.

A missing or malformed value stops the start with a sentence that names it.
"""

import hashlib
import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

from dashboard.configuration.alert_environment import (
    check_alerts,
    env_address,
    env_addresses,
    env_mailer,
    env_room,
    env_sender,
)
from dashboard.configuration.databases import SHARED_CACHES, SQLITE_WRITER, attached, ledger
from dashboard.configuration.environment import (
    env,
    env_bool,
    env_choice,
    env_database,
    env_folder,
    env_homeserver_url,
    env_hosts,
    env_networks,
    env_number,
    env_origins,
    env_replica,
    env_secret,
    env_server_name,
    env_token,
)
from dashboard.configuration.oidc_settings import check_single_sign_on, env_issuer, env_roles, origin_of
from dashboard.serving.logs import FORMATS, logging_to

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

LEDGER_DATABASE = ledger(env_database("DATABASE_URL", f"sqlite:///{DATA_DIR}/ledger.sqlite3"))
# The longest that a statement of the pages may take on it; 0: as long as it takes. See dashboard.wsgi.
DATABASE_STATEMENT_SECONDS = env_number("DATABASE_STATEMENT_SECONDS", 30, lowest=0, highest=3_600)
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
    "allauth.mfa",
    "allauth.socialaccount",
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
    "dashboard.wording.languages.LanguageMiddleware",
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
    "dashboard.middleware.FreshnessMiddleware",
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

CACHES = SHARED_CACHES

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
ACCOUNT_ADAPTER = "dashboard.signing_in.sign_in.StaffAdapter"
ACCOUNT_FORMS = {
    "login": "dashboard.signing_in.sign_in.SignInForm",
    "change_password": "dashboard.signing_in.sign_in.PasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True  # no question about it: `session_store` knows when a session ends
# How long after showing who one is dangerous things can be done without showing it again; 0: always.
REAUTH_MINUTES = env_number("REAUTH_MINUTES", 15, lowest=0, highest=1440)
ACCOUNT_REAUTHENTICATION_TIMEOUT = 60 * REAUTH_MINUTES
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
# Kept in the session, not in a cookie: what a notice says about media stays on the server.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Failed attempts, by account and, from browsers nobody signed in from, by address. "login" would count those that succeed as well.
ACCOUNT_RATE_LIMITS = {
    "login": None,
    "login_failed": "10/10m/key",
    "login_failed_from": "30/10m/ip",
    "sso_begin": "60/m/ip",
}

MFA_REQUIRED = env_bool("MFA_REQUIRED", default=False)
MFA_ADAPTER = "dashboard.signing_in.factors.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = f"Quarantine {HOMESERVER_NAME}"
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_PASSKEY_LOGIN_ENABLED = True
# Two requests a sign-in, and a whole office may come from one address.
MFA_RATE_LIMITS = {"webauthn_login": "60/m/ip"}
# Browsers offer passkeys to plain http on localhost alone, where HTTPS=off is for trying things out.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS

# --- Single sign-on -----------------------------------------------------------------------

OIDC_ISSUER = env_issuer("OIDC_ISSUER")
OIDC_NAME = env("OIDC_NAME", "single sign-on")
OIDC_ROLE_CLAIM = env("OIDC_ROLE_CLAIM", "groups")
OIDC_ROLES = env_roles("OIDC_ROLES")
OIDC_ORIGINS = env_origins("OIDC_ORIGINS")
# How long a session that began there goes on without the provider's word; 0: as long as any.
OIDC_SESSION_MINUTES = env_number("OIDC_SESSION_MINUTES", 60, lowest=0, highest=20_160)
SSO_ONLY = env_bool("SSO_ONLY", default=False)
OIDC_APP = {
    "name": OIDC_NAME,
    "client_id": env("OIDC_CLIENT_ID", "" if not OIDC_ISSUER else None),
    "secret": env_token("OIDC_CLIENT_SECRET", file=os.environ.get("OIDC_CLIENT_SECRET_FILE", "").strip()),
    # Of the issuer: another one's ids of people must never lead to accounts of this one.
    "provider_id": f"oidc-{hashlib.sha256(OIDC_ISSUER.encode()).hexdigest()[:16]}",
    "settings": {"server_url": OIDC_ISSUER.rstrip("/"), "scope": env("OIDC_SCOPES", "openid profile").split()},
}
check_single_sign_on(issuer=OIDC_ISSUER, roles=OIDC_ROLES, only=SSO_ONLY)
if OIDC_ISSUER:  # it takes long to load
    INSTALLED_APPS += ["allauth.socialaccount.providers.openid_connect"]
OIDC_PROVIDER_ID = OIDC_APP["provider_id"]
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [OIDC_APP] if OIDC_ISSUER else []}}
SOCIALACCOUNT_ADAPTER = "dashboard.signing_in.single_sign_on.ProviderAdapter"

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
    # A form begins single sign-on, and browsers ask of each place it is led on to.
    "form-action": [CSP.SELF, *filter(None, [origin_of(OIDC_ISSUER)]), *OIDC_ORIGINS],
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
DEVICE_COOKIE_NAME = "__Host-device" if HTTPS else "quarantine_device"
UNSENT_COOKIE_NAME = "__Host-unsent" if HTTPS else "quarantine_unsent"
SESSION_ENGINE = "dashboard.signing_in.session_store"
SESSION_IDLE_MINUTES = env_number("SESSION_IDLE_MINUTES", 120, lowest=0, highest=20_160)  # 0: no such limit
SESSION_MAX_HOURS = env_number("SESSION_MAX_HOURS", 12, lowest=1, highest=336)
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
