-- SPDX-License-Identifier: Apache-2.0
--
-- hasten's own schema. Everything here is optional: without it hasten draws a key at each start (so
-- cursors end with the process), notices changes of the schema by polling, and has no coherent cache.
--
-- Run it as the owner of the database, once or again: what is there stays. For the coherent cache it has to
-- be a superuser, or a member of the roles that own the tables. Then let hasten's login role use it:
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

-- ---- the change stream: what the coherent cache needs ----

-- The publications that hasten keeps. Its login may name one, so those of others are not to be touched:
-- one that is there and not in this list is refused. Its lock also lets one node at a time change them.
CREATE TABLE IF NOT EXISTS hasten.publication (
    name name PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON hasten.publication FROM PUBLIC;
COMMENT ON TABLE hasten.publication IS
    'Publications that hasten.publish() made. Do not change them by hand; DROP PUBLICATION is fine.';

-- What tells a table's rows apart in the change stream, in words; null = nothing does: then, once it is
-- published, every UPDATE and DELETE of it fails. (The same conditions as in PostgreSQL's relcache.c.)
CREATE OR REPLACE VIEW hasten.identity AS
    SELECT c.oid AS relation, CASE WHEN c.relreplident = 'f' THEN 'full' ELSE (
        SELECT CASE c.relreplident WHEN 'd' THEN 'default' ELSE 'index' END || ' ('
            || string_agg(quote_ident(a.attname), ', ' ORDER BY k.nth) || ')'
        FROM pg_catalog.pg_index i
        CROSS JOIN unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(attnum, nth)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND k.nth <= i.indnkeyatts
            AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)
            AND i.indislive AND i.indisvalid AND i.indisunique AND i.indimmediate
            AND i.indpred IS NULL) END AS identity
    FROM pg_catalog.pg_class c;
REVOKE ALL ON hasten.identity FROM PUBLIC;

-- The tables of some schemas, what views, policies and functions there read (as far as pg_depend knows), and
-- what is in the publication already. Columns: ancestors, parents first and root last; why it cannot be
-- published, null = it can; entry, its row in pg_publication_rel, null = none; is_whole, the stream has all
-- of its rows and columns.
CREATE OR REPLACE FUNCTION hasten.tables(p_publication name, p_schemas text[],
                                         OUT relation oid, OUT ancestors oid[], OUT identity text,
                                         OUT why text, OUT entry oid, OUT is_whole boolean,
                                         OUT is_asked boolean)
RETURNS SETOF record
-- As the owner of hasten.publish() would, also for `hasten doctor`, which asks what publish() would say.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog SET jit = off AS $$
    WITH RECURSIVE reached (class, oid) AS (
        SELECT 'pg_class'::regclass, c.oid
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY (p_schemas) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
        UNION
        SELECT next.class, next.oid FROM reached r CROSS JOIN LATERAL (
            SELECT r.class, i.inhrelid FROM pg_inherits i
            WHERE r.class = 'pg_class'::regclass AND i.inhparent = r.oid
            UNION ALL
            SELECT d.refclassid, d.refobjid FROM pg_depend d
            JOIN (SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w
                  WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.oid
                  UNION ALL
                  SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p
                  WHERE r.class = 'pg_class'::regclass AND p.polrelid = r.oid
                  UNION ALL
                  SELECT r.class, r.oid WHERE r.class = 'pg_proc'::regclass
            ) reader (class, oid) ON d.classid = reader.class AND d.objid = reader.oid
            WHERE d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
        ) next (class, oid)
    ), member AS (
        SELECT pr.prrelid, pr.oid AS entry, pr.prqual IS NULL AND pr.prattrs IS NULL AS is_whole
        FROM pg_publication p JOIN pg_publication_rel pr ON pr.prpubid = p.oid
        WHERE p.pubname = p_publication
    ), listed AS (
        SELECT c.oid, c.relkind, c.relpersistence, c.relowner, m.entry, m.is_whole,
               i.identity, r.oid IS NOT NULL AS is_asked
        FROM pg_class c
        JOIN hasten.identity i ON i.relation = c.oid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN reached r ON r.class = 'pg_class'::regclass AND r.oid = c.oid
        LEFT JOIN member m ON m.prrelid = c.oid
        WHERE (r.oid IS NOT NULL OR m.entry IS NOT NULL) AND c.relkind IN ('r', 'f')
            AND c.relpersistence <> 't'
            AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'hasten')
    ), above (oid, ancestor, depth) AS (
        SELECT l.oid, i.inhparent, 1 FROM listed l JOIN pg_inherits i ON i.inhrelid = l.oid
        UNION
        SELECT a.oid, i.inhparent, a.depth + 1 FROM above a JOIN pg_inherits i ON i.inhrelid = a.ancestor
    )
    SELECT l.oid,
        ARRAY(SELECT a.ancestor FROM above a WHERE a.oid = l.oid
              GROUP BY a.ancestor ORDER BY max(a.depth), a.ancestor),
        l.identity,
        CASE WHEN l.relkind = 'f' THEN 'it is a foreign table, whose changes no stream tells'
             WHEN l.relpersistence = 'u' THEN 'it is unlogged: its changes are not in the WAL'
             WHEN l.identity IS NULL THEN 'it has no replica identity: no primary key, or one that is '
                  'deferrable, and no other index or FULL was chosen'
             WHEN NOT pg_has_role(current_user, l.relowner, 'USAGE')
                  THEN format('it belongs to %s, whose rights %s, owner of hasten.publish(), has not',
                              pg_get_userbyid(l.relowner), current_user)
        END,
        l.entry, l.is_whole, l.is_asked
    FROM listed l
