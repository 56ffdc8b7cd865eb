/* SPDX-License-Identifier: Apache-2.0 */
#include "core/guard.h"

#ifdef HS_UNGUARD
#include <stdlib.h>

#include "core/str.h"

bool hs_guard_is_on(const char *name)
{
    struct hs_str list = hs_str(getenv("HASTEN_UNGUARD"));

    while (list.n) {
        if (hs_str_is(hs_str_cut(&list, ','), name))
            return false;
    }
    return true;
}
#endif
