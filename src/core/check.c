/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the process after a mistake of ours: one line with the place, the stack, then abort().
 */
#include "core/check.h"

#include <execinfo.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"

_Noreturn void hs_bug(const char *file, int line, const char *what)
{
    void *frames[32];
    int n = backtrace(frames, HS_LEN(frames));

    hs_log_begin(HS_LOG_ERROR, "bug");
    hs_log_cstr("file", file);
    hs_log_int("line", line);
    hs_log_cstr("check", what);
    hs_log_end();
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    abort();
}
