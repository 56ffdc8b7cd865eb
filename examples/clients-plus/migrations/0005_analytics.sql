-- Clients+: what the named queries in api/ need to be answered from indexes alone.
--
-- They add up a month, or all that is unpaid. The columns behind INCLUDE spare
-- the table, company_id among them: for a member the policy filters the index's
-- rows, for a viewer the same index serves all companies.

CREATE INDEX appointments_date ON api.appointments (date, client_id) INCLUDE (company_id, status, price);
CREATE INDEX invoices_unpaid   ON api.invoices (company_id) INCLUDE (due_date, total, paid)
    WHERE status = 'ISSUED' AND payment_status <> 'PAID';
CREATE INDEX payments_paid     ON api.payments (paid_at) INCLUDE (company_id, amount);

-- Full-text search of a member: under row-level security an index serves
-- leakproof operators only, for any other might tell of rows that the policy
-- hides, by an error that names them. @@ raises none, but PostgreSQL does not
-- promise it. A superuser may; without that a member's search looks at every
-- client of his company. (A dump does not hold this: do it again after restoring one.)
DO $$
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF;
    ELSE
        RAISE NOTICE 'not a superuser: the full-text index serves viewers, but not members';
    END IF;
END
$$;
