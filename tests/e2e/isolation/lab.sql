-- Two tenants and the public in one database, over whatever PostgreSQL offers to keep them apart, and what
-- commonly breaks it. The rows of a tenant are marked: their texts hold its word (iso_private.word), their
-- keys are in its range. 70 is public, 71 alpha, 72 bravo; nobody has 79. What is not marked is seen by all.
--
--   member         reads and writes the tenant that its token names (claim company_id)
--   tenant_alpha   is one tenant by its name alone; so is tenant_bravo
--   guest          anonymous: what is public
--   viewer         reads all: what it leaves in the cache must stay its own

CREATE ROLE guest NOLOGIN;
CREATE ROLE tenant_alpha NOLOGIN;
CREATE ROLE tenant_bravo NOLOGIN;
GRANT guest, tenant_alpha, tenant_bravo TO authenticator;

CREATE SCHEMA iso;
CREATE SCHEMA iso_private;
GRANT USAGE ON SCHEMA api, iso TO guest, tenant_alpha, tenant_bravo, member, viewer;

CREATE FUNCTION iso_private.word(tenant bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT (ARRAY['qqpublic', 'qqalpha', 'qqbravo'])[tenant / 1000000 - 69] $$;
CREATE FUNCTION iso_private.claimed() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'company_id')::bigint; END $$;
-- The tenant of whoever runs this; null is all of them. (PL/pgSQL: in a plan, SQL would be shown with all its constants.)
CREATE FUNCTION iso_private.mine() RETURNS bigint LANGUAGE plpgsql STABLE
    AS $$ BEGIN RETURN CASE current_user WHEN 'member' THEN coalesce(iso_private.claimed(), 0) WHEN 'guest' THEN 70000000
        WHEN 'tenant_alpha' THEN 71000000 WHEN 'tenant_bravo' THEN 72000000 END; END $$;
CREATE TABLE iso_private.tenants AS SELECT n * 1000000::bigint AS tenant FROM generate_series(70, 72) n;
GRANT USAGE ON SCHEMA iso_private TO PUBLIC;

-- ------------------------------------------------------------------- tables

CREATE TABLE iso.docs (
    id        bigint PRIMARY KEY,
    tenant    bigint NOT NULL,
    ref       integer NOT NULL UNIQUE,
    title     text NOT NULL,
    body      text,
    tags      text[] NOT NULL DEFAULT '{}',
    meta      jsonb NOT NULL DEFAULT '{}',
    raw       bytea,
    amount    numeric,
    day       date NOT NULL DEFAULT '2026-05-01',
    secret    text,
    parent_id bigint REFERENCES iso.docs,
    words     tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || coalesce(body, ''))) STORED
);
INSERT INTO iso.docs
SELECT tenant + i, tenant, (tenant / 1000000)::int * 10 + i - 700, word || ' title ' || i, 'the body of ' || word || ' grows',
    ARRAY[word || i, word], jsonb_build_object('word', word, 'n', tenant + i), convert_to(word || ' raw', 'UTF8'), tenant + i + 0.5,
    date '2026-05-01' + i, word || ' secret', CASE WHEN i > 1 THEN tenant + i - 1 END
FROM iso_private.tenants, iso_private.word(tenant) AS word, generate_series(1, 4) AS i;
CREATE INDEX docs_tenant ON iso.docs (tenant, id);
CREATE INDEX docs_words ON iso.docs USING gin (words);

-- Rows of one tenant that hang on rows of another by a key that says nothing (ref).
CREATE TABLE iso.shares (id bigint PRIMARY KEY, tenant bigint NOT NULL, doc_ref integer NOT NULL REFERENCES iso.docs (ref), note text);
INSERT INTO iso.shares SELECT tenant + i, tenant, ref, iso_private.word(tenant) || ' shares ' || i
FROM iso_private.tenants, LATERAL (SELECT ref, row_number() OVER (ORDER BY ref) AS i FROM iso.docs) AS d;

-- Whoever sees the document sees what is said about it.
CREATE TABLE iso.comments (id bigint PRIMARY KEY, doc_id bigint NOT NULL REFERENCES iso.docs, said text NOT NULL);
INSERT INTO iso.comments SELECT id * 10 + i, id, iso_private.word(tenant) || ' says ' || i FROM iso.docs, generate_series(1, 2) i;
UPDATE iso.comments SET id = doc_id + 1000 * (id % 10);

CREATE TABLE iso.labels (id integer PRIMARY KEY, tenant bigint NOT NULL, name text NOT NULL);
INSERT INTO iso.labels SELECT (tenant / 1000000 - 70) * 2 + i, tenant, iso_private.word(tenant) || ' label ' || i FROM iso_private.tenants, generate_series(1, 2) i;
CREATE TABLE iso.doc_labels (doc_id bigint REFERENCES iso.docs, label_id integer REFERENCES iso.labels, PRIMARY KEY (doc_id, label_id));
INSERT INTO iso.doc_labels SELECT d.id, l.id FROM iso.docs d, iso.labels l;

