/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/etag.h - entity tags: of a row "<xmin>-<digest of the body>", of a list "<digest>".
 *
 * The digest makes the tag strong: it differs when the bytes do, also between two choices of fields and
 * after ALTER TABLE. The row's xmin, the transaction that wrote it, lets a change say in its own WHERE
 * which version it means, so that PostgreSQL compares and writes in one step.
 * Source: RFC 9110, 8.8.3 (ETag), 13.1.1 (If-Match), 13.1.2 (If-None-Match).
 */
#ifndef API_ETAG_H
#define API_ETAG_H

#include "core/err.h"

enum { ETAG_MAX = 40 };

/* Writes the tag with its quotes; returns it. version: a row's xmin, empty for a list. */
struct hs_str etag_write(char to[static ETAG_MAX], struct hs_str version, struct hs_str body);

/* Of the same answer in a content coding (RFC 9110, 8.8.3.3): "<xmin>-<digest>-gzip". Empty for an empty one. */
struct hs_str etag_coded(char to[static ETAG_MAX], struct hs_str etag, struct hs_str coding);

/* Does If-None-Match name that tag (with its quotes)? By weak comparison; "*" names every tag. */
bool etag_is_known(struct hs_str if_none_match, struct hs_str tag);

/*
 * The version that If-Match asks for. *ret_version.p == NULL: "*", any version. Empty: one that no row
 * has (a weak tag, or one that is not ours).
 *   errors  HS_E_BAD_PARAMETER: more than one tag, or no tag at all
 */
hs_status etag_wanted(struct hs_str if_match, struct hs_str *ret_version, struct hs_err *reterr)
    hs_must_check;

#endif
