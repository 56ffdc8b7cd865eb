/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/log.h - one event, one line, on standard error: logfmt or JSON.
 *
 * Only boundaries log (a finished request, a job, a feed event, start-up). A line is built in a buffer
 * of the calling thread and written with one write(2): at once for ordinary events, gathered and
 * flushed at the end of a loop turn for access lines. Never give a secret to these functions.
 *
 *     hs_log_begin(HS_LOG_INFO, "listening");
 *     hs_log_str("addr", addr);
 *     hs_log_end();
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/err.h"

enum hs_log_level { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARN, HS_LOG_ERROR };
enum hs_log_format { HS_LOG_LOGFMT, HS_LOG_JSON };

/* Before threads start. From here on a standard error that is a pipe, a terminal or a socket never blocks:
 * what it does not take at once is lost and counted. */
void hs_log_init(enum hs_log_level level, enum hs_log_format format);
/* Any thread, any time; a line under way is ended in the form it was begun in. */
void hs_log_change(enum hs_log_level level, enum hs_log_format format);
bool hs_log_is_on(enum hs_log_level level);

/* Any thread; begin/fields/end of one line on one thread without another line between them. A line below
 * the level is built by nobody: its fields and its end do nothing. Names: at most 40 bytes, plain ASCII. */
void hs_log_begin(enum hs_log_level level, const char *event);
void hs_log_str(const char *name, struct hs_str value);
void hs_log_cstr(const char *name, const char *value);
void hs_log_int(const char *name, int64_t value);
/* Microseconds, shown in milliseconds with three decimals. */
void hs_log_ms(const char *name, uint64_t us);
/* code, error, details, hint */
void hs_log_err(const struct hs_err *err);
/* Ends the line and writes all that this thread gathered. */
void hs_log_end(void);
/* Ends the line; it is written with the next hs_log_end() or hs_log_flush(), or past 32 KiB. */
void hs_log_end_later(void);
void hs_log_flush(void);
/* Lines that standard error did not take, of all threads. */
uint64_t hs_log_lines_lost(void);

/* The whole line from one format: event plus `msg`. */
void hs_log(enum hs_log_level level, const char *event, const char *fmt, ...) hs_printf_like(3, 4);

#endif
