/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of HTTP/1.1: a row per trick, and two properties that hold for every row and for every
 * row with a byte changed: a prefix never says anything else than the whole does, and the chunked
 * coding gives the same however its bytes are cut. Source: RFC 9112; the tricks are those of
 * published request smuggling research, one row each.
 */
#include "http/h1.h"
#include "http/h1_class.h"
#include "test.h"

#define L(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const struct h1_limits limits = {
    .request_line_max = 256, .headers_max = 512, .headers_count_max = 8};

/* A copy of exactly that size on the heap, so that AddressSanitizer sees a read past the end. */
static int64_t read_head(struct hs_str in, struct h1_head *head, struct http_header headers[8],
                         char **ret_copy)
{
    char *copy = malloc(in.n ? in.n : 1);

    assert_non_null(copy);
    memcpy(copy, in.p, in.n);
    *head = (struct h1_head){.headers = headers};
    *ret_copy = copy;
    return h1_read_head(hs_strn(copy, in.n), &limits, head);
}

static void assert_text(struct hs_str is, const char *expected)
{
    if (!hs_str_is(is, expected))
        fail_msg("is \"%.*s\", expected \"%s\"", HS_FMT(is), expected);
}

/* ---- what is refused ---- */

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define TE "Transfer-Encoding: "
#define END "\r\n\r\n"

static const struct {
    hs_status error;
    struct hs_str in;
} refused[] = {
    /* line ends */
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.1\nHost: a\r\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\n\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\n\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\rX: b\r\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\r\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\n\rGET /")},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.1\rHost: a\r\n\r\n")},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")},
    {HS_E_BAD_REQUEST, L("\r\n\r\n" GET "Host: a" END)},
    {HS_E_BAD_REQUEST, L("\n" GET "Host: a" END)},
    {HS_E_BAD_REQUEST, L("\r" GET "Host: a" END)},
    /* request line */
    {HS_E_BAD_REQUEST, L(" GET / HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET  / HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /  HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET\t/ HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /\tHTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.1 \r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET\r\n")},
    {HS_E_BAD_REQUEST, L("G(T / HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("G\0T / HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET: / HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("\x16\x03\x01\x02")},
    {HS_E_BAD_REQUEST, L("GET /a b HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /\0 HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /\x7f HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /\xc3\xa9 HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET /a#b HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET a HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET a:80 HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET * HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("OPTIONS ** HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("CONNECT a:80 HTTP/1.1\r\nHost: a:80" END)},
    {HS_E_BAD_REQUEST, L("CONNECT /a HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET http:/a HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET ftp://a/ HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET http:///x HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET http://u@a/ HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET http://b/ HTTP/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET http://a:81/ HTTP/1.1\r\nHost: a" END)},
    /* version */
    {HS_E_HTTP_VERSION, L("GET / HTTP/2.0\r\nHost: a" END)},
    {HS_E_HTTP_VERSION, L("GET / HTTP/1.2\r\nHost: a" END)},
    {HS_E_HTTP_VERSION, L("GET / HTTP/0.9\r\nHost: a" END)},
    {HS_E_HTTP_VERSION, L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.10\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1,1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET / HTTP/11\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET / http/1.1\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L("GET / HTTPS/1.1\r\nHost: a" END)},
    /* fields */
    {HS_E_BAD_REQUEST, L(GET "Host : a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host\t: a" END)},
    {HS_E_BAD_REQUEST, L(GET "Ho st: a" END)},
    {HS_E_BAD_REQUEST, L(GET ": a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX\r\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET " Host: a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\n b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\n\tb" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\n \r\n\r\n")},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX: a\0b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX: a\x01"
                             "b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX: a\x0b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX: 1234567\x1f"
                             "12345678" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX: a\x7f" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX\0: a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nX\x80: a" END)},
    /* host */
    {HS_E_BAD_REQUEST, L(GET "\r\n")},
    {HS_E_BAD_REQUEST, L(GET "X: a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nHost: a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a\r\nhOST: b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host:" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: :80" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a, b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a/b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: u@a" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a:b" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: a:123456" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: [::1" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: []" END)},
    {HS_E_BAD_REQUEST, L(GET "Host: [::1]x" END)},
    {HS_E_BAD_REQUEST, L("GET / HTTP/1.0\r\nHost: a\r\nHost: b" END)},
    /* lengths */
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5\r\nContent-Length: 5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5\r\ncontent-length: 6" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5, 5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5,5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length:" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: +5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: -5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5 "
                              "5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 0x5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5;" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5.0" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length : 5" END)},
    {HS_E_BAD_REQUEST, L(POST "Content-Length: \"5\"" END)},
    /* transfer codings */
    {HS_E_BAD_REQUEST, L(POST "Content-Length: 5\r\n" TE "chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked\r\nContent-Length: 5" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked\r\nContent-Length: 0" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked\r\n" TE "chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked\r\n" TE "identity" END)},
    {HS_E_BAD_REQUEST, L(POST TE "identity\r\n" TE "chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked, chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked, gzip" END)},
    {HS_E_BAD_REQUEST, L(POST TE "gzip" END)},
    {HS_E_BAD_REQUEST, L(POST TE "identity" END)},
    {HS_E_BAD_REQUEST, L(POST TE "xchunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked;q=1" END)},
    {HS_E_BAD_REQUEST, L(POST TE "\"chunked\"" END)},
    {HS_E_BAD_REQUEST, L(POST TE "\x0b"
                                 "chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked\x0c" END)},
    {HS_E_BAD_REQUEST, L(POST TE "," END)},
    {HS_E_BAD_REQUEST, L(POST TE ", chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunked," END)},
    {HS_E_BAD_REQUEST, L(POST TE END)},
    {HS_E_BAD_REQUEST, L(POST TE "chunk ed" END)},
    {HS_E_BAD_REQUEST, L(POST "Transfer-Encoding : chunked" END)},
    {HS_E_BAD_REQUEST, L(POST "Transfer-Encoding\r\n: chunked" END)},
    {HS_E_BAD_REQUEST, L(POST TE "\r\n chunked" END)},
    {HS_E_BAD_REQUEST, L("POST / HTTP/1.0\r\nHost: a\r\n" TE "chunked" END)},
    {HS_E_NOT_IMPLEMENTED, L(POST TE "gzip, chunked" END)},
    {HS_E_NOT_IMPLEMENTED, L(POST TE "x,\tchunked" END)},
    /* expectations */
    {HS_E_EXPECTATION, L(POST "Content-Length: 1\r\nExpect: 200-ok" END)},
    {HS_E_EXPECTATION,
     L(POST "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue" END)},
    {HS_E_EXPECTATION, L(POST "Content-Length: 1\r\nExpect:" END)},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(refused); i++) {
        struct http_header headers[8];
        struct h1_head head;
        char *copy;
        int64_t n = read_head(refused[i].in, &head, headers, &copy);

        if (n != H1_BAD || head.error != refused[i].error || !head.why || !head.why[0])
            fail_msg("row %zu: %lld, error %d, expected %d: %.*s", i, (long long)n, head.error,
                     refused[i].error, HS_FMT(refused[i].in));
        free(copy);
    }
}

