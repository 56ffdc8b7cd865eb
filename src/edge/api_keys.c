/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list is read by the rule that what is not understood is refused, with its line: a limit or a date
 * that was left out because of a misspelling would let somebody in.
 *
 * Looking up compares with every entry and goes on past the one that matches: how long it takes tells
 * neither whether nor where.
 */
#include "edge/api_keys.h"

#include <jansson.h>
#include <time.h>

#include "edge/jwt.h"

enum { NAME_MAX_BYTES = 63, ROLE_MAX = 63 /* NAMEDATALEN - 1 of PostgreSQL */ };

/* ---- reading the list ---- */

static hs_status refuse(struct hs_err *reterr, size_t line, const char *expected)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "auth.keys.list, line %zu: %s was expected", line, expected);
    hs_err_hint(reterr, "Make lines with: hasten key new NAME --role ROLE");
    return HS_E_CONFIG;
}

static bool is_name(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    }
    return s.n && s.n <= NAME_MAX_BYTES && hs_str_is_utf8(s);
}

static bool read_hash(struct hs_str hex, char to[static NET_SHA256])
{
    if (hex.n != 2 * NET_SHA256)
        return false;
    for (size_t i = 0; i < NET_SHA256; i++) {
        int high = hs_hex_digit(hex.p[2 * i]);
        int low = hs_hex_digit(hex.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i] = (char)(high << 4 | low);
    }
    return true;
}

/* The digits of `form` ('d' a digit, else itself) as numbers, one for each run. */
static bool read_form(struct hs_str s, const char *form, int *to)
{
    if (s.n != strlen(form))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (form[i] != 'd') {
            if (s.p[i] != form[i])
                return false;
            to++;
            continue;
        }
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *to = *to * 10 + (s.p[i] - '0');
    }
    return true;
}

static bool read_date(struct hs_str s, int64_t *ret_us)
{
    int v[7] = {0};
    struct tm tm = {0};
    struct tm again;
    time_t t;

    if (!read_form(s, s.n == 10 ? "dddd-dd-dd" : "dddd-dd-ddTdd:dd:ddZ", v))
        return false;
    tm.tm_year = v[0] - 1900;
    tm.tm_mon = v[1] - 1;
    tm.tm_mday = v[2];
    tm.tm_hour = v[3];
    tm.tm_min = v[4];
    tm.tm_sec = v[5];
    again = tm;
    t = timegm(&again);
    *ret_us = (int64_t)t * (int64_t)HS_SECOND;
    /* What timegm() had to mend was no date. */
    return again.tm_year == tm.tm_year && again.tm_mon == tm.tm_mon &&
           again.tm_mday == tm.tm_mday && again.tm_hour == tm.tm_hour &&
           again.tm_min == tm.tm_min && again.tm_sec == tm.tm_sec;
}

static bool is_object(struct hs_str text)
{
    bool has_nul = hs_str_find(text, '\0') < text.n;
    json_t *json;
    bool is_fine;

    if (has_nul || text.n == 0)
        return false;
    edge_jwt_init();
    json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    is_fine = json_is_object(json);
    json_decref(json);
    return is_fine;
}

/* One of what follows the hash; NULL = understood, else what was expected. */
static const char *read_part(struct hs_str *rest, struct edge_api_key *key)
{
    struct hs_str claims = HS_STR("claims=");
    struct hs_str word;

    if (hs_str_starts(*rest, claims)) {
        key->claims = hs_str_trim(hs_str_sub(*rest, claims.n, rest->n));
        *rest = HS_STR_NULL;
        return is_object(key->claims) ? NULL : "claims={...}, a JSON object,";
    }
    word = hs_str_cut(rest, ' ');
    if (hs_str_starts(word, HS_STR("role="))) {
        key->role = hs_str_sub(word, strlen("role="), word.n);
        return key->role.n && key->role.n <= ROLE_MAX ? NULL : "role= and the name of a role";
    }
    if (hs_str_starts(word, HS_STR("expires=")))
        return read_date(hs_str_sub(word, strlen("expires="), word.n), &key->ends_us)
                   ? NULL
                   : "expires=2027-01-31 or expires=2027-01-31T12:00:00Z";
    return "role=, expires= or claims=";
}

