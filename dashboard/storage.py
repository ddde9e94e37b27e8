"""Static files under names that change with their content."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

FIRST_SHEET = "css/tokens.css"  # it declares the order of the layers: that of the others doesn't matter
ALL_SHEETS = "css/all.css"


class ModuleStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites `import "./copy.js"` inside modules, which the default leaves unhashed, and puts our
    style sheets together: fifty requests, each with its headers, weighed more than the rules in them.
    """

    support_js_module_import_aggregation = True

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        if not dry_run:
            sheets = (Path(self.path(path)).read_text() for path in ordered(paths))
            Path(self.path(ALL_SHEETS)).write_text("".join(sheets))
            paths[ALL_SHEETS] = (self, ALL_SHEETS)
        yield from super().post_process(paths, dry_run, **options)


def ordered(paths: dict[str, Any]) -> list[str]:
    """Our style sheets among these files, in the order in which they are to be loaded."""
    ours = (path for path in paths if path.startswith("css/") and path.endswith(".css") and path != ALL_SHEETS)
    return sorted(ours, key=lambda path: (path != FIRST_SHEET, path))