/* ---- what is accepted ---- */

static const struct {
    struct hs_str in;
    const char *path;
    const char *query; /* NULL: none */
    uint64_t length;
    bool chunked;
    bool keep;
    size_t headers;
} accepted[] = {
    {L(GET "Host: a" END), "/", NULL, 0, false, true, 1},
    {L("\r\n" GET "Host: a" END), "/", NULL, 0, false, true, 1},
    {L(GET "Host:a" END), "/", NULL, 0, false, true, 1},
    {L(GET "hOsT: \t a \t " END), "/", NULL, 0, false, true, 1},
    {L(GET "Host: a.example:8080\r\nX:" END), "/", NULL, 0, false, true, 2},
    {L(GET "Host: [2001:db8::1]:80" END), "/", NULL, 0, false, true, 1},
    {L(GET "Host: a:" END), "/", NULL, 0, false, true, 1},
    {L("GET /x/y?a[gte]=1&b=%20 HTTP/1.1\r\nHost: a" END), "/x/y", "a[gte]=1&b=%20", 0, false, true,
     1},
    {L("GET /? HTTP/1.1\r\nHost: a" END), "/", "", 0, false, true, 1},
    {L("GET //x?y?z HTTP/1.1\r\nHost: a" END), "//x", "y?z", 0, false, true, 1},
    {L("GET HTTP://A/x?q HTTP/1.1\r\nHost: a" END), "/x", "q", 0, false, true, 1},
    {L("GET http://a HTTP/1.1\r\nHost: a" END), "/", NULL, 0, false, true, 1},
    {L("GET https://a:1?q HTTP/1.1\r\nHost: a:1" END), "/", "q", 0, false, true, 1},
    {L("GET http://a/x HTTP/1.0" END), "/x", NULL, 0, false, false, 0},
    {L("OPTIONS * HTTP/1.1\r\nHost: a" END), "*", NULL, 0, false, true, 1},
    {L("BREW /pot HTTP/1.1\r\nHost: a" END), "/pot", NULL, 0, false, true, 1},
    {L("GET / HTTP/1.0" END), "/", NULL, 0, false, false, 0},
    {L("GET / HTTP/1.0\r\nConnection: Keep-Alive" END), "/", NULL, 0, false, true, 1},
    {L("GET / HTTP/1.0\r\nExpect: anything" END), "/", NULL, 0, false, false, 1},
    {L(GET "Host: a\r\nConnection: close" END), "/", NULL, 0, false, false, 2},
    {L(GET "Host: a\r\nConnection: x, CLOSE ,keep-alive" END), "/", NULL, 0, false, false, 2},
    {L(GET "Host: a\r\nConnection: keep-alive\r\nConnection: close" END), "/", NULL, 0, false,
     false, 3},
    {L(POST "Content-Length: 007" END), "/", NULL, 7, false, true, 2},
    {L(POST "Content-Length: 0" END), "/", NULL, 0, false, true, 2},
    {L(POST "Content-Length: 99999999999999999999999" END), "/", NULL, UINT64_MAX, false, true, 2},
    {L(POST "Content-Length: 000000000000000000000000000012" END), "/", NULL, 12, false, true, 2},
    {L(POST TE "chunked" END), "/", NULL, 0, true, true, 2},
    {L(POST TE " Chunked\t" END), "/", NULL, 0, true, true, 2},
    {L(POST "TE: gzip" END), "/", NULL, 0, false, true, 2},
    {L(GET "Host: a\r\nX: tab\tand \xc3\xa9 and obs \x80\xff, a long one to pass eight bytes" END),
     "/", NULL, 0, false, true, 2},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(accepted); i++) {
        struct http_header headers[8];
        struct h1_head head;
        char *copy;
        int64_t n = read_head(accepted[i].in, &head, headers, &copy);

        if (n != (int64_t)accepted[i].in.n)
            fail_msg("row %zu: %lld (%s): %.*s", i, (long long)n, head.why ? head.why : "",
                     HS_FMT(accepted[i].in));
        assert_text(head.path, accepted[i].path);
        assert_int_equal(accepted[i].query != NULL, head.query.p != NULL);
        if (accepted[i].query)
            assert_text(head.query, accepted[i].query);
        assert_int_equal(head.content_length, accepted[i].length);
        assert_int_equal(head.is_chunked, accepted[i].chunked);
        assert_int_equal(head.keep_alive, accepted[i].keep);
        assert_int_equal(head.n_headers, accepted[i].headers);
        free(copy);
    }
}

