-- description: The figures of a day and of its month so far, in one row.
-- param day date = 2026-06-30
-- one: true
SELECT today.appointments AS appointments_today,
       today.confirmed AS confirmed_today,
       month.completed AS completed_this_month,
       month.cancelled AS cancelled_this_month,
       month.no_shows AS no_shows_this_month,
       month.revenue AS revenue_this_month,
       (SELECT count(*) FROM api.clients c WHERE c.status = 'ACTIVE') AS active_clients,
       (SELECT count(*) FROM api.clients c
        WHERE c.created_at >= date_trunc('month', :day) AND c.created_at < :day + 1) AS new_clients_this_month,
       unpaid.invoices AS unpaid_invoices,
       unpaid.sum AS unpaid_sum,
       unpaid.overdue AS overdue_invoices,
       (SELECT coalesce(sum(p.amount), 0) FROM api.payments p
        WHERE p.paid_at >= date_trunc('month', :day) AND p.paid_at < :day + 1) AS received_this_month
FROM (SELECT count(*) AS appointments, count(*) FILTER (WHERE a.status = 'CONFIRMED') AS confirmed
      FROM api.appointments a WHERE a.date = :day) AS today,
     (SELECT count(*) FILTER (WHERE a.status = 'COMPLETED') AS completed,
             count(*) FILTER (WHERE a.status = 'CANCELLED') AS cancelled,
             count(*) FILTER (WHERE a.status = 'NO_SHOW') AS no_shows,
             coalesce(sum(a.price) FILTER (WHERE a.status = 'COMPLETED'), 0) AS revenue
      FROM api.appointments a
      WHERE a.date >= date_trunc('month', :day)::date AND a.date <= :day) AS month,
     (SELECT count(*) AS invoices, coalesce(sum(i.total - i.paid), 0) AS sum,
             count(*) FILTER (WHERE i.due_date < :day) AS overdue
      FROM api.invoices i
      WHERE i.status = 'ISSUED' AND i.payment_status <> 'PAID') AS unpaid
