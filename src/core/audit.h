/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/audit.h - who was refused, who administered, what was changed: one JSON object a line, for an auditor.
 *
 * Apart from the log: it is always on where it is configured, has its own file and its own rights, and holds
 * neither tokens, nor values of queries, nor claims but the role and a hash of the subject. Never give it one.
 *
 * Goes to a file (append-only, mode 0600), to the socket of a syslog daemon (facility authpriv), or both.
 * What cannot be written is lost and counted, one line of the log says so, and requests go on.
 *
 *     hs_audit_begin("logout");
 *     hs_audit_str("role", role);
 *     hs_audit_end();
 *
 * Limits     a value is cut at HS_AUDIT_VALUE bytes; lines are gathered up to 32 KiB.
 * Thread     open before threads, reopen on one thread; the rest any thread, one line at a time.
 */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

#include "core/err.h"

enum { HS_AUDIT_VALUE = 512 };

/*
 * Either may be NULL or empty. syslog: the path of a datagram socket, /dev/log.
 *   errors  HS_E_CONFIG (the file cannot be opened, a path is too long)
 */
hs_status hs_audit_open(const char *file, const char *syslog, struct hs_err *reterr) hs_must_check;
/* Once the file was renamed (rotation). On failure the old one is written on, and the log says so. */
void hs_audit_reopen(void);
/* At the end of the process, when no other thread is left. */
void hs_audit_close(void);
bool hs_audit_is_on(void);

/* Fields of a line that is off do nothing; nor does its end. */
void hs_audit_begin(const char *event);
/* A p that is NULL leaves the field out. */
void hs_audit_str(const char *name, struct hs_str value);
void hs_audit_cstr(const char *name, const char *value);
void hs_audit_int(const char *name, int64_t value);
/* Ends the line and writes all that this thread gathered. */
void hs_audit_end(void);
/* Ends the line; it is written with the next hs_audit_end() or hs_audit_flush(). */
void hs_audit_end_later(void);
void hs_audit_flush(void);
/* Lines that were not written, of all threads. */
uint64_t hs_audit_lines_lost(void);

#endif
