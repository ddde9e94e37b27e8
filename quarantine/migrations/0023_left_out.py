from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quarantine", "0022_words")]

    operations = [migrations.AddField("ledger", "left_out", models.BigIntegerField(db_default=0, default=0))]
