/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle for each document: they are minutes apart, so a kept connection would only go stale.
 *
 * The URL is not quoted in errors, since a password may stand in it; its host is.
 *
 * libcurl ends a transfer whose callback takes fewer bytes than it was given; that is how too long a body and
 * the end of the program are told.
 */
#include "net/fetch.h"

#include <curl/curl.h>
#include <pthread.h>

#include "core/mem.h"

struct fetch {
    const struct net_fetch *what;
    struct hs_buf *out;
    uint64_t failures; /* of memory, before */
};

static bool is_up; /* libcurl could be set up */

static void set_up(void)
{
    is_up = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

bool net_fetch_is_url(struct hs_str text)
{
    return hs_str_ieq(hs_str_sub(text, 0, 7), HS_STR("http://")) ||
           hs_str_ieq(hs_str_sub(text, 0, 8), HS_STR("https://"));
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct fetch *fetch = arg;

    hs_buf_add(fetch->out, hs_strn(p, size * n));
    return hs_buf_failed(fetch->out) ? 0 : size * n;
}

/* Not 0 = end it. */
static int look(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
    const struct fetch *fetch = arg;

    (void)dl_total;
    (void)dl;
    (void)ul_total;
    (void)ul;
    return fetch->what->is_stopping && atomic_load(fetch->what->is_stopping);
}

static bool prepare(CURL *curl, struct fetch *fetch)
{
    const struct net_fetch *what = fetch->what;
    bool is_tls = hs_str_ieq(hs_str_sub(hs_str(what->url), 0, 8), HS_STR("https://"));
    long ms = (long)(what->timeout / HS_MS);

    return curl_easy_setopt(curl, CURLOPT_URL, what->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_tls ? "https" : "http,https") ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)NET_FETCH_REDIRECTS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms ? ms : 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, NULL) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "hasten/" HS_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, fetch) == CURLE_OK &&
           (!what->ca_file || !what->ca_file[0] ||
            curl_easy_setopt(curl, CURLOPT_CAINFO, what->ca_file) == CURLE_OK);
}

/* "host:port", without what may be secret. */
static struct hs_str host_of(const char *url)
{
    struct hs_str rest = hs_str(strchr(url, ':') + 3);
    size_t end = 0;

    while (end < rest.n && !strchr("/?#", rest.p[end]))
        end++;
    rest = hs_str_sub(rest, 0, end);
    while (hs_str_find(rest, '@') < rest.n)
        (void)hs_str_cut(&rest, '@');
    return rest;
}

static hs_status tell(const struct fetch *fetch, CURLcode code, long http, struct hs_err *reterr)
{
    struct hs_str host = host_of(fetch->what->url);
    hs_status status = HS_E_IO;

    if (code == CURLE_OK && http == 200)
        return HS_OK;
    if (code == CURLE_OUT_OF_MEMORY ||
        (code == CURLE_WRITE_ERROR && hs_mem_failures() != fetch->failures))
        return hs_fail_memory(reterr);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return hs_fail(reterr, HS_E_SHUTDOWN, "the server is shutting down");
    if (code == CURLE_OPERATION_TIMEDOUT)
        status = HS_E_TIMEOUT;
    if (code == CURLE_WRITE_ERROR)
        status = HS_E_LIMIT;
    (void)hs_fail(reterr, status, "the document of %.*s could not be fetched", HS_FMT(host));
    if (code == CURLE_WRITE_ERROR)
        hs_err_why(reterr, "It is longer than %zu bytes.", fetch->out->max);
    else if (code == CURLE_OK)
        hs_err_why(reterr, "The answer was HTTP %ld.", http);
    else
        hs_err_why(reterr, "%s.", curl_easy_strerror(code));
    return status;
}

hs_status net_fetch(const struct net_fetch *what, struct hs_buf *out, struct hs_err *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct fetch fetch = {what, out, hs_mem_failures()};
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long http = 0;
    CURL *curl;

    HS_BUG_ON(!net_fetch_is_url(hs_str(what->url)));
    (void)pthread_once(&once, set_up);
    curl = is_up ? curl_easy_init() : NULL;
    if (curl && prepare(curl, &fetch)) {
        code = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    }
    curl_easy_cleanup(curl);
    return tell(&fetch, code, http, reterr);
}
