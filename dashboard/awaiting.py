"""For every page's header: how much waits for whoever looks at it."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from quarantine.acting import approvals
from quarantine.models import Staff


def awaiting(request: HttpRequest) -> dict[str, object]:
    """A context processor; asks nothing where the two-person rule is off, or until a template does."""
    staff = getattr(request, "user", None)
    if not settings.TWO_PERSON_RULE or not isinstance(staff, Staff):
        return {}
    return {"awaiting": SimpleLazyObject(lambda: approvals.awaiting(staff))}
