from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        from dashboard.sign_in_record import connect  # noqa: PLC0415 - models can't be imported before this

        connect()
