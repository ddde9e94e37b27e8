-- What the services need of the ledger's database, and no more: they add to the record and can't change it.
-- Run by the role that owns the database, in it, and again after each `manage.py prepare`, which may add tables.
-- Before the first time: CREATE ROLE dashboard_web LOGIN PASSWORD 'another long password';

GRANT USAGE ON SCHEMA public TO dashboard_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO dashboard_web;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO dashboard_web;

-- The record: changes, actions, looks at files, and who came in or took something away.
REVOKE UPDATE, DELETE, TRUNCATE
    ON quarantine_change, quarantine_action, quarantine_reveal, quarantine_accessentry, quarantine_proposal, quarantine_ruling
    FROM dashboard_web;

-- Which version of the tables this is, only `manage.py prepare` says.
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM dashboard_web;
