from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        """Listen to sign-ins; and see that the roles of single sign-on are some, which is known only now."""
        from dashboard.signing_in.sessions import listen  # noqa: PLC0415 - as above
        from dashboard.signing_in.sign_in_record import connect  # noqa: PLC0415 - models can't be imported before this
        from quarantine.models import Role  # noqa: PLC0415 - as above

        connect()
        listen()
        unknown = set(settings.OIDC_ROLES.values()) - set(Role.values)
        if unknown:
            msg = f"OIDC_ROLES names {min(unknown)!r}; the roles are {', '.join(Role.values)}."
            raise ImproperlyConfigured(msg)
