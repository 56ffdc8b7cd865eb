// SPDX-License-Identifier: Apache-2.0
// The peer: the same answers as a typical backend writes them. Fastify 5,
// npm's pg with a pool of 20, one process, parameters bound, no logging, and no
// row-level security to pay for. usage: fastify.mjs PORT (DATABASE_URL is set)

import Fastify from 'fastify';
import driver from 'pg';

const COLUMNS = {
    id: 'id', companyId: 'company_id', firstName: 'first_name', lastName: 'last_name', email: 'email',
    phone: 'phone', birthday: 'birthday', status: 'status', isActive: 'is_active', tags: 'tags',
    notes: 'notes', createdAt: 'created_at', updatedAt: 'updated_at',
};
const select = (names) => names.map((name) => `${COLUMNS[name]} AS "${name}"`).join(', ');

const pool = new driver.Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const app = Fastify({ logger: false });

app.get('/api/v1/clients/:id', async (request, reply) => {
    const { rows } = await pool.query(`SELECT ${select(Object.keys(COLUMNS))} FROM api.clients WHERE id = $1`, [request.params.id]);
    if (rows.length === 0) return reply.code(404).send({ code: 'not_found', message: 'No such client.' });
    return { data: rows[0] };
});

app.get('/api/v1/clients', async (request, reply) => {
    const { page = '1', limit = '20', sort = 'createdAt', order = 'asc', status, fields } = request.query;
    const names = fields ? fields.split(',') : Object.keys(COLUMNS);
    if (!COLUMNS[sort] || names.some((name) => !COLUMNS[name])) return reply.code(400).send({ code: 'bad_request' });
    const values = [Number(limit), (Number(page) - 1) * Number(limit)];
    if (status) values.push(status);
    const { rows } = await pool.query(
        `SELECT ${select(names)} FROM api.clients ${status ? 'WHERE status = $3' : ''}
         ORDER BY ${COLUMNS[sort]} ${order === 'desc' ? 'DESC' : 'ASC'} LIMIT $1 OFFSET $2`, values);
    return { data: rows, pagination: { page: Number(page), limit: Number(limit) } };
});

app.post('/api/v1/clients', async (request, reply) => {
    const { companyId, firstName, lastName, email, phone } = request.body;
    const { rows } = await pool.query(
        `INSERT INTO api.clients (company_id, first_name, last_name, email, phone) VALUES ($1, $2, $3, $4, $5)
         RETURNING ${select(Object.keys(COLUMNS))}`, [companyId, firstName, lastName, email ?? null, phone ?? null]);
    return reply.code(201).send({ data: rows[0] });
});

// Two levels of related rows in one statement, as one writes it who knows PostgreSQL.
app.get('/rest/clients', async () => {
    const { rows } = await pool.query(
        `SELECT c.id, c.first_name, coalesce((SELECT json_agg(json_build_object('id', a.id, 'date', a.date, 'status', a.status,
             'services', (SELECT json_build_object('name', s.name, 'price', s.price) FROM api.services s
                          WHERE s.company_id = a.company_id AND s.id = a.service_id)))
             FROM api.appointments a WHERE a.company_id = c.company_id AND a.client_id = c.id), '[]') AS appointments
         FROM api.clients c ORDER BY c.id LIMIT $1`, [20]);
    return rows.map((row) => ({ ...row, id: Number(row.id) }));
});

await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' });
