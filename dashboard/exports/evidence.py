"""Evidence as a zip, streamed: records, a report, sums, and how to check them. Never the media itself."""

import hashlib
import io
import json
import zipfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.functional import cached_property

from dashboard.exports import evidence_text
from dashboard.exports.action_exports import action_json
from dashboard.exports.change_json import change_json, timestamp
from dashboard.exports.record_filters import entry_json
from quarantine import ledger
from quarantine.chain.evidence import Found, Subject, voucher
from quarantine.models import AccessEntry, Action, Change, Reveal

FILES = {
    "ledger": "changes.ndjson",
    "actions": "actions.ndjson",
    "reveals": "reveals.ndjson",
    "access": "access.ndjson",
}
TITLES = {"ledger": "Changes", "actions": "Actions", "reveals": "Looks at the file", "access": "Access record"}
ZIP = "zip"


class Sink(io.RawIOBase):
    """Where the zip is written to, and taken from as it grows."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self.parts = b"".join(self.parts), []
        return taken


@dataclass(kw_only=True)
class Evidence:
    """One zip. `chunks` may be advanced from any thread, one at a time."""

    subject: Subject
    found: list[Found]
    by: str
    form: str = ZIP
    rows: int = field(default=0, init=False)
    files: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    @cached_property
    def facts(self) -> dict[str, Any]:
        held = ledger.current()
        return {
            "title": self.subject.title,
            "homeserver": held.homeserver_name,
            "identity": str(held.identity),
            "made": timestamp(datetime.now(UTC)),
            "by": self.by,
        }

    def chunks(self) -> Generator[bytes]:
        """The whole file, as it grows. The heads are read first: they are at or above all that is in it."""
        heads = {each.table.name: head_of(each) for each in self.found}
        sink = Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in self.found:
                yield from self.file(archive, sink, FILES[each.table.name], self.records(each))
            yield from self.file(archive, sink, "report.html", self.report())
            yield from self.file(archive, sink, "README.txt", [evidence_text.readme(self.facts)])
            manifest = self.facts | {"records": self.rows, "heads": heads, "files": self.files}
            yield from self.file(archive, sink, "manifest.json", [json.dumps(manifest, indent=1) + "\n"])
            sums = "".join(f"{told['sha256']}  {name}\n" for name, told in self.files.items())
            yield from self.file(archive, sink, "SHA256SUMS", [sums])
        yield sink.take()

    def file(self, archive: zipfile.ZipFile, sink: Sink, name: str, texts: Iterable[str]) -> Generator[bytes]:
        digest, size = hashlib.sha256(), 0
        with archive.open(name, "w", force_zip64=True) as out:
            for text in texts:
                data = text.encode()
                out.write(data)
                digest.update(data)
                size += len(data)
                if grown := sink.take():
                    yield grown
        self.files[name] = {"sha256": digest.hexdigest(), "bytes": size}

    def records(self, found: Found) -> Iterator[str]:
        for window in found.rows():
            self.rows += len(window)
            told = ({"record": record_json(row), "seal": voucher(found.table, row, before)} for row, before in window)
            yield "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told)

    def report(self) -> Iterator[str]:
        yield evidence_text.head(self.facts)
        for each in self.found:
            yield evidence_text.table_begins(TITLES[each.table.name], evidence_text.COLUMNS[each.table.model])
            rows = 0
            for window in each.rows():
                rows += len(window)
                yield evidence_text.lines(row for row, _ in window) + "\n"
            yield evidence_text.table_ends(rows)
        yield "</body></html>\n"


def head_of(found: Found) -> str | None:
    """As `manage.py verify --expect` takes it."""
    table = found.table
    begins = table.begins()
    if begins is None:
        return None  # known without looking for one through all the rows from before there were seals
    sealed = table.objects().filter(**{f"{table.key}__gte": begins}).exclude(chain=None)
    last = sealed.order_by(f"-{table.key}").values_list(table.key, "chain").first()
    return f"{table.name}:{last[0]}:{bytes(last[1]).hex()}" if last else None


def record_json(record: Any) -> dict[str, Any]:
    match record:
        case Change():
            return change_json(record)
        case Action():
            return action_json(record)
        case AccessEntry():
            return entry_json(record)
        case Reveal():
            told = {"number": record.pk, "revealed_at": timestamp(record.revealed_at), "mxc": str(record.mxc)}
            return told | {"origin": record.origin, "media_id": record.media_id, "staff": record.staff.username}
    raise TypeError(record)
