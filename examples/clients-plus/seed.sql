-- Clients+: generated data. Run it once, as the owner, in ONE transaction, on
-- the empty tables. It is plain SQL and can be sent as one string:
--
--   SET hasten.seed_scale = '0.1';    -- 0.1 to 100; 1 when not set
--
-- Scale 1 is 50 companies, 100,000 clients and 500,000 appointments, with what
-- belongs to them. Clients and all that follows from them grow with the scale,
-- companies with its square root.
--
-- The same scale gives the same rows, on any day and any machine: each value
-- is a hash of the row's number and of a salt, nothing asks for a random
-- number or for the time. The clock of the data stands at 2026-07-01 08:00 UTC;
-- what is dated later is planned.
--
-- The shape is that of life. Company 1 is the largest and company n has 1/n of
-- its clients. Clients and appointments are numbered in the order of their
-- creation, an appointment is never older than its client, and old clients
-- have come more often than new ones.
--
-- For speed, indexes and foreign keys are set aside first and put back at the
-- end. Putting back a foreign key checks every row, so bad data cannot stay.

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL TimeZone = 'UTC';
SET LOCAL jit = off;
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '64MB';
SET LOCAL maintenance_work_mem = '256MB';

-- ------------------------------------------------------------ how many, whose

DO $$
DECLARE
    given text    := coalesce(nullif(current_setting('hasten.seed_scale', true), ''), '1');
    scale numeric;
BEGIN
    IF given ~ '^[0-9]{1,3}(\.[0-9]{1,6})?$' THEN
        scale := given::numeric;
    END IF;
    IF scale IS NULL OR scale NOT BETWEEN 0.1 AND 100 THEN
        RAISE EXCEPTION 'hasten.seed_scale is "%"', given
              USING HINT = 'Give a number from 0.1 to 100.';
    END IF;
    IF EXISTS (SELECT FROM api.companies) THEN
        RAISE EXCEPTION 'Clients+ has data already'
              USING HINT = 'Seed an empty database.';
    END IF;
    PERFORM set_config('hasten.seed_scale', scale::text, true);
END
$$;

