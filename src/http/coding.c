/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each library is given nine tenths of the body's length as room: what does not fit is not worth sending, and no
 * library needs to be asked how long its output may become.
 */
#include "http/coding.h"

#include <brotli/encode.h>
#include <libdeflate.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/mem.h"

enum { WEIGHT_MAX = 1000 };

static const struct hs_str names[HTTP_CODINGS] = {
    [HTTP_IDENTITY] = {"identity", 8},
    [HTTP_BR] = {"br", 2},
    [HTTP_ZSTD] = {"zstd", 4},
    [HTTP_GZIP] = {"gzip", 4},
};

/* The libraries' own levels that take about the same time, by ours. */
static const struct {
    uint8_t br;
    uint8_t zstd;
    uint8_t gzip;
} levels[HTTP_LEVEL_MAX + 1] = {
    [1] = {0, 1, 1}, [2] = {1, 1, 2}, [3] = {2, 2, 3}, [4] = {3, 3, 4},  [5] = {4, 4, 5},
    [6] = {5, 5, 6}, [7] = {6, 7, 7}, [8] = {7, 9, 8}, [9] = {8, 12, 9},
};

struct hs_str http_coding_name(enum http_coding coding)
{
    return names[coding];
}

/* ---- what is wanted ---- */

bool http_weight_read(struct hs_str text, unsigned *ret_weight)
{
    unsigned unit = WEIGHT_MAX;
    unsigned weight;

    if (text.n < 1 || text.n > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.n > 1 && text.p[1] != '.'))
        return false;
    weight = (unsigned)(text.p[0] - '0') * unit;
    for (size_t i = 2; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        unit /= 10;
        weight += (unsigned)(text.p[i] - '0') * unit;
    }
    if (weight > WEIGHT_MAX)
        return false;
    *ret_weight = weight;
    return true;
}

/* HTTP_CODINGS: none that we have. */
static enum http_coding find(struct hs_str name)
{
    unsigned i = 0;

    if (hs_str_ieq(name, HS_STR("x-gzip"))) /* the same, RFC 9110, 8.4.1.3 */
        return HTTP_GZIP;
    while (i < HTTP_CODINGS && !hs_str_ieq(name, names[i]))
        i++;
    return (enum http_coding)i;
}

/* ` ; q=0.5`, the only parameter that there is. */
static bool read_parameter(struct hs_str text, unsigned *ret_weight)
{
    struct hs_str parameter = hs_str_trim(text);

    *ret_weight = WEIGHT_MAX;
    if (!parameter.n)
        return true;
    return parameter.n > 2 && (parameter.p[0] | 0x20) == 'q' && parameter.p[1] == '=' &&
           http_weight_read(hs_str_sub(parameter, 2, parameter.n), ret_weight);
}

static void read_element(struct http_accepted *accepted, struct hs_str element)
{
    struct hs_str rest = element;
    struct hs_str name = hs_str_trim(hs_str_cut(&rest, ';'));
    enum http_coding coding = find(name);
    unsigned weight;

    if (!read_parameter(rest, &weight))
        return;
    if (hs_str_is(name, "*")) {
        accepted->has_others = true;
        accepted->others = (uint16_t)(weight > accepted->others ? weight : accepted->others);
    } else if (coding != HTTP_CODINGS) {
        accepted->of[coding].is_named = true;
        if (weight > accepted->of[coding].weight)
            accepted->of[coding].weight = (uint16_t)weight;
    }
}

void http_accepted_read(struct http_accepted *accepted, struct hs_str value)
{
    while (value.n)
        read_element(accepted, hs_str_cut(&value, ','));
}

/* Identity that nobody named is acceptable, but whoever names another coding would rather have that. */
enum http_coding http_accepted_best(const struct http_accepted *accepted)
{
    enum http_coding best = HTTP_IDENTITY;
    unsigned most = accepted->of[HTTP_IDENTITY].weight;

    for (unsigned i = HTTP_IDENTITY + 1; i < HTTP_CODINGS; i++) {
        unsigned weight = accepted->of[i].is_named ? accepted->of[i].weight : accepted->others;

        if (weight > most || (weight && weight == most && best == HTTP_IDENTITY)) {
            best = (enum http_coding)i;
            most = weight;
        }
    }
    return best;
}

/* ---- encoding ---- */

static size_t encode_gzip(unsigned level, struct hs_str body, char *to, size_t room,
                          bool *ret_has_memory)
{
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(levels[level].gzip);
    size_t n = 0;

    *ret_has_memory = compressor != NULL;
    if (compressor)
        n = libdeflate_gzip_compress(compressor, body.p, body.n, to, room);
    libdeflate_free_compressor(compressor);
    return n;
}

