-- SPDX-License-Identifier: Apache-2.0
-- A museum: a schema that reaches everything the PostgREST dialect can do. Every row is the same in
-- each run, and nothing here hands out numbers from a sequence to a test that looks at them: the
-- differential tests write in transactions that are rolled back, and sequences are not.

CREATE ROLE authenticator LOGIN NOINHERIT;
CREATE ROLE anon;
CREATE ROLE author;
CREATE ROLE keeper;
GRANT anon, author, keeper TO authenticator;
ALTER ROLE keeper SET default_transaction_isolation = 'repeatable read';
ALTER ROLE keeper SET statement_timeout = '7s';

CREATE SCHEMA museum;   -- exposed, the default
CREATE SCHEMA depot;    -- exposed, by profile
CREATE SCHEMA util;     -- extra search path, not exposed
CREATE SCHEMA vault;    -- nobody's, except through views
COMMENT ON SCHEMA museum IS E'Museum\nWorks, their artists, and where they hang';

-- ---- types -----------------------------------------------------------------

CREATE TYPE museum.kind AS ENUM ('painting', 'sculpture', 'drawing', 'it''s, "odd"');
CREATE TYPE museum.dims AS (w numeric, h numeric);
CREATE DOMAIN museum.percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN util.email AS text CHECK (VALUE ~ '@');
CREATE FUNCTION util.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) || '!' $$;

-- ---- tables ----------------------------------------------------------------

CREATE TABLE museum.halls (
    id    integer PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    floor smallint DEFAULT 0,
    open  boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE museum.halls IS E'Halls\nWhere works hang';
COMMENT ON COLUMN museum.halls.floor IS 'counted from the ground';

CREATE TABLE museum.artists (
    id        integer PRIMARY KEY,
    name      text NOT NULL,
    born      date,
    country   char(2),
    mentor_id integer REFERENCES museum.artists,
    bio       text
);

CREATE TABLE museum.works (
    id        integer PRIMARY KEY,
    title     text NOT NULL,
    artist_id integer REFERENCES museum.artists,
    hall_id   integer REFERENCES museum.halls,
    kind      museum.kind,
    year      integer CHECK (year > 0),
    price     numeric(12,2),
    weight    double precision,
    insured   bigint,
    sold      boolean,
    tags      text[] NOT NULL DEFAULT '{}',
    scores    integer[],
    meta      jsonb,
    raw       json,
    size      museum.dims,
    span      int4range,
    shown     daterange,
    at        timestamptz,
    made      time,
    uid       uuid,
    photo     bytea,
    cond      museum.percent,
    addr      inet,
    kept      interval,
    blurb     text,
    words     tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || coalesce(blurb, ''))) STORED
);