$$;
REVOKE ALL ON FUNCTION hasten.tables FROM PUBLIC;

-- Makes the publication what it has to be, but for its tables: true = it was changed.
CREATE OR REPLACE FUNCTION hasten.publication_make(p_publication name) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    p pg_publication;
BEGIN
    SELECT * INTO p FROM pg_publication WHERE pubname = p_publication;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM hasten.publication WHERE name = p_publication) THEN
            IF (SELECT count(*) FROM hasten.publication) >= 8 THEN
                RAISE program_limit_exceeded USING MESSAGE = 'hasten keeps 8 publications already',
                    HINT = 'Drop those that nobody reads, and delete their rows from hasten.publication.';
            END IF;
            INSERT INTO hasten.publication (name) VALUES (p_publication);
        END IF;
        EXECUTE format('CREATE PUBLICATION %I', p_publication);
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM hasten.publication WHERE name = p_publication) OR p.puballtables THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('the publication "%s" was not made by hasten', p_publication),
            HINT = 'Let cache.publication name one that does not exist yet.';
    END IF;
    IF p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete, truncate'','
                   ' publish_via_partition_root = false)', p_publication);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION hasten.publication_make FROM PUBLIC;

-- Takes tables out and puts tables in, both as lists in SQL or null.
CREATE OR REPLACE FUNCTION hasten.publication_alter(p_publication name, p_gone text, p_come text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF p_gone IS NOT NULL THEN
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', p_publication, p_gone);
    END IF;
    IF p_come IS NOT NULL THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', p_publication, p_come);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION hasten.publication_alter FROM PUBLIC;

-- Refuses schemas that nobody may use whom the caller's login can become.
CREATE OR REPLACE FUNCTION hasten.check_schemas(p_schemas text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    foreign_schema text;
BEGIN
    SELECT n.nspname INTO foreign_schema FROM pg_namespace n
    WHERE n.nspname = ANY (p_schemas) AND NOT EXISTS (
        SELECT FROM pg_roles r
        WHERE pg_has_role(session_user, r.oid, 'MEMBER') AND has_schema_privilege(r.oid, n.oid, 'USAGE'));
    IF FOUND THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s, and the roles it may become, may not use schema "%s"', session_user,
                             foreign_schema),
            HINT = 'GRANT USAGE ON SCHEMA to a role that serves it, or take it out of database.schemas.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION hasten.check_schemas FROM PUBLIC;

-- Puts the tables of these schemas, and what their views, policies and functions read, into the publication,
-- as far as their owners' writes go on working; takes out what would break them. Changes nothing where
-- nothing is to do. Several nodes may call it at once.
--
-- One row for each ordinary table, foreign table and partition leaf. A table's ancestors read its rows too: an
-- ancestor is only as coherent as each table that names it. why: the reason that it is not coherent, for a
-- person. has_changed: by this call; another node may have changed the publication before it.
CREATE OR REPLACE FUNCTION hasten.publish(publication name, schemas text[])
RETURNS TABLE (relation oid, ancestors oid[], is_coherent boolean, why text, identity text,
               has_changed boolean)
-- Compiling these queries would take a hundred times as long as running them.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '30s' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    is_new boolean := false;
    wrong jsonb;
    failures jsonb := '{}';
    t record;
BEGIN
    PERFORM hasten.check_schemas($2);
    IF NOT EXISTS (SELECT FROM pg_publication p JOIN hasten.publication o ON o.name = p.pubname
                   WHERE p.pubname = $1 AND NOT p.puballtables AND NOT p.pubviaroot
                       AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)
        OR EXISTS (SELECT FROM hasten.tables($1, $2) s
                   WHERE (s.why IS NULL) <> (s.entry IS NOT NULL AND s.is_whole)) THEN
        -- Held until the transaction ends, so that the next caller sees what this one has done.
        LOCK TABLE hasten.publication IN SHARE ROW EXCLUSIVE MODE;
        is_new := hasten.publication_make($1);
        -- A table under VACUUM or a long ALTER must not hold up all others: if all at once fails, one after
        -- the other is done, and what fails then is tried again next time.
        PERFORM set_config('lock_timeout', '1s', true);
        SELECT COALESCE(jsonb_agg(w ORDER BY w.relation), '[]') INTO wrong FROM (
            SELECT s.relation,
                   CASE WHEN s.entry IS NOT NULL THEN format('ONLY %I.%I', n.nspname, c.relname) END AS gone,
                   CASE WHEN s.why IS NULL THEN format('ONLY %I.%I', n.nspname, c.relname) END AS come
            FROM hasten.tables($1, $2) s
            JOIN pg_class c ON c.oid = s.relation JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE (s.why IS NULL) <> (s.entry IS NOT NULL AND s.is_whole)) w;
        BEGIN
            PERFORM hasten.publication_alter($1, string_agg(w.gone, ', '), string_agg(w.come, ', '))
            FROM jsonb_to_recordset(wrong) w (gone text, come text);
            is_new := is_new OR jsonb_array_length(wrong) > 0;
        EXCEPTION WHEN OTHERS THEN
            FOR t IN SELECT w.* FROM jsonb_to_recordset(wrong) w (relation oid, gone text, come text) LOOP
                BEGIN
                    PERFORM hasten.publication_alter($1, t.gone, t.come);
                    is_new := true;
                EXCEPTION WHEN OTHERS THEN
                    failures := failures || jsonb_build_object(t.relation::text, SQLERRM);
                END;
            END LOOP;
        END;
    END IF;
    RETURN QUERY
        SELECT s.relation, s.ancestors, s.why IS NULL AND s.entry IS NOT NULL AND s.is_whole,
               COALESCE(s.why, failures ->> s.relation::text), s.identity, is_new
        FROM hasten.tables($1, $2) s WHERE s.is_asked ORDER BY s.relation;
END
$$;
REVOKE ALL ON FUNCTION hasten.publish FROM PUBLIC;
COMMENT ON FUNCTION hasten.publish(name, text[]) IS
    'Keeps the publication that hasten''s coherent cache follows.';

-- Takes out of hasten's publications the tables that this transaction has just left without an identity. It
-- holds their locks already, so nothing is waited for.
CREATE OR REPLACE FUNCTION hasten.unpublish() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog SET jit = off AS $$
DECLARE
    p record;
BEGIN
    FOR p IN
        WITH held AS MATERIALIZED (
            SELECT DISTINCT l.relation FROM pg_locks l
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
                AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                               'AccessExclusiveLock')
                AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
        SELECT o.name, string_agg(format('ONLY %I.%I', n.nspname, c.relname), ', ') AS tables
        FROM held h
        JOIN pg_publication_rel pr ON pr.prrelid = h.relation
        JOIN pg_publication pub ON pub.oid = pr.prpubid
        JOIN hasten.publication o ON o.name = pub.pubname
        JOIN pg_class c ON c.oid = h.relation AND c.relkind = 'r'
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN hasten.identity i ON i.relation = c.oid
        WHERE i.identity IS NULL
        GROUP BY o.name ORDER BY o.name
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', p.name, p.tables);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION hasten.unpublish FROM PUBLIC;

CREATE OR REPLACE FUNCTION hasten.allow(login name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA hasten TO %I', login);
    EXECUTE format('GRANT SELECT ON hasten.secret TO %I', login);
    EXECUTE format('GRANT EXECUTE ON FUNCTION hasten.idempotency_begin, hasten.idempotency_end,'
                   ' hasten.tables, hasten.publish TO %I', login);
END
$$;
REVOKE ALL ON FUNCTION hasten.allow(name) FROM PUBLIC;
COMMENT ON FUNCTION hasten.allow(name) IS
    'Lets hasten''s login role read the key of its cursors, keep answers by Idempotency-Key, and publish.';

-- Tells hasten at once that the schema changed: by NOTIFY, and in the change stream, where it has its place
-- among the changes of rows. REFRESH MATERIALIZED VIEW counts as DDL. Temporary objects are not news. (A
-- transaction that does DDL cannot be prepared for two-phase commit while this is here: PostgreSQL forbids
-- NOTIFY in it.)
CREATE OR REPLACE FUNCTION hasten.tell_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    is_news boolean;
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        -- The rule of a temporary view is not marked as temporary. A rule that goes with its view or table
        -- is no news beside it.
        is_news := EXISTS (SELECT FROM pg_event_trigger_dropped_objects()
                           WHERE NOT is_temporary AND (original OR object_type <> 'rule'));
    ELSE
        is_news := EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
                           WHERE schema_name IS DISTINCT FROM 'pg_temp');
    END IF;
    IF NOT is_news THEN
        RETURN;
    END IF;
    -- That of unpublish() itself, or of publish(), takes nobody's identity.
    IF TG_TAG NOT IN ('ALTER PUBLICATION', 'CREATE PUBLICATION') THEN
        PERFORM hasten.unpublish();
    END IF;
    PERFORM pg_notify('hasten', 'ddl');
    IF current_setting('wal_level') = 'logical' THEN
        PERFORM pg_logical_emit_message(true, 'hasten', 'ddl');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION hasten.tell_ddl() FROM PUBLIC;

-- ALWAYS: also where session_replication_role is replica, as while a dump or a subscription is applied.
DO $$
DECLARE
    owner regrole;
    name text;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE NOTICE 'not a superuser: no event trigger; hasten will notice DDL by polling';
        RETURN;
    END IF;
    -- What runs with a superuser's rights must be nobody else's to replace, and a file that is run again
    -- leaves owners as they are. Tables stay whose they are: `hasten migrate` may write as their owner.
    SELECT nspowner::regrole INTO STRICT owner FROM pg_namespace WHERE nspname = 'hasten';
    IF owner <> current_user::regrole THEN
        ALTER SCHEMA hasten OWNER TO CURRENT_USER;
        EXECUTE format('GRANT USAGE ON SCHEMA hasten TO %s', owner);
    END IF;
    ALTER TABLE hasten.publication OWNER TO CURRENT_USER;
    ALTER VIEW hasten.identity OWNER TO CURRENT_USER;
    FOR name IN SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'hasten'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO CURRENT_USER', name);
    END LOOP;
    FOR name IN SELECT p.pubname FROM pg_publication p JOIN hasten.publication o ON o.name = p.pubname LOOP
        EXECUTE format('ALTER PUBLICATION %I OWNER TO CURRENT_USER', name);
    END LOOP;
    DROP EVENT TRIGGER IF EXISTS hasten_ddl;
    DROP EVENT TRIGGER IF EXISTS hasten_drop;
    CREATE EVENT TRIGGER hasten_ddl ON ddl_command_end EXECUTE FUNCTION hasten.tell_ddl();
    CREATE EVENT TRIGGER hasten_drop ON sql_drop EXECUTE FUNCTION hasten.tell_ddl();
    ALTER EVENT TRIGGER hasten_ddl ENABLE ALWAYS;
    ALTER EVENT TRIGGER hasten_drop ENABLE ALWAYS;
END
$$;

COMMIT;
