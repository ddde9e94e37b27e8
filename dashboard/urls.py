"""The site map."""

from allauth.account.views import logout
from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, path, register_converter
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import errors
from dashboard.converters import (
    AlertKindConverter,
    ControlConverter,
    ExportFormConverter,
    NameConverter,
    OriginConverter,
    PlainNameConverter,
    PlainOriginConverter,
    RunKindConverter,
)
from dashboard.late import late
from dashboard.machines.changes_api import quarantine_changes
from dashboard.views import live, machines, system
from dashboard.views.access_record import access_record, access_record_export
from dashboard.views.account import PasswordView, SignInView, account, end_others, end_session, preferences
from dashboard.views.actions import action_control, action_detail, action_export, action_list, action_new, action_undo
from dashboard.views.alerts import (
    alert_acknowledge,
    alert_count,
    alert_detail,
    alert_list,
    alert_mute,
    alert_rule_change,
    alert_rules_page,
    alert_unmute,
)
from dashboard.views.approvals import action_approve, action_decline, action_withdraw
from dashboard.views.backfill import backfill, pause_run, start_run
from dashboard.views.consumers import consumer_add, consumer_list, consumer_revoke
from dashboard.views.evidence import evidence
from dashboard.views.exports import export
from dashboard.views.finding import facets, find
from dashboard.views.insights import insights
from dashboard.views.language import language
from dashboard.views.media import media_detail
from dashboard.views.previews import preview
from dashboard.views.reasons import reason_add, reason_change, reasons, requarantine
from dashboard.views.saved_views import saved_views, view_add, view_change, view_delete
from dashboard.views.theme import theme
from dashboard.views.timeline import timeline

as_forms = require_http_methods(["GET", "HEAD", "POST"])  # Django's form views take a PUT for a POST

handler400 = errors.bad_request
handler403 = errors.not_allowed
handler404 = errors.not_found
handler500 = errors.server_error

register_converter(OriginConverter, "origin")
register_converter(NameConverter, "name")
register_converter(PlainOriginConverter, "plain_origin")
register_converter(PlainNameConverter, "plain_name")
register_converter(AlertKindConverter, "alert_kind")
register_converter(RunKindConverter, "run_kind")
register_converter(ControlConverter, "control")
register_converter(ExportFormConverter, "export_form")

urlpatterns: list[URLPattern | URLResolver] = [
    path("", timeline, name="timeline"),
    path("find/", find, name="find"),
    path("facets/<slug:name>/", facets, name="facets"),
    path("views/", saved_views, name="saved-views"),
    path("views/add/", view_add, name="view-add"),
    path("views/<int:number>/change/", view_change, name="view-change"),
    path("views/<int:number>/delete/", view_delete, name="view-delete"),
    path("media/<origin:origin>/<name:media_id>/", media_detail, name="media-detail"),
    path("previews/<origin:origin>/<name:media_id>/", preview, name="preview"),
    path("actions/", action_list, name="action-list"),
    path("actions.<export_form:form>", action_export, name="action-export"),
    path("actions/new/", action_new, name="action-new"),
    path("actions/<int:number>/", action_detail, name="action-detail"),
    path("actions/<int:number>/undo/", action_undo, name="action-undo"),
    path("actions/<int:number>/approve/", action_approve, name="action-approve"),
    path("actions/<int:number>/decline/", action_decline, name="action-decline"),
    path("actions/<int:number>/withdraw/", action_withdraw, name="action-withdraw"),
    path("actions/<int:number>/<control:control>/", action_control, name="action-control"),
    path("alerts/", alert_list, name="alert-list"),
    path("alerts/count/", alert_count, name="alert-count"),
    path("alerts/<int:number>/", alert_detail, name="alert-detail"),
    path("alerts/<int:number>/acknowledge/", alert_acknowledge, name="alert-acknowledge"),
    path("alerts/rules/", alert_rules_page, name="alert-rules"),
    path("alerts/rules/<alert_kind:kind>/change/", alert_rule_change, name="alert-rule-change"),
    path("alerts/rules/<alert_kind:kind>/mute/", alert_mute, name="alert-mute"),
    path("alerts/mutes/<int:number>/end/", alert_unmute, name="alert-unmute"),
    path("insights/", insights, name="insights"),
    path("reasons/", reasons, name="reasons"),
    path("reasons/add/", reason_add, name="reason-add"),
    path("reasons/requarantine/", requarantine, name="requarantine"),
    path("reasons/<slug:slug>/change/", reason_change, name="reason-change"),
    path("backfill/", backfill, name="backfill"),
    path("backfill/<run_kind:kind>/start/", start_run, name="run-start"),
    path("backfill/<int:number>/pause/", pause_run, name="run-pause"),
    path("consumers/", consumer_list, name="consumer-list"),
    path("consumers/add/", consumer_add, name="consumer-add"),
    path("consumers/<int:number>/revoke/", consumer_revoke, name="consumer-revoke"),
    path("evidence.zip", evidence, name="evidence"),
    path("record/", access_record, name="access-record"),
    path("record.<export_form:form>", access_record_export, name="access-record-export"),
    path("theme/", theme, name="theme"),
    path("language/", language, name="language"),
    path("changes/live", live.live),
    path("changes.<export_form:form>", export, name="export"),
    path("_synapse/admin/v1/media/quarantine_changes", quarantine_changes),
    path("_matrix/client/v1/media/download/<plain_origin:origin>/<plain_name:media_id>", machines.download),
    path("api/v1/quarantined", machines.quarantined),
    path("api/openapi.json", machines.openapi),
    path("healthz", system.healthz),
    path("readyz", system.readyz),
    path("metrics", system.metrics),
    path("login/", as_forms(SignInView.as_view()), name="account_login"),
    path("logout/", require_POST(logout), name="account_logout"),
    path("login/code/", as_forms(login_not_required(late("factors.SecondStepView"))), name="mfa_authenticate"),
    path("login/passkey/", as_forms(login_not_required(late("factors.PasskeySignInView"))), name="mfa_login_webauthn"),
    path("login/sso/", login_not_required(late("single_sign_on.sso_begin")), name="sso-begin"),
    path("login/sso/callback/", login_not_required(late("single_sign_on.sso_callback")), name="sso-callback"),
    path("account/", account, name="account"),
    path("account/confirm/", late("confirming.confirm"), name="account_reauthenticate"),
    path("account/confirm/sso/", late("single_sign_on.sso_confirm"), name="sso-confirm"),
    path("account/factors/", late("factors.factors"), name="mfa_index"),
    path("account/factors/app/", as_forms(late("factors.AppView")), name="mfa_activate_totp"),
    path("account/factors/app/remove/", as_forms(late("factors.AppRemoveView")), name="mfa_deactivate_totp"),
    path("account/factors/codes/", as_forms(late("factors.CodesView")), name="mfa_view_recovery_codes"),
    path("account/factors/codes/new/", as_forms(late("factors.NewCodesView")), name="mfa_generate_recovery_codes"),
    path("account/factors/passkeys/add/", as_forms(late("factors.PasskeyAddView")), name="mfa_add_webauthn"),
    path(
        "account/factors/passkeys/<int:pk>/remove/",
        as_forms(late("factors.PasskeyRemoveView")),
        name="mfa_remove_webauthn",
    ),
    path("account/password/", as_forms(PasswordView.as_view()), name="account_change_password"),
    path("account/preferences/", preferences, name="preferences"),
    path("account/sessions/end-others/", end_others, name="session-end-others"),
    path("account/sessions/<int:number>/end/", end_session, name="session-end"),
]
