/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection string, taken apart and put together again for libpq.
 *
 * Rule: libpq must never resolve a name, since it would block the loop. So the hosts are cut out of the
 * string (or of PGHOST, or of the service that PGSERVICE names), resolved by us, and given back as
 * `hostaddr` beside `host`, which stays the name that certificates are checked against. A name with
 * several addresses becomes several entries. (A `service=` inside the string is read by libpq itself,
 * after us: put addresses there.)
 *
 * Settings that answers depend on go as start-up `options`, not as SET: RESET ALL then returns to them,
 * which is how a session is cleaned after a statement that may have changed it. They come behind the
 * operator's own options, so they win; only search_path stands before them, to be overridden there:
 *   search_path   pg_catalog first, so that nothing shadows a built-in; pg_temp last; all that hasten
 *                 writes is qualified, so this is for bodies of functions and policies alone.
 *   jit=off       compiling costs milliseconds, and short queries with a bad estimate would pay it.
 * Source: PostgreSQL 15 manual, 34.1 (connection control) and 20.11 (client defaults).
 */
#include "pg/pool_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

enum { KEYWORDS_MAX = 80, LIST_MAX = 16384 };

static const char *lookup(const PQconninfoOption *options, const char *keyword)
{
    for (; options && options->keyword; options++) {
        if (!strcmp(options->keyword, keyword))
            return options->val && options->val[0] ? options->val : NULL;
    }
    return NULL;
}

static bool is_numeric(const char *host)
{
    unsigned char to[16];

    return inet_pton(AF_INET, host, to) == 1 || inet_pton(AF_INET6, host, to) == 1;
}

static bool is_socket(const char *host)
{
    return !host[0] || host[0] == '/' || host[0] == '@';
}

