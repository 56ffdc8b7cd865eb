-- description: Clients, the newest first, each with its visits, what it has spent and what it owes.
-- param status text = ACTIVE
-- param limit int = 20 -- at most 100
-- param offset int = 0
SELECT c.id, c.first_name, c.last_name, c.email, c.phone, c.status, c.created_at,
       a.visits, a.no_shows, a.spent, a.last_visit, a.next_visit, i.owed
FROM (SELECT * FROM api.clients c
      WHERE c.status = :status
      ORDER BY c.created_at DESC, c.id DESC
      LIMIT least(:limit, 100) OFFSET :offset) AS c
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.status = 'COMPLETED') AS visits,
           count(*) FILTER (WHERE a.status = 'NO_SHOW') AS no_shows,
           coalesce(sum(a.price) FILTER (WHERE a.status = 'COMPLETED'), 0) AS spent,
           max(a.date) FILTER (WHERE a.status = 'COMPLETED') AS last_visit,
           min(a.date) FILTER (WHERE a.status IN ('SCHEDULED', 'CONFIRMED')) AS next_visit
    FROM api.appointments a WHERE a.client_id = c.id) AS a
CROSS JOIN LATERAL (
    SELECT coalesce(sum(i.total - i.paid), 0) AS owed
    FROM api.invoices i WHERE i.client_id = c.id AND i.status = 'ISSUED') AS i
ORDER BY c.created_at DESC, c.id DESC
