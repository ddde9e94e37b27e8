import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("quarantine", "0011_desk"),
    ]

    operations = [
        migrations.AddField(
            model_name="ledger",
            name="identity",
            field=models.UUIDField(default=uuid.uuid4, editable=False),
        ),
    ]
