"""Whether the static files are collected. The databases: quarantine.preparation."""

from itertools import chain
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders


def static_files_due() -> bool:
    """Whether a static file is missing among the collected ones, or newer than its copy: what collectstatic goes by."""
    if settings.DEBUG:
        return False  # they are served from where they are
    root = Path(settings.STATIC_ROOT)
    found = chain.from_iterable(finder.list(StaticFilesConfig.ignore_patterns) for finder in get_finders())
    return not (root / "staticfiles.json").is_file() or any(
        is_stale(root / copied_name(path, storage), original=Path(storage.path(path))) for path, storage in found
    )


def copied_name(path: str, storage: object) -> str:
    prefix = getattr(storage, "prefix", None)
    return f"{prefix}/{path}" if prefix else path


def is_stale(copy: Path, *, original: Path) -> bool:
    return not copy.is_file() or int(original.stat().st_mtime) > int(copy.stat().st_mtime)