static void test_details(void **state)
{
    static const struct hs_str in = L(
        "PATCH /a HTTP/1.1\r\nHost: h:1\r\nExpect: 100-Continue\r\n"
        "traceparent: t\r\nX-Y:  v w \r\nContent-Length: 3\r\n\r\nabcGET");
    struct http_header headers[8];
    struct h1_head head;
    char *copy;
    int64_t n = read_head(in, &head, headers, &copy);

    (void)state;
    assert_int_equal(n, in.n - 6);
    assert_int_equal(head.method, HTTP_PATCH);
    assert_text(head.method_name, "PATCH");
    assert_text(head.target, "/a");
    assert_text(head.host, "h:1");
    assert_text(head.traceparent, "t");
    assert_true(head.expects_continue);
    assert_int_equal(head.minor, 1);
    assert_text(headers[3].name, "X-Y");
    assert_text(headers[3].value, "v w");
    free(copy);
    n = read_head((struct hs_str)L(GET "Host: a\r\ntraceparent: t\r\ntraceparent: t" END), &head,
                  headers, &copy);
    assert_true(n > 0);
    assert_null(head.traceparent.p);
    free(copy);
}

/* ---- a prefix says what the whole says, or nothing yet ---- */

static void check_prefixes(struct hs_str in)
{
    struct http_header headers[8];
    struct h1_head whole;
    struct h1_head part;
    char *copy;
    int64_t n = read_head(in, &whole, headers, &copy);

    free(copy);
    for (size_t i = 0; i < in.n; i++) {
        int64_t m = read_head(hs_str_sub(in, 0, i), &part, headers, &copy);

        free(copy);
        if (m == H1_PARTIAL || (m == n && part.error == whole.error && (m < 0 || m <= (int64_t)i)))
            continue;
        fail_msg("prefix of %zu: %lld error %d, whole: %lld error %d: %.*s", i, (long long)m,
                 part.error, (long long)n, whole.error, HS_FMT(in));
    }
}

