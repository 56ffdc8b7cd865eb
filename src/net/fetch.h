/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/fetch.h - one document over HTTP or HTTPS, over libcurl.
 *
 * Promises   certificates and names are checked; nothing but http and https is spoken, also behind a redirection,
 *            and https never leads to http. HTTPS_PROXY and its kin are honoured.
 * Limits     time and bytes by the caller, NET_FETCH_REDIRECTS redirections.
 * Thread     any but a loop's: it blocks.
 * Source     libcurl 7.88 manual, curl_easy_setopt(3).
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stdatomic.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/time.h"

enum { NET_FETCH_REDIRECTS = 3 };

struct net_fetch {
    const char *url;
    const char *ca_file;            /* PEM, instead of the system's; NULL or "" = those */
    hs_us timeout;                  /* for all of it */
    const atomic_bool *is_stopping; /* true ends it within about a second; may be NULL */
};

/* "http://" or "https://", in any case? */
bool net_fetch_is_url(struct hs_str text);

/*
 * Appends the body of a 200 to out, whose maximum bounds it.
 *   errors  HS_E_IO (what went wrong), HS_E_TIMEOUT, HS_E_LIMIT (too long), HS_E_SHUTDOWN, HS_E_MEMORY
 */
hs_status net_fetch(const struct net_fetch *what, struct hs_buf *out, struct hs_err *reterr)
    hs_must_check;

#endif