/*
 * Without memory the brotli library ends the process (1.0.9, c/enc/memory.c), so all that it may want is taken before,
 * and it gets pieces of that. How much it takes is measured, not documented: tables by quality, and at most 24 bytes
 * for each of the body. Here is twice that, and a test has bodies of all kinds encoded with it. It is address
 * space mostly: what is not used is not touched.
 */
enum { BR_BASE = 4 << 20, BR_TABLES_BITS = 16, BR_PER_BYTE = 48, BR_ALIGN = 16 };

struct reserve {
    char *p;
    size_t n;
    size_t used;
};

static void *take(void *arg, size_t n)
{
    struct reserve *reserve = arg;
    size_t rounded = (n + BR_ALIGN - 1) / BR_ALIGN * BR_ALIGN;
    char *p = reserve->p + reserve->used;

    if (rounded > reserve->n - reserve->used)
        return NULL;
    reserve->used += rounded;
    return p;
}

/* All of it goes at once. */
static void give(void *arg, void *p)
{
    (void)arg;
    (void)p;
}

static bool set_br(BrotliEncoderState *state, unsigned quality, size_t body_n)
{
    return BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, quality) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, body_n > 1 << 18 ? 20 : 18) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_SIZE_HINT, (uint32_t)body_n);
}

static size_t encode_br(unsigned level, struct hs_str body, char *to, size_t room,
                        bool *ret_has_memory)
{
    unsigned quality = levels[level].br;
    struct reserve reserve = {.n = BR_BASE + ((size_t)1 << (quality + BR_TABLES_BITS)) +
                                   BR_PER_BYTE * body.n};
    BrotliEncoderState *state;
    const uint8_t *in = (const uint8_t *)body.p;
    size_t in_n = body.n;
    uint8_t *out = (uint8_t *)to;
    size_t out_n = room;
    bool is_whole;

    *ret_has_memory = true;
    if (body.n > HTTP_BR_MAX)
        return 0;
    reserve.p = hs_malloc(reserve.n);
    *ret_has_memory = reserve.p != NULL;
    if (!reserve.p)
        return 0;
    state = BrotliEncoderCreateInstance(take, give, &reserve);
    is_whole = state && set_br(state, quality, body.n) &&
               BrotliEncoderCompressStream(state, BROTLI_OPERATION_FINISH, &in_n, &in, &out_n, &out,
                                           NULL) &&
               BrotliEncoderIsFinished(state);
    BrotliEncoderDestroyInstance(state);
    hs_free(reserve.p);
    return is_whole ? room - out_n : 0;
}

static size_t encode_zstd(unsigned level, struct hs_str body, char *to, size_t room,
                          bool *ret_has_memory)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t n;

    *ret_has_memory = context != NULL;
    if (!context)
        return 0;
    n = ZSTD_compressCCtx(context, to, room, body.p, body.n, levels[level].zstd);
    *ret_has_memory = ZSTD_getErrorCode(n) != ZSTD_error_memory_allocation;
    (void)ZSTD_freeCCtx(context);
    return ZSTD_isError(n) ? 0 : n;
}

static size_t encode(enum http_coding coding, unsigned level, struct hs_str body, char *to,
                     size_t room, bool *ret_has_memory)
{
    switch (coding) {
    case HTTP_BR:
        return encode_br(level, body, to, room, ret_has_memory);
    case HTTP_ZSTD:
        return encode_zstd(level, body, to, room, ret_has_memory);
    case HTTP_GZIP:
        return encode_gzip(level, body, to, room, ret_has_memory);
    case HTTP_IDENTITY:
    case HTTP_CODINGS:
        break;
    }
    HS_BUG_ON(true);
    return 0;
}

enum http_encoded http_encode(enum http_coding coding, unsigned level, struct hs_str body,
                              struct hs_buf *out)
{
    size_t room = body.n - (body.n + 9) / 10;
    bool has_memory;
    char *to;
    size_t n;

    HS_BUG_ON(level < HTTP_LEVEL_MIN || level > HTTP_LEVEL_MAX || out->n || out->max < body.n);
    if (room == 0)
        return HTTP_NOT_SHORTER;
    to = hs_buf_room(out, room);
    if (!to)
        return HTTP_NO_MEMORY;
    n = encode(coding, level, body, to, room, &has_memory);
    if (n) {
        hs_buf_added(out, n);
        return HTTP_ENCODED;
    }
    return has_memory ? HTTP_NOT_SHORTER : HTTP_NO_MEMORY;
}
