-- Clients+: the indexes that its queries need.
--
-- Two rules. A list of one company begins with company_id, because row-level
-- security adds that equality to every query of a member. And where a list is
-- sorted by time, the key follows as the tie-breaker of a cursor, so that a
-- page is a walk along the index from where the last one ended.
--
-- Every foreign key is served by an index that begins with the referring
-- column (or, for company_id, with UNIQUE (company_id, id)).

CREATE INDEX staff_branch           ON api.staff (branch_id);
CREATE INDEX staff_company_status   ON api.staff (company_id, status);

CREATE INDEX services_company_category ON api.services (company_id, category);

-- "Active clients, newest first", for one company and for all.
CREATE INDEX clients_company_status  ON api.clients (company_id, status, created_at, id);
CREATE INDEX clients_company_active  ON api.clients (company_id, is_active);
CREATE INDEX clients_company_created ON api.clients (company_id, created_at, id);
CREATE INDEX clients_created         ON api.clients (created_at, id);
CREATE INDEX clients_company_name    ON api.clients (company_id, last_name, first_name, id);
CREATE UNIQUE INDEX clients_company_email ON api.clients (company_id, email);
CREATE INDEX clients_search          ON api.clients USING gin (search);

-- The day of a branch, the day of a person, the day of a company.
CREATE INDEX appointments_branch_date     ON api.appointments (branch_id, date, status);
CREATE INDEX appointments_staff_date      ON api.appointments (staff_id, date, start_time);
CREATE INDEX appointments_company_date    ON api.appointments (company_id, date, status);
CREATE INDEX appointments_company_created ON api.appointments (company_id, created_at, id);
CREATE INDEX appointments_client_created  ON api.appointments (client_id, created_at, id);
CREATE INDEX appointments_service         ON api.appointments (service_id);

CREATE INDEX invoices_company_payment ON api.invoices (company_id, payment_status);
CREATE INDEX invoices_company_created ON api.invoices (company_id, created_at, id);
CREATE INDEX invoices_status_due      ON api.invoices (status, due_date);
CREATE INDEX invoices_client_created  ON api.invoices (client_id, created_at, id);
CREATE INDEX invoices_appointment     ON api.invoices (appointment_id);
CREATE UNIQUE INDEX invoices_company_number ON api.invoices (company_id, number);

CREATE INDEX payments_invoice      ON api.payments (invoice_id);
CREATE INDEX payments_company_paid ON api.payments (company_id, paid_at, id);

CREATE UNIQUE INDEX users_email ON api.users (email);
CREATE INDEX users_staff        ON api.users (staff_id);
