/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten admin`: asks a running server, over its admin socket, and prints what it says.
 *
 * The answer is JSON and printed as it is: a person can read it, a script too. It goes to standard output if the server said yes, else to standard error.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/talk.h"
#include "conf/units.h"

static const struct {
    const char *word;
    const char *method;
} verbs[] = {{"pause", "POST"}, {"resume", "POST"}, {"reload", "POST"}, {"status", "GET"}};

/* ---- the command ---- */

static int write_request(const struct args *args, const char *timeout, struct hs_buf *target,
                         struct talk_request *request)
{
    const char *word = args->n_rest ? args->rest[0] : "";
    hs_us us;
    size_t i = 0;

    while (i < HS_LEN(verbs) && strcmp(verbs[i].word, word) != 0)
        i++;
    if (i == HS_LEN(verbs))
        return cmd_misused("Write `hasten admin pause`, `resume`, `reload` or `status`.",
                           "admin cannot do \"%.100s\"", word);
    if (timeout && strcmp(word, "pause") != 0)
        return cmd_misused(NULL, "--timeout belongs to `hasten admin pause`");
    if (timeout && !conf_parse_time(hs_str(timeout), &us))
        return cmd_misused("Write a duration with its unit, as in --timeout 60s.",
                           "--timeout cannot be \"%.100s\"", timeout);
    request->method = verbs[i].method;
    hs_buf_printf(target, "/admin/%s%s%s", word, timeout ? "?timeout=" : "",
                  timeout ? timeout : "");
    request->target = hs_buf_str(target);
    return CMD_OK;
}

int cmd_admin(int argc, char **argv)
{
    struct talk_to whom = {.socket_path = NULL};
    struct talk_request request = {.method = NULL};
    const char *timeout = NULL;
    const struct args_opt opts[] = {
        ARGS_TEXT("timeout", &timeout, "TIME", "how long a pause may last (default 60s)"),
        TALK_OPTS(&whom),
    };
    struct args args = {.command = "admin", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 1};
    struct hs_buf target;
    struct hs_buf answer = {.p = NULL};
    struct hs_str body;
    unsigned status;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    hs_buf_init(&target, 4096);
    code = write_request(&args, timeout, &target, &request);
    if (!code)
        code = talk(&whom, &request, &answer, &status, &body);
    if (!code) {
        (void)fprintf(status == 200 ? stdout : stderr, "%.*s\n", HS_FMT(body));
        code = status == 200 ? CMD_OK : CMD_FAILED;
    }
    hs_buf_fini(&target);
    hs_buf_fini(&answer);
    return code;
}
