/* SPDX-License-Identifier: Apache-2.0 */
/* Files of named queries: whatever stands in them, places lie within the text. */
#include <stdint.h>
#include <stdlib.h>

#include "api/named_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str text = hs_strn((const char *)data, size);
    struct named_file file;
    struct hs_arena arena;
    struct hs_err err;
    size_t lines = 1;

    hs_arena_init(&arena, 64 << 20);
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (named_file_read(HS_STR("q.sql"), text, &arena, &file, &err) == HS_OK) {
        for (size_t at = 0; at <= file.sql.n + 1; at += 1 + at / 8) {
            size_t line = named_file_line(&file, at);

            if (line < 1 || line > lines)
                abort();
        }
        for (size_t i = 1; i < file.n_pieces; i++) {
            if (file.pieces[i].sql_at < file.pieces[i - 1].sql_at ||
                file.pieces[i].file_at < file.pieces[i - 1].file_at)
                abort();
        }
    } else if (err.status != HS_E_CONFIG || !err.what[0]) {
        abort();
    }
    hs_arena_fini(&arena);
    return 0;
}
