from django.db import migrations, models


class Migration(migrations.Migration):
    """Two more roles. Nothing in the database changes: the choices are the code's."""

    dependencies = [
        ("quarantine", "0014_reveal"),
    ]

    operations = [
        migrations.AlterField(
            model_name="staff",
            name="role",
            field=models.CharField(
                choices=[
                    ("viewer", "Viewer"),
                    ("moderator", "Moderator"),
                    ("lead", "Lead"),
                    ("admin", "Admin"),
                    ("auditor", "Auditor"),
                ],
                default="viewer",
                max_length=16,
            ),
        ),
    ]
