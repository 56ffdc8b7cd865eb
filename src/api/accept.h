/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/accept.h - in which form a client wants a list.
 *
 * Promises   - a range that is named counts before type/<any>, that before <any>/<any>, whatever the order;
 *            - of forms wanted alike the one that is named most closely wins, then the first of the enum;
 *            - elements that are no media range are passed over; where nothing is left, all forms are
 *              welcome, as without the header. Parameters other than q are not looked at.
 * Source     RFC 9110, 12.4.2 (weights) and 12.5.1 (Accept).
 */
#ifndef API_ACCEPT_H
#define API_ACCEPT_H

#include "core/str.h"

enum api_format {
    API_FORMAT_JSON,
    API_FORMAT_NDJSON,
    API_FORMAT_CSV,
    API_FORMATS /* as an answer: none of them */
};

/* All zero to begin with. */
struct accept {
    bool is_given; /* a media range was read */
    struct {
        uint16_t quality;  /* thousandths */
        uint16_t nearness; /* 0 = not met, 1 = any type, 2 = any of its type, 3 = named */
    } of[API_FORMATS];
};

/* Adds one line of the header; there may be several (RFC 9110, 5.3). */
void accept_read(struct accept *accept, struct hs_str value);
enum api_format accept_best(const struct accept *accept);

#endif
