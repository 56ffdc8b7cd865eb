/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing judged: its trees are walked, each node by its name.
 *
 * The one rule: it fails closed. A node that is not in the list below, a tree that cannot be read, a function
 * that the catalog says nothing of: not known, with a sentence that says so. The list is of all nodes
 * that an analyzed SELECT can hold in version 15; left out on purpose are XML (xmloption and xmlbinary are not
 * pinned), TABLESAMPLE, sequences, and what only writes.
 *
 * Why from node trees: what pg_get_viewdef() and function bodies say would have to be parsed and resolved
 * again, operators and casts to functions above all, and Debian 12 has no libpg_query; the server's own trees have
 * the oids in them.
 *
 * Time that hides in values: text becomes a date or a time only in a cast through text (COERCEVIAIO), in the
 * columns of a function that returns records, and in json_populate_record() and its kin; 'today' may be among what it reads, so
 * these are not known where the type is, or holds, a date or time. Literals were read when the view was made.
 *
 * Source: PostgreSQL 15: src/include/nodes/primnodes.h and parsenodes.h, src/backend/nodes/outfuncs.c;
 * SQLValueFunctionOp is in primnodes.h.
 */
#include "pg/catalog_graph.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/mem.h"

enum { CMD_SELECT = 1, CURRENT_ROLE = 9, CURRENT_CATALOG = 13 };
enum { TYPE_NESTING_MAX = 32, RECORD = 2249 };

struct walk {
    struct pg_graph *g;
    struct pg_thing *thing;
};

static void hs_printf_like(2, 3) say(struct walk *w, const char *fmt, ...)
{
    struct pg_thing *t = w->thing;
    char text[256];
    va_list args;

    if (t->why.n)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    t->why = hs_arena_printf(&w->g->arena, "%s (in %.*s)", text, HS_FMT(t->name));
}

/* Dates, times and what is made of them: arrays, ranges, multiranges. */
static bool is_time_type(uint32_t type)
{
    static const uint16_t types[] = {1082, 1083, 1114, 1115, 1182, 1183, 1184, 1185,
                                     1266, 1270, 3908, 3909, 3910, 3911, 3912, 3913,
                                     4533, 4534, 4535, 6152, 6153, 6155};

    for (size_t i = 0; i < HS_LEN(types); i++) {
        if (types[i] == type)
            return true;
    }
    return type == RECORD;
}

/* Does it hold a date or a time? A composite type may. */
static bool holds_time(const struct pg_graph *g, uint32_t type, unsigned depth)
{
    const struct pg_thing *t = pg_graph_thing(g, pg_thing_of('t', type));

    if (is_time_type(type) || depth == TYPE_NESTING_MAX)
        return true;
    if (!t || type < PG_FIRST_NORMAL_OID)
        return false;
    if (hs_str_is(t->form, "c"))
        return true;
    for (size_t i = t->first; i < t->first + t->n; i++) {
        const struct pg_graph_row *row = &g->rows[i];
        uint64_t to;

        if (row->what == PG_GRAPH_EDGE && row->text.p[0] == 't' &&
            hs_str_to_u64(hs_str_sub(row->text, 1, row->text.n), &to) &&
            holds_time(g, (uint32_t)to, depth + 1))
            return true;
    }
    return false;
}

/* ---- what a node names ---- */

static void lead_function(struct walk *w, uint32_t oid)
{
    if (oid)
        pg_graph_lead(w->g, pg_thing_of('f', oid), false);
}

/* Operators and classes of PostgreSQL itself lead to its own functions, which compare by value. */
static void lead_operator(struct walk *w, uint32_t oid)
{
    if (oid >= PG_FIRST_NORMAL_OID)
        pg_graph_lead(w->g, pg_thing_of('o', oid), false);
}

/* A constant configuration or dictionary is what text search takes; its name is in the fingerprint. */
static void lead_type(struct walk *w, uint32_t oid, bool is_constant)
{
    enum { REGCONFIG = 3734, REGDICTIONARY = 3769 };

    if (is_constant && (oid == REGCONFIG || oid == REGDICTIONARY))
        return;
    if (pg_graph_thing(w->g, pg_thing_of('t', oid)))
        pg_graph_lead(w->g, pg_thing_of('t', oid), false);
}

