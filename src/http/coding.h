/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/coding.h - content codings: which one a client gets, and bodies in them.
 *
 * Promises   - a coding that is named counts before the asterisk, whatever the order; of codings wanted alike the
 *              one that makes answers shortest wins, and any of them before identity that is not named;
 *            - elements that are no coding, or whose weight is none, are passed over;
 *            - where nothing is acceptable, identity is: to disregard the field is allowed (12.1), and helps more
 *              than 406 does.
 * Thread     any; what is encoded keeps nothing between two calls.
 * Source     RFC 9110, 8.4.1 (codings), 12.4.2 (weights), 12.5.3 (Accept-Encoding); gzip: RFC 1952, br: RFC 7932,
 *            zstd: RFC 8878.
 */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include "core/buf.h"

/* In the order of preference, but for identity. */
enum http_coding { HTTP_IDENTITY, HTTP_BR, HTTP_ZSTD, HTTP_GZIP, HTTP_CODINGS };

/* All zero to begin with. */
struct http_accepted {
    struct {
        uint16_t weight; /* thousandths */
        bool is_named;
    } of[HTTP_CODINGS];
    uint16_t others; /* what the asterisk said, the highest */
    bool has_others;
};

/* Adds one line of Accept-Encoding; there may be several (RFC 9110, 5.3). */
void http_accepted_read(struct http_accepted *accepted, struct hs_str value);
enum http_coding http_accepted_best(const struct http_accepted *accepted);

/* As it stands in Content-Encoding and behind the '-' of an entity tag. */
struct hs_str http_coding_name(enum http_coding coding);

/* A weight, in thousandths: 0, 0.5, 1.000. false: it is none; *ret_weight is not touched. */
bool http_weight_read(struct hs_str text, unsigned *ret_weight);

enum {
    HTTP_LEVEL_MIN = 1,
    HTTP_LEVEL_MAX = 9,
    HTTP_BR_MAX =
        16 << 20 /* a longer body is not encoded in br: its encoder would take too much memory */
};

enum http_encoded {
    HTTP_ENCODED,
    HTTP_NOT_SHORTER, /* by a tenth at least: not worth the client's work; or too long for br */
    HTTP_NO_MEMORY
};

/*
 * The body in that coding, which is not identity, into an empty `out`, whose maximum is at least the body's length.
 * level: HTTP_LEVEL_MIN (fast) to HTTP_LEVEL_MAX (short), the same effort in each coding. Unless HTTP_ENCODED, out
 * holds nothing.
 */
enum http_encoded http_encode(enum http_coding coding, unsigned level, struct hs_str body,
                              struct hs_buf *out);

#endif
