-- Clients+: who may do what.
--
--   authenticator  logs in and may do nothing by itself; it becomes one of:
--   viewer         reads every company, writes nothing, sees no users
--   member         reads and writes the company that its token names
--
-- The token's claims arrive as JSON text in the setting request.jwt.claims,
-- which is '{}', empty or absent when there are none. The policies read it
-- with built-in functions only, in a sub-select that does not depend on the
-- row: it is then worked out once a query and compared like a constant, so an
-- index that begins with company_id serves. Without the claim it is null,
-- which equals nothing: no claim, no row.
--
-- Roles belong to the whole cluster and may be there already.

DO $$
BEGIN
    IF to_regrole('authenticator') IS NULL THEN
        CREATE ROLE authenticator;
    END IF;
    IF to_regrole('viewer') IS NULL THEN
        CREATE ROLE viewer;
    END IF;
    IF to_regrole('member') IS NULL THEN
        CREATE ROLE member;
    END IF;
END
$$;

ALTER ROLE authenticator LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE viewer NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE member NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

DO $$
BEGIN
    IF NOT pg_has_role('authenticator', 'viewer', 'MEMBER') THEN
        GRANT viewer TO authenticator;
    END IF;
    IF NOT pg_has_role('authenticator', 'member', 'MEMBER') THEN
        GRANT member TO authenticator;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA api TO viewer, member;

GRANT SELECT ON api.companies, api.branches, api.staff, api.services, api.clients,
                api.appointments, api.invoices, api.payments
    TO viewer;

GRANT SELECT, INSERT, UPDATE, DELETE
    ON api.branches, api.staff, api.services, api.clients,
       api.appointments, api.invoices, api.payments
    TO member;

-- A member changes its company, but neither founds nor ends one.
GRANT SELECT, UPDATE ON api.companies TO member;

-- Accounts are seen by their own company, without what they log in with.
GRANT SELECT (id, company_id, staff_id, email, name, role, is_active, last_login_at,
              created_at, updated_at)
    ON api.users TO member;

DO $$
DECLARE
    t   text;
    own text;
BEGIN
    FOREACH t IN ARRAY '{companies,branches,staff,services,clients,appointments,invoices,payments,
                         users}'::text[]
    LOOP
        own := CASE t WHEN 'companies' THEN 'id' ELSE 'company_id' END ||
               $own$ = (SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb
                                ->> 'company_id')::bigint)$own$;
        EXECUTE format('ALTER TABLE api.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY member_company ON api.%I TO member USING (%s) WITH CHECK (%s)',
                       t, own, own);
        IF t <> 'users' THEN
            EXECUTE format('CREATE POLICY viewer_all ON api.%I FOR SELECT TO viewer USING (true)', t);
        END IF;
    END LOOP;
END
$$;
