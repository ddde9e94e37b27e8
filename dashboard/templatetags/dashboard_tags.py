"""Formatting for templates; nothing here asks a database."""

from collections.abc import Mapping
from functools import cache
from itertools import batched

from django import template
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.templatetags.static import static
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, gettext_lazy

from dashboard.links import address_of, filter_url, plan_url
from dashboard.recorded import recorded
from dashboard.storage import ALL_SHEETS, ordered
from dashboard.wording import text, times
from dashboard.wording.languages import languages as known_languages
from dashboard.wording.script_words import script_words
from quarantine.models import Capability, Staff

LONGEST_SHOWN = 500  # characters
PAGES = (
    ("timeline", gettext_lazy("Timeline"), Capability.READ),
    ("insights", gettext_lazy("Insights"), Capability.READ),
    ("action-list", gettext_lazy("Activity"), Capability.READ),
    ("alert-list", gettext_lazy("Alerts"), Capability.READ),
    ("reasons", gettext_lazy("Reasons"), Capability.READ_REASONS),
    ("backfill", gettext_lazy("Backfill"), Capability.READ_OPERATIONS),
    ("consumer-list", gettext_lazy("Consumers"), Capability.READ_OPERATIONS),
    ("access-record", gettext_lazy("Access record"), Capability.READ_ACCESS_RECORD),
)

register = template.Library()

register.simple_tag(filter_url)
register.simple_tag(plan_url)
register.filter("visible", text.visible)
register.filter("plain", text.plain)
register.filter("file_name", text.file_name)
register.filter("identifier", text.identifier)
register.filter("initials", text.initials)
register.filter("recorded", recorded)
register.filter("mid_sentence", text.mid_sentence)
register.filter("size", text.size)
register.filter("whole", text.whole)
register.filter("type_label", text.type_label)
register.filter("type_icon", text.type_icon)
register.filter("iso", times.iso)
register.filter("full_time", times.full)
register.filter("short_time", times.short)
register.filter("duration", times.duration)
register.filter("from_ms", times.from_ms)


@register.filter
def shortened(value: str) -> str:
    """For a cell of a table: exports have it whole."""
    return text.cut_middle(value, LONGEST_SHOWN)


@register.filter
def fours(key: str) -> list[str]:
    """For eyes that go to and fro between a screen and a telephone."""
    return ["".join(four) for four in batched(key, 4)]


@register.filter
def given(values: Mapping[str, str], name: str) -> str:
    """What a mapping, such as a query string, has under this name; empty where nothing."""
    return values.get(name) or ""


@register.filter
def may(user: object, capability: str) -> bool:
    """Whether whoever looks at the page may do this: the value of a Capability."""
    return isinstance(user, Staff) and user.may(Capability(capability))


@register.filter
def plus(number: float, other: float) -> float:
    """For coordinates."""
    return round(number + other, 1)


@register.filter
def weekday(number: int) -> str:
    """Its short name; 0 is Monday."""
    return str(WEEKDAYS_ABBR[number])


@register.filter(name="times")
def times_(number: float, other: float) -> float:
    """For coordinates."""
    return number * other


@register.simple_tag
@cache
def icon(name: str, extra: str = "") -> SafeString:
    """A symbol of the sprite. Decoration: the word beside it says the same."""
    css = f"icon {extra}".strip()
    sprite = static("icons.svg")
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}#i-{}"></use></svg>', css, sprite, name)


@register.simple_tag
@cache
def stylesheets() -> SafeString:
    """Links to our style sheets: made once, because their names change only with the code."""
    names = [ALL_SHEETS]
    if settings.DEBUG:  # then they are served from where they are
        names = ordered({path: None for finder in get_finders() for path, _ in finder.list([])})
    return format_html_join("\n", '<link rel="stylesheet" href="{}">', ((static(name),) for name in names))


@cache
def copy_title(what: str, language: str | None) -> str:
    """A few words, dozens of times on each page."""
    return gettext("Copy {what}").format(what=what)


@register.simple_tag
def copy_button(value: object, what: str) -> SafeString:
    """For the clipboard; shown where scripts run."""
    title = copy_title(str(what), get_language())
    return format_html(
        '<button class="copy" type="button" data-copy="{}" aria-label="{}" title="{}">{}</button>',
        value,
        title,
        title,
        icon("copy"),
    )


@register.simple_tag(name="script_words")
def script_words_() -> str:
    """What scripts say, as JSON."""
    return script_words(get_language() or settings.LANGUAGE_CODE)


@register.simple_tag
def languages() -> dict[str, str]:
    """Those there are: code, and what each calls itself."""
    return known_languages()


@register.simple_tag
def homeserver_name() -> str:
    return settings.HOMESERVER_NAME


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    """The theme somebody chose; empty for the system's."""
    chosen = context["request"].COOKIES.get(settings.THEME_COOKIE_NAME, "") if "request" in context else ""
    return chosen if chosen in {"light", "dark"} else ""


@register.simple_tag(takes_context=True)
def nav_links(context: template.Context) -> list[tuple[str, str, str]]:
    """View name, label and address of the main pages that this person may open."""
    user = context.get("user")
    return [
        (name, str(label), address_of(name))
        for name, label, needed in PAGES
        if isinstance(user, Staff) and user.may(needed)
    ]
