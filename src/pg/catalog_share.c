/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which relations may share a Sync, and which can be written without a trace in the session: a graph of
 * what a SELECT from them, and a write to them, runs.
 *
 *     relation -> relations in its view body, children, policies' functions, types of its columns
 *     write    -> its relation; defaults, checks, indexes, policies
 *     insert, update, delete -> write; the same of its children, and of what its foreign keys cascade to
 *     function -> functions, operators, relations in its body (RETURN or BEGIN ATOMIC) and defaults
 *     type     -> its constraints' functions; operators, casts and operator classes made for it
 *
 * The one rule: it fails closed. Whatever cannot be read is bad, and badness flows backwards along the
 * arrows until nothing changes; a relation is shareable if it stays clean. Bad are: built-in functions
 * that are volatile (but for a few that only look at the clock or the dice) or that run SQL given as
 * text; user functions that are volatile, or whose body is a string (SQL, PL/pgSQL) or a library (but
 * for well-known extensions); foreign tables; FOR UPDATE and anything that writes. A write is bad also
 * for a trigger of its event (but for those of foreign and unique keys) or a rule; nextval() in a default is not, since
 * what it leaves, the sequence's last value, is discarded behind every write.
 *
 * The rows are those of catalog_graph.c, and those of a query of writes. What is in the trees was looked up in
 * PostgreSQL 15's own output (nodeToString): each call is under one of the labels below, always followed by
 * a number. Names that users choose cannot forge or hide one, since a space inside a name is written with a
 * backslash. Reading more labels than needed is harmless.
 *
 * Source: PostgreSQL 15: src/backend/nodes/outfuncs.c, src/include/nodes/primnodes.h; manual, 38.7.
 */
#include "pg/catalog_graph.h"

#include <stdlib.h>

#include "core/mem.h"

enum { NEXTVAL_OID = 1574 };
enum { EDGES_MAX = 4 << 20 }; /* 64 MiB; past it nothing is shareable */

/* Besides the kinds of pg_thing_id: w for write, i u d for the three of them. */
typedef pg_thing_id node_id;

struct edge {
    node_id from;
    node_id to;
};

struct graph {
    struct edge *edges;
    size_t n;
    size_t cap;
    node_id *bad; /* sorted */
    size_t n_bad;
    size_t cap_bad;
    node_id *known; /* user functions that were judged, sorted */
    size_t n_known;
    size_t cap_known;
    bool is_full; /* EDGES_MAX: nothing is known any more */
    bool failed;  /* no memory */
};

static node_id node(char kind, uint32_t oid)
{
    return pg_thing_of(kind, oid);
}

/* Volatile functions that only look at the clock or the dice. */
static const char *const harmless[] = {"random", "clock_timestamp", "timeofday", "gen_random_uuid"};
/* Nonvolatile, but they run SQL over tables that no tree names. */
static const char *const runs_sql[] = {
    "table_to_xml",    "table_to_xmlschema",    "table_to_xml_and_xmlschema",
    "schema_to_xml",   "schema_to_xmlschema",   "schema_to_xml_and_xmlschema",
    "database_to_xml", "database_to_xmlschema", "database_to_xml_and_xmlschema",
};

