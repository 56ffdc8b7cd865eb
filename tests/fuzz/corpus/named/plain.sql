-- name: of-day
-- description: What is planned.
-- param day date = 2026-07-01 -- the day
-- param words text[] = '{a,b''c}'
-- param who app.mood ?
-- role: staff, admin
-- cache: 30s
-- one: true
SELECT a.x[1:2], a.y[:day], E'\'' || 'it''s', $q$ :no $q$, :who::text /* :no /* */ */
FROM app.a WHERE b = ANY (:words) AND c > :day -- :no
;
