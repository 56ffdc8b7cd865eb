/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten cache`: what a running server keeps, why, and how it is made to forget it; over its admin socket.
 *
 * Answers are shown for people; with --json as the server gave them. A refusal is JSON on standard error, as from
 * `hasten admin`.
 */
#include <stdio.h>
#include <string.h>

#include "api/url.h"
#include "cmd/plain.h"
#include "cmd/talk.h"
#include "core/json.h"

enum { TEXT_MAX = 1 << 20, OUTPUT_MAX = 256 << 20 };

struct cache_command {
    struct talk_to whom;
    uint64_t n;
    const char *table;
    const char *tenant;
    const char *user;
    const char *pattern;
    bool all;
    const char *token;
    bool json;
    struct talk_request request;
    struct hs_buf target;
    struct hs_buf body;
    struct hs_buf authorization;
};

/* ---- what is asked ---- */

static int ask_stats(struct cache_command *c, const char *url)
{
    (void)url;
    c->request.method = "GET";
    hs_buf_add_lit(&c->target, "/admin/cache/stats");
    return CMD_OK;
}

static int ask_top(struct cache_command *c, const char *url)
{
    (void)url;
    c->request.method = "GET";
    hs_buf_printf(&c->target, "/admin/cache/top?n=%llu", (unsigned long long)c->n);
    return CMD_OK;
}

static int ask_purge(struct cache_command *c, const char *url)
{
    const struct {
        const char *name;
        const char *value;
    } ways[] = {{"table", c->table},
                {"tenant", c->tenant},
                {"user", c->user},
                {"pattern", c->pattern},
                {"all", c->all ? "true" : NULL}};
    unsigned n = 0;

    (void)url;
    c->request.method = "POST";
    hs_buf_add_lit(&c->target, "/admin/cache/purge");
    for (size_t i = 0; i < HS_LEN(ways); i++) {
        if (!ways[i].value)
            continue;
        n++;
        hs_buf_printf(&c->body, "{\"%s\":", ways[i].name);
        hs_json_string(&c->body, hs_str(ways[i].value));
        hs_buf_add_char(&c->body, '}');
    }
    return n == 1 ? CMD_OK
                  : cmd_misused("Give one of --table, --tenant, --user, --pattern and --all.",
                                n ? "one purge takes one of these options"
                                  : "what is to be purged is not said");
}

static int ask_explain(struct cache_command *c, const char *url)
{
    c->request.method = "GET";
    if (!url || url[0] != '/')
        return cmd_misused(
            "Write it as a client does: hasten cache explain '/api/v1/clients?limit=5'.",
            "explain needs an address that begins with /");
    hs_buf_add_lit(&c->target, "/admin/cache/explain?url=");
    url_encode(&c->target, hs_str(url));
    if (c->token && strpbrk(c->token, " \t\r\n"))
        return cmd_misused(NULL, "--token holds white space");
    if (c->token)
        hs_buf_printf(&c->authorization, "Bearer %s", c->token);
    return CMD_OK;
}

static const struct {
    const char *word;
    int (*ask)(struct cache_command *c, const char *url);
} words[] = {
    {"stats", ask_stats}, {"top", ask_top}, {"purge", ask_purge}, {"explain", ask_explain}};

static int write_request(struct cache_command *c, const struct args *args)
{
    const char *word = args->n_rest ? args->rest[0] : "";
    const char *url = args->n_rest > 1 ? args->rest[1] : NULL;
    size_t i = 0;
    int code;

    while (i < HS_LEN(words) && strcmp(words[i].word, word) != 0)
        i++;
    if (i == HS_LEN(words))
        return cmd_misused("Write `hasten cache stats`, `top`, `purge` or `explain URL`.",
                           "cache cannot do \"%.100s\"", word);
    if (url && words[i].ask != ask_explain)
        return cmd_misused(NULL, "%s takes no further word", word);
    code = words[i].ask(c, url);
    if (!code &&
        (hs_buf_failed(&c->target) || hs_buf_failed(&c->body) || hs_buf_failed(&c->authorization)))
        return cmd_misused(NULL, "what is asked is too long");
    c->request.target = hs_buf_str(&c->target);
    c->request.body = hs_buf_str(&c->body);
    c->request.authorization = hs_buf_str(&c->authorization);
    return code;
}

/* ---- the answer ---- */

static int show(const struct cache_command *c, unsigned status, struct hs_str body)
{
    struct hs_buf out;

    if (status != 200 || c->json) {
        (void)fprintf(status == 200 ? stdout : stderr, "%.*s\n", HS_FMT(body));
        return status == 200 ? CMD_OK : CMD_FAILED;
    }
    hs_buf_init(&out, OUTPUT_MAX);
    if (plain_write(body, &out))
        return cmd_print(&out);
    hs_buf_fini(&out);
    (void)fprintf(stderr, "hasten: the server's answer is not understood; see it with --json\n");
    return CMD_FAILED;
}

static int run(struct cache_command *c, const struct args *args)
{
    struct hs_buf answer = {.p = NULL};
    struct hs_str body;
    unsigned status;
    int code = write_request(c, args);

    if (!code)
        code = talk(&c->whom, &c->request, &answer, &status, &body);
    if (!code)
        code = show(c, status, body);
    hs_buf_fini(&answer);
    return code;
}

int cmd_cache(int argc, char **argv)
{
    struct cache_command c = {.n = 20};
    const struct args_opt opts[] = {
        ARGS_UINT("n", &c.n, "N", 1, 10000, "top: how many (default 20)"),
        ARGS_TEXT("table", &c.table, "TABLE", "purge: all that reads this table"),
        ARGS_TEXT("tenant", &c.tenant, "ID", "purge: all of this tenant (cache.tenant_claim)"),
        ARGS_TEXT("user", &c.user, "SUB", "purge: all of this user (claim sub)"),
        ARGS_TEXT("pattern", &c.pattern, "TEXT", "purge: keys like this, * for any text"),
        ARGS_FLAG("all", &c.all, "purge: everything"),
        ARGS_TEXT("token", &c.token, "TOKEN", "explain: for whom (default: who has no token)"),
        ARGS_FLAG("json", &c.json, "print the answer as the server gave it"),
        TALK_OPTS(&c.whom),
    };
    struct args args = {.command = "cache", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 2};
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    hs_buf_init(&c.target, TEXT_MAX);
    hs_buf_init(&c.body, TEXT_MAX);
    hs_buf_init(&c.authorization, TEXT_MAX);
    code = run(&c, &args);
    hs_buf_fini(&c.target);
    hs_buf_fini(&c.body);
    hs_buf_fini(&c.authorization);
    return code;
}