CREATE TABLE iso.by_role (id bigint PRIMARY KEY, owner name NOT NULL DEFAULT current_user, note text);
INSERT INTO iso.by_role SELECT 71000000 + i, 'tenant_alpha', 'qqalpha by role ' || i FROM generate_series(1, 3) i
UNION ALL SELECT 72000000 + i, 'tenant_bravo', 'qqbravo by role ' || i FROM generate_series(1, 3) i
UNION ALL SELECT 70000000 + i, 'guest', 'qqpublic by role ' || i FROM generate_series(1, 3) i;

-- A policy of the parent does not hold for who asks a partition by its own name: that one is not served, granted or not.
CREATE TABLE iso.parts (id bigint, tenant bigint NOT NULL, note text, PRIMARY KEY (id, tenant)) PARTITION BY LIST (tenant);
CREATE TABLE iso.parts_alpha PARTITION OF iso.parts FOR VALUES IN (71000000);
CREATE TABLE iso.parts_bravo PARTITION OF iso.parts FOR VALUES IN (72000000);
CREATE TABLE iso.parts_rest PARTITION OF iso.parts DEFAULT PARTITION BY RANGE (id);
CREATE TABLE iso.parts_rest_all PARTITION OF iso.parts_rest DEFAULT;
INSERT INTO iso.parts SELECT tenant + i, tenant, iso_private.word(tenant) || ' part ' || i FROM iso_private.tenants, generate_series(1, 3) i;

-- No policies, but columns that nobody may read.
CREATE TABLE iso.columns (id integer PRIMARY KEY, amount integer NOT NULL CHECK (amount >= 0), note text, secret text UNIQUE,
    CHECK (length(secret) < 40));
INSERT INTO iso.columns SELECT i, i, 'note ' || i, CASE i % 2 WHEN 0 THEN 'qqalpha' ELSE 'qqbravo' END || ' hidden ' || i FROM generate_series(1, 6) i;

-- Keys over all tenants, whose errors would show what is there.
CREATE TABLE iso.slugs (id bigint PRIMARY KEY, tenant bigint NOT NULL, slug text NOT NULL UNIQUE, span int4range NOT NULL,
    tall integer NOT NULL DEFAULT 1 CHECK (tall > 0), EXCLUDE USING gist (span WITH &&));
INSERT INTO iso.slugs SELECT tenant + i, tenant, iso_private.word(tenant) || '-slug-' || i, int4range((tenant + i * 10)::int, (tenant + i * 10 + 5)::int)
FROM iso_private.tenants, generate_series(1, 3) i;

-- A trigger that tells, and one that keeps count of all in a row that nobody may read.
CREATE TABLE iso.guarded (id bigint PRIMARY KEY, tenant bigint NOT NULL, note text);
INSERT INTO iso.guarded SELECT tenant + i, tenant, iso_private.word(tenant) || ' guarded ' || i FROM iso_private.tenants, generate_series(1, 3) i;
CREATE FUNCTION iso_private.guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'not so: %', NEW.note USING DETAIL = coalesce(OLD::text, '-') || ' ' || NEW::text, HINT = OLD.note,
        CONSTRAINT = 'guarded_note'; END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON iso.guarded FOR EACH ROW WHEN (NEW.note LIKE 'raise%') EXECUTE FUNCTION iso_private.guard();

-- The policy calls a function that hasten cannot look into.
CREATE TABLE iso.called (id bigint PRIMARY KEY, tenant bigint NOT NULL, note text);
INSERT INTO iso.called SELECT tenant + i, tenant, iso_private.word(tenant) || ' called ' || i FROM iso_private.tenants, generate_series(1, 3) i;

-- ------------------------------------------------------------- whose is what

DO $$
DECLARE
    t text;
    own constant text := $own$tenant = (SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'company_id')::bigint)$own$;
