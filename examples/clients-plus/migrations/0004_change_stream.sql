-- Clients+: what hasten's cache needs to be told of every change.
--
-- The login follows the change stream of the database, which takes the attribute
-- REPLICATION. (Where that is too much for the login that serves, give it to
-- another one and name that in cache.feed.url.)
--
-- The stream tells the old values of a row's replica identity only. With the
-- company in it, a change in one company leaves the cached lists of all others
-- in place. The indexes are those of UNIQUE (company_id, id); companies keeps
-- its primary key, which is the company.

ALTER ROLE authenticator REPLICATION;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{branches,staff,services,clients,appointments,invoices,payments,users}'::text[]
    LOOP
        EXECUTE format('ALTER TABLE api.%I REPLICA IDENTITY USING INDEX %I', t, t || '_company_id_id_key');
    END LOOP;
END
$$;