/* An UPDATE of a partitioned table may move a row: a DELETE there and an INSERT here. */
#define WRITES_SQL                                                                              \
    "SELECT 'E', 'w', oid, 'r' || oid FROM pg_class"                                            \
    "  WHERE relkind IN ('r', 'p', 'f') AND oid >= 16384"                                       \
    " UNION ALL SELECT 'E', op, oid, 'w' || oid FROM pg_class, unnest('{i,u,d}'::text[]) op"    \
    "  WHERE relkind IN ('r', 'p') AND oid >= 16384"                                            \
    " UNION ALL SELECT 'E', f, inhparent, t || inhrelid FROM pg_inherits, (VALUES"              \
    "   ('i', 'i'), ('u', 'u'), ('u', 'i'), ('u', 'd'), ('d', 'd')) v(f, t)"                    \
    " UNION ALL SELECT 'T', 'w', a.attrelid, t.typdefaultbin::text FROM pg_attribute a"         \
    "  JOIN pg_type t ON t.oid = a.atttypid WHERE t.typdefaultbin IS NOT NULL"                  \
    "  AND NOT a.attisdropped"                                                                  \
    " UNION ALL SELECT 'T', 'w', partrelid, partexprs::text FROM pg_partitioned_table"          \
    "  WHERE partexprs IS NOT NULL"                                                             \
    " UNION ALL SELECT 'E', 'w', partrelid, 'c' || o FROM pg_partitioned_table,"                \
    "   unnest(partclass) o WHERE o >= 16384"                                                   \
    " UNION ALL SELECT 'E', 'w', i.inhrelid, 'w' || i.inhparent FROM pg_inherits i"             \
    "  JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relispartition"                            \
    " UNION ALL SELECT 'T', 'w', polrelid, concat(polqual::text, polwithcheck::text)"           \
    "  FROM pg_policy"                                                                          \
    " UNION ALL SELECT 'T', 'w', adrelid, adbin::text FROM pg_attrdef"                          \
    " UNION ALL SELECT 'T', 'w', conrelid, conbin::text FROM pg_constraint"                     \
    "  WHERE conrelid <> 0 AND conbin IS NOT NULL"                                              \
    " UNION ALL SELECT 'T', 'w', indrelid, concat(indexprs::text, indpred::text) FROM pg_index" \
    "  WHERE indexprs IS NOT NULL OR indpred IS NOT NULL"                                       \
    " UNION ALL SELECT 'E', 'w', indrelid, 'c' || o FROM pg_index, unnest(indclass) o"          \
    "  WHERE o >= 16384"                                                                        \
    " UNION ALL SELECT 'E', 'w', a.attrelid, 't' || a.atttypid FROM pg_attribute a"             \
    "  JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p')"                     \
    "  AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384"                         \
    " UNION ALL SELECT 'E', f, confrelid, t || conrelid FROM pg_constraint, (VALUES"            \
    "   ('d', 'd'), ('d', 'u'), ('u', 'u')) v(f, t) WHERE contype = 'f'"                        \
    "  AND CASE f WHEN 'd' THEN confdeltype ELSE confupdtype END IN ('c', 'n', 'd')"            \
    " UNION ALL SELECT 'X', op, t.tgrelid, '' FROM pg_trigger t"                                \
    "  JOIN pg_proc p ON p.oid = t.tgfoid"                                                      \
    "  JOIN (VALUES ('i', 4), ('d', 8), ('u', 16)) v(op, bit) ON t.tgtype & bit <> 0"           \
    "  WHERE t.tgenabled <> 'D' AND NOT (p.oid < 16384"                                         \
    "   AND (p.proname LIKE 'RI\\_FKey\\_%' OR p.proname = 'unique_key_recheck'))"              \
    " UNION ALL SELECT 'X', 'w', ev_class, '' FROM pg_rewrite WHERE ev_type <> '1'"

/* What a label of a node tree names. */
static const struct {
    struct hs_str label;
    char kind;
} labels[] = {
    {{"funcid", 6}, 'f'},
    {{"opfuncid", 8}, 'f'},
    {{"opno", 4}, 'o'},
    {{"opnos", 5}, 'o'},
    {{"aggfnoid", 8}, 'f'},
    {{"winfnoid", 8}, 'f'},
    {{"hashfuncid", 10}, 'f'},
    {{"negfuncid", 9}, 'f'},
    {{"relid", 5}, 'r'},
    {{"eqop", 4}, 'o'},
    {{"sortop", 6}, 'o'},
    {{"startInRangeFunc", 16}, 'f'},
    {{"endInRangeFunc", 14}, 'f'},
    {{"consttype", 9}, 't'},
    {{"vartype", 7}, 't'},
    {{"funcresulttype", 14}, 't'},
    {{"resulttype", 10}, 't'},
    {{"opresulttype", 12}, 't'},
    {{"minmaxtype", 10}, 't'},
    {{"row_typeid", 10}, 't'},
    {{"aggtype", 7}, 't'},
    {{"wintype", 7}, 't'},
    {{"element_typeid", 14}, 't'},
};

static bool add_node(node_id **list, size_t *n, size_t *cap, node_id id)
{
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 1024;
        node_id *p = hs_realloc(*list, more * sizeof(*p));

        if (!p)
            return false;
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = id;
    return true;
}

static void mark_bad(struct graph *g, node_id id)
{
    g->failed = g->failed || !add_node(&g->bad, &g->n_bad, &g->cap_bad, id);
}

