/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as JSON: read and skipped to the end, each slice inside the text, and the verdict is
 * jansson's too; of a text that is one string, the value is as well.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!oracle_agrees(hs_strn((const char *)data, size)))
        abort();
    return 0;
}
