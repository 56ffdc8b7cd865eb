/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as Accept. The answer is one of the forms; two copies of the header say what one says, and
 * a header behind which everything is refused chooses nothing that it did not choose alone.
 */
#include <stdlib.h>

#include "api/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str text = hs_strn((const char *)data, size);
    struct accept once = {0};
    struct accept twice = {0};

    accept_read(&once, text);
    accept_read(&twice, text);
    accept_read(&twice, text);
    if (accept_best(&once) > API_FORMATS || accept_best(&once) != accept_best(&twice))
        abort();
    for (unsigned i = 0; i < API_FORMATS; i++) {
        if (once.of[i].quality > 1000 || once.of[i].nearness > 3 ||
            (once.of[i].nearness && !once.is_given))
            abort();
    }
    accept_read(&twice, HS_STR("*/*;q=0"));
    if (once.is_given && accept_best(&once) != accept_best(&twice))
        abort();
    return 0;
}
