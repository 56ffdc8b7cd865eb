/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/url.h - percent-coding, query pairs, comma lists.
 *
 * What comes out is valid UTF-8 without NUL, in the arena, NUL-terminated.
 */
#ifndef API_URL_H
#define API_URL_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

/* In a query '+' is a space; a lenient one takes a '%' without two digits as itself (WHATWG URL, 1.3). */
enum url_part { URL_PATH, URL_QUERY, URL_QUERY_LENIENT };

/* errors  HS_E_BAD_ENCODING, HS_E_MEMORY */
hs_status url_decode(struct hs_arena *arena, enum url_part part, struct hs_str raw,
                     struct hs_str *ret_text, struct hs_err *reterr) hs_must_check;

/* Appends the text, all but unreserved characters percent-encoded (RFC 3986, 2.3). */
void url_encode(struct hs_buf *out, struct hs_str text);

struct url_pair {
    struct hs_str key;
    struct hs_str value; /* p == NULL: there was no '=' */
};

/* Cuts the next pair off *query, empty ones are passed over. ret_pair->key.p == NULL: no more. */
hs_status url_next_pair(struct hs_arena *arena, struct hs_str *query, struct url_pair *ret_pair,
                        struct hs_err *reterr) hs_must_check;

/*
 * A comma list: a,b,"c,d","say \"hi\"". Within double quotes \" and \\ stand for " and \. An empty
 * text is a list of nothing.
 */
struct url_list {
    struct hs_str rest;
    bool is_done;
};

static inline struct url_list url_list(struct hs_str text)
{
    return (struct url_list){.rest = text, .is_done = text.n == 0};
}

/* The next element; ret_element->p == NULL: no more. errors  HS_E_BAD_VALUE, HS_E_MEMORY */
hs_status url_list_next(struct hs_arena *arena, struct url_list *list, struct hs_str *ret_element,
                        struct hs_err *reterr) hs_must_check;

#endif
