/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunked coding of RFC 9112, 7.1, as a machine that takes one byte a step outside of the data
 * and whole runs inside it.
 *
 *     SIZE -> SIZE_MORE -> (EXT_...)* -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                                           \ size 0 -> LINE -> (NAME -> VALUE -> VALUE_LF ->
 * LINE)* -> END_LF
 *
 * Stricter than the RFC in one point: no white space around the parts of an extension ("bad white
 * space", which nobody sends but those who look for a reader that disagrees). The size has at most
 * 15 digits, so that it cannot overflow; extensions and trailers are bounded over the whole body.
 */
#include "http/h1.h"
#include "http/h1_class.h"

enum state {
    SIZE,
    SIZE_MORE,
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_VALUE_FIRST,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_PAIR,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    END,
    BAD
};

enum { DIGITS_MAX = 15 };

void h1_chunks_init(struct h1_chunks *c, uint32_t extra_max)
{
    *c = (struct h1_chunks){.state = SIZE, .extra_max = extra_max};
}

static enum state refuse(struct h1_chunks *c, const char *why)
{
    c->error = HS_E_BAD_REQUEST;
    c->why = why;
    return BAD;
}

static enum state end_of_size(struct h1_chunks *c, char b, const char *why)
{
    if (b == '\r')
        return SIZE_LF;
    if (b == ';')
        return EXT_NAME_FIRST;
    return refuse(c, why);
}

static enum state step_size(struct h1_chunks *c, char b)
{
    int digit = hs_hex_digit(b);

    if (digit >= 0) {
        if (c->digits == DIGITS_MAX)
            return refuse(c, "a chunk size is too long");
        c->digits++;
        c->left = c->left * 16 + (uint64_t)digit;
        return SIZE_MORE;
    }
    if (c->state == SIZE)
        return refuse(c, "a chunk does not begin with its size in hexadecimal digits");
    return end_of_size(c, b, "a chunk size is followed by neither CRLF nor ';'");
}

static enum state step_extension(struct h1_chunks *c, char b)
{
    static const char why[] = "a chunk extension is not name=value";

    switch (c->state) {
    case EXT_NAME_FIRST:
        return h1_is(b, H1_TOKEN) ? EXT_NAME : refuse(c, why);
    case EXT_NAME:
        if (h1_is(b, H1_TOKEN))
            return EXT_NAME;
        return b == '=' ? EXT_VALUE_FIRST : end_of_size(c, b, why);
    case EXT_VALUE_FIRST:
        if (b == '"')
            return EXT_QUOTED;
        return h1_is(b, H1_TOKEN) ? EXT_TOKEN : refuse(c, why);
    case EXT_TOKEN:
        return h1_is(b, H1_TOKEN) ? EXT_TOKEN : end_of_size(c, b, why);
    case EXT_QUOTED:
        if (b == '"')
            return EXT_QUOTED_END;
        if (b == '\\')
            return EXT_PAIR;
        return h1_is(b, H1_QUOTED) ? EXT_QUOTED : refuse(c, why);
    case EXT_PAIR:
        return h1_is(b, H1_QUOTED) ? EXT_QUOTED : refuse(c, why);
    default:
        return end_of_size(c, b, why);
    }
}

static enum state step_trailer(struct h1_chunks *c, char b)
{
    switch (c->state) {
    case LINE:
        if (b == '\r')
            return END_LF;
        return h1_is(b, H1_TOKEN) ? NAME : refuse(c, "a trailer name is not a token");
    case NAME:
        if (b == ':')
            return VALUE;
        return h1_is(b, H1_TOKEN) ? NAME : refuse(c, "a trailer name is not a token");
    case VALUE:
        if (b == '\r')
            return VALUE_LF;
        return h1_is(b, H1_VALUE) ? VALUE : refuse(c, "a control character in a trailer");
    default:
        return b == '\n' ? LINE : refuse(c, "CR without LF in a trailer");
    }
}

static enum state step_line_end(struct h1_chunks *c, char b)
{
    if (c->state == DATA_CR)
        return b == '\r' ? DATA_LF : refuse(c, "a chunk is longer than its size says");
    if (b != '\n')
        return refuse(c, "CR without LF in the chunked coding");
    if (c->state == END_LF)
        return END;
    if (c->state == SIZE_LF)
        return c->left ? DATA : LINE;
    c->digits = 0;
    c->left = 0;
    return SIZE;
}

static enum state step(struct h1_chunks *c, char b)
{
    bool is_extra = (c->state >= EXT_NAME_FIRST && c->state <= EXT_QUOTED_END) ||
                    (c->state >= LINE && c->state <= VALUE_LF);

    if (is_extra && c->extra++ >= c->extra_max)
        return refuse(c, "too many bytes of chunk extensions and trailers");
    if (c->state <= SIZE_MORE)
        return step_size(c, b);
    if (c->state <= EXT_QUOTED_END)
        return step_extension(c, b);
    if (c->state >= LINE && c->state <= VALUE_LF)
        return step_trailer(c, b);
    return step_line_end(c, b);
}

enum h1_chunks_result h1_chunks_read(struct h1_chunks *c, struct hs_str *in,
                                     struct hs_str *ret_data)
{
    while (c->state != END && c->state != BAD) {
        if (in->n == 0)
            return H1_CHUNKS_MORE;
        if (c->state == DATA) {
            *ret_data = hs_strn(in->p, in->n < c->left ? in->n : (size_t)c->left);
            *in = hs_strn(in->p + ret_data->n, in->n - ret_data->n);
            c->left -= ret_data->n;
            c->state = c->left ? DATA : DATA_CR;
            return H1_CHUNKS_DATA;
        }
        c->state = (uint8_t)step(c, in->p[0]);
        *in = hs_strn(in->p + 1, in->n - 1);
    }
    return c->state == END ? H1_CHUNKS_END : H1_CHUNKS_BAD;
}
