/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an expression reads the caller's claims.
 *
 * The claims are one JSON document in the setting request.jwt.claims. What counts as the document: the setting
 * itself; NULLIF(document, constant), COALESCE of documents and constants, casts of it to text and JSON, a
 * sub-select of nothing else (SELECT document), and a call of a function without arguments whose whole body is one,
 * as RETURN or BEGIN ATOMIC. Reading one claim of it is `-> 'name'`, `->> 'name'`, `#>`, `#>>` and
 * json_extract_path() with a constant path (its first step names the claim), or document['name'].
 *
 * The one rule: what is not of these forms reads all of the claims. A name that is computed, a key that
 * is asked for with `?`, a document that a view hands on: all of them, so the answer is not kept.
 *
 * pg_claims_value() is stricter. What it accepts equals the claim's text as a value of the type that it is
 * compared as, or is NULL, or fails; so no default for a missing claim is allowed, no step deeper into it,
 * and no cast but the first one from text (later ones could cut or round) and those among integers.
 *
 * Source: PostgreSQL 15: src/include/catalog/pg_proc.dat and pg_type.dat (oids do not change),
 * src/include/nodes/primnodes.h (FuncExpr, SubLink); a setting's name is compared without regard to case
 * (src/backend/utils/misc/guc.c).
 */
#include "pg/catalog_graph.h"

enum { NESTING_MAX = 16 };

enum {
    TYPE_BOOL = 16,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_VARCHAR = 1043,
    TYPE_UUID = 2950,
    TYPE_JSONB = 3802
};

enum { SUBLINK_EXPR = 4 }; /* enum SubLinkType */

/* Functions of (document, key) and (document, path); those whose value is text. */
static const struct accessor {
    uint32_t function;
    bool is_path;
    bool is_text;
} accessors[] = {
    {3947, false, false}, /* json_object_field */
    {3948, false, true},  /* json_object_field_text */
    {3478, false, false}, /* jsonb_object_field */
    {3214, false, true},  /* jsonb_object_field_text */
    {3951, true, false},  /* json_extract_path */
    {3953, true, true},   /* json_extract_path_text */
    {3217, true, false},  /* jsonb_extract_path */
    {3940, true, true},   /* jsonb_extract_path_text */
};

/* Casts among integers: int2, int4 and int8 of each other. They keep the value, or fail. */
static const uint32_t integer_casts[] = {480, 481, 313, 314, 754, 714};

/* How strict to be, and how deep we are. */
struct look {
    struct pg_graph *g;
    bool is_strict; /* nothing but the claims may have a say in what the document holds */
    unsigned depth;
};

static bool is_document(struct look look, const struct pg_tree *tree);

bool pg_claims_setting(const struct pg_tree *tree, struct hs_str *ret_setting)
{
    uint32_t function = pg_tree_oid(tree, "funcid");

    if (!pg_tree_is(tree, "FUNCEXPR") || (function != 2077 && function != 3294))
        return false;
    if (!pg_tree_const_text(pg_tree_at(pg_tree_field(tree, "args"), 0), ret_setting))
        *ret_setting = HS_STR_NULL;
    return true;
}

bool pg_claims_is_document_setting(struct hs_str setting)
{
    return hs_str_ieq(setting, HS_STR("request.jwt.claims"));
}

static bool is_setting(const struct pg_tree *tree)
{
    struct hs_str setting;

    return pg_claims_setting(tree, &setting) && pg_claims_is_document_setting(setting) &&
           (pg_tree_count(pg_tree_field(tree, "args")) == 1 ||
            pg_tree_is(pg_tree_at(pg_tree_field(tree, "args"), 1), "CONST"));
}

/* NULL, '', or an empty object as text, json or jsonb: as good as no claims at all. */
static bool is_empty_constant(const struct pg_tree *tree)
{
    static const char empty_jsonb[] = {32, 0, 0, 0, 0, 0, 0, 32};
    const struct pg_tree *value = pg_tree_field(tree, "constvalue");
    struct hs_str text;

    if (hs_str_is(pg_tree_field(tree, "constisnull")->text, "true"))
        return true;
    if (hs_str_eq(value->text, hs_strn(empty_jsonb, sizeof(empty_jsonb))))
        return true;
    if (!pg_tree_const_text(tree, &text))
        return false;
    text = hs_str_trim(text);
    return text.n == 0 || hs_str_is(text, "{}");
}