static void check_changed(struct hs_str in)
{
    static const char bytes[] = "\r\n\t :,/?#\x7f\x80G1";
    char text[512];

    for (size_t at = 0; at < in.n; at++) {
        for (size_t b = 0; b < sizeof(bytes); b++) { /* the NUL at the end too */
            memcpy(text, in.p, in.n);
            text[at] = bytes[b];
            check_prefixes(hs_strn(text, in.n));
        }
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(refused); i++)
        check_prefixes(refused[i].in);
    for (size_t i = 0; i < HS_LEN(accepted); i++)
        check_prefixes(accepted[i].in);
    for (size_t i = 0; i < HS_LEN(accepted); i += 3)
        check_changed(accepted[i].in);
}

/* ---- limits ---- */

static hs_status error_of(const char *text, size_t n)
{
    struct http_header headers[8];
    struct h1_head head;
    char *copy;
    int64_t r = read_head(hs_strn(text, n), &head, headers, &copy);

    free(copy);
    return r == H1_BAD ? head.error : HS_OK;
}

static size_t line_of(char *to, size_t target)
{
    return (size_t)snprintf(to, 1024, "GET /%0*d HTTP/1.1\r\n", (int)target - 1, 0);
}

static void test_request_line_limit(void **state)
{
    char text[1024];

    (void)state;
    /* "GET " + target + " HTTP/1.1" is 13 bytes and the target */
    assert_int_equal(error_of(text, line_of(text, limits.request_line_max - 13)), HS_OK);
    assert_int_equal(error_of(text, line_of(text, limits.request_line_max - 12)),
                     HS_E_URI_TOO_LONG);
    assert_int_equal(error_of(text, line_of(text, 700)), HS_E_URI_TOO_LONG);
    memset(text, 'A', sizeof(text));
    assert_int_equal(error_of(text, 200), HS_OK);
    assert_int_equal(error_of(text, 300), HS_E_URI_TOO_LONG);
    (void)line_of(text, limits.request_line_max - 12);
    check_prefixes(hs_strn(text, 300));
}

static void test_headers_limits(void **state)
{
    char text[2048];
    size_t n;

    (void)state;
    for (size_t value = 480; value < 520; value++) {
        n = (size_t)snprintf(text, sizeof(text), "%s%s%0*d\r\n\r\n", GET,
                             "Host: a\r\nX: ", (int)value, 0);
        /* the section: Host line 9, "X: " 3, value, two CRLF 4 */
        assert_int_equal(error_of(text, n),
                         value + 16 <= limits.headers_max ? HS_OK : HS_E_HEADERS_TOO_LARGE);
        check_prefixes(hs_strn(text, n));
    }
    n = (size_t)snprintf(text, sizeof(text),
                         GET "Host: a\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
    assert_int_equal(error_of(text, n), HS_OK);
    n = (size_t)snprintf(text, sizeof(text),
                         GET "Host: a\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
    assert_int_equal(error_of(text, n), HS_E_HEADERS_TOO_LARGE);
}

/* ---- the table of bytes, from the grammar's words ---- */

static void test_classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool text = c == '\t' || (c >= ' ' && c != 0x7f);
        int expected = (alnum || (c && strchr("!#$%&'*+-.^_`|~", c)) ? H1_TOKEN : 0) |
                       (c > ' ' && c < 0x7f && c != '#' ? H1_TARGET : 0) | (text ? H1_VALUE : 0) |
                       (alnum || (c && strchr("-._~%!$&'()*+,;=", c)) ? H1_HOST : 0) |
                       (c && strchr("0123456789abcdefABCDEF:.", c) ? H1_V6 : 0) |
                       (text ? H1_QUOTED : 0);

        if (h1_class[c] != expected)
            fail_msg("byte %d: %d, expected %d", c, h1_class[c], expected);
    }
    assert_true(h1_is_token((struct hs_str)L("a!Z")));
    assert_false(h1_is_token((struct hs_str)L("")));
    assert_false(h1_is_token((struct hs_str)L("a b")));
}

/* ---- chunks ---- */

