"""Django's admin, as one would write it in ten minutes: columns, filters, search and dates of the timeline."""

from django.contrib import admin
from django.urls import path

from quarantine.models import Change


class ChangeAdmin(admin.ModelAdmin):
    list_display = ("stream_id", "seen_at", "quarantined", "origin", "media_id", "changed_by", "source", "action")
    list_select_related = ("action",)
    list_filter = ("quarantined", "local", "source", "cause", "media_class")
    search_fields = ("upload_name",)
    ordering = ("-stream_id",)
    list_per_page = 50


site = admin.AdminSite()
site.register(Change, ChangeAdmin)
urlpatterns = [path("admin/", site.urls)]