static void lead_types(struct walk *w, const struct pg_tree *list)
{
    for (const struct pg_tree *type = list->child; type; type = type->next)
        lead_type(w, pg_tree_number(type), false);
}

static void note_type_field(struct walk *w, const struct pg_tree *node, const struct pg_tree *field)
{
    static const char *const labels[] = {
        "vartype",      "funcresulttype", "resulttype",     "opresulttype", "minmaxtype",
        "row_typeid",   "aggtype",        "wintype",        "array_typeid", "element_typeid",
        "coalescetype", "casetype",       "paramtype",      "typeId",       "refcontainertype",
        "refrestype",   "consttype",      "cycle_mark_type"};

    for (size_t i = 0; i < HS_LEN(labels); i++) {
        if (hs_str_is(field->label, labels[i])) {
            lead_type(w, pg_tree_number(field), pg_tree_is(node, "CONST"));
            return;
        }
    }
    if (hs_str_is(field->label, "coltypes") || hs_str_is(field->label, "colTypes") ||
        hs_str_is(field->label, "ctecoltypes") || hs_str_is(field->label, "funccoltypes"))
        lead_types(w, field);
}

/* ---- nodes with a meaning of their own ---- */

static void see_call(struct walk *w, const struct pg_tree *node)
{
    static const uint16_t populates[] = {3209, 3475, 3960, 3961}; /* json[b]_populate_record[set] */
    uint32_t function = pg_tree_oid(node, "funcid");
    struct hs_str setting;

    if (!function)
        say(w, "a call of a function that cannot be read");
    if (pg_claims_setting(node, &setting)) {
        if (pg_claims_is_document_setting(setting)) {
            w->thing->reads_all_claims = true;
            say(w, "the claims are read as a whole, or in a way that names no single one");
        } else if (!setting.p) {
            w->thing->reads_all_claims = true;
            say(w, "current_setting() reads a setting whose name is computed");
        } else if (!hs_str_ieq(setting, HS_STR("role"))) {
            say(w, "current_setting('%.*s') can be anything", HS_FMT(setting));
        }
        return;
    }
    for (size_t i = 0; i < HS_LEN(populates); i++) {
        if (populates[i] == function && holds_time(w->g, pg_tree_oid(node, "funcresulttype"), 0))
            say(w, "JSON is turned into a row, where 'today' may hide");
    }
    lead_function(w, function);
}

static void see_operator(struct walk *w, const struct pg_tree *node)
{
    if (!pg_tree_oid(node, "opfuncid"))
        say(w, "an operator whose function cannot be read");
    lead_function(w, pg_tree_oid(node, "opfuncid"));
    lead_function(w, pg_tree_oid(node, "hashfuncid"));
    lead_function(w, pg_tree_oid(node, "negfuncid"));
    lead_operator(w, pg_tree_oid(node, "opno"));
}

static void see_aggregate(struct walk *w, const struct pg_tree *node)
{
    lead_function(w, pg_tree_oid(node, "aggfnoid"));
    lead_types(w, pg_tree_field(node, "aggargtypes"));
}

static void see_window(struct walk *w, const struct pg_tree *node)
{
    lead_function(w, pg_tree_oid(node, "winfnoid"));
    lead_function(w, pg_tree_oid(node, "startInRangeFunc"));
    lead_function(w, pg_tree_oid(node, "endInRangeFunc"));
}

static void see_order(struct walk *w, const struct pg_tree *node)
{
    lead_operator(w, pg_tree_oid(node, "eqop"));
    lead_operator(w, pg_tree_oid(node, "sortop"));
    lead_operator(w, pg_tree_oid(node, "cycle_mark_neop"));
}

static void see_row_compare(struct walk *w, const struct pg_tree *node)
{
    for (const struct pg_tree *o = pg_tree_field(node, "opnos")->child; o; o = o->next)
        lead_operator(w, pg_tree_number(o));
}

