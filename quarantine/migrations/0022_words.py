from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quarantine", "0016_name_words")]

    operations = [
        migrations.AddField(
            "staff", "language", models.CharField(blank=True, db_default="", default="", max_length=16)
        ),
        migrations.AddField("staff", "local_times", models.BooleanField(db_default=False, default=False)),
    ]
