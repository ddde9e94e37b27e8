"""The site map."""

from allauth.account.views import logout
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST

from dashboard.views.account import SignInView

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", SignInView.as_view(), name="account_login"),
    path("logout/", require_POST(logout), name="account_logout"),
]
