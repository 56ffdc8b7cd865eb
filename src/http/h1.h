/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/h1.h - a strict reader of HTTP/1.1 requests: heads, and bodies in the chunked coding.
 *
 * Pure: no allocation, no clock, no state between two heads. Slices point into the input.
 * Promise    what is accepted has one meaning only (RFC 9112): whoever stands before or behind us
 *            finds the same end of the same request. Everything else is refused, never repaired.
 * Monotone   a prefix of an input gives H1_PARTIAL or what the whole input gives, so a head may be
 *            offered again from its first byte whenever more of it has come.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "http/req.h"

struct h1_limits {
    size_t request_line_max;  /* without its CRLF; longer: HS_E_URI_TOO_LONG */
    size_t headers_max;       /* bytes from behind the request line to the end of the head */
    size_t headers_count_max; /* both: HS_E_HEADERS_TOO_LARGE */
};

struct h1_head {
    struct http_header *headers; /* the caller's, room for headers_count_max; set before the call */
    size_t n_headers;
    enum http_method method;
    struct hs_str method_name;
    struct hs_str target;      /* as sent */
    struct hs_str path;        /* "/..." or "*", absolute-form reduced to it */
    struct hs_str query;       /* p == NULL if there is no '?' */
    struct hs_str host;        /* p == NULL if there is none (HTTP/1.0) */
    struct hs_str traceparent; /* p == NULL if there is none, or more than one */
    uint64_t content_length;   /* 0 if there is none */
    bool has_length;
    bool is_chunked;
    bool expects_continue;
    bool keep_alive; /* the client wants the connection to stay (RFC 9112, 9.3) */
    unsigned minor;  /* HTTP/1.minor: 0 or 1 */
    hs_status error; /* after H1_BAD: which, */
    const char *why; /* and a phrase that says what is wrong */
};

enum { H1_PARTIAL = 0, H1_BAD = -1 };

/* The length of the head at the start of `in` (> 0), H1_PARTIAL or H1_BAD. */
int64_t h1_read_head(struct hs_str in, const struct h1_limits *limits, struct h1_head *head)
    hs_must_check;

/* ---- the chunked coding (RFC 9112, 7.1), a byte at a time or many ---- */

struct h1_chunks {
    uint64_t left;      /* of the chunk under way */
    uint32_t extra;     /* bytes of extensions and trailers so far, over all chunks */
    uint32_t extra_max; /* of them; beyond: refused */
    uint8_t digits;
    uint8_t state;
    hs_status error; /* after H1_CHUNKS_BAD */
    const char *why;
};

enum h1_chunks_result { H1_CHUNKS_BAD, H1_CHUNKS_MORE, H1_CHUNKS_DATA, H1_CHUNKS_END };

void h1_chunks_init(struct h1_chunks *c, uint32_t extra_max);

/*
 * Takes bytes from the front of *in. DATA: *ret_data is a piece of the body (a slice of the input),
 * call again. MORE: all of *in is taken. END: what is left in *in belongs to the next request.
 * Trailers are checked and dropped.
 */
enum h1_chunks_result h1_chunks_read(struct h1_chunks *c, struct hs_str *in,
                                     struct hs_str *ret_data) hs_must_check;

/* HTTP_OTHER for a name that is none of the known ones; its case counts. */
enum http_method h1_method(struct hs_str name);

/* Is every byte a tchar (RFC 9110, 5.6.2), and is there one? */
bool h1_is_token(struct hs_str s);

#endif
