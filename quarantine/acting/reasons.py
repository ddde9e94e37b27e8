"""The kinds of reasons that staff choose from; leads edit them."""

from django.utils.text import slugify
from django.utils.translation import gettext

from quarantine.accounts.staff import require
from quarantine.acting.actions import ActionError
from quarantine.entries import UNSTORABLE
from quarantine.models import Capability, Category, Staff

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
    return Category.objects.create(slug=slug, label=label, order=(last or 0) + 1)


def change_category(category: Category, *, label: str, retired: bool, staff: Staff) -> None:
    """Rename it, or offer it no longer; what was recorded under it stays so. Raises ActionError."""
    require(staff, Capability.MANAGE_REASONS)
    others = Category.objects.filter(retired=False).exclude(slug=category.slug)
    if retired and not others.exists():
        msg = gettext("One kind of reason has to stay.")
        raise ActionError(msg)
    category.label, category.retired = check_label(label), retired
    category.save(update_fields=["label", "retired"])


def check_label(label: str) -> str:
    label = UNSTORABLE.sub("", label).strip()
    if not label or len(label) > LABEL_LENGTH:
        msg = gettext("A kind of reason needs a name of at most {number} characters.").format(number=LABEL_LENGTH)
        raise ActionError(msg)
    return label
