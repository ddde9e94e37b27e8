"""dashboard.settings as the tests run it; DJANGO_SETTINGS_MODULE of pytest."""

import os

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from tests import environment

for name in environment.declared_variables():
    os.environ.pop(name, None)
os.environ.update(environment.BASE)

from dashboard.settings import *  # noqa: E402, F403 - it reads the environment made above


class QuickHasher(PBKDF2PasswordHasher):
    """One iteration: passwords set by a test are cheap here and still known to the real server's hasher."""

    iterations = 1


PASSWORD_HASHERS = ["tests.settings.QuickHasher"]
INSTALLED_APPS += ["allauth.socialaccount.providers.openid_connect"]  # noqa: F405 - as with a provider, which some tests have
# Looked up as they are asked for: every test makes a client, and reading all files took each one 0.1 s.
WHITENOISE_AUTOREFRESH = True
