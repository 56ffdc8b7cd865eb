/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts are cut out of the text and decoded one behind the other into one block, which is never longer than
 * the text and a NUL for each part.
 */
#include "net/redis_url.h"

#include <stdio.h>

#include "core/mem.h"

enum { PORT_DEFAULT = 6379, PORT_MAX = 65535, DB_MAX = 65535, PARTS_MAX = 3 };

struct reading {
    struct net_redis_url *url;
    char *to; /* where the next part goes */
    const char *why;
};

/* NULL: a bad escape, or a NUL. */
static const char *decode(struct reading *reading, struct hs_str s)
{
    const char *part = reading->to;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            int high = i + 2 < s.n ? hs_hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hs_hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (!c)
            return NULL;
        *reading->to++ = c;
    }
    *reading->to++ = '\0';
    return part;
}

static bool read_number(struct hs_str s, uint64_t most, unsigned *ret_n)
{
    uint64_t n;

    if (!hs_str_to_u64(s, &n) || n > most)
        return false;
    *ret_n = (unsigned)n;
    return true;
}

/* The end of the user's part, behind the last '@' before the path. */
static bool read_user(struct reading *reading, struct hs_str *rest)
{
    struct net_redis_url *url = reading->url;
    size_t at = rest->n;
    struct hs_str user;
    bool has_password;

    for (size_t i = 0; rest->p && i < rest->n && rest->p[i] != '/'; i++) {
        if (rest->p[i] == '@')
            at = i;
    }
    if (at == rest->n)
        return true;
    user = hs_str_sub(*rest, 0, at);
    *rest = hs_str_sub(*rest, at + 1, rest->n);
    has_password = hs_str_find(user, ':') < user.n;
    reading->why = "What stands before the @ must be user:password, percent-encoded.";
    if (has_password) {
        struct hs_str name = hs_str_cut(&user, ':');

        url->user = name.n ? decode(reading, name) : NULL;
        url->password = decode(reading, user);
        return url->password && (!name.n || url->user);
    }
    return false;
}

static bool read_host(struct reading *reading, struct hs_str rest)
{
    struct net_redis_url *url = reading->url;
    struct hs_str place = hs_str_cut(&rest, '/');
    struct hs_str host;

    reading->why = "The database is a number behind the last slash.";
    if (rest.n && !read_number(rest, DB_MAX, &url->db))
        return false;
    reading->why = "The port must be a number from 1 to 65535.";
    url->port = PORT_DEFAULT;
    if (place.n && place.p[0] == '[') {
        size_t end = hs_str_find(place, ']');

        if (end == place.n)
            return false;
        host = hs_str_sub(place, 1, end);
        place = hs_str_sub(place, end + 1, place.n);
        if (place.n && place.p[0] != ':')
            return false;
        place = hs_str_sub(place, 1, place.n);
    } else {
        host = hs_str_cut(&place, ':');
    }
    if (place.n && (!read_number(place, PORT_MAX, &url->port) || !url->port))
        return false;
    reading->why = "There is no host in it.";
    url->host = host.n ? decode(reading, host) : NULL;
    return url->host != NULL;
}

static bool read_path(struct reading *reading, struct hs_str rest)
{
    struct net_redis_url *url = reading->url;
    struct hs_str path = hs_str_cut(&rest, '?');

    reading->why = "Behind the ? only db=number may stand.";
    if (rest.n && (!hs_str_starts(rest, HS_STR("db=")) ||
                   !read_number(hs_str_sub(rest, 3, rest.n), DB_MAX, &url->db)))
        return false;
    reading->why = "A unix socket needs an absolute path.";
    url->path = path.n && path.p[0] == '/' ? decode(reading, path) : NULL;
    return url->path != NULL;
}

static bool read_all(struct reading *reading, struct hs_str text)
{
    bool is_unix = hs_str_starts(text, HS_STR("unix://"));

    reading->why = "It must begin with redis:// or unix://; for TLS put stunnel in front of it.";
    if (!is_unix && !hs_str_starts(text, HS_STR("redis://")))
        return false;
    text = hs_str_sub(text, is_unix ? 7 : 8, text.n);
    if (!read_user(reading, &text))
        return false;
    return is_unix ? read_path(reading, text) : read_host(reading, text);
}

hs_status net_redis_url_read(struct hs_str text, struct net_redis_url *ret_url,
                             struct hs_err *reterr)
{
    struct reading reading = {.url = ret_url};

    *ret_url = (struct net_redis_url){.text = hs_malloc(text.n + PARTS_MAX)};
    if (!ret_url->text)
        return hs_fail_memory(reterr);
    reading.to = ret_url->text;
    if (read_all(&reading, text))
        return HS_OK;
    net_redis_url_fini(ret_url);
    (void)hs_fail(reterr, HS_E_CONFIG, "the address of Redis cannot be read");
    hs_err_why(reterr, "%s", reading.why);
    hs_err_hint(reterr, "Write redis://user:password@host:port/db or unix:///path?db=0.");
    return HS_E_CONFIG;
}

void net_redis_url_fini(struct net_redis_url *url)
{
    hs_free(url->text);
    *url = (struct net_redis_url){.text = NULL};
}
