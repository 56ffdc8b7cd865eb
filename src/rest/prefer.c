/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preferences from a table of words: the same rows read Prefer and write Preference-Applied.
 *
 * tx= is no invalid preference where it may not be chosen, and max-affected= with something that is no
 * number is none either: both are read over, as in PostgREST. Between two commas may be nothing (RFC 9110,
 * 5.6.1).
 */
#include "rest/prefer.h"

#include <stddef.h>

/* In the order in which Preference-Applied has them. */
static const struct word {
    struct hs_str text;
    size_t at; /* of the enum in struct rest_prefer */
    unsigned value;
    unsigned applies; /* to every request: 0 */
} words[] = {
#define WORD(text, field, value, applies)                                             \
    {                                                                                 \
        {text, sizeof(text) - 1}, offsetof(struct rest_prefer, field), value, applies \
    }
    WORD("resolution=merge-duplicates", resolution, REST_RESOLUTION_MERGE, REST_APPLIES_RESOLUTION),
    WORD("resolution=ignore-duplicates", resolution, REST_RESOLUTION_IGNORE,
         REST_APPLIES_RESOLUTION),
    WORD("missing=default", missing, REST_MISSING_DEFAULT, REST_APPLIES_MISSING),
    WORD("missing=null", missing, REST_MISSING_NULL, REST_APPLIES_MISSING),
    WORD("return=representation", answer, REST_RETURN_REPRESENTATION, REST_APPLIES_RETURN),
    WORD("return=minimal", answer, REST_RETURN_MINIMAL, REST_APPLIES_RETURN),
    WORD("return=headers-only", answer, REST_RETURN_HEADERS_ONLY, REST_APPLIES_RETURN),
    WORD("count=exact", count, REST_COUNT_EXACT, 0),
    WORD("count=planned", count, REST_COUNT_PLANNED, 0),
    WORD("count=estimated", count, REST_COUNT_ESTIMATED, 0),
    WORD("tx=commit", tx, REST_TX_COMMIT, 0),
    WORD("tx=rollback", tx, REST_TX_ROLLBACK, 0),
    WORD("handling=strict", handling, REST_HANDLING_STRICT, 0),
    WORD("handling=lenient", handling, REST_HANDLING_LENIENT, 0),
#undef WORD
};

_Static_assert(sizeof(enum rest_return) == sizeof(unsigned) &&
                   sizeof(enum rest_tx) == sizeof(unsigned),
               "a preference is read and written as unsigned");

static unsigned get(const struct rest_prefer *prefer, const struct word *word)
{
    unsigned value;

    memcpy(&value, (const char *)prefer + word->at, sizeof(value));
    return value;
}

static bool read_word(struct rest_prefer *prefer, struct hs_str element)
{
    for (size_t i = 0; i < HS_LEN(words); i++) {
        if (!hs_str_eq(element, words[i].text))
            continue;
        if (!get(prefer, &words[i]))
            memcpy((char *)prefer + words[i].at, &words[i].value, sizeof(words[i].value));
        return true;
    }
    return false;
}

/* name=anything: the first of that name counts. */
static bool read_value(struct hs_str element, struct hs_str name, struct hs_str *value)
{
    if (!hs_str_starts(element, name))
        return false;
    if (!value->p)
        *value = hs_str_sub(element, name.n, element.n);
    return true;
}

struct found {
    struct hs_str max_affected;
    char invalid[REST_PREFER_INVALID_MAX];
    size_t n_invalid;
    bool has_invalid;
    bool has_single_object;
};

/* Beyond its room the list ends. */
static void keep_invalid(struct found *found, struct hs_str element)
{
    size_t room = sizeof(found->invalid) - found->n_invalid;
    size_t gap = found->n_invalid ? 2 : 0;

    found->has_single_object |= hs_str_is(element, "params=single-object");
    if (gap + element.n <= room && hs_str_is_utf8(element)) {
        memcpy(found->invalid + found->n_invalid, ", ", gap);
        memcpy(found->invalid + found->n_invalid + gap, element.p, element.n);
        found->n_invalid += gap + element.n;
    }
    found->has_invalid = true;
}

static void read_element(struct rest_prefer *prefer, struct hs_str element, struct found *found)
{
    if (element.n && !read_word(prefer, element) &&
        !read_value(element, HS_STR("timezone="), &prefer->timezone) &&
        !read_value(element, HS_STR("max-affected="), &found->max_affected))
        keep_invalid(found, element);
}

hs_status rest_prefer_read(const struct http_header *headers, size_t n_headers, bool may_choose_tx,
                           struct rest_prefer *ret_prefer, struct hs_err *reterr)
{
    struct found found = {.n_invalid = 0};

    *ret_prefer = (struct rest_prefer){0};
    for (size_t i = 0; i < n_headers; i++) {
        struct hs_str rest = headers[i].value;

        if (!hs_str_ieq(headers[i].name, HS_STR("prefer")))
            continue;
        while (rest.n)
            read_element(ret_prefer, hs_str_trim(hs_str_cut(&rest, ',')), &found);
    }
    if (!may_choose_tx)
        ret_prefer->tx = REST_TX_UNSAID;
    ret_prefer->has_max_affected = hs_str_to_i64(found.max_affected, &ret_prefer->max_affected);
    if (!found.has_invalid || ret_prefer->handling != REST_HANDLING_STRICT)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PGRST122, "Invalid preferences given with handling=strict");
    hs_err_why(reterr, "Invalid preferences: %.*s", (int)found.n_invalid, found.invalid);
    if (found.has_single_object)
        hs_err_hint(reterr,
                    "params=single-object is gone since PostgREST 13: let the function take "
                    "one unnamed json parameter.");
    return HS_E_PGRST122;
}

static void begin_element(struct hs_buf *out, size_t begin)
{
    hs_buf_add(out, out->n == begin ? HS_STR("Preference-Applied: ") : HS_STR(", "));
}

void rest_prefer_applied(const struct rest_prefer *prefer, unsigned applies, struct hs_buf *out)
{
    size_t begin = out->n;

    for (size_t i = 0; i < HS_LEN(words); i++) {
        if (get(prefer, &words[i]) != words[i].value || (words[i].applies & ~applies))
            continue;
        begin_element(out, begin);
        hs_buf_add(out, words[i].text);
    }
    if (prefer->timezone.p) {
        begin_element(out, begin);
        hs_buf_add_lit(out, "timezone=");
        hs_buf_add(out, prefer->timezone);
    }
    if (prefer->has_max_affected && prefer->handling == REST_HANDLING_STRICT &&
        (applies & REST_APPLIES_MAX_AFFECTED)) {
        begin_element(out, begin);
        hs_buf_add_lit(out, "max-affected=");
        hs_buf_add_i64(out, prefer->max_affected);
    }
    if (out->n > begin)
        hs_buf_add_lit(out, "\r\n");
}