static void see_io_cast(struct walk *w, const struct pg_tree *node)
{
    enum { XML = 142, XML_ARRAY = 143 };
    uint32_t type = pg_tree_oid(node, "resulttype");

    if (holds_time(w->g, type, 0))
        say(w, "text is cast to a date or time, where 'today' may hide");
    if (type == XML || type == XML_ARRAY)
        say(w, "text is cast to XML, which the setting xmloption has a say in");
}

static void see_value_function(struct walk *w, const struct pg_tree *node)
{
    uint32_t op = pg_tree_oid(node, "op");

    if (op < CURRENT_ROLE)
        say(w, "%s tells the time",
            op == 0 ? "CURRENT_DATE"
                    : (op < 3 ? "CURRENT_TIME"
                              : (op < 5 ? "CURRENT_TIMESTAMP"
                                        : (op < 7 ? "LOCALTIME" : "LOCALTIMESTAMP"))));
    else if (op > CURRENT_CATALOG)
        say(w, "CURRENT_SCHEMA looks at the catalog");
}

static void see_variable(struct walk *w, const struct pg_tree *node)
{
    static const char *const names[] = {"ctid", "xmin", "cmin", "xmax", "cmax"};
    struct hs_str number = pg_tree_field(node, "varattno")->text;

    /* -6 is tableoid, which is the table's. */
    if (number.n == 2 && number.p[0] == '-' && number.p[1] >= '1' && number.p[1] <= '5')
        say(w, "%s changes without a change of the row", names[number.p[1] - '1']);
}

static bool is_true(const struct pg_tree *node, const char *label)
{
    return !hs_str_is(pg_tree_field(node, label)->text, "false");
}

static void see_query(struct walk *w, const struct pg_tree *node)
{
    if (pg_tree_oid(node, "commandType") != CMD_SELECT ||
        pg_tree_field(node, "utilityStmt")->kind != PG_TREE_NOTHING)
        say(w, "it writes");
    if (is_true(node, "hasForUpdate"))
        say(w, "it locks rows (FOR UPDATE, FOR SHARE)");
}

static void see_table(struct walk *w, const struct pg_tree *node)
{
    struct hs_str kind = pg_tree_field(node, "rtekind")->text;
    uint32_t oid = pg_tree_oid(node, "relid");

    if (pg_tree_field(node, "tablesample")->kind != PG_TREE_NOTHING)
        say(w, "TABLESAMPLE takes rows by chance");
    if (oid)
        pg_graph_lead(w->g, pg_thing_of('r', oid), false);
    else if (kind.n != 1 || !strchr("1234568", kind.p[0]))
        say(w, "a relation that cannot be read");
}

static void see_table_function(struct walk *w, const struct pg_tree *node)
{
    const struct pg_tree *types = pg_tree_field(node, "funccoltypes");

    for (const struct pg_tree *type = types->child; type; type = type->next) {
        if (holds_time(w->g, pg_tree_number(type), 0))
            say(w, "a function's records become dates or times, where 'today' may hide");
    }
}

/* Nodes, and what to do before their fields are walked; NULL: nothing. */
static const struct {
    const char *name;
    void (*see)(struct walk *w, const struct pg_tree *node);
} nodes[] = {
    {"VAR", see_variable},
    {"CONST", NULL},
    {"TARGETENTRY", NULL},
    {"OPEXPR", see_operator},
    {"FUNCEXPR", see_call},
    {"RANGETBLENTRY", see_table},
    {"ALIAS", NULL},
    {"QUERY", see_query},
    {"FROMEXPR", NULL},
    {"JOINEXPR", NULL},
    {"RANGETBLREF", NULL},
    {"BOOLEXPR", NULL},
    {"RELABELTYPE", NULL},
    {"COERCEVIAIO", see_io_cast},
    {"ARRAYCOERCEEXPR", NULL},
    {"CONVERTROWTYPEEXPR", NULL},
    {"COERCETODOMAIN", NULL},
    {"COERCETODOMAINVALUE", NULL},
    {"COLLATEEXPR", NULL},
    {"CASEEXPR", NULL},
    {"CASEWHEN", NULL},
    {"CASETESTEXPR", NULL},
    {"COALESCEEXPR", NULL},
    {"MINMAXEXPR", NULL},
    {"NULLIFEXPR", see_operator},
    {"DISTINCTEXPR", see_operator},
    {"SCALARARRAYOPEXPR", see_operator},
    {"ROWCOMPAREEXPR", see_row_compare},
    {"NULLTEST", NULL},
    {"BOOLEANTEST", NULL},
    {"ARRAYEXPR", NULL},
    {"ROWEXPR", NULL},
    {"FIELDSELECT", NULL},
    {"SUBSCRIPTINGREF", NULL},
    {"PARAM", NULL},
    {"NAMEDARGEXPR", NULL},
    {"SUBLINK", NULL},
    {"SQLVALUEFUNCTION", see_value_function},
    {"AGGREF", see_aggregate},
    {"GROUPINGFUNC", NULL},
    {"WINDOWFUNC", see_window},
    {"WINDOWCLAUSE", see_window},
    {"SORTGROUPCLAUSE", see_order},
    {"GROUPINGSET", NULL},
    {"SETOPERATIONSTMT", NULL},
    {"RANGETBLFUNCTION", see_table_function},
    {"COMMONTABLEEXPR", NULL},
    {"CTESEARCHCLAUSE", NULL},
    {"CTECYCLECLAUSE", see_order},
    /* Said to be unknown by what holds them, in better words. */
    {"TABLESAMPLECLAUSE", NULL},
    {"ROWMARKCLAUSE", NULL},
};

