/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/pgoutput.h - reads the messages of PostgreSQL's logical decoding plugin pgoutput (protocol version 1).
 *
 * Pure: bytes in, a struct out, no I/O; outside bytes, so it trusts no length and is fuzzed. Knows the
 * relations that were described, and turns rows into struct hs_change. It lives on the feed's thread.
 * Source: PostgreSQL 15 manual, 55.9 "Logical Replication Message Formats".
 */
#ifndef PG_PGOUTPUT_H
#define PG_PGOUTPUT_H

#include "core/change.h"
#include "core/err.h"

struct pgoutput;

enum pgoutput_kind {
    PGOUTPUT_BEGIN,
    PGOUTPUT_COMMIT,
    PGOUTPUT_CHANGE, /* INSERT, UPDATE, DELETE */
    PGOUTPUT_TRUNCATE,
    PGOUTPUT_MESSAGE,  /* pg_logical_emit_message() */
    PGOUTPUT_RELATION, /* a table was described; nothing to do */
    PGOUTPUT_OTHER     /* Origin, Type */
};

struct pgoutput_message {
    enum pgoutput_kind kind;
    uint64_t final_lsn; /* BEGIN: the start of the commit record */
    uint64_t end_lsn;   /* COMMIT: its end */
    uint32_t xid;       /* BEGIN */
    struct hs_change
        change; /* CHANGE; lives until the next read; stamp is that of the BEGIN before it */
    const uint32_t *tables; /* TRUNCATE: oids; lives until the next read */
    size_t n_tables;
    bool is_transactional; /* MESSAGE */
    uint64_t message_lsn;
    struct hs_str prefix; /* MESSAGE */
    struct hs_str content;
};

/* NULL = no memory. */
struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *reader);
/* A new stream: forgets all relations and the open transaction. */
void pgoutput_reset(struct pgoutput *reader);
/*
 * Reads one message (the payload of one XLogData). errors HS_E_PG_ERROR: not as the protocol has it (the feed
 * must begin anew); HS_E_MEMORY
 */
hs_status pgoutput_read(struct pgoutput *reader, struct hs_str bytes,
                        struct pgoutput_message *ret_message, struct hs_err *reterr) hs_must_check;

#endif
