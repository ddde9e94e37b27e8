"""manage.py release: the same action as in the browser, from a terminal."""

from quarantine.management.acting import ActingCommand
from quarantine.models import Verb


class Command(ActingCommand):
    help = "Release media from quarantine: shows the plan, asks, does it, and says what is then true."
    verb = Verb.RELEASE
