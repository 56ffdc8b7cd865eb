/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request head of RFC 9112, sections 2 to 7, read in one pass over the bytes: request line,
 * fields, then the rules that need all fields (host, framing, expectation).
 *
 * The one rule: when in doubt, refuse. A bare LF or CR, white space where the grammar has none, a
 * second Content-Length, a length beside a transfer coding: each is a way to make two servers
 * disagree about where a request ends, so none is repaired, although RFC 9112 would allow some
 * (2.2, 5.2, 6.3).
 *
 * Functions that read return the place behind what they read, or NULL; then head->error is HS_OK if
 * merely more bytes are needed. A window (`end`) that is cut by a limit turns "more" into "too
 * long".
 */
#include "http/h1.h"

#include "http/h1_class.h"

static const char *bad(struct h1_head *head, hs_status error, const char *why)
{
    head->error = error;
    head->why = why;
    return NULL;
}

static const char *refuse(struct h1_head *head, const char *why)
{
    return bad(head, HS_E_BAD_REQUEST, why);
}

static const char *refuse_byte(struct h1_head *head, char c, const char *otherwise)
{
    if (c == '\n')
        return refuse(head, "a line ends with LF alone");
    if (c == '\r')
        return refuse(head, "CR without LF");
    if (c == '\0')
        return refuse(head, "NUL byte");
    return refuse(head, otherwise);
}

bool h1_is_token(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is(s.p[i], H1_TOKEN))
            return false;
    }
    return s.n > 0;
}

/* ---- request line ---- */

enum http_method h1_method(struct hs_str name)
{
    static const struct {
        struct hs_str name;
        enum http_method method;
    } known[] = {
        {{"GET", 3}, HTTP_GET},         {{"POST", 4}, HTTP_POST},     {{"PUT", 3}, HTTP_PUT},
        {{"PATCH", 5}, HTTP_PATCH},     {{"DELETE", 6}, HTTP_DELETE}, {{"HEAD", 4}, HTTP_HEAD},
        {{"OPTIONS", 7}, HTTP_OPTIONS},
    };

    for (size_t i = 0; i < HS_LEN(known); i++) {
        if (hs_str_eq(name, known[i].name))
            return known[i].method;
    }
    return HTTP_OTHER;
}

static const char *read_crlf(struct h1_head *head, const char *p, const char *end,
                             const char *otherwise)
{
    if (p == end)
        return NULL;
    if (*p != '\r')
        return refuse_byte(head, *p, otherwise);
    if (p + 1 == end)
        return NULL;
    if (p[1] != '\n')
        return refuse(head, "CR without LF");
    return p + 2;
}

static const char *read_version(struct h1_head *head, const char *p, const char *end)
{
    static const char name[] = "HTTP/";
    const char *after;

    for (size_t i = 0; i < sizeof(name) - 1; i++, p++) {
        if (p == end)
            return NULL;
        if (*p != name[i])
            return refuse_byte(head, *p, "the request line does not end with a space and HTTP/1.1");
    }
    if (end - p < 3)
        return NULL;
    if (p[0] < '0' || p[0] > '9' || p[1] != '.' || p[2] < '0' || p[2] > '9')
        return refuse(head, "the request line does not end with a space and HTTP/1.1");
    after = read_crlf(head, p + 3, end, "bytes behind the version");
    if (!after)
        return NULL;
    if (p[0] != '1' || p[2] > '1')
        return bad(head, HS_E_HTTP_VERSION, "the version is neither HTTP/1.1 nor HTTP/1.0");
    head->minor = (unsigned)(p[2] - '0');
    return after;
}

static const char *read_request_line(struct h1_head *head, const char *p, const char *end)
{
    const char *start = p;

    while (p < end && h1_is(*p, H1_TOKEN))
        p++;
    if (p == end)
        return NULL;
    if (*p != ' ' || p == start)
        return refuse_byte(head, *p, "the method is not a token");
    head->method_name = hs_strn(start, (size_t)(p - start));
    head->method = h1_method(head->method_name);
    start = ++p;
    while (p < end && h1_is(*p, H1_TARGET))
        p++;
    if (p == end)
        return NULL;
    if (*p != ' ' || p == start)
        return refuse_byte(head, *p,
                           "the request target holds a byte that must be percent-encoded");
    head->target = hs_strn(start, (size_t)(p - start));
    return read_version(head, p + 1, end);
}

/* ---- fields ---- */