BEGIN
    FOREACH t IN ARRAY '{docs,shares,labels,parts,slugs,guarded,called}'::text[] LOOP
        EXECUTE format('ALTER TABLE iso.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY member ON iso.%I TO member USING (%s)', t, CASE t WHEN 'called' THEN 'tenant = iso_private.claimed()' ELSE own END);
        EXECUTE format('CREATE POLICY guest ON iso.%I FOR SELECT TO guest USING (tenant = 70000000)', t);
        EXECUTE format('CREATE POLICY viewer ON iso.%I FOR SELECT TO viewer USING (true)', t);
        EXECUTE format('CREATE POLICY tenant_alpha ON iso.%I TO tenant_alpha USING (tenant = 71000000)', t);
        EXECUTE format('CREATE POLICY tenant_bravo ON iso.%I TO tenant_bravo USING (tenant = 72000000)', t);
        EXECUTE format('GRANT SELECT ON iso.%I TO guest, viewer, member, tenant_alpha, tenant_bravo', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON iso.%I TO member, tenant_alpha, tenant_bravo', t);
    END LOOP;
    FOREACH t IN ARRAY '{comments,doc_labels}'::text[] LOOP
        EXECUTE format('ALTER TABLE iso.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY by_doc ON iso.%I USING (EXISTS (SELECT FROM iso.docs d WHERE d.id = doc_id))', t);
        EXECUTE format('GRANT SELECT ON iso.%I TO guest, viewer, member, tenant_alpha, tenant_bravo', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON iso.%I TO member, tenant_alpha, tenant_bravo', t);
    END LOOP;
END $$;
REVOKE SELECT ON iso.docs FROM guest, viewer, member, tenant_alpha, tenant_bravo;
GRANT SELECT (id, tenant, ref, title, body, tags, meta, raw, amount, day, parent_id, words) ON iso.docs TO guest, viewer, member, tenant_alpha, tenant_bravo;

ALTER TABLE iso.by_role ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON iso.by_role USING (owner = current_user);
CREATE POLICY viewer ON iso.by_role FOR SELECT TO viewer USING (true);
GRANT SELECT ON iso.by_role TO guest, viewer, member, tenant_alpha, tenant_bravo;
GRANT INSERT, UPDATE, DELETE ON iso.by_role TO member, tenant_alpha, tenant_bravo;

GRANT SELECT (id, amount, note), UPDATE (amount, note, secret), INSERT (id, amount, secret) ON iso.columns TO member, tenant_alpha, tenant_bravo;
GRANT SELECT (id, amount) ON iso.columns TO guest, viewer;

GRANT SELECT ON iso.parts_alpha TO guest, viewer, member, tenant_alpha, tenant_bravo;

-- -------------------------------------------------------------------- views

CREATE VIEW iso.invoked WITH (security_invoker) AS SELECT id, tenant, title, tags FROM iso.docs;
CREATE VIEW iso.joined WITH (security_invoker) AS SELECT c.id, d.id AS doc_id, d.title, c.said FROM iso.docs d JOIN iso.comments c ON c.doc_id = d.id;
-- These read as their owner, who stands above all policies: the condition is theirs.
CREATE VIEW iso.owned AS SELECT id, tenant, title, body FROM iso.docs
    WHERE tenant = coalesce(iso_private.mine(), tenant);
CREATE VIEW iso.barred WITH (security_barrier) AS SELECT * FROM iso.owned;
CREATE VIEW iso.summed AS SELECT count(*) AS n, max(title) AS last_title FROM iso.owned;
CREATE VIEW iso.everything AS SELECT * FROM iso.docs;
CREATE MATERIALIZED VIEW iso.kept_all AS SELECT id, tenant, title FROM iso.docs;
GRANT SELECT ON iso.invoked, iso.joined, iso.owned, iso.barred, iso.summed TO guest, viewer, member, tenant_alpha, tenant_bravo;
GRANT INSERT, UPDATE, DELETE ON iso.invoked TO member, tenant_alpha, tenant_bravo;

-- What a session would remember: settings, a role, claims, a lock.
CREATE FUNCTION iso_private.leave() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('iso.left', coalesce(current_setting('request.jwt.claims', true), '') || current_user, false);
    PERFORM set_config('request.jwt.claims', '{"role": "member", "company_id": 71000000}', false);
    PERFORM set_config('role', 'viewer', false);
    PERFORM set_config('search_path', 'iso_private', false);
    PERFORM pg_advisory_lock(42);
    RETURN 'left'; END $$;
CREATE VIEW iso.leaves AS SELECT 1 AS id, iso_private.leave() AS what;
CREATE FUNCTION iso_private.found() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    RETURN concat(current_setting('iso.left', true), '|', current_user, '|',
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())); END $$;
CREATE VIEW iso.founds AS SELECT 1 AS id, iso_private.found() AS what;
GRANT SELECT ON iso.leaves, iso.founds TO guest, viewer, member, tenant_alpha, tenant_bravo;

-- ---------------------------------------------------------------- functions

CREATE FUNCTION iso.label(iso.docs) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'label ' || $1.title $$;
-- Speaks up when it is shown a row that is not the caller's.
CREATE FUNCTION iso.risky(iso.docs) RETURNS integer LANGUAGE plpgsql STABLE COST 0.0001 AS $$ BEGIN
    IF $1.tenant <> iso_private.mine() THEN
        RAISE EXCEPTION 'shown to %: %', current_user, $1.title; END IF;
    RETURN 1; END $$;
CREATE FUNCTION iso.siblings(iso.docs) RETURNS SETOF iso.docs LANGUAGE sql STABLE ROWS 3
    AS $$ SELECT * FROM iso.docs d WHERE d.day = $1.day $$;
CREATE FUNCTION iso.invoked_docs(word text DEFAULT '') RETURNS SETOF iso.invoked LANGUAGE sql STABLE
    AS $$ SELECT * FROM iso.invoked WHERE title LIKE '%' || word || '%' $$;
CREATE FUNCTION iso.defined_docs() RETURNS SETOF iso.labels LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM iso.labels WHERE tenant = iso_private.claimed() $$;
CREATE FUNCTION iso.all_docs() RETURNS SETOF iso.docs LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM iso.docs $$;
REVOKE EXECUTE ON FUNCTION iso.all_docs() FROM PUBLIC;
CREATE FUNCTION iso.leave_state() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT iso_private.leave() $$;
CREATE FUNCTION iso.find_state() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT iso_private.found() $$;
CREATE FUNCTION iso.raise_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'all: %', (SELECT string_agg(title, ',') FROM iso.invoked)
        USING DETAIL = (SELECT json_agg(c)::text FROM iso.comments c); END $$;
CREATE FUNCTION iso.add_doc(title text) RETURNS SETOF iso.invoked LANGUAGE sql VOLATILE
    AS $$ SELECT * FROM iso.invoked ORDER BY id LIMIT 1 $$;

-- --------------------------------- the example application, with our rows alone

TRUNCATE api.companies CASCADE;

DO $$
DECLARE
    t bigint;
    w text;
BEGIN
    FOR t, w IN SELECT tenant, iso_private.word(tenant) FROM iso_private.tenants LOOP
        INSERT INTO api.companies (id, name, slug, email, city, country, settings) VALUES (t, w || ' house', w, w || '@x.example', w || ' city', 'GB', jsonb_build_object('w', w));
        INSERT INTO api.branches (id, company_id, name, street, city, postcode) SELECT t + i, t, w || ' branch ' || i, w || ' street', w || ' city', '1' FROM generate_series(1, 2) i;
        INSERT INTO api.staff (id, company_id, branch_id, first_name, last_name, email, title, hired_on)
            SELECT t + i, t, t + i, w || i, w, w || i || '@x.example', w || ' stylist', '2020-01-01' FROM generate_series(1, 2) i;
        INSERT INTO api.services (id, company_id, name, category, duration_minutes, price) SELECT t + i, t, w || ' cut ' || i, w, 30, t + i FROM generate_series(1, 2) i;
        INSERT INTO api.clients (id, company_id, first_name, last_name, email, notes, tags)
            SELECT t + i, t, w || ' first ' || i, 'Last ' || w, w || i || '@x.example', 'notes of ' || w, ARRAY[w] FROM generate_series(1, 4) i;
        INSERT INTO api.appointments (id, company_id, branch_id, client_id, staff_id, service_id, assistant_ids, date, start_time, end_time, price, notes)
            SELECT t + i, t, t + 1, t + i, t + 1, t + 1, ARRAY[71000002, 72000002, 70000002], '2026-06-01'::date + i, '10:00', '11:00', 40, w || ' visit ' || i FROM generate_series(1, 4) i;
        INSERT INTO api.invoices (id, company_id, client_id, appointment_id, number, status, issued_on, due_date, total)
            SELECT t + i, t, t + i, t + i, w || '-' || i, 'ISSUED', '2026-06-02', '2026-06-12', t + i FROM generate_series(1, 3) i;
        INSERT INTO api.payments (id, company_id, invoice_id, method, amount, reference, paid_at) SELECT t + i, t, t + i, 'CARD', t + i, w || ' paid ' || i, '2026-06-20Z' FROM generate_series(1, 2) i;
        INSERT INTO api.users (id, company_id, staff_id, email, name, role, password_hash) SELECT t + i, t, t + i, w || '.user' || i || '@x.example', w || ' user', 'OWNER', w || ' hash' FROM generate_series(1, 2) i;
    END LOOP;
    -- Assistants by array: the numbers of all tenants would be in each row; each has its own.
    UPDATE api.appointments SET assistant_ids = ARRAY[company_id + 2] WHERE company_id >= 70000000;
    GRANT SELECT ON api.companies, api.branches, api.staff, api.services, api.clients, api.appointments, api.invoices, api.payments TO guest;
    FOR w IN SELECT unnest('{companies,branches,staff,services,clients,appointments,invoices,payments}'::text[]) LOOP
        EXECUTE format('CREATE POLICY guest ON api.%I FOR SELECT TO guest USING (%s = 70000000)', w, CASE w WHEN 'companies' THEN 'id' ELSE 'company_id' END);
    END LOOP;
END $$;
ANALYZE;
