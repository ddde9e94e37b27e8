"""Names of media in addresses. Ids are whatever strangers sent: slashes, dots, blanks, line breaks."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from quarantine.models import AlertKind

MARK = "~"  # what follows is base64


class NameConverter:
    """A media id or a server name. Percent-encoding serves for nearly all.

    Browsers and proxies rewrite some paths even so (".", "..", "//", control characters):
    names with those go as "~" and base64. Raises ValueError, hence 404, for what no database stores.
    """

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        name = decoded(value) if value.startswith(MARK) else value
        if "\0" in name:
            msg = "NUL in a name"
            raise ValueError(msg)
        return name

    def to_url(self, value: str) -> str:
        return value if self.is_plain(value) else MARK + urlsafe_b64encode(value.encode()).decode().rstrip("=")

    def is_plain(self, name: str) -> bool:
        parts = name.split("/")
        return not {"", ".", ".."}.intersection(parts) and name.isprintable() and name[0] not in MARK


class OriginConverter(NameConverter):
    """The same for what stands before another name, and so may hold no slash."""

    regex = "[^/]+"

    def is_plain(self, name: str) -> bool:
        return "/" not in name and super().is_plain(name)


class PlainNameConverter(NameConverter):
    """A media id where programs ask for it as they would ask Synapse: what looks like our own code is a name."""

    def to_python(self, value: str) -> str:
        if "\0" in value:
            msg = "NUL in a name"
            raise ValueError(msg)
        return value

    def to_url(self, value: str) -> str:
        return value


class PlainOriginConverter(PlainNameConverter):
    regex = "[^/]+"


def decoded(value: str) -> str:
    """What follows the mark; a name that merely begins with one comes back as it is."""
    try:
        code = value.removeprefix(MARK)
        return urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode()
    except (Base64Error, UnicodeDecodeError):
        return value


class WordConverter:
    """One of a few words."""

    regex = ""

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class ExportFormConverter(WordConverter):
    regex = "csv|json|ndjson"


class RunKindConverter(WordConverter):
    regex = "backfill|audit"


class ControlConverter(WordConverter):
    """What can be wished of an action under way."""

    regex = "pause|resume|cancel"


class AlertKindConverter(WordConverter):
    regex = "|".join(AlertKind.values)
