/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file as the enemy writes it. Whatever the bytes: no crash, no leak, and either
 * an error with a place or a configuration that, shown and read again, is the same (secrets apart:
 * they are masked, so a configuration with secrets is only shown).
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char env_name[] = "NAME=va$lue";
static char env_empty[] = "EMPTY=";
static char *const env[] = {env_name, env_empty, NULL};

static struct hs_str show(const struct conf *conf, struct hs_buf *out)
{
    hs_buf_init(out, 64 << 20);
    conf_show(conf, out);
    HS_BUG_ON(hs_buf_failed(out));
    return hs_buf_str(out);
}

static bool has_secret(const struct conf *conf)
{
    return conf->database_url.n || conf->auth_jwt_secret.n || conf->auth_jwt_public_key.n ||
           conf->api_cursor_secret.n;
}

/* What is shown, without the origins, which change to lines of what is read. */
static void strip_origins(struct hs_str *text, struct hs_buf *out)
{
    while (text->n) {
        struct hs_str line = hs_str_cut(text, '\n');

        for (size_t i = line.n; i > 0; i--) {
            if (line.p[i - 1] == '#') {
                line.n = i - 1;
                break;
            }
        }
        hs_buf_add(out, line);
        hs_buf_add_char(out, '\n');
    }
}

static void read_again(const struct conf *conf)
{
    struct conf *again = NULL;
    struct hs_buf first, second, a, b;
    struct hs_err err;
    struct hs_str text = show(conf, &first);
    struct conf_input in = {.file = "shown", .text = text, .env = env};

    hs_err_clear(&err);
    if (conf_load_text(&in, &again, &err)) {
        fprintf(stderr, "%s\n%.*s\n", err.what, HS_FMT(text));
        abort();
    }
    hs_buf_init(&a, 64 << 20);
    hs_buf_init(&b, 64 << 20);
    strip_origins(&text, &a);
    text = show(again, &second);
    strip_origins(&text, &b);
    HS_BUG_ON(!hs_str_eq(hs_buf_str(&a), hs_buf_str(&b)));
    conf_free(again);
    hs_buf_fini(&a);
    hs_buf_fini(&b);
    hs_buf_fini(&first);
    hs_buf_fini(&second);
}

/* The same bytes as a file of PostgREST's. */
static void read_postgrest(struct hs_str text)
{
    struct conf_input in = {.file = "p.conf", .is_postgrest = true, .text = text, .env = env};
    struct conf *conf = NULL;
    struct hs_err err;
    struct hs_buf out;

    hs_err_clear(&err);
    if (conf_load_text(&in, &conf, &err)) {
        HS_BUG_ON(conf != NULL || !err.what[0] || strchr(err.what, '\n') != NULL);
        return;
    }
    show(conf, &out);
    hs_buf_fini(&out);
    conf_free(conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_input in = {
        .file = "f.yaml", .text = hs_strn((const char *)data, size), .env = env};
    struct conf *conf = NULL;
    struct hs_buf out;
    struct hs_err err;
    hs_status status;

    /* A secret read from a terminal would wait for somebody to type it. */
    if (memmem(data, size, "/dev", 4))
        return 0;
    read_postgrest(in.text);
    hs_err_clear(&err);
    status = conf_load_text(&in, &conf, &err);
    if (status) {
        HS_BUG_ON(conf != NULL || err.status != status || !err.what[0]);
        HS_BUG_ON(status == HS_E_CONFIG && strncmp(err.what, "f.yaml", 6) != 0);
        HS_BUG_ON(strchr(err.what, '\n') != NULL);
        return 0;
    }
    if (has_secret(conf)) {
        show(conf, &out);
        hs_buf_fini(&out);
    } else {
        read_again(conf);
    }
    conf_free(conf);
    return 0;
}