CREATE TABLE museum.labels (            -- one-to-one: the key is the foreign key
    work_id integer PRIMARY KEY REFERENCES museum.works ON DELETE CASCADE,
    text    text,
    lang    text NOT NULL DEFAULT 'en'
);
CREATE TABLE museum.passports (         -- one-to-one: the foreign key is unique
    id      integer PRIMARY KEY,
    work_id integer UNIQUE REFERENCES museum.works ON DELETE CASCADE,
    number  text
);
CREATE TABLE museum.exhibitions (id integer PRIMARY KEY, name text NOT NULL, opens date, budget numeric);
CREATE TABLE museum.exhibits (          -- the junction of works and exhibitions
    exhibition_id integer REFERENCES museum.exhibitions,
    work_id       integer REFERENCES museum.works ON DELETE CASCADE,
    position      integer,
    PRIMARY KEY (exhibition_id, work_id)
);
CREATE TABLE museum.institutions (id integer PRIMARY KEY, name text NOT NULL, city text);
CREATE TABLE museum.loans (             -- two foreign keys to one table
    id          integer PRIMARY KEY,
    work_id     integer REFERENCES museum.works ON DELETE CASCADE,
    lender_id   integer CONSTRAINT loans_lender REFERENCES museum.institutions,
    borrower_id integer CONSTRAINT loans_borrower REFERENCES museum.institutions,
    fee         numeric,
    due         date
);
CREATE TABLE museum.guides (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE museum.tours (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE museum.guide_tours (       -- two junctions between the same two tables
    guide_id integer REFERENCES museum.guides, tour_id integer REFERENCES museum.tours, PRIMARY KEY (guide_id, tour_id));
CREATE TABLE museum.tour_backups (
    guide_id integer REFERENCES museum.guides, tour_id integer REFERENCES museum.tours, PRIMARY KEY (guide_id, tour_id));
CREATE TABLE museum.shelves (
    hall_id integer REFERENCES museum.halls,
    no      integer,
    label   text,
    PRIMARY KEY (hall_id, no)
);
CREATE TABLE museum.crates (            -- a foreign key of two columns
    id       integer PRIMARY KEY,
    hall_id  integer,
    shelf_no integer,
    content  text,
    CONSTRAINT crates_shelf FOREIGN KEY (hall_id, shelf_no) REFERENCES museum.shelves (hall_id, no)
);
CREATE TABLE museum.staff (
    id         integer PRIMARY KEY,
    name       text NOT NULL,
    manager_id integer REFERENCES museum.staff,
    hall_id    integer REFERENCES museum.halls
);
CREATE TABLE museum.visitors (          -- row-level security
    id     integer PRIMARY KEY,
    name   text NOT NULL,
    owner  text NOT NULL DEFAULT 'nobody',
    public boolean NOT NULL DEFAULT false
);
CREATE TABLE museum.tickets (
    id      integer PRIMARY KEY,
    holder  text NOT NULL UNIQUE,
    price   numeric NOT NULL DEFAULT 10,
    paid    boolean DEFAULT false,
    note    text DEFAULT 'none',
    mail    util.email,
    created timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z',
    code    text GENERATED ALWAYS AS ('T-' || holder) STORED,
    CONSTRAINT tickets_price CHECK (price >= 0)
);
CREATE FUNCTION museum.next_ticket() RETURNS integer LANGUAGE sql STABLE
    AS $$ SELECT coalesce(max(id), 0) + 1 FROM museum.tickets $$;
ALTER TABLE museum.tickets ALTER id SET DEFAULT museum.next_ticket();
CREATE TABLE museum.notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
CREATE TABLE museum.logs (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, body text, level integer DEFAULT 3);
CREATE TABLE museum.prefs (owner text, key text, value jsonb, hits integer DEFAULT 1, PRIMARY KEY (owner, key));
CREATE TABLE museum.keyless (a integer, b text);
CREATE TABLE museum."Odd Names" (
    "the id" integer PRIMARY KEY, "a.b" text, "c,d" text, "quo""te" text, "par(en)" text, "Ünï" text, "select" text);
CREATE TABLE museum.dropbox (id integer PRIMARY KEY, body text);   -- may be written, not read
CREATE TABLE museum.hidden (id integer PRIMARY KEY);               -- neither
CREATE TABLE museum.partly (id integer PRIMARY KEY, name text, secret text);
CREATE TABLE museum.empty (id integer PRIMARY KEY, name text);
CREATE TABLE museum.big (id integer PRIMARY KEY, grp integer, val integer);
CREATE TABLE vault.rooms (id integer PRIMARY KEY, name text, hall_id integer REFERENCES museum.halls);
CREATE TABLE vault.doors (id integer PRIMARY KEY, room_id integer REFERENCES vault.rooms, colour text);
CREATE TABLE depot.items (id integer PRIMARY KEY, name text NOT NULL, hall_id integer REFERENCES museum.halls);
CREATE TABLE depot.parts (id integer PRIMARY KEY, item_id integer REFERENCES depot.items, name text);

-- ---- views -----------------------------------------------------------------

CREATE VIEW museum.works_v AS SELECT id, title, artist_id, hall_id, year FROM museum.works;
CREATE VIEW museum.artists_v AS SELECT id, name AS full_name, country FROM museum.artists;
CREATE VIEW museum.catalogue AS
    SELECT w.id, w.title, w.hall_id, a.id AS artist_id, a.name AS artist FROM museum.works w JOIN museum.artists a ON a.id = w.artist_id;
CREATE VIEW museum.open_halls AS SELECT id, name, floor, open FROM museum.halls WHERE open WITH CHECK OPTION;
CREATE VIEW museum.rooms AS SELECT * FROM vault.rooms;
CREATE VIEW museum.doors AS SELECT id, room_id, colour FROM vault.doors;
CREATE VIEW museum.loans_v AS SELECT id, work_id, lender_id, borrower_id FROM museum.loans;
CREATE MATERIALIZED VIEW museum.artist_totals AS
    SELECT artist_id, count(*) AS n, sum(price) AS total FROM museum.works WHERE artist_id IS NOT NULL GROUP BY artist_id ORDER BY 1;
CREATE VIEW museum.shouts AS SELECT id, name FROM museum.halls;
CREATE FUNCTION vault.shout_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO museum.halls (id, name) VALUES (NEW.id, upper(NEW.name));
    NEW.name := upper(NEW.name);
    RETURN NEW;
END $$;
CREATE TRIGGER shout INSTEAD OF INSERT ON museum.shouts FOR EACH ROW EXECUTE FUNCTION vault.shout_made();

-- ---- computed fields and relationships ---------------------------------------

CREATE FUNCTION museum.slug(museum.works) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT lower(regexp_replace($1.title, '[^a-zA-Z0-9]+', '-', 'g')) $$;
CREATE FUNCTION museum.shouted(museum.artists) RETURNS text LANGUAGE sql STABLE AS $$ SELECT upper($1.name) $$;
CREATE FUNCTION museum.facts(museum.artists) RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT jsonb_build_object('n', $1.id, 'in', jsonb_build_array($1.country, 'x')) $$;
CREATE FUNCTION museum.first_work(museum.artists) RETURNS SETOF museum.works ROWS 1 LANGUAGE sql STABLE
    AS $$ SELECT * FROM museum.works WHERE artist_id = $1.id ORDER BY id LIMIT 1 $$;
CREATE FUNCTION museum.mentor(museum.artists) RETURNS SETOF museum.artists ROWS 1 LANGUAGE sql STABLE
    AS $$ SELECT * FROM museum.artists WHERE id = $1.mentor_id $$;
CREATE FUNCTION museum.pupils(museum.artists) RETURNS SETOF museum.artists LANGUAGE sql STABLE
    AS $$ SELECT * FROM museum.artists WHERE mentor_id = $1.id ORDER BY id $$;
CREATE FUNCTION museum.lenders(museum.works) RETURNS SETOF museum.institutions LANGUAGE sql STABLE
    AS $$ SELECT i.* FROM museum.institutions i JOIN museum.loans l ON l.lender_id = i.id WHERE l.work_id = $1.id ORDER BY i.id $$;
CREATE FUNCTION museum.guides(museum.exhibitions) RETURNS SETOF museum.guides LANGUAGE sql STABLE
    AS $$ SELECT * FROM museum.guides WHERE id = $1.id $$;

-- ---- functions ---------------------------------------------------------------

CREATE FUNCTION museum.add(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT a + b $$;
CREATE FUNCTION museum.greet(name text DEFAULT 'guest', mark text DEFAULT '!') RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT 'Hello ' || name || mark $$;
CREATE FUNCTION museum.total(VARIADIC n integer[]) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT sum(x)::int FROM unnest(n) x $$;
CREATE FUNCTION museum.join_with(sep text, VARIADIC parts text[] DEFAULT '{}') RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT array_to_string(parts, sep) $$;
CREATE FUNCTION museum.over(a integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'one' $$;
CREATE FUNCTION museum.over(a integer, b integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'two' $$;
CREATE FUNCTION museum.over() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'none' $$;
CREATE FUNCTION museum.amb(a integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'integer' $$;
CREATE FUNCTION museum.amb(a text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'text' $$;
CREATE FUNCTION museum.over_json(json) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'json ' || $1::text $$;
CREATE FUNCTION museum.over_json(a integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'named ' || a $$;
CREATE FUNCTION museum.echo_json(json) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION museum.echo_jsonb(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION museum.echo_text(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION museum.echo_bytea(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION museum.echo_xml(xml) RETURNS xml LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION museum.named_json(data json) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT data $$;
CREATE FUNCTION museum.outs(a integer, OUT b integer, OUT c text) LANGUAGE sql IMMUTABLE AS $$ SELECT a * 2, 'c' || a $$;
CREATE FUNCTION museum.one_out(OUT n integer) LANGUAGE sql IMMUTABLE AS $$ SELECT 42 $$;
CREATE FUNCTION museum.in_out(INOUT n integer, INOUT s text DEFAULT 's') LANGUAGE sql IMMUTABLE AS $$ SELECT n + 1, s || s $$;
CREATE FUNCTION museum.squares(n integer) RETURNS TABLE (id integer, sq integer) LANGUAGE sql IMMUTABLE
    AS $$ SELECT i, i * i FROM generate_series(1, n) i $$;
CREATE FUNCTION museum.works_of(artist integer) RETURNS SETOF museum.works LANGUAGE sql STABLE
    AS $$ SELECT * FROM museum.works WHERE artist_id = artist $$;
CREATE FUNCTION museum.all_works() RETURNS SETOF museum.works LANGUAGE sql STABLE AS $$ SELECT * FROM museum.works $$;
CREATE FUNCTION museum.one_work(work integer) RETURNS museum.works LANGUAGE sql STABLE AS $$ SELECT * FROM museum.works WHERE id = work $$;
CREATE FUNCTION museum.names() RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT name FROM museum.halls ORDER BY id $$;
CREATE FUNCTION museum.no_names() RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT name FROM museum.halls WHERE false $$;
CREATE FUNCTION museum.nothing() RETURNS void LANGUAGE sql IMMUTABLE AS $$ SELECT $$;
CREATE FUNCTION museum.rec() RETURNS record LANGUAGE sql STABLE AS $$ SELECT 1 AS a, 'x'::text AS b $$;
CREATE FUNCTION museum.recs() RETURNS SETOF record LANGUAGE sql STABLE AS $$ SELECT id, name FROM museum.halls ORDER BY id $$;
CREATE FUNCTION museum.plus_one(arr integer[]) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$ SELECT array_agg(x + 1) FROM unnest(arr) x $$;
CREATE FUNCTION museum.ret_json() RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT '{"b": 1, "a": [1, null, "x"]}'::json $$;
CREATE FUNCTION museum.ret_null() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT NULL::text $$;
CREATE FUNCTION museum.ret_dims() RETURNS museum.dims LANGUAGE sql IMMUTABLE AS $$ SELECT ROW(1.5, 2)::museum.dims $$;
CREATE FUNCTION museum.ret_enum(k museum.kind DEFAULT 'drawing') RETURNS museum.kind LANGUAGE sql IMMUTABLE AS $$ SELECT k $$;
CREATE FUNCTION museum.ret_bool() RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;
CREATE FUNCTION museum.ret_num() RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT 1.50 $$;
CREATE FUNCTION museum.ret_time() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT '2026-01-01T12:00:00Z'::timestamptz $$;
CREATE FUNCTION museum.takes_json(j json, jb jsonb DEFAULT NULL) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT json_typeof(j) || coalesce(jsonb_typeof(jb), '-') $$;
CREATE FUNCTION museum.takes_dims(d museum.dims) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT d.w * d.h $$;
CREATE FUNCTION museum.takes_date(d date, p museum.percent DEFAULT 5) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT d::text || ' ' || p $$;
CREATE FUNCTION museum."Odd Fn"("the arg" integer, "b.c" text DEFAULT 'd') RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT "the arg" || "b.c" $$;
CREATE FUNCTION museum.touch(body text) RETURNS void LANGUAGE sql VOLATILE AS $$ INSERT INTO museum.logs (body) VALUES ($1) $$;
CREATE FUNCTION museum.sell(holder text, price numeric DEFAULT 5) RETURNS SETOF museum.tickets LANGUAGE sql VOLATILE
    AS $$ INSERT INTO museum.tickets (holder, price) VALUES (sell.holder, sell.price) RETURNING * $$;
CREATE FUNCTION museum.drop_exhibits() RETURNS SETOF museum.exhibits LANGUAGE sql VOLATILE AS $$ DELETE FROM museum.exhibits RETURNING * $$;
CREATE FUNCTION museum.volatile_sum(a integer, b integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT a + b $$;

CREATE FUNCTION museum.raise_plain() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN RAISE EXCEPTION 'I refuse' USING DETAIL = 'because', HINT = 'ask again'; END $$;
CREATE FUNCTION museum.raise_state(state text, message text DEFAULT 'raised') RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message; END $$;
CREATE FUNCTION museum.raise_with(message text, detail text DEFAULT NULL) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF detail IS NULL THEN RAISE SQLSTATE 'PGRST' USING MESSAGE = message; END IF;
    RAISE SQLSTATE 'PGRST' USING MESSAGE = message, DETAIL = detail;
END $$;
CREATE FUNCTION museum.answer(status text DEFAULT NULL, headers text DEFAULT NULL) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF status IS NOT NULL THEN PERFORM set_config('response.status', status, true); END IF;
    IF headers IS NOT NULL THEN PERFORM set_config('response.headers', headers, true); END IF;
    RETURN 'answered';
END $$;
CREATE FUNCTION museum.probe(name text) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT current_setting('request.headers', true)::json ->> name $$;
CREATE FUNCTION museum.setting(name text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting(name, true) $$;
CREATE FUNCTION museum.setting_v(name text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT current_setting(name, true) $$;
CREATE FUNCTION museum.whoami() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_user::text $$;
CREATE FUNCTION museum.slow() RETURNS void LANGUAGE sql STABLE SET statement_timeout = '20ms' AS $$ SELECT pg_sleep(5) $$;
CREATE FUNCTION museum.serial() RETURNS text LANGUAGE sql STABLE SET default_transaction_isolation = 'serializable'
    AS $$ SELECT current_setting('transaction_isolation') $$;
CREATE FUNCTION museum.pre_request() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('request.headers', true)::json ->> 'x-forbid' IS NOT NULL THEN
        RAISE SQLSTATE 'PT403' USING MESSAGE = 'forbidden by the pre-request function';
    END IF;
    PERFORM set_config('response.headers', '[{"X-Pre": "ran"}]', true);
    PERFORM set_config('museum.mark', 'set before', true);
END $$;

-- media types that this database makes
CREATE DOMAIN museum."text/html" AS text;
CREATE DOMAIN museum."application/vnd.museum.titles" AS text;
CREATE DOMAIN museum."image/png" AS bytea;
CREATE FUNCTION museum.card(work integer) RETURNS museum."text/html" LANGUAGE sql STABLE
    AS $$ SELECT ('<h1>' || title || '</h1>')::museum."text/html" FROM museum.works WHERE id = work $$;
CREATE FUNCTION museum.pixel() RETURNS museum."image/png" LANGUAGE sql IMMUTABLE AS $$ SELECT '\x89504e47'::bytea::museum."image/png" $$;
CREATE FUNCTION museum.titles_next(state museum."application/vnd.museum.titles", next museum.works)
    RETURNS museum."application/vnd.museum.titles" LANGUAGE sql IMMUTABLE
    AS $$ SELECT (state || next.title || E'\n')::museum."application/vnd.museum.titles" $$;
CREATE AGGREGATE museum.titles_agg(museum.works) (
    initcond = '', stype = museum."application/vnd.museum.titles", sfunc = museum.titles_next);

-- the other schema
CREATE FUNCTION depot.add(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1000 + a + b $$;
CREATE VIEW depot.works AS SELECT id, title FROM museum.works WHERE id < 4;

-- ---- rows ----------------------------------------------------------------------

INSERT INTO museum.halls VALUES (1, 'North', 0, true), (2, 'South', 0, true), (3, 'Attic', 2, false), (4, 'Cellar', -1, true), (5, 'Dome', 3, false);
INSERT INTO museum.artists VALUES
    (1, 'Ada Lind', '1921-03-04', 'SE', NULL, 'painter of boats'),
    (2, 'Bo "the Brush" Quist', '1944-11-30', 'DK', 1, NULL),
    (3, 'Chiara, of Pisa', '1899-01-01', 'IT', NULL, 'sculptor (marble)'),
    (4, 'Dmitri\Z', '1960-06-15', 'RU', 2, 'draws cats and rats'),
    (5, 'Éva 100%', '1975-12-24', 'HU', 2, 'draws_underscores'),
    (6, 'Nobody', NULL, NULL, NULL, NULL);
INSERT INTO museum.works (id, title, artist_id, hall_id, kind, year, price, weight, insured, sold, tags, scores, meta, raw, size,
                          span, shown, at, made, uid, photo, cond, addr, kept, blurb)
SELECT i,
    (ARRAY['The Cat', 'A fat Rat', 'Boat at noon', 'Stone, cut', 'Quo"ted', 'per%cent', 'under_score', 'Zoë*'])[1 + i % 8] || ' ' || i,
    CASE WHEN i % 7 = 0 THEN NULL ELSE 1 + i % 5 END,
    CASE WHEN i % 5 = 0 THEN NULL ELSE 1 + i % 4 END,
    CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'painting' WHEN 2 THEN 'sculpture' WHEN 3 THEN 'drawing' ELSE 'it''s, "odd"' END::museum.kind,
    CASE WHEN i % 6 = 0 THEN NULL ELSE 1900 + i * 37 % 100 END,
    CASE WHEN i % 8 = 0 THEN NULL ELSE i * 12.25 END,
    CASE WHEN i % 9 = 0 THEN NULL ELSE i / 4.0 END,
    CASE WHEN i % 10 = 0 THEN NULL ELSE 9007199254740990 + i END,
    CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
    ARRAY['t' || i % 3, CASE WHEN i % 2 = 0 THEN 'even, yes' ELSE 'odd' END],
    CASE WHEN i % 4 = 0 THEN NULL ELSE ARRAY[i, i + 1, i % 3] END,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN jsonb_build_object('n', i, 'owner', jsonb_build_object('name', 'o' || i % 3, 'tel', jsonb_build_array(i, 'x')), 'k.d', true)
               WHEN 2 THEN jsonb_build_array(i, jsonb_build_object('deep', i), NULL) ELSE jsonb_build_object('n', i::text, 'nil', NULL) END,
    CASE WHEN i % 3 = 0 THEN NULL ELSE json_build_object('z', i, 'a', json_build_array(1, 2)) END,
    CASE WHEN i % 4 = 0 THEN NULL ELSE ROW(i / 2.0, i)::museum.dims END,
    CASE WHEN i % 5 = 0 THEN NULL ELSE int4range(i, i + i % 4 + 1) END,
    CASE WHEN i % 6 = 0 THEN NULL ELSE daterange('2026-01-01'::date + i, '2026-01-10'::date + i) END,
    CASE WHEN i % 7 = 0 THEN NULL ELSE '2026-01-01T00:00:00.5Z'::timestamptz + i * interval '7 hours' END,
    '08:00'::time + i * interval '1 minute',
    ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid,
    CASE WHEN i % 2 = 0 THEN NULL ELSE decode(lpad(to_hex(i), 2, '0') || 'ff00', 'hex') END,
    i * 3 % 101, ('10.0.0.' || i)::inet, i * interval '90 minutes',
    (ARRAY['fat cats ate rats', 'L''art est un chat impossible', 'a boat, "moored"'])[i % 4]
FROM generate_series(1, 24) i;
INSERT INTO museum.labels SELECT i, 'label ' || i, CASE WHEN i % 2 = 0 THEN 'de' ELSE 'en' END FROM generate_series(1, 12) i;
INSERT INTO museum.passports SELECT 100 + i, i * 2, 'P' || i FROM generate_series(1, 8) i;
INSERT INTO museum.passports VALUES (200, NULL, 'P0');
INSERT INTO museum.exhibitions VALUES (1, 'Spring', '2026-03-01', 1000.50), (2, 'Autumn', '2026-09-01', 2000), (3, 'Nothing', NULL, NULL);
INSERT INTO museum.exhibits SELECT 1 + i % 2, 1 + i * 5 % 24, i FROM generate_series(0, 9) i;
INSERT INTO museum.institutions VALUES (1, 'City Gallery', 'Lund'), (2, 'Old Museum', 'Pisa'), (3, 'Vault & Sons', NULL);
INSERT INTO museum.loans VALUES (1, 1, 1, 2, 10, '2026-05-01'), (2, 2, 2, 1, 20.5, '2026-06-01'), (3, 3, 1, 3, NULL, NULL), (4, 1, 3, NULL, 7, '2026-07-01');
INSERT INTO museum.guides VALUES (1, 'Gil'), (2, 'Hana'), (3, 'Ivo');
INSERT INTO museum.tours VALUES (1, 'Short'), (2, 'Long');
INSERT INTO museum.guide_tours VALUES (1, 1), (1, 2), (2, 2);
INSERT INTO museum.tour_backups VALUES (3, 1), (2, 1);
INSERT INTO museum.shelves VALUES (1, 1, 'N1'), (1, 2, 'N2'), (2, 1, 'S1');
INSERT INTO museum.crates VALUES (1, 1, 1, 'nails'), (2, 1, 2, 'glue'), (3, 2, 1, 'paint'), (4, NULL, NULL, 'lost');
INSERT INTO museum.staff VALUES (1, 'Rut', NULL, NULL), (2, 'Sam', 1, 1), (3, 'Tea', 1, 2), (4, 'Ugo', 2, 1);
INSERT INTO museum.visitors VALUES (1, 'Vera', 'ann', true), (2, 'Wim', 'ben', false), (3, 'Xia', 'ann', false), (4, 'Yan', 'nobody', false);
INSERT INTO museum.tickets (id, holder, price, paid, note, mail) VALUES (1, 'ann', 10, true, 'first', 'ann@example.org'), (2, 'ben', 12.5, false, NULL, NULL), (3, 'cy', 0, NULL, 'free', 'cy@example.org');
INSERT INTO museum.notes (body) VALUES ('one'), ('two');
INSERT INTO museum.logs (id, body) VALUES (0, 'started');
INSERT INTO museum.prefs VALUES ('ann', 'colour', '"red"', 1), ('ann', 'size', '{"w": 1}', 2), ('ben', 'colour', 'null', 3);
INSERT INTO museum.keyless VALUES (1, 'x'), (1, 'x'), (2, NULL), (NULL, 'y');
INSERT INTO museum."Odd Names" VALUES (1, 'dot', 'comma', 'quote', 'paren', 'umlaut', 'word'), (2, 'd.t', 'c,m', 'q"t', 'p(n)', 'ü', NULL);
INSERT INTO museum.partly VALUES (1, 'name', 'secret');
INSERT INTO museum.big SELECT i, i % 7, i * 31 % 997 FROM generate_series(1, 3000) i;
INSERT INTO vault.rooms VALUES (1, 'red room', 1), (2, 'blue room', 2), (3, 'no hall', NULL);
INSERT INTO vault.doors VALUES (1, 1, 'red'), (2, 1, 'green'), (3, 2, 'blue');
INSERT INTO depot.items VALUES (1, 'ladder', 1), (2, 'rope', NULL);
INSERT INTO depot.parts VALUES (1, 1, 'rung'), (2, 1, 'rail');
REFRESH MATERIALIZED VIEW museum.artist_totals;

-- ---- who may do what --------------------------------------------------------------

ALTER TABLE museum.visitors ENABLE ROW LEVEL SECURITY;
CREATE POLICY shown ON museum.visitors FOR SELECT USING (public OR owner = current_setting('request.jwt.claims', true)::json ->> 'sub');
CREATE POLICY own ON museum.visitors TO author USING (owner = current_setting('request.jwt.claims', true)::json ->> 'sub');

GRANT USAGE ON SCHEMA museum, depot, util TO anon, author, keeper;
GRANT SELECT ON museum.halls, museum.artists, museum.works, museum.labels, museum.visitors, museum.exhibitions, museum.exhibits,
    museum.works_v, museum.artists_v TO anon, keeper;
GRANT INSERT ON museum.logs TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA museum, depot TO author;
REVOKE ALL ON museum.hidden, museum.dropbox, museum.partly FROM author;
GRANT INSERT ON museum.dropbox TO author;
GRANT SELECT (id, name), UPDATE (name) ON museum.partly TO author;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA museum TO anon, author;
CREATE FUNCTION museum.keepers_only() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'keeper' $$;
REVOKE EXECUTE ON FUNCTION museum.keepers_only() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION museum.keepers_only() TO keeper;
ANALYZE;
