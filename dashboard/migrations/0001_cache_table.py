"""The table of the shared cache, which counts attempts to sign in."""

from django.conf import settings
from django.core.management import call_command
from django.db import migrations


def create_cache_table(_apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


def drop_cache_table(_apps, schema_editor):
    schema_editor.execute(
        schema_editor.sql_delete_table % {"table": schema_editor.quote_name(settings.CACHES["default"]["LOCATION"])}
    )


class Migration(migrations.Migration):
    dependencies = []
    operations = [migrations.RunPython(create_cache_table, drop_cache_table)]