static const struct {
    struct hs_str in;
    const char *body; /* NULL: refused */
    size_t rest;
} chunks[] = {
    {L("0\r\n\r\n"), "", 0},
    {L("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
    {L("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /"), "hello world", 5},
    {L("00000005\r\nhello\r\n000\r\n\r\n"), "hello", 0},
    {L("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0},
    {L("1;a\r\nx\r\n0\r\n\r\n"), "x", 0},
    {L("1;a=b;c=\"d;\\\" \r\"\r\nx\r\n0\r\n\r\n"), NULL, 0},
    {L("1;a=b;c=\"d;\\\" e\"\r\nx\r\n0;z\r\n\r\n"), "x", 0},
    {L("1\r\n\n\r\n0\r\n\r\n"), "\n", 0},
    {L("0\r\nX: y\r\nZ:\r\n\r\nrest"), "", 4},
    {L("\r\n0\r\n\r\n"), NULL, 0},
    {L("5\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5\r\nhello\n0\r\n\r\n"), NULL, 0},
    {L("5\r\nhello0\r\n\r\n"), NULL, 0},
    {L("5\r\nhello!\r\n0\r\n\r\n"), NULL, 0},
    {L("4\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("6\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5\rhello\r\n0\r\n\r\n"), NULL, 0},
    {L("-5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("+5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("0x5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L(" 5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5 \r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5\t\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5 ;a\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5; a\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a =b\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a=\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a\0b\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a=\"b\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {L("g\r\n"), NULL, 0},
    {L("5_0\r\n"), NULL, 0},
    {L("ffffffffffffffff\r\n"), NULL, 0},
    {L("10000000000000000\r\n"), NULL, 0},
    {L("0000000000000001\r\nx\r\n0\r\n\r\n"), NULL, 0},
    {L("0\r\n\n"), NULL, 0},
    {L("0\r\n\rX"), NULL, 0},
    {L("0\r\n X: y\r\n\r\n"), NULL, 0},
    {L("0\r\nX y\r\n\r\n"), NULL, 0},
    {L("0\r\nX: y\n\r\n"), NULL, 0},
    {L("0\r\n: y\r\n\r\n"), NULL, 0},
    {L("0\r\nX: \0\r\n\r\n"), NULL, 0},
    {L("0\r\nX: y\rz\r\n\r\n"), NULL, 0},
    {L("0\r\nX : y\r\n\r\n"), NULL, 0},
};

struct decoded {
    char body[256];
    size_t n;
    size_t used;
    enum h1_chunks_result end;
};

static void feed(struct h1_chunks *c, struct decoded *d, struct hs_str in)
{
    struct hs_str left = in;
    struct hs_str data;

    while ((d->end = h1_chunks_read(c, &left, &data)) == H1_CHUNKS_DATA) {
        assert_true(data.n > 0 && d->n + data.n <= sizeof(d->body));
        memcpy(d->body + d->n, data.p, data.n);
        d->n += data.n;
    }
    d->used += in.n - left.n;
}

static struct decoded decode(struct hs_str in, size_t cut, size_t cut2)
{
    struct decoded d = {.n = 0};
    struct h1_chunks c;

    h1_chunks_init(&c, /* extra_max= */ 64);
    feed(&c, &d, hs_str_sub(in, 0, cut));
    if (d.end == H1_CHUNKS_MORE)
        feed(&c, &d, hs_str_sub(in, cut, cut2));
    if (d.end == H1_CHUNKS_MORE)
        feed(&c, &d, hs_str_sub(in, cut2, in.n));
    return d;
}

static void test_chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(chunks); i++) {
        struct hs_str in = chunks[i].in;

        for (size_t cut = 0; cut <= in.n; cut++) {
            for (size_t cut2 = cut; cut2 <= in.n; cut2++) {
                struct decoded d = decode(in, cut, cut2);

                if (d.end != (chunks[i].body ? H1_CHUNKS_END : H1_CHUNKS_BAD))
                    fail_msg("row %zu cut at %zu, %zu: result %d", i, cut, cut2, (int)d.end);
                if (!chunks[i].body)
                    continue;
                assert_int_equal(in.n - d.used, chunks[i].rest);
                assert_text(hs_strn(d.body, d.n), chunks[i].body);
            }
        }
    }
}

static void test_chunks_extra_is_bounded(void **state)
{
    char text[4096];
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 11; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "1;abcde\r\nx\r\n");
    assert_int_equal(decode(hs_strn(text, n), n, n).end, H1_CHUNKS_BAD);
    n = (size_t)snprintf(text, sizeof(text), "0\r\nName: %070d\r\n\r\n", 0);
    assert_int_equal(decode(hs_strn(text, n), n, n).end, H1_CHUNKS_BAD);
    n = (size_t)snprintf(text, sizeof(text), "0\r\nName: %040d\r\n\r\n", 0);
    assert_int_equal(decode(hs_strn(text, n), n, n).end, H1_CHUNKS_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_details),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_request_line_limit),
        cmocka_unit_test(test_headers_limits),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_chunks_extra_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