static const char *read_line(struct hs_str line, struct edge_api_key *key)
{
    struct hs_str rest = line;
    struct hs_str name = hs_str_trim(hs_str_cut(&rest, ':'));
    struct hs_str hash;
    const char *expected = NULL;

    *key = (struct edge_api_key){.name = name, .claims = HS_STR("{}"), .ends_us = INT64_MAX};
    if (!is_name(name) || name.n + 1 > line.n)
        return "a name of at most 63 bytes and a colon";
    rest = hs_str_trim(rest);
    hash = hs_str_cut(&rest, ' ');
    if (!read_hash(hash, key->hash))
        return "a SHA-256 of 64 hexadecimal digits";
    for (rest = hs_str_trim(rest); rest.n && !expected; rest = hs_str_trim(rest))
        expected = read_part(&rest, key);
    if (!expected && !key->role.n)
        expected = "role=";
    return expected;
}

static bool is_twice(const struct edge_api_keys *keys)
{
    const struct edge_api_key *last = &keys->list[keys->n];

    for (size_t i = 0; i < keys->n; i++) {
        if (hs_str_eq(keys->list[i].name, last->name))
            return true;
    }
    return false;
}

static size_t count_lines(struct hs_str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

hs_status edge_api_keys_read(struct hs_str text, struct hs_arena *arena,
                             struct edge_api_keys *ret_keys, struct hs_err *reterr)
{
    struct hs_str rest = hs_arena_dup(arena, text);
    size_t lines = count_lines(text);
    struct edge_api_keys keys = {.n = 0};

    if (lines > EDGE_API_KEYS_MAX + 1)
        lines = EDGE_API_KEYS_MAX + 1; /* one more than fits, to tell that it does not */
    keys.list = HS_NEW_ARRAY(arena, lines, struct edge_api_key);
    if (!rest.p || !keys.list)
        return hs_fail_memory(reterr);
    for (size_t at = 1; rest.n; at++) {
        struct hs_str line = hs_str_trim(hs_str_cut(&rest, '\n'));
        const char *expected;

        if (line.n && line.p[line.n - 1] == '\r')
            line = hs_str_trim(hs_str_sub(line, 0, line.n - 1));
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (keys.n == EDGE_API_KEYS_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "auth.keys.list has more than %d keys",
                           EDGE_API_KEYS_MAX);
        expected = read_line(line, &keys.list[keys.n]);
        if (!expected && is_twice(&keys))
            expected = "another name than one above";
        if (expected)
            return refuse(reterr, at, expected);
        keys.n++;
    }
    *ret_keys = keys;
    return HS_OK;
}

/* ---- using it ---- */

const struct edge_api_key *edge_api_keys_find(const struct edge_api_keys *keys, struct hs_str text)
{
    const struct edge_api_key *found = NULL;
    unsigned char hash[NET_SHA256];

    if (text.n > EDGE_API_KEY_MAX || !net_sha256(text, hash))
        return NULL;
    for (size_t i = 0; i < keys->n; i++) {
        const struct edge_api_key *key = &keys->list[i];

        if (hs_str_eq_secret(hs_strn(key->hash, NET_SHA256), hs_strn((char *)hash, NET_SHA256)))
            found = key;
    }
    return found;
}

void edge_api_key_print(const unsigned char random[static EDGE_API_KEY_RANDOM], struct hs_buf *out)
{
    hs_buf_add_lit(out, EDGE_API_KEY_PREFIX);
    net_base64url(out, hs_strn((const char *)random, EDGE_API_KEY_RANDOM));
}

bool edge_api_key_line(struct hs_str name, struct hs_str key, struct hs_str role,
                       struct hs_str expires, struct hs_str claims, struct hs_buf *out)
{
    char hex[NET_SHA256_HEX];

    if (!net_sha256_hex(key, hex))
        return false;
    hs_buf_printf(out, "%.*s: %s role=%.*s", HS_FMT(name), hex, HS_FMT(role));
    if (expires.n)
        hs_buf_printf(out, " expires=%.*s", HS_FMT(expires));
    if (claims.n)
        hs_buf_printf(out, " claims=%.*s", HS_FMT(claims));
    return !hs_buf_failed(out);
}