static void walk_tree(struct walk *w, const struct pg_tree *tree);

static void see_node(struct walk *w, const struct pg_tree *node)
{
    size_t i = 0;

    while (i < HS_LEN(nodes) && !hs_str_is(node->text, nodes[i].name))
        i++;
    if (i == HS_LEN(nodes)) {
        if (pg_tree_is(node, "NEXTVALUEEXPR"))
            say(w, "it takes from a sequence");
        else
            say(w, "it uses %.*s, which hasten does not look into", HS_FMT(node->text));
        return;
    }
    if (nodes[i].see)
        nodes[i].see(w, node);
    for (const struct pg_tree *field = node->child; field; field = field->next) {
        note_type_field(w, node, field);
        if (field->kind == PG_TREE_NODE || field->kind == PG_TREE_LIST)
            walk_tree(w, field);
    }
}

static void walk_tree(struct walk *w, const struct pg_tree *tree)
{
    struct hs_str claim;
    uint64_t bit;

    if (tree->kind == PG_TREE_LIST) {
        for (const struct pg_tree *member = tree->child; member; member = member->next)
            walk_tree(w, member);
        return;
    }
    if (tree->kind != PG_TREE_NODE)
        return;
    if (!pg_claims_access(w->g, tree, &claim)) {
        see_node(w, tree);
        return;
    }
    bit = pg_graph_claim(w->g, claim);
    w->thing->claims |= bit;
    if (!bit) {
        w->thing->reads_all_claims = true;
        say(w, "more than %d claims are read", PG_CLAIMS_MAX);
    }
}

/* ---- things ---- */

static void own(struct walk *w, const char *what, const char *is)
{
    w->thing->why = hs_arena_printf(&w->g->arena, "%s%.*s%s", what, HS_FMT(w->thing->name), is);
}

static void judge_relation(struct walk *w)
{
    const char *form = w->thing->form.p;

    if (w->thing->form.n < 2)
        w->thing->why = HS_STR("a table is read that is gone, or that belongs to one session");
    else if (form[0] == 'm')
        own(w, "materialized view ", " is not in the change stream");
    else if (form[0] == 'f')
        own(w, "foreign table ", " is not in the change stream");
    else if (form[0] == 'S')
        own(w, "sequence ", " is not in the change stream");
    else if (form[1] == 'u')
        own(w, "unlogged table ", " is not in the change stream");
}

static bool ends_with(struct hs_str s, struct hs_str end)
{
    return s.n >= end.n && hs_str_eq(hs_str_sub(s, s.n - end.n, s.n), end);
}