static size_t count_items(const char *list)
{
    size_t n = 1;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

/* Copies a list to *at, cut in place; item i of it is returned by walking. */
static const char *put_list(char **at, const char *list)
{
    char *copy = *at;

    for (size_t i = 0;; i++) {
        copy[i] = list[i] == ',' ? '\0' : list[i];
        if (list[i])
            continue;
        *at = copy + i + 1;
        return copy;
    }
}

static const char *next_item(const char *item)
{
    return item + strlen(item) + 1;
}

static hs_status fail_hosts(struct hs_err *reterr, const char *why)
{
    hs_fail(reterr, HS_E_CONFIG, "database.url cannot be used");
    hs_err_why(reterr, "%s", why);
    return HS_E_CONFIG;
}

static hs_status cut_hosts(struct pg_params *params, const char *host, const char *hostaddr,
                           const char *port, struct hs_err *reterr)
{
    size_t n = count_items(hostaddr ? hostaddr : host);
    bool has_one_port = count_items(port) == 1;
    char *at;
    const char *names;
    const char *addresses;
    const char *ports;

    if (n > PG_HOSTS_MAX)
        return fail_hosts(reterr, "It names more than 32 hosts.");
    if ((hostaddr && host[0] && count_items(host) != n) ||
        (!has_one_port && count_items(port) != n))
        return fail_hosts(reterr, "The lists of hosts, addresses and ports differ in length.");
    params->text = hs_malloc(strlen(host) + strlen(port) + strlen(hostaddr ? hostaddr : "") + 3);
    if (!params->text)
        return hs_fail_memory(reterr);
    at = params->text;
    names = put_list(&at, host);
    addresses = put_list(&at, hostaddr ? hostaddr : "");
    ports = put_list(&at, port);
    for (size_t i = 0; i < n; i++) {
        struct pg_host *to = &params->host[i];

        to->name = names;
        to->hostaddr = addresses;
        to->port = ports;
        to->must_resolve = !addresses[0] && !is_socket(names) && !is_numeric(names);
        names = host[0] ? next_item(names) : names;
        addresses = hostaddr ? next_item(addresses) : addresses;
        ports = has_one_port ? ports : next_item(ports);
    }
    params->n_hosts = n;
    return HS_OK;
}

static void add_pinned(struct hs_buf *to, const struct pg_pool_setup *setup)
{
    unsigned long long ms = (setup->statement_timeout + 999) / 1000;

    hs_buf_add_lit(to, " -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres"
                       " -c extra_float_digits=1 -c bytea_output=hex"
                       " -c default_transaction_isolation=read\\ committed"
                       " -c default_transaction_deferrable=off -c plan_cache_mode=auto -c jit=off"
                       " -c row_security=on");
    hs_buf_printf(to, " -c statement_timeout=%llu -c idle_in_transaction_session_timeout=%llu", ms,
                  ms + 10000);
}

static hs_status make_options(struct pg_params *params, const struct pg_pool_setup *setup,
                              const char *given, struct hs_err *reterr)
{
    struct hs_buf options;

    hs_buf_init(&options, LIST_MAX);
    hs_buf_add_lit(&options, "-c search_path=pg_catalog,public,pg_temp");
    if (given) {
        hs_buf_add_char(&options, ' ');
        hs_buf_add(&options, hs_str(given));
    }
    add_pinned(&options, setup);
    if (!hs_buf_cstr(&options)) {
        hs_buf_fini(&options);
        return hs_fail_memory(reterr);
    }
    params->options = options.p;
    return HS_OK;
}

static hs_status fill(struct pg_params *params, const struct pg_pool_setup *setup,
                      const PQconninfoOption *defaults, struct hs_err *reterr)
{
    const char *value[5];
    static const char *const keywords[5] = {"host", "hostaddr", "port", "options",
                                            "target_session_attrs"};
    hs_status status;

    for (size_t i = 0; i < 5; i++) {
        value[i] = lookup(params->given, keywords[i]);
        if (!value[i])
            value[i] = lookup(defaults, keywords[i]);
    }
    /* An address of the environment does not belong to a host of the string. */
    if (lookup(params->given, "host") && !lookup(params->given, "hostaddr"))
        value[1] = NULL;
    status = cut_hosts(params, value[0] ? value[0] : "", value[1], value[2] ? value[2] : "",
                       reterr);
    if (!status)
        status = make_options(params, setup, value[3], reterr);
    if (status)
        return status;
    /* libpq's compiled-in default is "any". */
    params->is_read_write = params->n_hosts > 1 && (!value[4] || !strcmp(value[4], "any")) &&
                            !lookup(params->given, "target_session_attrs");
    (void)snprintf(params->keepalive, sizeof(params->keepalive), "%llu",
                   (unsigned long long)((setup->keepalive + HS_SECOND - 1) / HS_SECOND));
    params->application_name = hs_memdup0(setup->application_name.p, setup->application_name.n);
    return params->application_name ? HS_OK : hs_fail_memory(reterr);
}

/* libpq's messages may quote the string, and with it a password: only a password-free one is shown. */
static hs_status parse(struct pg_params *params, struct hs_str url, struct hs_err *reterr)
{
    char *copy = hs_memdup0(url.p, url.n);
    char *message = NULL;

    if (!copy)
        return hs_fail_memory(reterr);
    params->given = PQconninfoParse(copy, &message);
    hs_free(copy);
    PQfreemem(message);
    if (params->given)
        return HS_OK;
    hs_fail(reterr, HS_E_CONFIG, "database.url is not a PostgreSQL connection string");
    hs_err_hint(reterr, "Write postgresql://user@host:5432/database or host=... dbname=...");
    return HS_E_CONFIG;
}

hs_status pg_params_new(const struct pg_pool_setup *setup, struct pg_params **ret_params,
                        struct hs_err *reterr)
{
    struct pg_params *params = hs_calloc(1, sizeof(*params));
    PQconninfoOption *defaults;
    hs_status status;

    if (!params)
        return hs_fail_memory(reterr);
    defaults = PQconndefaults();
    status = parse(params, setup->url, reterr);
    if (!status)
        status = fill(params, setup, defaults, reterr);
    PQconninfoFree(defaults);
    if (status) {
        pg_params_free(params);
        return status;
    }
    *ret_params = params;
    return HS_OK;
}

void pg_params_free(struct pg_params *params)
{
    if (!params)
        return;
    PQconninfoFree(params->given);
    hs_free(params->text);
    hs_free(params->options);
    hs_free(params->application_name);
    hs_free(params);
}

void pg_addresses_init(struct pg_addresses *to)
{
    hs_buf_init(&to->host, LIST_MAX);
    hs_buf_init(&to->hostaddr, LIST_MAX);
    hs_buf_init(&to->port, LIST_MAX);
    to->n = 0;
}

void pg_addresses_fini(struct pg_addresses *to)
{
    hs_buf_fini(&to->host);
    hs_buf_fini(&to->hostaddr);
    hs_buf_fini(&to->port);
}

static void add_item(struct hs_buf *list, bool is_first, const char *item)
{
    if (!is_first)
        hs_buf_add_char(list, ',');
    hs_buf_add(list, hs_str(item));
}

void pg_addresses_add(struct pg_addresses *to, const struct pg_host *host, const char *address)
{
    if (to->n >= PG_ADDRESSES_MAX)
        return;
    add_item(&to->host, to->n == 0, host->name);
    add_item(&to->hostaddr, to->n == 0, address);
    add_item(&to->port, to->n == 0, host->port);
    to->n++;
}

struct keywords {
    const char *name[KEYWORDS_MAX];
    const char *value[KEYWORDS_MAX];
    size_t n;
};

/* Later ones win in libpq, so ours come last. */
static void set(struct keywords *to, const char *name, const char *value)
{
    HS_BUG_ON(to->n + 1 >= KEYWORDS_MAX);
    to->name[to->n] = name;
    to->value[to->n] = value;
    to->n++;
}

static void set_default(struct keywords *to, const struct pg_params *params, const char *name,
                        const char *value)
{
    if (!lookup(params->given, name))
        set(to, name, value);
}

PGconn *pg_params_start(const struct pg_params *params, struct pg_addresses *addresses)
{
    struct keywords to = {.n = 0};
    const char *host = hs_buf_cstr(&addresses->host);
    const char *hostaddr = hs_buf_cstr(&addresses->hostaddr);
    const char *port = hs_buf_cstr(&addresses->port);

    if (!host || !hostaddr || !port)
        return NULL;
    for (const PQconninfoOption *o = params->given; o->keyword; o++) {
        if (o->val && o->val[0] && strcmp(o->keyword, "connect_timeout") != 0)
            set(&to, o->keyword, o->val);
    }
    set(&to, "host", host);
    set(&to, "hostaddr", hostaddr);
    set(&to, "port", port);
    set(&to, "client_encoding", "UTF8");
    set(&to, "options", params->options);
    set_default(&to, params, "application_name", params->application_name);
    set_default(&to, params, "keepalives", "1");
    set_default(&to, params, "keepalives_idle", params->keepalive);
    set_default(&to, params, "keepalives_interval", "5");
    set_default(&to, params, "keepalives_count", "4");
    /* Its buffer would hide bytes from the loop (TLS's can be asked). */
    set_default(&to, params, "gssencmode", "disable");
    if (params->is_read_write)
        set(&to, "target_session_attrs", "read-write");
    return PQconnectStartParams(to.name, to.value, /* expand_dbname= */ 0);
}