/* The first byte that no field value may hold. Eight bytes at a time: below 0x20 or 0x7f stops. */
static const char *skip_value(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u;

    while (end - p >= 8) {
        uint64_t w;
        uint64_t del;

        memcpy(&w, p, sizeof(w));
        del = w ^ (ones * 0x7f);
        if ((((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & (ones * 0x80)) {
            /* The subtraction may borrow into its neighbour: the table decides. */
            for (int i = 0; i < 8; i++, p++) {
                if (!h1_is(*p, H1_VALUE))
                    return p;
            }
            continue;
        }
        p += 8;
    }
    while (p < end && h1_is(*p, H1_VALUE))
        p++;
    return p;
}

/* What the fields say, gathered until all of them are known. */
struct gathered {
    unsigned hosts;
    unsigned traceparents;
    bool has_coding;
    struct hs_str coding;
    struct hs_str expect;
    bool says_close;
    bool says_keep_alive;
};

static bool take_length(struct h1_head *head, struct hs_str value)
{
    if (head->has_length)
        return refuse(head, "Content-Length stands there twice");
    head->has_length = true;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(head, "Content-Length is not a whole number");
    }
    if (value.n == 0)
        return refuse(head, "Content-Length is empty");
    while (value.n > 1 && value.p[0] == '0')
        value = hs_str_sub(value, 1, value.n);
    if (!hs_str_to_u64(value, &head->content_length))
        head->content_length = UINT64_MAX;
    return true;
}

static void take_connection(struct gathered *g, struct hs_str value)
{
    while (value.n) {
        struct hs_str option = hs_str_trim(hs_str_cut(&value, ','));

        g->says_close |= hs_str_ieq(option, HS_STR("close"));
        g->says_keep_alive |= hs_str_ieq(option, HS_STR("keep-alive"));
    }
}

static bool take_coding(struct h1_head *head, struct gathered *g, struct hs_str value)
{
    if (g->has_coding)
        return refuse(head, "Transfer-Encoding stands there twice");
    g->has_coding = true;
    g->coding = value;
    return true;
}

/* The few fields that matter here are told apart by length first. */
static bool take_field(struct h1_head *head, struct gathered *g, const struct http_header *field)
{
    switch (field->name.n) {
    case 4:
        if (hs_str_ieq(field->name, HS_STR("Host"))) {
            g->hosts++;
            head->host = field->value;
        }
        return true;
    case 6:
        if (hs_str_ieq(field->name, HS_STR("Expect")))
            g->expect = g->expect.p ? HS_STR(",") : field->value;
        return true;
    case 10:
        if (hs_str_ieq(field->name, HS_STR("Connection")))
            take_connection(g, field->value);
        return true;
    case 11:
        if (hs_str_ieq(field->name, HS_STR("traceparent")))
            head->traceparent = g->traceparents++ ? HS_STR_NULL : field->value;
        return true;
    case 14:
        return hs_str_ieq(field->name, HS_STR("Content-Length")) ? take_length(head, field->value)
                                                                 : true;
    case 17:
        return hs_str_ieq(field->name, HS_STR("Transfer-Encoding"))
                   ? take_coding(head, g, field->value)
                   : true;
    default:
        return true;
    }
}

static const char *read_field(struct h1_head *head, const char *p, const char *end,
                              struct http_header *ret_field)
{
    const char *start = p;
    const char *after;
    const char *stop;

    if (*p == ' ' || *p == '\t')
        return refuse(head, "a header line begins with white space (line folding is obsolete)");
    while (p < end && h1_is(*p, H1_TOKEN))
        p++;
    if (p == end)
        return NULL;
    if (*p == ' ' || *p == '\t')
        return refuse(head, "white space before the colon of a header");
    if (*p != ':' || p == start)
        return refuse_byte(head, *p, "a header name is not a token");
    ret_field->name = hs_strn(start, (size_t)(p - start));
    p++;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    stop = skip_value(p, end);
    after = read_crlf(head, stop, end, "a control character in a header value");
    if (!after)
        return NULL;
    while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    ret_field->value = hs_strn(p, (size_t)(stop - p));
    return after;
}

static const char *read_fields(struct h1_head *head, struct gathered *g, const char *p,
                               const char *end, size_t count_max)
{
    for (;;) {
        struct http_header field;

        if (p == end)
            return NULL;
        if (*p == '\r')
            return read_crlf(head, p, end, "");
        p = read_field(head, p, end, &field);
        if (!p)
            return NULL;
        if (head->n_headers == count_max)
            return bad(head, HS_E_HEADERS_TOO_LARGE, "too many header fields");
        head->headers[head->n_headers++] = field;
        if (!take_field(head, g, &field))
            return NULL;
    }
}

/* ---- what only all fields together can tell ---- */

static bool is_port(struct hs_str port)
{
    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9')
            return false;
    }
    return port.n <= 5;
}

/* uri-host [":" port], the host not empty (RFC 9110, 4.2.1 and 7.2). */
static bool is_host(struct hs_str s)
{
    bool literal = s.n && s.p[0] == '[';
    size_t at = literal ? 1 : 0;

    while (at < s.n && h1_is(s.p[at], literal ? H1_V6 : H1_HOST))
        at++;
    if (at == (literal ? 1u : 0u))
        return false;
    if (literal && (at == s.n || s.p[at++] != ']'))
        return false;
    if (at == s.n)
        return true;
    return s.p[at] == ':' && is_port(hs_str_sub(s, at + 1, s.n));
}

static bool check_host(struct h1_head *head, const struct gathered *g)
{
    if (g->hosts > 1)
        return refuse(head, "Host stands there twice");
    if (g->hosts == 0 && head->minor == 1)
        return refuse(head, "Host is missing");
    if (g->hosts && !is_host(head->host))
        return refuse(head, "Host is not a host name with an optional port");
    return true;
}

/* http://host/path: RFC 9112, 3.2.2. Host must say the same, or two readers could differ. */
static bool reduce_absolute(struct h1_head *head, struct hs_str *ret_rest)
{
    struct hs_str t = head->target;
    struct hs_str host;
    size_t at;

    if (hs_str_ieq(hs_str_sub(t, 0, 7), HS_STR("http://")))
        at = 7;
    else if (hs_str_ieq(hs_str_sub(t, 0, 8), HS_STR("https://")))
        at = 8;
    else
        return refuse(head, "the request target begins neither with / nor with http://");
    t = hs_str_sub(t, at, t.n);
    at = 0;
    while (at < t.n && t.p[at] != '/' && t.p[at] != '?')
        at++;
    host = hs_str_sub(t, 0, at);
    if (!is_host(host))
        return refuse(head, "the request target names no valid host");
    if (head->host.p && !hs_str_ieq(host, head->host))
        return refuse(head, "Host and the request target name different hosts");
    *ret_rest = hs_str_sub(t, at, t.n);
    return true;
}

static bool check_target(struct h1_head *head)
{
    struct hs_str rest = head->target;
    size_t at;

    if (hs_str_is(head->method_name, "CONNECT"))
        return refuse(head, "CONNECT is not served, this is no proxy");
    if (hs_str_is(rest, "*")) {
        if (head->method != HTTP_OPTIONS)
            return refuse(head, "the target * is for OPTIONS only");
        head->path = rest;
        return true;
    }
    if (rest.p[0] != '/' && !reduce_absolute(head, &rest))
        return false;
    at = hs_str_find(rest, '?');
    head->path = at ? hs_strn(rest.p, at) : HS_STR("/");
    if (at < rest.n)
        head->query = hs_str_sub(rest, at + 1, rest.n);
    return true;
}

/* RFC 9112, 6.1 and 6.3: only a list that ends in chunked, and has it once, frames a body. */
static bool check_coding(struct h1_head *head, const struct gathered *g)
{
    struct hs_str list = g->coding;
    struct hs_str coding = HS_STR_NULL;
    unsigned chunked = 0;

    if (head->has_length)
        return refuse(head, "both Content-Length and Transfer-Encoding");
    if (head->minor == 0)
        return refuse(head, "Transfer-Encoding in HTTP/1.0");
    if (hs_str_ieq(list, HS_STR("chunked"))) {
        head->is_chunked = true;
        return true;
    }
    while (list.n) {
        coding = hs_str_trim(hs_str_cut(&list, ','));
        if (!h1_is_token(coding))
            return refuse(head, "Transfer-Encoding is not a list of codings");
        chunked += hs_str_ieq(coding, HS_STR("chunked"));
    }
    if (chunked != 1 || !hs_str_ieq(coding, HS_STR("chunked")) ||
        g->coding.p[g->coding.n - 1] == ',')
        return refuse(head, "Transfer-Encoding does not end in one chunked");
    return bad(head, HS_E_NOT_IMPLEMENTED, "a transfer coding other than chunked");
}

static bool check_all(struct h1_head *head, const struct gathered *g)
{
    if (!check_host(head, g) || !check_target(head))
        return false;
    if (g->has_coding && !check_coding(head, g))
        return false;
    if (g->expect.p && head->minor == 1) {
        if (!hs_str_ieq(g->expect, HS_STR("100-continue")))
            return bad(head, HS_E_EXPECTATION, "an expectation other than 100-continue");
        head->expects_continue = true;
    }
    head->keep_alive = !g->says_close && (head->minor == 1 || g->says_keep_alive);
    return true;
}

/* ---- the whole ---- */

static void clear(struct h1_head *head)
{
    struct http_header *headers = head->headers;

    *head = (struct h1_head){.headers = headers};
}

int64_t h1_read_head(struct hs_str in, const struct h1_limits *limits, struct h1_head *head)
{
    struct gathered g = {.hosts = 0};
    const char *end = in.p + in.n;
    const char *p = in.p;
    const char *start;
    bool cut;

    clear(head);
    /* One empty line before the request line: RFC 9112, 2.2. */
    if (in.n && *p == '\r') {
        p = read_crlf(head, p, end, "");
        if (!p)
            return head->error ? H1_BAD : H1_PARTIAL;
    }
    start = p;
    cut = (size_t)(end - p) >= limits->request_line_max + 2;
    p = read_request_line(head, p, cut ? p + limits->request_line_max + 2 : end);
    if (!p && cut && !head->error)
        (void)bad(head, HS_E_URI_TOO_LONG, "the request line is too long");
    if (!p)
        return head->error ? H1_BAD : H1_PARTIAL;
    start = p;
    cut = (size_t)(end - p) >= limits->headers_max;
    p = read_fields(head, &g, p, cut ? start + limits->headers_max : end,
                    limits->headers_count_max);
    if (!p && cut && !head->error)
        (void)bad(head, HS_E_HEADERS_TOO_LARGE, "the header section is too long");
    if (!p)
        return head->error ? H1_BAD : H1_PARTIAL;
    return check_all(head, &g) ? p - in.p : H1_BAD;
}
