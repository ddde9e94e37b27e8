"""The kinds of reasons that staff choose from; leads edit them."""

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import require
from quarantine.acting.actions import ActionError
from quarantine.entries import UNSTORABLE
from quarantine.models import Access, Capability, Category, Staff

LABEL_LENGTH = 64


def add_category(*, label: str, staff: Staff) -> Category:
    """Offer another kind of reason, last in the list. Raises ActionError."""
    require(staff, Capability.MANAGE_REASONS)
    label = check_label(label)
    slug = slugify(label)[:LABEL_LENGTH]
    if not slug or Category.objects.filter(slug=slug).exists():
        msg = gettext("There is a kind of reason like {label!r} already, or its name has no letters.").format(
            label=label
        )
        raise ActionError(msg)
    last = Category.objects.order_by("-order").values_list("order", flat=True).first()
    with transaction.atomic():
        category = Category.objects.create(slug=slug, label=label, order=(last or 0) + 1)
        record(Access.REASONS_CHANGED, by=staff, target=slug, after=told(category))
    return category


def change_category(category: Category, *, label: str, retired: bool, staff: Staff) -> None:
    """Rename it, or offer it no longer; what was recorded under it stays so. Raises ActionError."""
    require(staff, Capability.MANAGE_REASONS)
    others = Category.objects.filter(retired=False).exclude(slug=category.slug)
    if retired and not others.exists():
        msg = gettext("One kind of reason has to stay.")
        raise ActionError(msg)
    before = told(category)
    category.label, category.retired = check_label(label), retired
    if told(category) == before:
        return
    with transaction.atomic():
        category.save(update_fields=["label", "retired"])
        record(Access.REASONS_CHANGED, by=staff, target=category.slug, before=before, after=told(category))


def told(category: Category) -> dict[str, object]:
    return {"label": category.label, "offered": not category.retired}


def check_label(label: str) -> str:
    label = UNSTORABLE.sub("", label).strip()
    if not label or len(label) > LABEL_LENGTH:
        msg = gettext("A kind of reason needs a name of at most {number} characters.").format(number=LABEL_LENGTH)
        raise ActionError(msg)
    return label
