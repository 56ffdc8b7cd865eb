/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/talk.h - one question to a running server over its admin socket, for `hasten admin` and `hasten cache`.
 *
 * One HTTP request, one answer, the end of the connection (RFC 9112, 9.6: Connection: close), so no more of HTTP is
 * needed here than to find the end of the head.
 */
#ifndef CMD_TALK_H
#define CMD_TALK_H

#include "cmd/cmd.h"
#include "cmd/demo.h"
#include "core/buf.h"

/* The rows that say which server: --socket, --data, --config, --set. */
struct talk_to {
    const char *socket_path;
    const char *data;
    const char *file;
    struct args_list sets;
};
#define TALK_OPTS(to)                                                                         \
    ARGS_TEXT("socket", &(to)->socket_path, "PATH", "the server's admin.socket"),             \
        ARGS_TEXT("data", &(to)->data, "DIR", "folder of the demo (default: " DEMO_DATA ")"), \
        CMD_CONF_OPTS(&(to)->file, &(to)->sets)

struct talk_request {
    const char *method;
    struct hs_str target;        /* as in a request line */
    struct hs_str authorization; /* value of the header; empty = none */
    struct hs_str body;          /* JSON; may be empty */
};

/*
 * Asks. CMD_OK: *ret_status is that of HTTP, and *ret_body, a slice of `answer`, what was said. Else the exit code;
 * the fault is printed. The caller ends `answer` in any case.
 */
int talk(struct talk_to *to, const struct talk_request *request, struct hs_buf *answer,
         unsigned *ret_status, struct hs_str *ret_body) hs_must_check;

#endif
