"""Evidence for whoever may export: of one media item, one user or one action, as a zip."""

from http import HTTPStatus

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from dashboard.exports.evidence import Evidence
from dashboard.exports.evidence_subjects import KINDS, subject_of
from dashboard.signing_in.admission import admission
from dashboard.views.exports import opening, problem
from dashboard.wording.languages import in_english
from quarantine.chain.evidence import NoEvidenceError, find
from quarantine.models import Access, Capability, Staff

NEEDS = {"reveals": Capability.READ_REVEALS, "access": Capability.READ_ACCESS_RECORD}


@require_GET
@in_english
def evidence(request: HttpRequest) -> HttpResponseBase:
    """`media`, `user` or `action` says of what. Looks and the access record are in it for whoever may read those."""
    admitted = admission(request, Capability.EXPORT)
    staff = request.user
    if admitted is None or not isinstance(staff, Staff):
        return problem("M_FORBIDDEN", gettext("Your account may not read this."), HTTPStatus.FORBIDDEN)
    if len(request.GET) != 1 or not set(request.GET) <= set(KINDS):
        return problem("M_INVALID_PARAM", gettext("Say of what: media, user or action."), HTTPStatus.BAD_REQUEST)
    [(kind, text)] = request.GET.items()
    leave_out = [name for name, needed in NEEDS.items() if not staff.may(needed)]
    try:
        subject = subject_of(kind, str(text))
        found = find(subject, leave_out=leave_out)
    except ValidationError as error:
        return problem("M_INVALID_PARAM", " ".join(error.messages), HTTPStatus.BAD_REQUEST)
    except NoEvidenceError:
        return problem("M_NOT_FOUND", gettext("Nothing is on record of this."), HTTPStatus.NOT_FOUND)
    file = Evidence(subject=subject, found=found, by=staff.username)
    return opening(request, file, name=f"evidence-{subject.name}", admitted=admitted, what=Access.EVIDENCE)
