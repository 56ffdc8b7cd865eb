/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as Accept-Encoding. The best is one of the codings, and one that was accepted; two copies of the field
 * say what one says; behind a coding that is refused by name, others stay as they were.
 */
#include <stdlib.h>

#include "http/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_weights(const struct http_accepted *accepted)
{
    for (unsigned i = 0; i < HTTP_CODINGS; i++) {
        if (accepted->of[i].weight > 1000 || (accepted->of[i].weight && !accepted->of[i].is_named))
            abort();
    }
    if (accepted->others > 1000 || (accepted->others && !accepted->has_others))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str text = hs_strn((const char *)data, size);
    struct http_accepted once = {.has_others = false};
    struct http_accepted twice = {.has_others = false};
    enum http_coding best;

    http_accepted_read(&once, text);
    check_weights(&once);
    best = http_accepted_best(&once);
    if (best >= HTTP_CODINGS ||
        (best != HTTP_IDENTITY && !(once.of[best].is_named ? once.of[best].weight : once.others)))
        abort();
    http_accepted_read(&twice, text);
    http_accepted_read(&twice, text);
    if (http_accepted_best(&twice) != best)
        abort();
    http_accepted_read(&twice, HS_STR("deflate;q=1, compress, *;q=0"));
    if (http_accepted_best(&twice) != best)
        abort();
    return 0;
}
