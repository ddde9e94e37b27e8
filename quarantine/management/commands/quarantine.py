"""manage.py quarantine: the same action as in the browser, from a terminal."""

from quarantine.management.acting import ActingCommand
from quarantine.models import Verb


class Command(ActingCommand):
    help = "Quarantine media: shows the plan, asks, does it, and says what is then true."
    verb = Verb.QUARANTINE