-- One row a company: its part of the numbers 0 to 2^31 (from_hash up to the
-- next company's), and where its branches, staff and services begin and how
-- many there are. They are numbered company by company.
CREATE TEMP TABLE seed_plan AS
WITH part AS (
    SELECT id, 1 / id::numeric AS weight,
           sum(1 / id::numeric) OVER (ORDER BY id) AS up_to,
           sum(1 / id::numeric) OVER () AS total
    FROM generate_series(1, greatest(10, round(50 * sqrt(
             current_setting('hasten.seed_scale')::numeric)))::bigint) AS id
), size AS (
    SELECT id, floor((up_to - weight) / total * 2147483648)::bigint AS from_hash,
           greatest(3, round(weight / total * 400 *
                             current_setting('hasten.seed_scale')::numeric))::bigint AS staff
    FROM part
), more AS (
    SELECT id, from_hash, staff, (staff + 7) / 8 AS branches, least(40, 12 + staff / 3) AS services
    FROM size
)
SELECT id, from_hash, branches, staff, services,
       (1 + sum(branches) OVER upto - branches)::bigint AS first_branch,
       (1 + sum(staff) OVER upto - staff)::bigint AS first_staff,
       (1 + sum(services) OVER upto - services)::bigint AS first_service
FROM more
WINDOW upto AS (ORDER BY id);
ANALYZE seed_plan;

-- ------------------------------------------------------- hashes, names, words

-- A number from 0 to n - 1, always the same for the same id and salt.
CREATE FUNCTION pg_temp.draw(id bigint, salt integer, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT ((hashint8extended($1, $2) & 2147483647) * $3) >> 31';

CREATE FUNCTION pg_temp.pick(words text[], id bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT $1[1 + (((hashint8extended($2, $3) & 2147483647) * cardinality($1)) >> 31)]';

CREATE FUNCTION pg_temp.first_name(id bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT pg_temp.pick('{Adam,Agnes,Aisha,Alice,Amara,Amelia,Amir,Ana,Andrea,Anna,Anton,Astrid,Ben,Bianca,
    Camille,Carla,Carlos,Catherine,Chiara,Chloe,Clara,Daniel,Daria,David,Diana,Elena,Eleni,Elif,Ella,
    Emil,Emily,Emma,Eva,Fatima,Felix,Filip,Freya,Gabriel,George,Grace,Hana,Hannah,Hugo,Ida,Ines,
    Ingrid,Isabel,Ivan,Ivy,Jack,Jana,Jasmine,Joana,John,Jonas,José,Julia,Karim,Katya,Klara,Laura,
    Layla,Lea,Leo,Lily,Linh,Lucas,Lucía,Luka,Magda,Maja,Marco,Maria,Marta,Matteo,Maya,Mei,Mia,Michael,
    Mila,Mohamed,Nadia,Nina,Noah,Nora,Olga,Olivia,Omar,Oscar,Paula,Petra,Priya,Renée,Rosa,Ruth,Samir,
    Sara,Sofia,Sophie,Søren,Tara,Theo,Thomas,Tomás,Valentina,Vera,Victor,Yara,Yuki,Yusuf,Zoë}'::text[], $1, $2)
$$;

CREATE FUNCTION pg_temp.last_name(id bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT pg_temp.pick('{Ahmed,Allen,Almeida,Andersen,Andersson,Baker,Barbieri,Bauer,Becker,Bennett,Berg,Bernard,
    Bianchi,Brown,Campbell,Carter,Castro,Chen,Clarke,Cohen,Collins,Conti,Costa,Cruz,Dahl,Davies,
    De Vries,Demir,Diaz,Dubois,Dupont,Edwards,Evans,Fernández,Ferrari,Fischer,Fontaine,Fournier,
    Garcia,Gomes,González,Gray,Green,Gruber,Hall,Hansen,Harris,Hassan,Hill,Hoffmann,Horvat,Hughes,
    Ivanova,Jackson,Jansen,Jensen,Johansson,Johnson,Jones,Kaya,Keller,Khan,Kim,King,Klein,Kovács,
    Kowalski,Krüger,Lambert,Larsen,Laurent,Lee,Lefèvre,Lewis,Lindberg,Lopez,Marino,Martin,
    Martínez,Meyer,Miller,Moore,Moreau,Morgan,Müller,Nakamura,Nguyen,Nielsen,Novák,O''Brien,Okafor,
    Olsen,Papadopoulos,Park,Patel,Pereira,Petrov,Phillips,Popescu,Ramos,Ricci,Richter,Roberts,Rossi,
    Roux,Ruiz,Santos,Sato,Schmidt,Schneider,Scott,Silva,Singh,Smith,Sokolova,Suzuki,Tanaka,Taylor,
    Thompson,Toth,Turner,Van Dijk,Varga,Wagner,Walker,Weber,White,Williams,Wilson,Wood,Wright,Yilmaz,
    Young,Zhang,Ødegård}'::text[], $1, $2)
$$;

-- The part of an address before the @, ASCII whatever the name.
CREATE FUNCTION pg_temp.mail_name(first_name text, last_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT lower(translate($1 || '.' || $2, 'áåéèëíöøüØ ''', 'aaeeeioouo')) $$;

-- 555-01xx is reserved for made-up numbers.
CREATE FUNCTION pg_temp.phone(id bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT '+1 ' || 201 + pg_temp.draw($1, $2, 780) || ' 555 01' ||
             10 + pg_temp.draw($1, $2 + 1, 90) $$;

CREATE TEMP TABLE seed_service AS
SELECT row_number() OVER () - 1 AS item, category, name, minutes, price
FROM (VALUES
    ('Hair',   'Women''s cut',             45,  48.00), ('Hair',   'Men''s cut',             30,  29.00),
    ('Hair',   'Blow-dry',                 30,  26.00), ('Nails',  'Manicure',               45,  32.00),
    ('Colour', 'Root touch-up',            75,  68.00), ('Face',   'Brow shaping',           20,  18.00),
    ('Colour', 'Highlights',              120, 125.00), ('Hair',   'Children''s cut',        25,  19.00),
    ('Nails',  'Gel manicure',             60,  44.00), ('Colour', 'Balayage',              150, 165.00),
    ('Body',   'Back massage',             30,  42.00), ('Nails',  'Pedicure',               50,  39.00),
    ('Hair',   'Beard trim',               15,  15.00), ('Colour', 'Full colour',           105,  92.00),
    ('Face',   'Classic facial',           60,  65.00), ('Hair',   'Cut and blow-dry',       60,  62.00),
    ('Face',   'Lash lift',                60,  58.00), ('Body',   'Full-body massage',      60,  75.00),
    ('Hair',   'Deep conditioning',        30,  34.00), ('Face',   'Brow tint',              15,  14.00),
    ('Colour', 'Toner',                    30,  38.00), ('Body',   'Leg waxing',             45,  36.00),
    ('Nails',  'Gel removal',              20,  12.00), ('Hair',   'Keratin treatment',     150, 190.00),
    ('Hair',   'Updo',                     60,  70.00), ('Face',   'Make-up',                60,  72.00),
    ('Face',   'Lash extensions',         120, 110.00), ('Body',   'Bikini waxing',          30,  30.00),
    ('Nails',  'Nail art',                 30,  20.00), ('Colour', 'Colour correction',     240, 240.00),
    ('Hair',   'Perm',                    120,  98.00), ('Hair',   'Scalp treatment',        40,  45.00),
    ('Face',   'Peeling',                  45,  78.00), ('Body',   'Hot stone massage',      75,  92.00),
    ('Hair',   'Extensions, full head',   240, 420.00), ('Body',   'Body scrub',             45,  55.00),
    ('Face',   'Microdermabrasion',        50,  95.00), ('Nails',  'Acrylic set',            90,  60.00),
    ('Hair',   'Bridal hair, with trial', 180, 260.00), ('Face',   'Consultation',           15,   0.00)
) AS offer (category, name, minutes, price);
ANALYZE seed_service;

-- ------------------------------------------------- indexes and keys set aside

CREATE TEMP TABLE seed_aside AS
SELECT 2 AS turn, conname AS name,
       format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop_it,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
              pg_get_constraintdef(oid)) AS make_it
FROM pg_constraint
WHERE connamespace = 'api'::regnamespace AND contype = 'f'
UNION ALL
SELECT 1, c.relname, format('DROP INDEX api.%I', c.relname), pg_get_indexdef(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'api'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype <> 'f');

DO $$
DECLARE
    step record;
BEGIN
    FOR step IN SELECT drop_it FROM seed_aside ORDER BY turn, name LOOP
        EXECUTE step.drop_it;
    END LOOP;
END
$$;

-- ------------------------------------------------------- companies, their own

INSERT INTO api.companies (id, name, slug, email, phone, city, country, time_zone, currency, plan,
                           status, settings, created_at, updated_at)
SELECT id, title || kind, slug, 'hello@' || slug || '.example', pg_temp.phone(id, 11),
       place[1], place[2], place[3], place[4],
       CASE WHEN id <= n / 10 + 1 THEN 'PRO' WHEN id <= n * 7 / 10 THEN 'STANDARD' ELSE 'FREE' END,
       CASE WHEN id % 17 = 16 THEN 'SUSPENDED' ELSE 'ACTIVE' END,
       jsonb_build_object('reminderHours', 12 * (1 + pg_temp.draw(id, 12, 4)),
                          'onlineBooking', pg_temp.draw(id, 13, 4) > 0),
       since, since
FROM (SELECT id, count(*) OVER () AS n,
             titles[1 + (id - 1) % 25] AS title,
             kinds[1 + ((id - 1) % 25 + (id - 1) / 25) % 20] AS kind,
             trim(both '-' FROM regexp_replace(lower(titles[1 + (id - 1) % 25] ||
                  kinds[1 + ((id - 1) % 25 + (id - 1) / 25) % 20]), '[^a-z0-9]+', '-', 'g')) AS slug,
             string_to_array(places[1 + pg_temp.draw(id, 10, 12)], '|') AS place,
             timestamptz '2018-12-31 09:00Z' - make_interval(mins => 3671 * id::integer) AS since
      FROM seed_plan, (SELECT
          '{Willow,Amber,Velvet,Juniper,Marble,Saffron,Indigo,Copper,Linden,Coral,Ivory,Clover,Onyx,
            Lavender,Hazel,Pearl,Scarlet,Fern,Opal,Cedar,Silk,Rosewood,Luna,Magnolia,Birch}'::text[],
          '{" & Stone"," Hair Studio"," Salon"," Beauty"," & Co."," Barbers"," Spa"," House of Hair",
            " Nails"," Atelier"," Wellness"," Collective"," & Daughters"," Rooms"," Hair Lab",
            " Skin Clinic"," Parlour"," Lounge"," Beauty Bar"," & Sons"}'::text[],
          '{London|GB|Europe/London|GBP,Berlin|DE|Europe/Berlin|EUR,Paris|FR|Europe/Paris|EUR,
            Madrid|ES|Europe/Madrid|EUR,Milan|IT|Europe/Rome|EUR,Lisbon|PT|Europe/Lisbon|EUR,
            Vienna|AT|Europe/Vienna|EUR,Warsaw|PL|Europe/Warsaw|PLN,Toronto|CA|America/Toronto|CAD,
            Chicago|US|America/Chicago|USD,Dubai|AE|Asia/Dubai|AED,Sydney|AU|Australia/Sydney|AUD}'::text[]
      ) AS word (titles, kinds, places)) AS c;

INSERT INTO api.branches (id, company_id, name, street, city, postcode, email, phone, opens_at,
                          closes_at, is_active, created_at, updated_at)
SELECT b.id, c.id, c.city || ' ' || street, house || ' ' || street, c.city,
       (10000 + pg_temp.draw(b.id, 21, 89999))::text,
       'branch' || k || '@' || c.slug || '.example', pg_temp.phone(b.id, 22),
       CASE WHEN b.id % 4 = 0 THEN time '08:00' ELSE time '09:00' END,
       CASE WHEN b.id % 3 = 0 THEN time '22:00' ELSE time '21:00' END,
       k = 1 OR pg_temp.draw(b.id, 24, 12) > 0, c.created_at, c.created_at
FROM (SELECT p.id AS company_id, p.first_branch + k - 1 AS id, k,
             1 + pg_temp.draw(p.first_branch + k, 25, 180) AS house,
             pg_temp.pick('{High Street,Station Road,Market Square,Park Avenue,Mill Lane,King Street,
                 Garden Row,Bridge Street,Church Road,River Walk,Victoria Street,Orchard Lane,
                 Harbour Street,Castle Hill,Linden Avenue,Museum Street}', p.first_branch + k, 26) AS street
      FROM seed_plan AS p, generate_series(1, p.branches) AS k) AS b (company_id, id, k, house, street)
JOIN api.companies AS c ON c.id = b.company_id;

INSERT INTO api.staff (id, company_id, branch_id, first_name, last_name, email, phone, title,
                       commission, status, is_active, hired_on, created_at, updated_at)
SELECT s.id, c.id, s.branch_id, first_name, last_name,
       pg_temp.mail_name(first_name, last_name) || s.id || '@' || c.slug || '.example',
       pg_temp.phone(s.id, 31),
       CASE WHEN k = 0 THEN 'Manager'
            ELSE pg_temp.pick('{Stylist,Stylist,Senior stylist,Colourist,Barber,Nail technician,
                               Beautician,Massage therapist,Junior stylist}', s.id, 33) END,
       (5 * pg_temp.draw(s.id, 34, 9))::numeric(5,2), s.status, s.status <> 'LEFT',
       c.created_at::date + pg_temp.draw(s.id, 36, 700)::integer,
       c.created_at + make_interval(days => pg_temp.draw(s.id, 36, 700)::integer),
       c.created_at + make_interval(days => pg_temp.draw(s.id, 36, 700)::integer)
FROM (SELECT p.id AS company_id, p.first_staff + k AS id, k,
             p.first_branch + k % p.branches AS branch_id,
             pg_temp.first_name(p.first_staff + k, 37) AS first_name,
             pg_temp.last_name(p.first_staff + k, 38) AS last_name,
             CASE WHEN k = 0 THEN 'ACTIVE'
                  ELSE pg_temp.pick('{LEFT,LEFT,ON_LEAVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,
                       ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE,ACTIVE}',
                       p.first_staff + k, 35) END AS status
      FROM seed_plan AS p, generate_series(0, p.staff - 1) AS k) AS s
JOIN api.companies AS c ON c.id = s.company_id;

-- Each company has its own part of the list and its own price level.
INSERT INTO api.services (id, company_id, name, category, duration_minutes, price, is_active,
                          created_at, updated_at)
SELECT p.first_service + k, p.id, o.name, o.category, o.minutes,
       round(o.price * (80 + pg_temp.draw(p.id, 41, 71)) / 100 * 2) / 2,
       k < 6 OR pg_temp.draw(p.first_service + k, 42, 10) > 0, c.created_at, c.created_at
FROM seed_plan AS p
JOIN api.companies AS c ON c.id = p.id
CROSS JOIN generate_series(0, p.services - 1) AS k
JOIN seed_service AS o ON o.item = CASE WHEN k < 6 THEN k ELSE 6 + (k - 6 + p.id * 5) % 34 END;

-- The owner, the manager of each branch, the reception, and every stylist who
-- is still there.
INSERT INTO api.users (id, company_id, staff_id, email, name, role, password_hash, is_active,
                       last_login_at, created_at, updated_at)
SELECT id, company_id, staff_id, email, name, role,
       -- A hash in form only: no password leads to it.
       '$2b$12$' || rpad(to_hex(hashint8extended(id, 51)) || to_hex(hashint8extended(id, 52)) ||
                         to_hex(hashint8extended(id, 53)) || to_hex(hashint8extended(id, 54)), 53, '.'),
       pg_temp.draw(id, 55, 25) > 0,
       CASE WHEN pg_temp.draw(id, 56, 10) > 0
            THEN timestamptz '2026-07-01 08:00Z' - make_interval(mins => pg_temp.draw(id, 57, 40000)::integer)
       END,
       created_at, created_at
FROM (SELECT row_number() OVER (ORDER BY company_id, turn, staff_id) AS id, u.*
      FROM (SELECT c.id AS company_id, 0 AS turn, NULL::bigint AS staff_id,
                   'owner@' || c.slug || '.example' AS email,
                   pg_temp.first_name(c.id, 58) || ' ' || pg_temp.last_name(c.id, 59) AS name,
                   'OWNER' AS role, c.created_at
            FROM api.companies AS c
            UNION ALL
            SELECT c.id, 1, NULL, 'reception@' || c.slug || '.example', 'Reception', 'RECEPTION', c.created_at
            FROM api.companies AS c
            UNION ALL
            SELECT s.company_id, 2, s.id, s.email, s.first_name || ' ' || s.last_name,
                   CASE WHEN s.title = 'Manager' THEN 'MANAGER' ELSE 'STYLIST' END, s.created_at
            FROM api.staff AS s
            WHERE s.is_active) AS u) AS numbered;

-- ------------------------------------- clients, appointments, invoices, money

-- Variables of a block, not sub-selects, so that the planner knows the numbers.
-- OFFSET 0 keeps a sub-select whole, so that its hashes are worked out once.
DO $$
DECLARE
    born        constant timestamptz := '2021-01-01 08:00Z';
    today       constant timestamptz := '2026-07-01 08:00Z';
    span        constant bigint := extract(epoch FROM today - born)::bigint;
    clients     constant bigint := round(100000 * current_setting('hasten.seed_scale')::numeric);
    visits      constant bigint := 5 * clients;
    from_hashes constant bigint[] := (SELECT array_agg(from_hash ORDER BY id) FROM seed_plan);
BEGIN
    INSERT INTO api.clients (id, company_id, first_name, last_name, email, phone, birthday, status,
                             is_active, tags, notes, created_at, updated_at)
    SELECT id, company_id, first_name, last_name,
           CASE WHEN pg_temp.draw(id, 104, 100) >= 6 THEN
               pg_temp.mail_name(first_name, last_name) || id ||
               pg_temp.pick('{@example.com,@example.com,@example.net,@example.org}', id, 105) END,
           CASE WHEN pg_temp.draw(id, 106, 100) >= 9 THEN pg_temp.phone(id, 107) END,
           CASE WHEN pg_temp.draw(id, 109, 100) < 70 THEN date '1945-01-01' +
               (pg_temp.draw(id, 110, 11500) + pg_temp.draw(id, 111, 11500))::integer END,
           CASE WHEN is_active THEN 'ACTIVE' ELSE 'INACTIVE' END, is_active,
           CASE pg_temp.draw(id, 112, 20)
               WHEN 0 THEN '{vip}' WHEN 1 THEN '{vip,regular}' WHEN 2 THEN '{student}'
               WHEN 3 THEN '{regular}' WHEN 4 THEN '{regular,newsletter}' WHEN 5 THEN '{newsletter}'
               WHEN 6 THEN '{walk-in}' ELSE '{}' END::text[],
           CASE WHEN pg_temp.draw(id, 113, 100) < 25 THEN
               pg_temp.pick('{Prefers Saturday mornings.,Prefers evenings after six.,
                   Always a few minutes late.,
                   Likes a quiet appointment.,Books for the whole family.,Pays by voucher.,
                   Asks for the window seat.,Came on a friend''s recommendation.,
                   Comes with a small dog.,Please remind by telephone.,
                   Moved here from another city.,Takes oat milk in the coffee.}', id, 114)
               || pg_temp.pick('{"","",""," Allergic to ammonia."," Sensitive scalp."," Allergic to latex.",
                   " Fine hair, low heat."," Curly hair, cut dry."," Patch test before colour.",
                   " Colour formula 7.3 with 20 vol."," Keep fringe long."," No scented products."}', id, 115) END,
           created_at,
           -- What was never edited keeps its first date.
           CASE WHEN pg_temp.draw(id, 116, 100) < 60 THEN created_at
                ELSE created_at + make_interval(secs => pg_temp.draw(id, 117,
                     extract(epoch FROM today - created_at)::bigint)) END
    FROM (SELECT id,
                 width_bucket(pg_temp.draw(id, 101, 2147483648), from_hashes) AS company_id,
                 pg_temp.first_name(id, 102) AS first_name,
                 pg_temp.last_name(id, 103) AS last_name,
                 pg_temp.draw(id, 118, 100) < 50 + 40 * id / clients AS is_active,
                 born + make_interval(secs => ((id - 1) * span - pg_temp.draw(id, 119, span)) / clients)
                     AS created_at
          FROM generate_series(1, clients) AS id OFFSET 0) AS c;

    INSERT INTO api.appointments (id, company_id, branch_id, client_id, staff_id, service_id,
                                  assistant_ids, date, start_time, end_time, status, price, notes,
                                  created_at, updated_at)
    SELECT id, company_id, branch_id, client_id, staff_id, service_id, assistant_ids, date,
           start_time, end_time,
           CASE WHEN date < today::date
                THEN CASE WHEN chance < 84 THEN 'COMPLETED' WHEN chance < 94 THEN 'CANCELLED'
                          WHEN chance < 99 THEN 'NO_SHOW' ELSE 'CONFIRMED' END
                ELSE CASE WHEN chance < 50 THEN 'SCHEDULED' WHEN chance < 92 THEN 'CONFIRMED'
                          ELSE 'CANCELLED' END END,
           CASE pg_temp.draw(id, 213, 12) WHEN 0 THEN round(price * 0.9, 2)
                WHEN 1 THEN round(price * 0.8, 2) ELSE price END,
           CASE WHEN pg_temp.draw(id, 214, 100) < 8 THEN
               pg_temp.pick('{First visit.,Brings a photo.,Running late.,Wedding the next day.,Patch test done.,
                   Wants a consultation first.,Same colour as last time.,Gift voucher.,Needs a receipt.,
                   Parking reserved.}', id, 215) END,
           created_at,
           CASE WHEN date < today::date THEN (date + end_time) AT TIME ZONE 'UTC' ELSE created_at END
    FROM (SELECT v.id, p.id AS company_id, st.branch_id, v.client_id, st.id AS staff_id,
                 se.id AS service_id, se.price, v.created_at, v.start_time,
                 v.start_time + make_interval(mins => se.duration_minutes) AS end_time,
                 -- Closed on Sundays.
                 v.date + CASE WHEN extract(isodow FROM v.date) = 7 THEN 1 ELSE 0 END AS date,
                 pg_temp.draw(v.id, 210, 100) AS chance,
                 CASE WHEN pg_temp.draw(v.id, 211, 100) >= 8 THEN '{}'
                      WHEN pg_temp.draw(v.id, 212, 8) > 0
                      THEN ARRAY[p.first_staff + (st.id - p.first_staff + 1) % p.staff]
                      ELSE ARRAY[p.first_staff + (st.id - p.first_staff + 1) % p.staff,
                                 p.first_staff + (st.id - p.first_staff + 2) % p.staff]
                 END AS assistant_ids
          FROM (SELECT id, created_at, client_id,
                       -- Booked up to a month ahead, mostly for the next days.
                       created_at::date + 1 + least(pg_temp.draw(id, 203, 30),
                                                    pg_temp.draw(id, 204, 30))::integer AS date,
                       time '09:00' + make_interval(mins => 15 * pg_temp.draw(id, 205, 36)::integer)
                           AS start_time
                FROM (SELECT id,
                             born + make_interval(secs =>
                                 ((id - 1) * span + pg_temp.draw(id, 201, span)) / visits) AS created_at,
                             -- One of the clients there are by then.
                             1 + pg_temp.draw(id, 202, 1 + (id - 1) * clients / visits) AS client_id
                      FROM generate_series(1, visits) AS id OFFSET 0) AS v OFFSET 0) AS v
          JOIN seed_plan AS p
               ON p.id = width_bucket(pg_temp.draw(v.client_id, 101, 2147483648), from_hashes)
          -- Most clients have somebody they go to.
          JOIN api.staff AS st
               ON st.id = p.first_staff + CASE WHEN pg_temp.draw(v.id, 206, 10) < 6
                                               THEN pg_temp.draw(v.client_id, 207, p.staff)
                                               ELSE pg_temp.draw(v.id, 207, p.staff) END
          -- The first services of a company are the popular ones.
          JOIN api.services AS se
               ON se.id = p.first_service + least(pg_temp.draw(v.id, 208, p.services),
                                                  pg_temp.draw(v.id, 209, p.services)) OFFSET 0) AS a;

    -- An invoice for what costs 50 or more; the rest is paid at the till.
    INSERT INTO api.invoices (id, company_id, client_id, appointment_id, number, status,
                              payment_status, issued_on, due_date, total, paid, created_at, updated_at)
    SELECT id, company_id, client_id, appointment_id, number, status, payment_status, issued_on,
           issued_on + (14 * pg_temp.draw(id, 301, 3))::integer, total,
           CASE payment_status WHEN 'PAID' THEN total
                WHEN 'PARTIAL' THEN round(total * (20 + pg_temp.draw(id, 302, 61)) / 100, 2)
                ELSE 0 END,
           created_at, created_at
    FROM (SELECT *,
                 CASE WHEN status <> 'ISSUED' THEN 'PENDING'
                      WHEN issued_on < today::date - 60
                      THEN CASE WHEN chance < 95 THEN 'PAID' WHEN chance < 97 THEN 'PARTIAL'
                                ELSE 'PENDING' END
                      ELSE CASE WHEN chance < 70 THEN 'PAID' WHEN chance < 80 THEN 'PARTIAL'
                                ELSE 'PENDING' END
                 END AS payment_status
          FROM (SELECT id, company_id, client_id, appointment_id, issued_on, created_at,
                       'INV-' || extract(year FROM issued_on) || '-' || lpad(number::text, 6, '0') AS number,
                       price + CASE WHEN pg_temp.draw(id, 303, 100) < 15
                                    THEN 9.50 + pg_temp.draw(id, 304, 40) ELSE 0 END AS total,
                       CASE WHEN issued_on >= today::date - 3 AND pg_temp.draw(id, 305, 10) < 3
                            THEN 'DRAFT'
                            WHEN pg_temp.draw(id, 306, 100) = 0 THEN 'VOID' ELSE 'ISSUED' END AS status,
                       pg_temp.draw(id, 307, 100) AS chance
                FROM (SELECT row_number() OVER (ORDER BY date, start_time, id) AS id,
                             row_number() OVER (PARTITION BY company_id
                                                ORDER BY date, start_time, id) AS number,
                             company_id, client_id, id AS appointment_id, price, date AS issued_on,
                             (date + end_time) AT TIME ZONE 'UTC' AS created_at
                      FROM api.appointments
                      WHERE status = 'COMPLETED' AND price >= 50) AS a) AS b) AS c;

    -- One payment, sometimes two halves.
    INSERT INTO api.payments (id, company_id, invoice_id, method, amount, reference, paid_at, created_at)
    SELECT id, company_id, invoice_id, method, amount,
           CASE WHEN method IN ('CARD', 'TRANSFER')
                THEN lower(method) || '-' || lpad(to_hex(pg_temp.draw(id, 401, 2147483648)), 8, '0') END,
           paid_at, paid_at
    FROM (SELECT row_number() OVER (ORDER BY paid_at, invoice_id, part) AS id, *
          FROM (SELECT i.company_id, i.id AS invoice_id, part,
                       pg_temp.pick('{CARD,CARD,CARD,CARD,CARD,CASH,CASH,TRANSFER,VOUCHER}',
                                    i.id * 2 + part, 402) AS method,
                       CASE WHEN parts = 1 THEN i.paid
                            WHEN part = 1 THEN round(i.paid / 2, 2)
                            ELSE i.paid - round(i.paid / 2, 2) END AS amount,
                       least(today, i.created_at + make_interval(mins => 2 + (i.due_date - i.issued_on)
                             * pg_temp.draw(i.id * 2 + part, 403, 1440)::integer)) AS paid_at
                FROM (SELECT *, CASE WHEN payment_status = 'PAID' AND pg_temp.draw(id, 404, 100) < 8
                                     THEN 2 ELSE 1 END AS parts
                      FROM api.invoices
                      WHERE paid > 0) AS i
                CROSS JOIN LATERAL generate_series(1, i.parts) AS part) AS p) AS numbered;
END
$$;

-- ------------------------------------------------------- what was set aside

DO $$
DECLARE
    step record;
BEGIN
    FOR step IN SELECT make_it FROM seed_aside ORDER BY turn, name LOOP
        EXECUTE step.make_it;
    END LOOP;
    -- The next row that somebody inserts follows the last one here.
    FOR step IN SELECT oid::regclass AS name FROM pg_class
                WHERE relnamespace = 'api'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, ''id''), max(id)) FROM %s',
                       step.name, step.name);
    END LOOP;
END
$$;

DROP TABLE seed_plan, seed_service, seed_aside;
DROP FUNCTION pg_temp.phone, pg_temp.mail_name, pg_temp.first_name, pg_temp.last_name,
              pg_temp.pick, pg_temp.draw;

ANALYZE api.companies, api.branches, api.staff, api.services, api.clients, api.appointments,
        api.invoices, api.payments, api.users;
