-- SPDX-License-Identifier: Apache-2.0
--
-- hasten's own schema. Everything here is optional: without it hasten draws a key at each start (so
-- cursors end with the process) and notices changes of the schema by polling.
--
-- Run it as the owner of the database, once or again: what is there stays. Then let hasten's login role
-- read the key:
--
--     psql -f hasten.sql
--     SELECT hasten.allow('hasten_login');
--
-- Only a superuser may create an event trigger; anyone else gets the rest, and a notice.
-- The schema does not belong into database.schemas. To remove it all: DROP SCHEMA hasten CASCADE.

BEGIN;

CREATE SCHEMA IF NOT EXISTS hasten;
REVOKE ALL ON SCHEMA hasten FROM PUBLIC;

-- The key that cursors are signed with: one row of 32 bytes, the same for every node on this database.
CREATE TABLE IF NOT EXISTS hasten.secret (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
REVOKE ALL ON hasten.secret FROM PUBLIC;
COMMENT ON TABLE hasten.secret IS
    'Key of hasten''s cursors. Delete the row and run hasten.sql again to make all cursors invalid.';

-- gen_random_uuid() carries 122 bits from the server's strong random source: three are more than 256.
INSERT INTO hasten.secret (key)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text,
                          'UTF8')))
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION hasten.allow(login name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA hasten TO %I', login);
    EXECUTE format('GRANT SELECT ON hasten.secret TO %I', login);
END
$$;
REVOKE ALL ON FUNCTION hasten.allow(name) FROM PUBLIC;
COMMENT ON FUNCTION hasten.allow(name) IS 'Lets hasten''s login role read the key of its cursors.';

-- Tells hasten at once that the schema changed. Temporary objects are not news. (A transaction that does
-- DDL cannot be prepared for two-phase commit while this is here: PostgreSQL forbids NOTIFY in it.)
CREATE OR REPLACE FUNCTION hasten.tell_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        PERFORM pg_notify('hasten', 'ddl') FROM pg_event_trigger_dropped_objects()
            WHERE NOT is_temporary LIMIT 1;
    ELSE
        PERFORM pg_notify('hasten', 'ddl') FROM pg_event_trigger_ddl_commands()
            WHERE schema_name IS DISTINCT FROM 'pg_temp' LIMIT 1;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION hasten.tell_ddl() FROM PUBLIC;

-- ALWAYS: also where session_replication_role is replica, as while a dump or a subscription is applied.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE NOTICE 'not a superuser: no event trigger; hasten will notice DDL by polling';
        RETURN;
    END IF;
    DROP EVENT TRIGGER IF EXISTS hasten_ddl;
    DROP EVENT TRIGGER IF EXISTS hasten_drop;
    CREATE EVENT TRIGGER hasten_ddl ON ddl_command_end EXECUTE FUNCTION hasten.tell_ddl();
    CREATE EVENT TRIGGER hasten_drop ON sql_drop EXECUTE FUNCTION hasten.tell_ddl();
    ALTER EVENT TRIGGER hasten_ddl ENABLE ALWAYS;
    ALTER EVENT TRIGGER hasten_drop ENABLE ALWAYS;
END
$$;

COMMIT;
