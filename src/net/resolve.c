/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name resolution by uv_getaddrinfo. The request belongs to libuv until its callback ran, so cancelling
 * only forgets the listener; the memory goes when libuv is done with it. Nothing is cached: a fail-over
 * by DNS must be seen by the next connection attempt, and attempts are rare.
 */
#include "net/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <uv.h>

#include "core/mem.h"

struct net_resolve {
    uv_getaddrinfo_t uv;
    net_resolved_f *done; /* NULL = cancelled */
    void *arg;
    char *host;
};

enum { ADDRESS_TEXT = 64 };

struct answer {
    char text[NET_RESOLVE_MAX][ADDRESS_TEXT];
    const char *address[NET_RESOLVE_MAX];
    size_t n;
};

static void add_address(struct answer *answer, const struct addrinfo *info)
{
    char *text = answer->text[answer->n];

    if (getnameinfo(info->ai_addr, info->ai_addrlen, text, ADDRESS_TEXT, NULL, 0, NI_NUMERICHOST))
        return;
    for (size_t i = 0; i < answer->n; i++) {
        if (hs_str_is(hs_str(text), answer->address[i]))
            return;
    }
    answer->address[answer->n++] = text;
}

static void report(const struct net_resolve *req, int status, const struct addrinfo *info)
{
    struct answer answer;
    struct hs_err err;

    answer.n = 0;
    for (; info && answer.n < NET_RESOLVE_MAX; info = info->ai_next)
        add_address(&answer, info);
    if (answer.n) {
        req->done(req->arg, answer.address, answer.n, NULL);
        return;
    }
    hs_fail(&err, HS_E_IO, "could not resolve host \"%s\"", req->host);
    hs_err_why(&err, "%s", status ? uv_strerror(status) : "it has no address");
    req->done(req->arg, NULL, 0, &err);
}

static void on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *info)
{
    struct net_resolve *req = uv->data;

    if (req->done)
        report(req, status, info);
    uv_freeaddrinfo(info);
    hs_free(req->host);
    hs_free(req);
}

hs_status net_resolve_start(struct net_loop *loop, const char *host, net_resolved_f *done,
                            void *arg, struct net_resolve **ret_req, struct hs_err *reterr)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct net_resolve *req = hs_calloc(1, sizeof(*req));
    int error;

    if (!req)
        return hs_fail_memory(reterr);
    req->host = hs_memdup0(host, strlen(host));
    if (!req->host) {
        hs_free(req);
        return hs_fail_memory(reterr);
    }
    req->done = done;
    req->arg = arg;
    req->uv.data = req;
    error = uv_getaddrinfo(net_loop_uv(loop), &req->uv, on_resolved, host, NULL, &hints);
    if (!error) {
        *ret_req = req;
        return HS_OK;
    }
    hs_free(req->host);
    hs_free(req);
    hs_fail(reterr, HS_E_IO, "could not resolve host \"%s\"", host);
    hs_err_why(reterr, "%s", uv_strerror(error));
    return HS_E_IO;
}

void net_resolve_cancel(struct net_resolve *req)
{
    if (!req)
        return;
    req->done = NULL;
    (void)uv_cancel((uv_req_t *)&req->uv);
}
