/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/body.h - the body of a write in the PostgREST dialect, on its way into one parameter.
 *
 * Shape      JSON is read once, nothing is built: the text itself goes to PostgreSQL. CSV and forms become JSON
 *            text. What comes out beside it are the names, which decide the columns.
 * Promises   valid UTF-8; JSON as RFC 8259 has it, nested at most JSON_DEPTH_MAX deep; all objects have the
 *            same members, whatever their order, unless JSON may have any_keys.
 * CSV        RFC 4180, with any of the three line ends; the first line has the names. NULL, within quotes or
 *            not, is null, nothing is the empty text. Fields beyond the names are left out, a line with fewer fields has fewer
 *            members. Lines without anything are left out.
 * Limits     rows_max, REST_BODY_NAMES_MAX; JSON that is made of CSV is at most REST_BODY_GROWTH times as
 *            long as the CSV, plus REST_BODY_GROWTH_MIN.
 * Lifetime   the arena's.
 * Errors     HS_E_PGRST102 with what is wrong, HS_E_BAD_BODY for a limit, HS_E_MEMORY.
 * Source     PostgREST reference: tables and views (insert, bulk insert, columns); RFC 8259; RFC 4180; WHATWG
 *            URL, 5.1 (application/x-www-form-urlencoded).
 */
#ifndef REST_BODY_H
#define REST_BODY_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum {
    REST_BODY_NAMES_MAX = 1664, /* as many as a select may have (MaxTupleAttributeNumber) */
    REST_BODY_GROWTH = 16,
    REST_BODY_GROWTH_MIN = 1 << 16
};

enum rest_body_type { REST_BODY_JSON, REST_BODY_CSV, REST_BODY_FORM };

struct rest_body_setup {
    enum rest_body_type type;
    bool
        any_keys; /* which members of JSON count is said elsewhere (columns=); others say it themselves */
    size_t rows_max;
    struct hs_arena *arena;
};

struct rest_body {
    struct hs_str json;  /* an object or an array of objects; NUL-terminated */
    struct hs_str first; /* its first object, as it stands in json; p == NULL: there is none */
    bool is_array;
    bool has_any_keys; /* JSON, and any_keys was said: no names are given */
    size_t n_rows;
    const struct hs_str *names; /* sorted, each once */
    size_t n_names;
};

hs_status rest_body_read(const struct rest_body_setup *setup, struct hs_str text,
                         struct rest_body *ret_body, struct hs_err *reterr) hs_must_check;

/* Sorts, and leaves each once; returns how many are left. */
size_t rest_body_sort_names(struct hs_str *names, size_t n);

/* ---- between the readers ---- */

/* CSV as an array of objects, a form as an object (body_text.c). */
hs_status rest_body_csv(const struct rest_body_setup *setup, struct hs_str text,
                        struct rest_body *ret_body, struct hs_err *reterr) hs_must_check;
hs_status rest_body_form(const struct rest_body_setup *setup, struct hs_str text,
                         struct rest_body *ret_body, struct hs_err *reterr) hs_must_check;
hs_status rest_body_fail_rows(const struct rest_body_setup *setup, struct hs_err *reterr);
hs_status rest_body_fail_names(struct hs_err *reterr);

#endif
