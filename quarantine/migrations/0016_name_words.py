"""An index for words within file names, where the PostgreSQL has trigrams; without them, windows of positions are read.

The extension is a trusted one: whoever owns the database may create it. Where the role may not, an
administrator can, and `prepare` builds the index then.
"""

from django.db import migrations

from quarantine.name_words import build, drop


class Migration(migrations.Migration):
    atomic = False  # built beside those who write

    dependencies = [
        ("quarantine", "0015_roles"),
    ]

    operations = [
        migrations.RunPython(
            lambda _apps, editor: build(editor.connection), lambda _apps, editor: drop(editor.connection)
        ),
    ]
