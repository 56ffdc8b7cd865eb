/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two pages of the reference as Markdown, printed from the tables that the program runs on. The
 * rule: a page holds nothing that the tables do not say, but for the words around them and the two
 * families by route, which core/metric.h keeps apart. A test compares the pages in docs/ with this
 * output.
 */
#include "cmd/reference.h"

#include "core/err.h"
#include "core/metric.h"

static const struct {
    const char *prefix;
    unsigned http;
} sqlstates[] = {
#define PG_SQLSTATE(prefix, http) {prefix, http},
#include "pg/sqlstate.def"
#undef PG_SQLSTATE
};

static const char errors_intro[] =
    "# Errors\n"
    "\n"
    "<!-- Made by `hasten config reference errors` from src/core/status.def and src/pg/sqlstate.def.\n"
    "     Do not edit. -->\n"
    "\n"
    "Every fault is answered in one form:\n"
    "\n"
    "```json\n"
    "{\"code\":\"unknown_column\",\"message\":\"...\",\"details\":null,\"hint\":\"...\"}\n"
    "```\n"
    "\n"
    "`code` is stable and meant for programs, `message` says what happened, `details` why, `hint` what to\n"
    "do; the last two may be `null`. Answers with 503 carry `Retry-After`.\n"
    "\n"
    "## Codes of hasten\n"
    "\n"
    "The hint here is the usual one; a fault may come with a better one of its own.\n"
    "\n"
    "| code | status | hint |\n"
    "| --- | --- | --- |\n";

static const char sqlstate_intro[] =
    "\n"
    "## Codes of PostgreSQL\n"
    "\n"
    "A fault that PostgreSQL reports has its SQLSTATE as `code` (PostgreSQL manual, appendix A). The status\n"
    "follows from the longest of these that the SQLSTATE begins with.\n"
    "\n"
    "| SQLSTATE | status |\n"
    "| --- | --- |\n";

void cmd_reference_errors(struct hs_buf *out)
{
    hs_buf_add(out, hs_str(errors_intro));
    for (int i = HS_OK + 1; i < HS_STATUS_COUNT; i++) {
        const struct hs_status_info *info = hs_status_info((hs_status)i);

        hs_buf_printf(out, "| `%s` | %u | %s |\n", info->code, info->http, info->hint);
    }
    hs_buf_add(out, hs_str(sqlstate_intro));
    for (size_t i = 0; i < HS_LEN(sqlstates); i++) {
        const char *prefix = sqlstates[i].prefix;
        size_t n = strlen(prefix);

        if (n == 0)
            hs_buf_printf(out, "| all others | %u |\n", sqlstates[i].http);
        else if (strcmp(prefix, "42501") == 0)
            hs_buf_printf(out, "| `42501` | %u, or 401 for a request without a token |\n",
                          sqlstates[i].http);
        else
            hs_buf_printf(out, "| `%s%s` | %u |\n", prefix, &"xxxxx"[n], sqlstates[i].http);
    }
}

static const char metrics_intro[] =
    "# Metrics\n"
    "\n"
    "<!-- Made by `hasten config reference metrics` from src/core/metrics.def. Do not edit. -->\n"
    "\n"
    "`GET /metrics` answers in the Prometheus text format, where `observe.metrics` is on. Counters start at\n"
    "0 with the process. Histograms are in seconds and have the usual `_bucket`, `_sum` and `_count`.\n"
    "\n"
    "| metric | type | meaning |\n"
    "| --- | --- | --- |\n"
    "| `hasten_http_requests_total{route,status}` | counter | Requests answered, by route and status. |\n"
    "| `hasten_http_request_duration_seconds{route}` | histogram | From the first byte of a request to "
    "its answer being handed to the socket. |\n";

void cmd_reference_metrics(struct hs_buf *out)
{
    static const char *const types[] = {
        [HS_METRIC_COUNTER] = "counter",
        [HS_METRIC_GAUGE] = "gauge",
        [HS_METRIC_AGE] = "gauge",
        [HS_METRIC_HISTOGRAM] = "histogram",
    };

    hs_buf_add(out, hs_str(metrics_intro));
    for (int i = 0; i < HS_M_COUNT; i++) {
        enum hs_metric_id id = (enum hs_metric_id)i;

        hs_buf_printf(out, "| `%s` | %s | %s |\n", hs_metric_name(id), types[hs_metric_type(id)],
                      hs_metric_help(id));
    }
}
