/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's bytes as the enemy sends them: heads and bodies one after the other. Whatever they
 * are: no read outside the input, a prefix of a head says nothing else than the whole, every slice
 * lies in the input, a body in the chunked coding is the same read whole or byte by byte.
 */
#include <stdlib.h>

#include "http/h1.h"

enum { HEADERS = 16, EXTRA_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
    .request_line_max = 200, .headers_max = 400, .headers_count_max = HEADERS};

static void check_slice(struct hs_str s, struct hs_str in)
{
    HS_BUG_ON(s.n && (s.p < in.p || s.p + s.n > in.p + in.n));
}

static void check_head(const struct h1_head *head, struct hs_str in)
{
    HS_BUG_ON(head->n_headers > HEADERS || head->minor > 1 || !head->target.n || !head->path.n);
    HS_BUG_ON(head->is_chunked && head->has_length);
    HS_BUG_ON(head->path.p[0] != '/' && !hs_str_is(head->path, "*"));
    HS_BUG_ON(head->minor == 1 && !head->host.n);
    check_slice(head->method_name, in);
    check_slice(head->target, in);
    check_slice(head->query, in);
    for (size_t i = 0; i < head->n_headers; i++) {
        check_slice(head->headers[i].name, in);
        check_slice(head->headers[i].value, in);
        HS_BUG_ON(!h1_is_token(head->headers[i].name));
        for (size_t j = 0; j < head->headers[i].value.n; j++)
            HS_BUG_ON(strchr("\r\n", head->headers[i].value.p[j]) != NULL);
    }
}

static void check_prefixes(struct hs_str in, int64_t n, hs_status error)
{
    struct http_header headers[HEADERS];

    for (size_t i = 0; i < in.n && i < 700; i++) {
        struct h1_head part = {.headers = headers};
        int64_t m = h1_read_head(hs_strn(in.p, i), &limits, &part);

        HS_BUG_ON(m != H1_PARTIAL && (m != n || (m == H1_BAD && part.error != error)));
        HS_BUG_ON(m > (int64_t)i);
    }
}

/* Where the body ends; in.n + 1 if it does not, or is refused. */
static size_t read_chunks(struct hs_str in, size_t step, size_t *ret_sum)
{
    struct h1_chunks c;
    struct hs_str data;

    *ret_sum = 0;
    h1_chunks_init(&c, EXTRA_MAX);
    for (size_t at = 0; at < in.n; at += step) {
        struct hs_str piece = hs_str_sub(in, at, at + step);
        size_t had = piece.n;
        enum h1_chunks_result r;

        while ((r = h1_chunks_read(&c, &piece, &data)) == H1_CHUNKS_DATA) {
            for (size_t i = 0; i < data.n; i++)
                *ret_sum = *ret_sum * 31 + (unsigned char)data.p[i];
        }
        if (r == H1_CHUNKS_END)
            return at + had - piece.n;
        if (r == H1_CHUNKS_BAD) {
            HS_BUG_ON(!c.error || !c.why);
            break;
        }
    }
    return in.n + 1;
}

static size_t read_body(const struct h1_head *head, struct hs_str in)
{
    size_t whole;
    size_t single;
    size_t end;

    if (!head->is_chunked)
        return head->content_length > in.n ? in.n : (size_t)head->content_length;
    end = read_chunks(in, in.n ? in.n : 1, &whole);
    HS_BUG_ON(read_chunks(in, 1, &single) != end || single != whole);
    return end > in.n ? in.n : end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str in = hs_strn((const char *)data, size);
    struct http_header headers[HEADERS];

    while (in.n) {
        struct h1_head head = {.headers = headers};
        int64_t n = h1_read_head(in, &limits, &head);

        HS_BUG_ON(n > (int64_t)in.n || n < H1_BAD || (n == H1_BAD && (!head.error || !head.why)));
        check_prefixes(in, n, head.error);
        if (n <= 0)
            break;
        check_head(&head, in);
        in = hs_str_sub(in, (size_t)n, in.n);
        in = hs_str_sub(in, read_body(&head, in), in.n);
    }
    return 0;
}
