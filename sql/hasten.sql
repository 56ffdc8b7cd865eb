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

-- What `hasten migrate` has done. Columns: version and name are those of the file VERSION_NAME.sql;
-- checksum is the SHA-256 of the file, and while a migration without a transaction is unfinished, of its
-- first statements_done statements; failure is what stopped it last.
CREATE TABLE IF NOT EXISTS hasten.migration (
    version bigint PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    state text NOT NULL DEFAULT 'applied' CHECK (state IN ('applied', 'unfinished')),
    statements_done integer NOT NULL CHECK (statements_done >= 0),
    failure text,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration interval NOT NULL,
    applied_by text NOT NULL DEFAULT session_user
);
REVOKE ALL ON hasten.migration FROM PUBLIC;
COMMENT ON TABLE hasten.migration IS 'Migrations applied to this database. Written by hasten migrate alone.';

-- Answers to writes that came with an Idempotency-Key, each made in the transaction of its write: a
-- repetition gets the same answer and writes nothing. caller is the SHA-256 of role and claims (without
-- their times), request that of method, path and body.
CREATE TABLE IF NOT EXISTS hasten.idempotency (
    caller text NOT NULL,
    key text NOT NULL,
    request text NOT NULL,
    status integer,
    headers text,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX IF NOT EXISTS idempotency_age ON hasten.idempotency (created_at);
REVOKE ALL ON hasten.idempotency FROM PUBLIC;
COMMENT ON TABLE hasten.idempotency IS 'Answers to writes with an Idempotency-Key.';

-- Takes the key for this transaction, or finds the answer that stands under it. A second one with the
-- same key waits here until the first has ended. Each call also removes two answers that are too old,
-- so that they end as fast as new ones come.
CREATE OR REPLACE FUNCTION hasten.idempotency_begin(p_caller text, p_key text, p_request text,
                                                    p_keep interval,
                                                    OUT is_new boolean, OUT is_same boolean,
                                                    OUT status integer, OUT headers text,
                                                    OUT body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    DELETE FROM hasten.idempotency d WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM hasten.idempotency o WHERE o.created_at < now() - p_keep
        ORDER BY o.created_at LIMIT 2 FOR UPDATE SKIP LOCKED));
    LOOP
        INSERT INTO hasten.idempotency AS i (caller, key, request)
        VALUES (p_caller, p_key, p_request) ON CONFLICT DO NOTHING;
        is_new := FOUND;
        is_same := true;
        EXIT WHEN is_new;
        DELETE FROM hasten.idempotency i
        WHERE i.caller = p_caller AND i.key = p_key AND i.created_at < now() - p_keep;
        CONTINUE WHEN FOUND;
        SELECT i.request = p_request, i.status, i.headers, i.body
        INTO is_same, status, headers, body
        FROM hasten.idempotency i WHERE i.caller = p_caller AND i.key = p_key;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION hasten.idempotency_begin FROM PUBLIC;

CREATE OR REPLACE FUNCTION hasten.idempotency_end(p_caller text, p_key text, p_status integer,
                                                  p_headers text, p_body text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    UPDATE hasten.idempotency SET status = p_status, headers = p_headers, body = p_body
    WHERE caller = p_caller AND key = p_key
$$;
REVOKE ALL ON FUNCTION hasten.idempotency_end FROM PUBLIC;

CREATE OR REPLACE FUNCTION hasten.allow(login name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA hasten TO %I', login);
    EXECUTE format('GRANT SELECT ON hasten.secret TO %I', login);
    EXECUTE format('GRANT EXECUTE ON FUNCTION hasten.idempotency_begin, hasten.idempotency_end TO %I',
                   login);
END
$$;
REVOKE ALL ON FUNCTION hasten.allow(name) FROM PUBLIC;
COMMENT ON FUNCTION hasten.allow(name) IS
    'Lets hasten''s login role read the key of its cursors, and keep answers by Idempotency-Key.';

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
