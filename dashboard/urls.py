"""The site map."""

from allauth.account.views import logout
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST

from dashboard.views.account import PasswordView, SignInView, account, end_others, end_session

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", SignInView.as_view(), name="account_login"),
    path("logout/", require_POST(logout), name="account_logout"),
    path("account/", account, name="account"),
    path("account/password/", PasswordView.as_view(), name="account_change_password"),
    path("account/sessions/end-others/", end_others, name="session-end-others"),
    path("account/sessions/<int:number>/end/", end_session, name="session-end"),
]
