"""What stands in an evidence file besides the records: the report for people, and how to check all of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard.exports.change_json import timestamp
from dashboard.wording import times
from dashboard.wording.text import plain
from quarantine.models import AccessEntry, Action, Change, Reveal

SHORT = 500  # characters of one value in a table

README = """\
Evidence: {title}
Ledger of {homeserver}, {identity}
Made {made} by {by}

What is in here
---------------
report.html      for people: open it in a browser. It loads nothing and runs nothing.
*.ndjson         the same records for programs, one JSON object a line: "record" is what is told, "seal" what vouches for it.
manifest.json    what this is about, when and by whom it was made, the heads of the chains then, and the sha256 of each file.
SHA256SUMS       the same sums for sha256sum.
There is no media in here. Where a value reads [redacted] it was blanked by law; what vouches for it still does.

Are these the files that were made?
-----------------------------------
    sha256sum -c SHA256SUMS

Do the records fit their seals?
-------------------------------
Of each record, "content" is a JSON array of its plain values in a fixed order, then one commitment for each personal
value: sha256(salt, value), or "" where there was nothing. "digest" is the sha256 of that text. "chain" is the sha256
of one line: the chain value before it ("previous"), what was given under the lock (the position; a change's time too,
in microseconds since 1970), and the digest, with single spaces. "plain" names the plain values. Where the record tells
one of the same name, they have to be the same. Not sealed are the names of accounts (their numbers are), "mxc" (its two
parts are), a change's "reason" (it is its action's), and how an action ended and who ruled on it.
With Python, for each of the .ndjson files:

    python3 - changes.ndjson <<'END'
    import datetime, hashlib, json, sys
    def same(told, value):
        if isinstance(told, str) and isinstance(value, int):
            told, value = round(datetime.datetime.fromisoformat(told).timestamp() * 1000), value // 1000
        return told == value
    def sha256(data): return hashlib.sha256(data).hexdigest()
    for number, line in enumerate(open(sys.argv[1], encoding="utf-8"), 1):
        record, seal = json.loads(line).values()
        if seal is None:
            print(number, "unsealed: recorded before there were seals")
            continue
        link = " ".join(map(str, [seal["previous"], *seal["given"], seal["digest"]]))
        fits = sha256(seal["content"].encode()) == seal["digest"] and sha256(link.encode()) == seal["chain"]
        content = json.loads(seal["content"] or "[]")
        plain = list(zip(seal["plain"], content))
        plain += [(next(iter(record)), seal["given"][0]), ("seen_at", seal["given"][-1])]
        fits = fits and all(same(record[name], value) for name, value in plain if name in record)
        commitments = content[len(seal["plain"]):]
        for (name, told), commitment in zip(seal["personal"].items(), commitments):
            if told is None:
                fits = fits and record[name] == ("[redacted]" if commitment else "")
                continue
            fits = fits and commitment == sha256(bytes.fromhex(told["salt"]) + told["value"].encode())
            fits = fits and record[name] == told["value"]
        print(number, "fits" if fits else "DOES NOT FIT")
    END

Are they in the ledger, unchanged since?
----------------------------------------
Only whoever holds the ledger can show that: "manage.py verify --expect TABLE:POSITION:CHAIN" with the last record's
values, or with the heads in manifest.json. A head that was kept elsewhere at the time is worth more than one in here.
"""

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1>
<p>From the ledger of {homeserver}, made {made} by {by}. All times are UTC. README.txt says how to check this.</p>
"""
COLUMNS: dict[type, tuple[str, ...]] = {
    Change: (
        "Position", "Recorded", "Not before", "State", "Media", "By", "Source", "Cause", "Reason", "File name", "Type",
        "Bytes", "Uploader", "sha256", "Chain value",
    ),
    Action: ("Number", "Made", "Ended", "Verb", "Cause", "Target", "Category", "Reason", "By", "State", "Outcome", "Chain value"),
    Reveal: ("Number", "When", "Media", "By", "Chain value"),
    AccessEntry: ("Number", "When", "What", "Who", "About", "Details", "From", "Chain value"),
}  # fmt: skip


def readme(facts: dict[str, Any]) -> str:
    return README.format(**told(facts))


def head(facts: dict[str, Any]) -> SafeString:
    return format_html(HEAD, **told(facts))


def told(facts: dict[str, Any]) -> dict[str, str]:
    """Without hidden characters: a title holds what strangers named their media, and could go on like a README."""
    return {name: plain(str(value)) for name, value in facts.items()}


def table_begins(title: str, columns: Sequence[str]) -> SafeString:
    cells = format_html_join("", '<th scope="col">{}</th>', ((column,) for column in columns))
    return format_html('<h2>{}</h2>\n<table border="1">\n<thead><tr>{}</tr></thead>\n<tbody>\n', title, cells)


def table_ends(rows: int) -> str:
    return f"</tbody></table>\n<p>{rows:,} rows.</p>\n" if rows else "</tbody></table>\n<p>None.</p>\n"


def lines(records: Iterable[Any]) -> SafeString:
    return format_html_join("\n", "<tr>{}</tr>", ((cells(record),) for record in records))


def cells(record: Any) -> SafeString:
    texts = [plain(str(value)) for value in [*VALUES[type(record)](record), chain_of(record)]]
    return format_html_join("", "<td>{}</td>", ((text[:SHORT],) for text in texts))


def chain_of(record: Any) -> str:
    return bytes(record.chain).hex() if record.chain else "unsealed"


def of_change(change: Change) -> list[Any]:
    return [
        change.pk, timestamp(change.seen_at), timestamp(change.not_before) if change.not_before else "not known",
        change.state.value, change.mxc, change.changed_by or "not known", change.source, change.cause,
        change.action.reason if change.action else "", change.upload_name, change.media_type,
        "" if change.media_length is None else change.media_length, change.uploader, change.sha256 or "",
    ]  # fmt: skip


def of_action(action: Action) -> list[Any]:
    ended = action.work.ended_at
    outcome = ", ".join(f"{name} {number}" for name, number in action.work.outcome.items() if number)
    return [
        action.pk, timestamp(action.created_at), times.iso(ended) if ended else "", action.verb, action.cause,
        action.target, action.category, action.reason, action.staff.username, action.work.status, outcome,
    ]  # fmt: skip


def of_reveal(reveal: Reveal) -> list[Any]:
    return [reveal.pk, timestamp(reveal.revealed_at), reveal.mxc, reveal.staff.username]


def of_entry(entry: AccessEntry) -> list[Any]:
    return [entry.pk, timestamp(entry.at), entry.what, entry.who, entry.target, entry.details, entry.address]


VALUES: dict[type, Any] = {Change: of_change, Action: of_action, Reveal: of_reveal, AccessEntry: of_entry}