static bool is_harmless_constant(struct look look, const struct pg_tree *tree)
{
    return pg_tree_is(tree, "CONST") && (!look.is_strict || is_empty_constant(tree));
}

static bool is_nothing(const struct pg_tree *node, const char *label)
{
    return pg_tree_field(node, label)->kind == PG_TREE_NOTHING;
}

/* (SELECT x): the x of a query that has nothing else; NULL if it is more than that. */
static const struct pg_tree *only_column(const struct pg_tree *query)
{
    static const char *const empty[] = {
        "cteList",        "rtable",      "groupClause",   "groupingSets", "havingQual",
        "windowClause",   "limitOffset", "limitCount",    "rowMarks",     "setOperations",
        "distinctClause", "utilityStmt", "returningList", "onConflict",
    };
    const struct pg_tree *columns = pg_tree_field(query, "targetList");
    const struct pg_tree *from = pg_tree_field(query, "jointree");

    if (!pg_tree_is(query, "QUERY") || pg_tree_oid(query, "commandType") != 1 ||
        pg_tree_count(columns) != 1 || !is_nothing(from, "fromlist") || !is_nothing(from, "quals"))
        return NULL;
    for (size_t i = 0; i < HS_LEN(empty); i++) {
        if (!is_nothing(query, empty[i]))
            return NULL;
    }
    return pg_tree_field(pg_tree_at(columns, 0), "expr");
}

/* The body of a call that has no arguments: its one expression; NULL if it is more than that. */
static const struct pg_tree *only_expression(struct pg_graph *g, const struct pg_tree *call)
{
    const struct pg_thing *f = pg_graph_thing(g, pg_thing_of('f', pg_tree_oid(call, "funcid")));
    const struct pg_tree *tree = NULL;

    if (!f || f->form.n <= PG_FORM_LANGUAGE || f->form.p[PG_FORM_VOLATILE] == 'v' ||
        f->form.p[PG_FORM_BODY] != 'b' || f->form.p[PG_FORM_PLAIN] != 't')
        return NULL;
    for (size_t i = f->first; i < f->first + f->n; i++) {
        if (g->rows[i].what == PG_GRAPH_BODY)
            tree = pg_tree_read(&g->trees, g->rows[i].text);
    }
    /* RETURN is a query, BEGIN ATOMIC a list of one list of queries. */
    while (tree && tree->kind == PG_TREE_LIST)
        tree = pg_tree_count(tree) == 1 ? tree->child : NULL;
    return tree ? only_column(tree) : NULL;
}

static bool is_coalesced_document(struct look look, const struct pg_tree *args)
{
    bool is_any = false;

    for (const struct pg_tree *arg = args->child; arg; arg = arg->next) {
        if (is_document(look, arg))
            is_any = true;
        else if (!is_harmless_constant(look, arg))
            return false;
    }
    return is_any;
}

static bool is_document_type(uint32_t type)
{
    return type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_JSON || type == TYPE_JSONB;
}

static bool is_document(struct look look, const struct pg_tree *tree)
{
    const struct pg_tree *args = pg_tree_field(tree, "args");

    if (++look.depth > NESTING_MAX)
        return false;
    if (is_setting(tree))
        return true;
    if (pg_tree_is(tree, "NULLIFEXPR"))
        return pg_tree_oid(tree, "opfuncid") < PG_FIRST_NORMAL_OID &&
               is_document(look, pg_tree_at(args, 0)) &&
               is_harmless_constant(look, pg_tree_at(args, 1));
    if (pg_tree_is(tree, "COALESCEEXPR"))
        return is_coalesced_document(look, args);
    if (pg_tree_is(tree, "COERCEVIAIO") || pg_tree_is(tree, "RELABELTYPE"))
        return is_document_type(pg_tree_oid(tree, "resulttype")) &&
               is_document(look, pg_tree_field(tree, "arg"));
    if (pg_tree_is(tree, "SUBLINK") && pg_tree_oid(tree, "subLinkType") == SUBLINK_EXPR)
        tree = only_column(pg_tree_field(tree, "subselect"));
    else if (pg_tree_is(tree, "FUNCEXPR") && is_document_type(pg_tree_oid(tree, "funcresulttype")))
        tree = only_expression(look.g, tree);
    else
        return false;
    return tree && is_document(look, tree);
}

