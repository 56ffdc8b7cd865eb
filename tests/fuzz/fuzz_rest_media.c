/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept fed with any bytes. Whatever is read has a name, and a known type's name is read as that type again.
 */
#include <stdlib.h>

#include "rest/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rest_accept types;
    struct hs_arena arena;
    struct hs_err err;

    if (size > 1 << 12)
        return 0;
    hs_arena_init(&arena, 1 << 24);
    rest_accept_read(hs_strn((const char *)data, size), &types);
    for (size_t i = 0; i < types.n; i++) {
        const struct rest_media *media = &types.types[i];
        struct hs_str name = rest_media_name(media, &arena);
        struct rest_media again = rest_media_read(name);

        if (!name.p || !rest_media_content_type(media, &arena).n)
            abort();
        /* A type that is not known is told as it was written, whatever it holds. */
        if (media->kind != REST_MEDIA_OTHER && media->plan_for != REST_MEDIA_OTHER &&
            (again.kind != media->kind || again.is_json_plan != media->is_json_plan ||
             again.plan_options != media->plan_options || again.plan_for != media->plan_for))
            abort();
    }
    if (rest_accept_fail(&types, &arena, &err) != HS_E_PGRST107)
        abort();
    hs_arena_fini(&arena);
    return 0;
}
