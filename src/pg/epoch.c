/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server, and which life of it. Any login may run the query: none of its functions is kept from PUBLIC.
 *
 * The timeline comes from the name of the WAL file that is being written: the control file learns of a new one
 * only at the next checkpoint. A standby writes no WAL, so it says the timeline of its last restart point and
 * that it is a standby; promotion changes the text either way. Times are numbers, since the text of a
 * timestamp depends on the session's settings. Nothing is looked up through search_path.
 * Source: PostgreSQL 15 manual, 9.27.2 (recovery), 9.27.3 (control data), 28.2.15 (pg_stat_wal).
 */
#include "pg/epoch.h"

#include "core/guard.h"
#include "core/hash.h"

/* Words of the text before the two times. */
enum { WORDS_OF_SERVER = 3 };
/* One half of an LSN: 32 bits. */
enum { LSN_HALF_DIGITS = 8 };

const char PG_EPOCH_SQL[] =
    "SELECT pg_catalog.concat_ws(' ',"
    " (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c),"
    " CASE WHEN pg_catalog.pg_is_in_recovery()"
    " THEN (SELECT 'standby/' || c.timeline_id FROM pg_catalog.pg_control_checkpoint() c)"
    " ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)"
    " END,"
    " (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()),"
    " EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()),"
    " COALESCE((SELECT EXTRACT(epoch FROM w.stats_reset)::pg_catalog.text FROM pg_catalog.pg_stat_wal w), '-'))";

/* Without the restart identity: what a restarted server or a restored copy has in common with the first. */
static struct hs_str server_of(struct hs_str text)
{
    struct hs_str rest = text;

    for (int i = 0; i < WORDS_OF_SERVER; i++)
        (void)hs_str_cut(&rest, ' ');
    return hs_str_sub(text, 0, text.n - rest.n);
}

uint64_t pg_epoch(struct hs_str text)
{
    uint64_t epoch = hs_digest(HS_GUARD(restart_epoch) ? text : server_of(text));

    return epoch ? epoch : 1;
}

static bool read_half(struct hs_str digits, uint64_t *ret_half)
{
    uint64_t v = 0;

    if (digits.n == 0 || digits.n > LSN_HALF_DIGITS)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        int digit = hs_hex_digit(digits.p[i]);

        if (digit < 0)
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *ret_half = v;
    return true;
}

bool pg_lsn_read(struct hs_str text, uint64_t *ret_lsn)
{
    size_t slash = hs_str_find(text, '/');
    uint64_t high;
    uint64_t low;

    if (slash == text.n || !read_half(hs_str_sub(text, 0, slash), &high) ||
        !read_half(hs_str_sub(text, slash + 1, text.n), &low))
        return false;
    *ret_lsn = high << 32 | low;
    return true;
}