static uint32_t from_bytes(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/*
 * The first element of a constant text[] of one dimension without NULLs. array.h: lengths of all, dimensions,
 * offset of the data (0: no NULLs), element type, size, lower bound; then the elements, each with its length.
 */
static bool first_of_constant(const struct pg_tree *tree, struct hs_str *ret_first, size_t *ret_n)
{
    enum { HEAD = 24 };
    const struct pg_tree *value = pg_tree_field(tree, "constvalue");
    const char *p = value->text.p;
    uint32_t n;

    if (!pg_tree_is(tree, "CONST") || value->kind != PG_TREE_DATUM || value->text.n < HEAD + 4 ||
        from_bytes(p) >> 2 != value->text.n || from_bytes(p + 4) != 1 || from_bytes(p + 8) != 0 ||
        from_bytes(p + 12) != TYPE_TEXT)
        return false;
    n = from_bytes(p + HEAD);
    if ((n & 3) || n >> 2 < 4 || n >> 2 > value->text.n - HEAD)
        return false;
    *ret_first = hs_str_sub(value->text, HEAD + 4, HEAD + (n >> 2));
    *ret_n = from_bytes(p + 16);
    return true;
}

/* The path of '{a,b}' or ARRAY['a','b']: its first step, and how many it has. */
static bool first_step(const struct pg_tree *path, struct hs_str *ret_first, size_t *ret_n)
{
    const struct pg_tree *elements = pg_tree_field(path, "elements");

    if (!pg_tree_is(path, "ARRAYEXPR"))
        return first_of_constant(path, ret_first, ret_n);
    for (const struct pg_tree *step = elements->child; step; step = step->next) {
        if (!pg_tree_is(step, "CONST"))
            return false;
    }
    *ret_n = pg_tree_count(elements);
    return pg_tree_const_text(pg_tree_at(elements, 0), ret_first);
}

static const struct accessor *accessor_of(const struct pg_tree *tree)
{
    uint32_t function = 0;

    if (pg_tree_is(tree, "OPEXPR"))
        function = pg_tree_oid(tree, "opfuncid");
    if (pg_tree_is(tree, "FUNCEXPR"))
        function = pg_tree_oid(tree, "funcid");
    for (size_t i = 0; function && i < HS_LEN(accessors); i++) {
        if (accessors[i].function == function)
            return &accessors[i];
    }
    return NULL;
}

/* document['name'], which is jsonb; further subscripts must be constants, too. */
static bool is_subscript(struct look look, const struct pg_tree *tree, struct hs_str *ret_claim)
{
    const struct pg_tree *keys = pg_tree_field(tree, "refupperindexpr");

    if (!pg_tree_is(tree, "SUBSCRIPTINGREF") || !is_nothing(tree, "refassgnexpr") ||
        !is_nothing(tree, "reflowerindexpr") || !is_document(look, pg_tree_field(tree, "refexpr")))
        return false;
    for (const struct pg_tree *key = keys->child; key; key = key->next) {
        if (!pg_tree_is(key, "CONST"))
            return false;
    }
    return pg_tree_oid(pg_tree_at(keys, 0), "consttype") == TYPE_TEXT &&
           pg_tree_const_text(pg_tree_at(keys, 0), ret_claim);
}

/* *ret_is_text: what it gives is the whole claim, as text. */
static bool access(struct look look, const struct pg_tree *tree, struct hs_str *ret_claim,
                   bool *ret_is_text)
{
    const struct accessor *accessor = accessor_of(tree);
    const struct pg_tree *args = pg_tree_field(tree, "args");
    size_t n_steps = 1;

    *ret_is_text = false;
    if (!accessor)
        return is_subscript(look, tree, ret_claim);
    if (pg_tree_count(args) != 2 || !is_document(look, pg_tree_at(args, 0)))
        return false;
    if (accessor->is_path ? !first_step(pg_tree_at(args, 1), ret_claim, &n_steps)
                          : !pg_tree_const_text(pg_tree_at(args, 1), ret_claim))
        return false;
    *ret_is_text = accessor->is_text && n_steps == 1;
    return true;
}

bool pg_claims_access(struct pg_graph *g, const struct pg_tree *tree, struct hs_str *ret_claim)
{
    struct look look = {.g = g};
    bool is_text;

    return access(look, tree, ret_claim, &is_text);
}

/* Types that have one way to write a value, or fail, when they are read from text. */
static bool is_plain_type(const struct pg_graph *g, uint32_t type)
{
    static const uint32_t types[] = {TYPE_BOOL, TYPE_INT2,    TYPE_INT4, TYPE_INT8,
                                     TYPE_TEXT, TYPE_VARCHAR, TYPE_UUID};
    const struct pg_thing *thing = pg_graph_thing(g, pg_thing_of('t', type));

    for (size_t i = 0; i < HS_LEN(types); i++) {
        if (types[i] == type)
            return true;
    }
    return thing && hs_str_is(thing->form, "e");
}

static bool is_integer(uint32_t type)
{
    return type == TYPE_INT2 || type == TYPE_INT4 || type == TYPE_INT8;
}

/* What an expression is while it still is the claim's value. */
struct value {
    struct hs_str claim;
    uint32_t type;
};

static bool read_value(struct look look, const struct pg_tree *tree, struct value *ret);

static bool read_cast(struct look look, const struct pg_tree *tree, struct value *ret)
{
    uint32_t to = pg_tree_oid(tree, "resulttype");

    if (!read_value(look, pg_tree_field(tree, "arg"), ret))
        return false;
    if (pg_tree_is(tree, "COERCEVIAIO")) {
        if ((ret->type != TYPE_TEXT && ret->type != TYPE_VARCHAR) || !is_plain_type(look.g, to))
            return false;
    } else if (!pg_tree_is(tree, "COERCETODOMAIN") && to != TYPE_TEXT && to != TYPE_VARCHAR) {
        return false;
    }
    /* A domain's own casts are done by then; its checks let a value through or fail. */
    if (!pg_tree_is(tree, "COERCETODOMAIN"))
        ret->type = to;
    return true;
}

static bool read_call(struct look look, const struct pg_tree *tree, struct value *ret)
{
    uint32_t function = pg_tree_oid(tree, "funcid");
    uint32_t to = pg_tree_oid(tree, "funcresulttype");
    const struct pg_tree *body;

    for (size_t i = 0; i < HS_LEN(integer_casts); i++) {
        if (function == integer_casts[i]) {
            if (!read_value(look, pg_tree_at(pg_tree_field(tree, "args"), 0), ret) ||
                !is_integer(ret->type) || !is_integer(to))
                return false;
            ret->type = to;
            return true;
        }
    }
    body = only_expression(look.g, tree);
    if (!body || !read_value(look, body, ret))
        return false;
    /* What a body gives is cast to what the function says it returns. */
    if (ret->type != to && !(is_integer(ret->type) && is_integer(to)))
        return false;
    ret->type = to;
    return true;
}

static bool read_value(struct look look, const struct pg_tree *tree, struct value *ret)
{
    bool is_text;

    if (++look.depth > NESTING_MAX)
        return false;
    if (access(look, tree, &ret->claim, &is_text)) {
        ret->type = TYPE_TEXT;
        return is_text;
    }
    if (pg_tree_is(tree, "NULLIFEXPR"))
        return pg_tree_oid(tree, "opfuncid") < PG_FIRST_NORMAL_OID &&
               pg_tree_is(pg_tree_at(pg_tree_field(tree, "args"), 1), "CONST") &&
               read_value(look, pg_tree_at(pg_tree_field(tree, "args"), 0), ret);
    if (pg_tree_is(tree, "COERCEVIAIO") || pg_tree_is(tree, "RELABELTYPE") ||
        pg_tree_is(tree, "COERCETODOMAIN"))
        return read_cast(look, tree, ret);
    if (pg_tree_is(tree, "FUNCEXPR"))
        return read_call(look, tree, ret);
    if (pg_tree_is(tree, "SUBLINK") && pg_tree_oid(tree, "subLinkType") == SUBLINK_EXPR) {
        tree = only_column(pg_tree_field(tree, "subselect"));
        return tree && read_value(look, tree, ret);
    }
    return false;
}

bool pg_claims_value(struct pg_graph *g, const struct pg_tree *tree, struct hs_str *ret_claim)
{
    struct look look = {.g = g, .is_strict = true};
    struct value value;

    if (!read_value(look, tree, &value))
        return false;
    *ret_claim = value.claim;
    return true;
}
