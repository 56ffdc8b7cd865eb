/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values. The texts are cut at a UTF-8 boundary, since they often quote what a client sent.
 */
#include "core/err.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/json.h"

static const struct hs_status_info infos[HS_STATUS_COUNT] = {
    [HS_OK] = {"OK", 200, "ok", ""},
#define HS_STATUS(name, http, code, hint) [HS_E_##name] = {#name, http, code, hint},
#include "core/status.def"
#undef HS_STATUS
};

const struct hs_status_info *hs_status_info(hs_status status)
{
    HS_BUG_ON((unsigned)status >= HS_STATUS_COUNT);
    return &infos[status];
}

void hs_err_clear(struct hs_err *err)
{
    err->status = HS_OK;
    err->http = 0;
    err->what_whole = 0;
    err->why_whole = 0;
    err->hint_whole = 0;
    err->reason = 0;
    err->sqlstate[0] = '\0';
    err->what[0] = '\0';
    err->why[0] = '\0';
    err->hint[0] = '\0';
}

/* ---- texts that were cut ---- */

enum { WHOLES = 8 };

/*
 * Few errors are that long, and those are told soon after: each thread remembers the last ones. A ticket names its
 * thread and its turn, so that an error which outlives them, or goes to another thread, finds nothing.
 */
static _Thread_local struct {
    uint32_t thread; /* 0 = no text yet */
    uint32_t turn;
    struct {
        hs_err_whole ticket;
        size_t n;
        char p[HS_ERR_WHOLE_MAX];
    } of[WHOLES];
} wholes;

static atomic_uint threads;

/* Not inline: rare, and GCC 12 would lose sight of a format that both use. */
static __attribute__((noinline)) hs_printf_like(1, 0) hs_err_whole
    remember(const char *fmt, va_list args)
{
    size_t at = wholes.turn % WHOLES;
    int n = vsnprintf(wholes.of[at].p, HS_ERR_WHOLE_MAX, fmt, args);

    if (n < 0)
        return 0;
    if (!wholes.thread)
        wholes.thread = atomic_fetch_add(&threads, 1) + 1;
    wholes.of[at].n = n < HS_ERR_WHOLE_MAX
                          ? (size_t)n
                          : hs_str_utf8_cut(hs_strn(wholes.of[at].p, HS_ERR_WHOLE_MAX - 1),
                                            HS_ERR_WHOLE_MAX - 1);
    wholes.of[at].ticket = (hs_err_whole)wholes.thread << 32 | ++wholes.turn;
    return wholes.of[at].ticket;
}

static struct hs_str recall(hs_err_whole ticket, const char *cut)
{
    size_t at = ((uint32_t)ticket - 1) % WHOLES;

    return ticket && wholes.of[at].ticket == ticket ? hs_strn(wholes.of[at].p, wholes.of[at].n)
                                                    : hs_str(cut);
}

struct hs_str hs_err_what(const struct hs_err *err)
{
    return recall(err->what_whole, err->what);
}

struct hs_str hs_err_details(const struct hs_err *err)
{
    return recall(err->why_whole, err->why);
}

struct hs_str hs_err_own_hint(const struct hs_err *err)
{
    return recall(err->hint_whole, err->hint);
}

/* ---- filling ---- */

_Static_assert(HS_ERR_WHAT == HS_ERR_WHY && HS_ERR_WHY == HS_ERR_HINT, "one size for print_cut");

struct text {
    hs_err_whole whole;
    char p[HS_ERR_WHAT];
};

/* By value: the arguments may be texts of the very error that is being filled. */
static hs_printf_like(1, 0) struct text print_cut(const char *fmt, va_list args)
{
    struct text text = {.whole = 0};
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(text.p, sizeof(text.p), fmt, args);
    if (n >= (int)sizeof(text.p))
        text.whole = remember(fmt, again);
    va_end(again);
    if (n < 0)
        text.p[0] = '\0';
    else if ((size_t)n >= sizeof(text.p))
        memcpy(text.p + hs_str_utf8_cut(hs_strn(text.p, sizeof(text.p) - 1), sizeof(text.p) - 4),
               "...", 4);
    return text;
}

hs_status hs_fail(struct hs_err *reterr, hs_status status, const char *fmt, ...)
{
    va_list args;
    struct text text;

    if (!reterr)
        return status;
    va_start(args, fmt);
    text = print_cut(fmt, args);
    va_end(args);
    hs_err_clear(reterr);
    reterr->status = status;
    memcpy(reterr->what, text.p, sizeof(text.p));
    reterr->what_whole = text.whole;
    return status;
}

static hs_printf_like(3, 0) void fill_field(char *field, hs_err_whole *whole, const char *fmt,
                                            va_list args)
{
    struct text text = print_cut(fmt, args);

    memcpy(field, text.p, sizeof(text.p));
    *whole = text.whole;
}

void hs_err_why(struct hs_err *reterr, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (reterr)
        fill_field(reterr->why, &reterr->why_whole, fmt, args);
    va_end(args);
}

void hs_err_hint(struct hs_err *reterr, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (reterr)
        fill_field(reterr->hint, &reterr->hint_whole, fmt, args);
    va_end(args);
}

unsigned hs_err_http(const struct hs_err *err)
{
    return err->http ? err->http : infos[err->status].http;
}

const char *hs_err_code(const struct hs_err *err)
{
    return err->sqlstate[0] ? err->sqlstate : infos[err->status].code;
}

const char *hs_err_hint_text(const struct hs_err *err)
{
    return err->hint[0] ? err->hint : infos[err->status].hint;
}

static void add_member(struct hs_buf *out, const char *value)
{
    if (value[0])
        hs_json_string(out, hs_str(value));
    else
        hs_buf_add_lit(out, "null");
}

void hs_err_to_json(const struct hs_err *err, bool with_why, struct hs_buf *out)
{
    hs_buf_add_lit(out, "{\"code\":");
    hs_json_string(out, hs_str(hs_err_code(err)));
    hs_buf_add_lit(out, ",\"message\":");
    hs_json_string(out, hs_str(err->what));
    hs_buf_add_lit(out, ",\"details\":");
    add_member(out, with_why ? err->why : "");
    hs_buf_add_lit(out, ",\"hint\":");
    add_member(out, hs_err_hint_text(err));
    hs_buf_add_lit(out, "}");
}
