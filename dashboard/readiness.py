"""Whether what the server stands on is there: tables, static files, the ledger."""

from itertools import chain
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

PREPARE = "Run: manage.py prepare"


def migrations_due() -> bool:
    """Whether the ledger, or the sample homeserver that goes with it, lacks a migration."""
    return any(lacks_migrations(alias) for alias in migrated_aliases())


def migrated_aliases() -> list[str]:
    return ["default"] if settings.HOMESERVER_ATTACHED else ["default", "homeserver"]


def lacks_migrations(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


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
