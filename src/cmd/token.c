/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten token`: an HS256 token (RFC 7519) for the demo, signed with the demo's own secret.
 */
#include <stdio.h>

#include "cmd/cluster.h"
#include "cmd/cmd.h"
#include "core/json.h"
#include "core/time.h"
#include "net/crypto.h"

enum { TOKEN_MAX = 16384, SECRET_TEXT = 128 };

/* Whole numbers, true, false and null go as they are, all else as text. */
static bool is_json_word(struct hs_str v)
{
    int64_t number;

    return hs_str_is(v, "true") || hs_str_is(v, "false") || hs_str_is(v, "null") ||
           (hs_str_to_i64(v, &number) && (v.n == 1 || v.p[0] != '0'));
}

static bool add_claim(struct hs_buf *out, const char *text)
{
    struct hs_str value = hs_str(text);
    struct hs_str name = hs_str_cut(&value, '=');

    if (!name.n || name.n == strlen(text))
        return false;
    hs_buf_add_char(out, ',');
    hs_json_string(out, name);
    hs_buf_add_char(out, ':');
    if (is_json_word(value))
        hs_buf_add(out, value);
    else
        hs_json_string(out, value);
    return true;
}

static hs_status sign(struct hs_str secret, struct hs_str payload, struct hs_buf *out,
                      struct hs_err *reterr)
{
    unsigned char mac[NET_SHA256];
    struct net_hmac *hmac;
    hs_status status = net_hmac_new(secret, &hmac, reterr);
    bool fine;

    if (status)
        return status;
    net_base64url(out, HS_STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    hs_buf_add_char(out, '.');
    net_base64url(out, payload);
    fine = !hs_buf_failed(out) && net_hmac_sha256(hmac, hs_buf_str(out), mac);
    net_hmac_free(hmac);
    hs_buf_add_char(out, '.');
    net_base64url(out, hs_strn((const char *)mac, sizeof(mac)));
    return fine && hs_buf_cstr(out) ? HS_OK : hs_fail_memory(reterr);
}

static hs_status make_token(const char *data, const char *role, const struct args_list *claims,
                            uint64_t days, struct hs_buf *out, struct hs_err *reterr)
{
    char secret[SECRET_TEXT];
    struct hs_buf payload;
    struct cluster cluster;
    hs_status status = cluster_init(&cluster, data, reterr);

    if (!status)
        status = cluster_read_secret(&cluster, secret, sizeof(secret), reterr);
    if (status)
        return status;
    hs_buf_init(&payload, TOKEN_MAX / 2);
    hs_buf_add_lit(&payload, "{\"role\":");
    hs_json_string(&payload, hs_str(role));
    for (size_t i = 0; i < claims->n && !status; i++) {
        if (!add_claim(&payload, claims->v[i]))
            status = hs_fail(reterr, HS_E_CONFIG, "a claim has the form NAME=VALUE, not %s",
                             claims->v[i]);
    }
    hs_buf_add_lit(&payload, ",\"exp\":");
    hs_buf_add_i64(&payload, hs_wall_now().us / 1000000 + (int64_t)days * 86400);
    hs_buf_add_char(&payload, '}');
    if (!status)
        status = hs_buf_failed(&payload) ? hs_fail(reterr, HS_E_CONFIG, "the claims are too long")
                                         : sign(hs_str(secret), hs_buf_str(&payload), out, reterr);
    hs_buf_fini(&payload);
    return status;
}

int cmd_token(int argc, char **argv)
{
    const char *data = ".hasten";
    const char *role = NULL;
    struct args_list claims = {.n = 0};
    uint64_t days = 30;
    const struct args_opt opts[] = {
        ARGS_TEXT("data", &data, "DIR", "folder of the demo (default: .hasten)"),
        ARGS_TEXT("role", &role, "ROLE", "database role of the caller (required)"),
        ARGS_LIST("claim", &claims, "NAME=VALUE", "a further claim; may be repeated"),
        ARGS_UINT("days", &days, "N", 1, 3650, "how long it is good for (default 30)"),
    };
    struct args args = {.command = "token", .opts = opts, .n_opts = HS_LEN(opts)};
    struct hs_buf token;
    struct hs_err err;
    hs_status status;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    if (!role)
        return cmd_misused("For the demo: hasten token --role member --claim company_id=7",
                           "--role is missing");
    hs_buf_init(&token, TOKEN_MAX);
    status = make_token(data, role, &claims, days, &token, &err);
    if (status)
        cmd_complain(&err);
    else
        printf("%s\n", token.p);
    hs_buf_fini(&token);
    return status ? (status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED) : CMD_OK;
}