static void add_edge(struct graph *g, node_id from, node_id to)
{
    if (g->n == EDGES_MAX)
        g->is_full = true;
    if (g->failed || g->is_full)
        return;
    if (g->n == g->cap) {
        size_t more = g->cap ? g->cap * 2 : 1024;
        struct edge *p = hs_realloc(g->edges, more * sizeof(*p));

        if (!p) {
            g->failed = true;
            return;
        }
        g->edges = p;
        g->cap = more;
    }
    g->edges[g->n++] = (struct edge){from, to};
}

static char kind_of(struct hs_str label)
{
    for (size_t i = 0; i < HS_LEN(labels); i++) {
        if (hs_str_eq(labels[i].label, label))
            return labels[i].kind;
    }
    return 0;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One number, or the numbers of "(o 664 97)". Built-in operators and types lead nowhere bad. */
static void add_references(struct graph *g, node_id from, char kind, struct hs_str tree, size_t at)
{
    bool is_list = at < tree.n && tree.p[at] == '(';

    if (is_list)
        at += 3;
    while (at < tree.n && is_digit(tree.p[at])) {
        uint64_t oid = 0;

        while (at < tree.n && is_digit(tree.p[at]) && oid <= UINT32_MAX)
            oid = oid * 10 + (uint64_t)(tree.p[at++] - '0');
        if (oid >= PG_FIRST_NORMAL_OID ||
            (kind == 'f' && oid > 0 && !(oid == NEXTVAL_OID && from >> 32 == 'w')))
            add_edge(g, from, node(kind, (uint32_t)oid));
        if (!is_list)
            return;
        at++;
    }
}

static bool is_word(struct hs_str tree, size_t at, const char *word)
{
    return hs_str_starts(hs_str_sub(tree, at, tree.n), hs_str(word));
}

static void scan_tree(struct graph *g, node_id from, struct hs_str tree)
{
    size_t at = 0;

    while (at < tree.n) {
        struct hs_str rest = hs_str_sub(tree, at, tree.n);
        size_t start = at + hs_str_find(rest, ':') + 1;
        size_t end = start;
        struct hs_str label;
        char kind;

        while (end < tree.n && is_label_char(tree.p[end]))
            end++;
        if (start >= tree.n || end >= tree.n)
            return;
        label = hs_str_sub(tree, start, end);
        kind = kind_of(label);
        if (tree.p[end] == ' ' && kind)
            add_references(g, from, kind, tree, end + 1);
        /* CMD_SELECT is 1. */
        if ((hs_str_is(label, "commandType") && !is_word(tree, end, " 1 ")) ||
            (hs_str_is(label, "hasForUpdate") && !is_word(tree, end, " false")))
            mark_bad(g, from);
        at = end;
    }
}

static bool is_one_of(struct hs_str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hs_str_is(name, names[i]))
            return true;
    }
    return false;
}

/* Of those of PostgreSQL, text is provolatile and the name. */
static bool is_bad_builtin(node_id id, struct hs_str text)
{
    struct hs_str name = hs_str_sub(text, 1, text.n);

    if (pg_thing_kind(id) != 'f')
        return false;
    if (text.n && text.p[0] == 'v')
        return !is_one_of(name, harmless, HS_LEN(harmless));
    return is_one_of(name, runs_sql, HS_LEN(runs_sql));
}

static bool is_good_function(struct hs_str form)
{
    return form.n > PG_FORM_LANGUAGE && form.p[PG_FORM_VOLATILE] != 'v' &&
           memchr("bax", form.p[PG_FORM_BODY], 3) != NULL;
}

/* A user function of which nothing good is said is bad, a foreign table is. */
static void take_form(struct graph *g, node_id id, struct hs_str form)
{
    char kind = pg_thing_kind(id);

    if (kind == 'f' && is_good_function(form))
        g->failed = g->failed || !add_node(&g->known, &g->n_known, &g->cap_known, id);
    else if (kind == 'f' || (kind == 'r' && form.n && form.p[0] == 'f'))
        mark_bad(g, id);
}

