/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefer fed with any bytes, a line a header. What Preference-Applied says is one header, which read as
 * Prefer is the same preferences.
 */
#include <stdlib.h>

#include "rest/prefer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 8, APPLIES_ALL = 15 };

static bool is_equal(const struct rest_prefer *a, const struct rest_prefer *b)
{
    return a->answer == b->answer && a->count == b->count && a->resolution == b->resolution &&
           a->missing == b->missing && a->handling == b->handling && a->tx == b->tx &&
           hs_str_eq(a->timezone, b->timezone) &&
           (a->handling != REST_HANDLING_STRICT ||
            (a->has_max_affected == b->has_max_affected && a->max_affected == b->max_affected));
}

static void check_applied(const struct rest_prefer *prefer)
{
    struct hs_str head = HS_STR("Preference-Applied: ");
    struct http_header header = {.name = HS_STR("prefer")};
    struct rest_prefer again;
    struct hs_err err;
    struct hs_buf out;

    hs_buf_init(&out, 1 << 18);
    rest_prefer_applied(prefer, APPLIES_ALL, &out);
    if (out.n) {
        if (!hs_str_starts(hs_buf_str(&out), head) || out.p[out.n - 2] != '\r')
            abort();
        header.value = hs_str_sub(hs_buf_str(&out), head.n, out.n - 2);
    }
    if (rest_prefer_read(&header, 1, true, &again, &err) || !is_equal(prefer, &again))
        abort();
    hs_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str rest = hs_strn((const char *)data, size);
    struct http_header headers[LINES_MAX];
    struct rest_prefer prefer;
    struct hs_err err;
    size_t n = 0;
    hs_status status;

    if (size > 1 << 16)
        return 0;
    while (rest.n && n < LINES_MAX) {
        headers[n].name = HS_STR("Prefer");
        headers[n++].value = hs_str_trim(hs_str_cut(&rest, '\n'));
    }
    hs_err_clear(&err);
    status = rest_prefer_read(headers, n, true, &prefer, &err);
    if (status && (status != HS_E_PGRST122 || prefer.handling != REST_HANDLING_STRICT ||
                   !hs_str_is_utf8(hs_str(err.why))))
        abort();
    check_applied(&prefer);
    return 0;
}
