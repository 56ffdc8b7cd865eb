-- description: What became of the appointments of some days, one row a day: how many, how they ended, what they
-- description: brought in. The last day is not counted.
-- param from date = 2026-06-01 -- the first day
-- param to date = 2026-07-01 -- the day behind the last one
SELECT a.date,
       count(*) AS appointments,
       count(*) FILTER (WHERE a.status = 'COMPLETED') AS completed,
       count(*) FILTER (WHERE a.status = 'CANCELLED') AS cancelled,
       count(*) FILTER (WHERE a.status = 'NO_SHOW') AS no_shows,
       count(DISTINCT a.client_id) AS clients,
       coalesce(sum(a.price) FILTER (WHERE a.status = 'COMPLETED'), 0) AS revenue,
       round(avg(a.price) FILTER (WHERE a.status = 'COMPLETED'), 2) AS average_price
FROM api.appointments a
WHERE a.date >= :from AND a.date < :to
GROUP BY a.date
ORDER BY a.date
