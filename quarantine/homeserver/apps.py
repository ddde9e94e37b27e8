from django.apps import AppConfig


class HomeserverConfig(AppConfig):
    name = "quarantine.homeserver"
    label = "homeserver"