static void judge_function(struct walk *w)
{
    struct pg_thing *t = w->thing;
    struct hs_str language = hs_str_sub(t->form, PG_FORM_LANGUAGE, t->form.n);
    char body;

    if (t->form.n <= PG_FORM_LANGUAGE) {
        t->why = HS_STR("a function is called that is gone");
        return;
    }
    body = t->form.p[PG_FORM_BODY];
    if (body == 'o' && hs_str_is(language, "sql"))
        own(w, "function ", "() has its body in a string (write it as RETURN or BEGIN ATOMIC)");
    else if (body == 'o')
        t->why = hs_arena_printf(&w->g->arena, "function %.*s() is written in %.*s",
                                 HS_FMT(t->name), HS_FMT(language));
    else if (t->form.p[PG_FORM_VOLATILE] == 'v')
        own(w, "function ", "() is VOLATILE");
    else if (body == 'x' && t->form.p[PG_FORM_VOLATILE] != 'i')
        own(w, "function ", "() of an extension is only STABLE");
    else if (body == 'x' && ends_with(t->name, HS_STR(".populate_record")))
        own(w, "function ", "() turns text into a row, where 'today' may hide");
}

/* Of those of PostgreSQL only the ones that stand in the way have a row: provolatile, then the name. */
static void judge_builtin(struct walk *w, struct hs_str text)
{
    static const char *const clocks[] = {
        "now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday",
        "age"};
    struct hs_str name = hs_str_sub(text, 1, text.n);
    const char *is = "depends on more than its arguments";

    if (pg_thing_kind(w->thing->id) == 't') {
        w->thing->why = HS_STR(
            "a value is shown by a name that stands in the catalog (regclass and its kin)");
        return;
    }
    if (text.n && text.p[0] == 'v')
        is = "is VOLATILE";
    for (size_t i = 0; i < HS_LEN(clocks); i++) {
        if (hs_str_is(name, clocks[i]))
            is = "tells the time";
    }
    w->thing->why = hs_arena_printf(&w->g->arena, "%.*s() %s", HS_FMT(name), is);
}

static void judge_tree(struct walk *w, struct hs_str text)
{
    uint64_t failures = hs_mem_failures();
    const struct pg_tree *tree = pg_tree_read(&w->g->trees, text);

    if (tree)
        walk_tree(w, tree);
    else
        say(w, "an expression cannot be read");
    /* Too large for the arena is no reason to fail; no memory is. */
    w->g->failed = w->g->failed || hs_mem_failures() != failures;
    if (hs_arena_failed(&w->g->trees))
        say(w, "an expression is too large");
    hs_arena_reset(&w->g->trees);
}

static void judge_edge(struct walk *w, const struct pg_graph_row *row)
{
    uint64_t to = 0;

    if (row->text.n > 1 && hs_str_to_u64(hs_str_sub(row->text, 1, row->text.n), &to) &&
        to <= UINT32_MAX)
        pg_graph_lead(w->g, pg_thing_of(row->text.p[0], (uint32_t)to), row->what == PG_GRAPH_CHILD);
    else
        say(w, "the catalog cannot be read");
}

static void judge_row(struct walk *w, const struct pg_graph_row *row)
{
    switch (row->what) {
    case PG_GRAPH_TREE:
    case PG_GRAPH_BODY:
        judge_tree(w, row->text);
        break;
    case PG_GRAPH_EDGE:
    case PG_GRAPH_CHILD:
        judge_edge(w, row);
        break;
    case PG_GRAPH_BUILTIN:
        judge_builtin(w, row->text);
        break;
    case PG_GRAPH_FORM:
    case PG_GRAPH_FILLS:
    case PG_GRAPH_POLICY:
    case PG_GRAPH_WIDE:
    case PG_GRAPH_BAD:
        break;
    }
}

void pg_judge(struct pg_graph *g, struct pg_thing *thing)
{
    struct walk w = {g, thing};

    if (thing->is_judged)
        return;
    thing->is_judged = true;
    thing->first_edge = (uint32_t)g->n_edges;
    if (pg_thing_kind(thing->id) == 'r')
        judge_relation(&w);
    if (pg_thing_kind(thing->id) == 'f' && (uint32_t)thing->id >= PG_FIRST_NORMAL_OID)
        judge_function(&w);
    for (size_t i = 0; i < thing->n; i++)
        judge_row(&w, &g->rows[thing->first + i]);
    thing->n_edges = (uint32_t)g->n_edges - thing->first_edge;
}