static void take_row(struct graph *g, struct pg_graph_row row)
{
    struct hs_str text = row.text;
    uint64_t to = 0;

    switch (row.what) {
    case PG_GRAPH_FORM:
        take_form(g, row.id, text);
        break;
    case PG_GRAPH_TREE:
    case PG_GRAPH_BODY:
    case PG_GRAPH_POLICY:
        scan_tree(g, row.id, text);
        break;
    case PG_GRAPH_EDGE:
    case PG_GRAPH_WIDE:
    case PG_GRAPH_CHILD:
        if (text.n > 1 && hs_str_to_u64(hs_str_sub(text, 1, text.n), &to) && to <= UINT32_MAX)
            add_edge(g, row.id, node(text.p[0], (uint32_t)to));
        break;
    case PG_GRAPH_BUILTIN:
        if (is_bad_builtin(row.id, text))
            mark_bad(g, row.id);
        break;
    case PG_GRAPH_BAD:
        mark_bad(g, row.id);
        break;
    case PG_GRAPH_FILLS:
        break;
    }
}

static int compare_nodes(const void *a, const void *b)
{
    node_id x = *(const node_id *)a;
    node_id y = *(const node_id *)b;

    return (x > y) - (x < y);
}

static bool is_in(const node_id *list, size_t n, node_id id)
{
    return n && bsearch(&id, list, n, sizeof(*list), compare_nodes);
}

static void sort_nodes(node_id *list, size_t n)
{
    if (n)
        qsort(list, n, sizeof(*list), compare_nodes);
}

/* A user function that was not in the answer came into being meanwhile: nobody has looked at it. */
static void judge_unknown(struct graph *g)
{
    sort_nodes(g->known, g->n_known);
    for (size_t i = 0; i < g->n && !g->failed; i++) {
        node_id to = g->edges[i].to;

        if (to >> 32 == 'f' && (uint32_t)to >= PG_FIRST_NORMAL_OID &&
            !is_in(g->known, g->n_known, to))
            mark_bad(g, to);
    }
}

/*
 * Backwards until nothing is new. Each pass sorts what it found into the list, so the number of passes is
 * the length of the longest way to something bad: the depth to which views are stacked.
 */
static void spread(struct graph *g)
{
    bool is_new = true;

    sort_nodes(g->bad, g->n_bad);
    while (is_new && !g->failed) {
        size_t n = g->n_bad;
        size_t kept = 0;

        for (size_t i = 0; i < g->n; i++) {
            struct edge e = g->edges[i];

            if (is_in(g->bad, n, e.to))
                mark_bad(g, e.from);
            else
                g->edges[kept++] = e;
        }
        g->n = kept;
        is_new = g->n_bad > n;
        sort_nodes(g->bad, g->n_bad);
    }
}

static void graph_fini(struct graph *g)
{
    hs_free(g->edges);
    hs_free(g->bad);
    hs_free(g->known);
}

static bool is_clean(const struct graph *g, char kind, uint32_t oid)
{
    return !g->is_full && !is_in(g->bad, g->n_bad, node(kind, oid));
}

static void judge_relation(const struct graph *g, struct pg_relation *relation)
{
    bool is_table = relation->relkind == 'r' || relation->relkind == 'p';

    relation->is_shareable = is_clean(g, 'r', relation->oid);
    relation->tidy.insert = is_table && is_clean(g, 'i', relation->oid);
    relation->tidy.update = is_table && is_clean(g, 'u', relation->oid);
    relation->tidy.delete = is_table && is_clean(g, 'd', relation->oid);
}

static hs_status read_writes(struct pg_build *b, struct graph *g, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    hs_status status = pg_reader_query(b->reader, WRITES_SQL, NULL, 0, &r, reterr);

    for (int row = 0; status == HS_OK && row < PQntuples(r); row++)
        take_row(g, pg_graph_row(r, row));
    return status;
}

hs_status pg_shareable_read(struct pg_build *b, const struct pg_graph *rows, struct hs_err *reterr)
{
    hs_auto(graph_fini) struct graph g = {.is_full = rows->is_full};
    struct pg_catalog *c = &b->whole->pub;
    hs_status status = read_writes(b, &g, reterr);

    if (status != HS_OK)
        return status;
    for (size_t i = 0; i < rows->n_rows; i++)
        take_row(&g, rows->rows[i]);
    judge_unknown(&g);
    spread(&g);
    if (g.failed)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < c->n_relations; i++)
        judge_relation(&g, &c->relations[i]);
    for (size_t i = 0; i < b->reader->n_asks; i++)
        b->statements[i].is_shareable = b->parsed[i].function &&
                                        is_clean(&g, 'f', b->parsed[i].function);
    return HS_OK;
}
