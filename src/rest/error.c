/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in PostgREST's form. The members stand in the order in which PostgREST writes them.
 */
#include "rest/error.h"

#include "core/json.h"

static void add_text(struct hs_buf *out, struct hs_str text)
{
    if (text.n)
        hs_json_string(out, text);
    else
        hs_buf_add_lit(out, "null");
}

void rest_error_to_json(const struct hs_err *err, const struct rest_more *more, bool is_brief,
                        struct hs_buf *out)
{
    hs_buf_add_lit(out, "{\"code\":");
    hs_json_string(out, hs_str(hs_err_code(err)));
    if (!is_brief) {
        hs_buf_add_lit(out, ",\"details\":");
        if (more && more->details.p)
            hs_buf_add(out, more->details);
        else
            add_text(out, hs_str(err->why));
        hs_buf_add_lit(out, ",\"hint\":");
        add_text(out, more && more->hint.p ? more->hint : hs_str(hs_err_hint_text(err)));
    }
    hs_buf_add_lit(out, ",\"message\":");
    hs_json_string(out, hs_str(err->what));
    hs_buf_add_char(out, '}');
}
