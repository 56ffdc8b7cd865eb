/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the PostgREST dialect adds to a request before PostgreSQL is asked: CPU time from the query string to the
 * statement's text (read, bound to the catalog, put into canonical form, written), of typical requests of a real
 * catalog. The best of many rounds is shown: the rest is the machine's other work.
 *
 * usage: rest_plan [query of `films`]
 */
#include <float.h>
#include <stdio.h>
#include <time.h>

#include "api/depend.h"
#include "api/sql.h"
#include "rest/range.h"
#include "rest/rest_world.h"
#include "test.h"

enum { ROUNDS = 50, REQUESTS = 2000, SCRATCH_MAX = 1 << 16, ARENA_MAX = 1 << 20, MAX_ROWS = 1000 };

enum stage { ASK, PLAN, SQL, STAGES };

struct request {
    const char *what;
    const char *relation;
    const char *query;
};

static struct rest_world world;
static struct hs_arena arena;
static struct hs_buf scratch;

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void need(hs_status status, const struct hs_err *err)
{
    if (status)
        fail_msg("%s: %s", err->what, err->why);
}

/* As rest/read.c does it, up to and with the last stage that is asked for. */
static void make(const struct request *request, enum stage last)
{
    const struct rest_plan_setup setup = {
        .model = world.model,
        .schema = HS_STR("test"),
        .relation = rest_world_relation(&world, request->relation)->pg,
        .max_rows = MAX_ROWS,
        .arena = &arena};
    struct sql_statement statement;
    struct tree_select tree;
    struct rest_range range;
    struct rest_ask ask;
    struct hs_err err;

    need(rest_ask_read(REST_FOR_ROWS, hs_str(request->query), &arena, &ask, &err), &err);
    if (last == ASK)
        return;
    need(rest_range_read(ask.scopes, HS_STR_NULL, MAX_ROWS, &range, &err), &err);
    need(rest_plan(&setup, &ask, &tree, &err), &err);
    if (last == PLAN)
        return;
    tree.has_limit = range.has_limit;
    tree.limit = range.limit;
    tree.offset = range.offset;
    tree.with_columns = tree.with_layers = true;
    api_canonical(&tree, &arena);
    need(sql_write(&tree, /* with_order= */ false, &scratch, &arena, &statement, &err), &err);
}

static double measure(const struct request *request, enum stage last)
{
    double best = DBL_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        double began = cpu_us();

        for (int i = 0; i < REQUESTS; i++) {
            make(request, last);
            hs_arena_reset(&arena);
        }
        if (cpu_us() - began < best)
            best = cpu_us() - began;
    }
    return best / REQUESTS;
}

static void show(const struct request *request)
{
    double us[STAGES];

    for (enum stage stage = ASK; stage < STAGES; stage++)
        us[stage] = measure(request, stage);
    printf("%-24s read %5.2f  plan %5.2f  statement %5.2f  together %5.2f us\n", request->what,
           us[ASK], us[PLAN] - us[ASK], us[SQL] - us[PLAN], us[SQL]);
}

int main(int argc, char **argv)
{
    static const struct request requests[] = {
        {"a row", "films", "id=eq.7"},
        {"a list", "films",
         "select=id,title,length,year&length=gt.90&order=year.desc&limit=20&offset=40"},
        {"filters", "films",
         "select=id,title&or=(length.gt.90,year.in.(1999,2000,2001))&title=ilike.*a*"},
        {"one embed", "projects", "select=id,name,clients(id,name)&order=id&limit=20"},
        {"two levels of embeds", "clients",
         "select=id,name,projects(id,name,tasks(id,name))&order=id&limit=20"},
    };
    const struct request own = {"films", "films", argc > 1 ? argv[1] : ""};

    rest_world_open(&world);
    hs_arena_init(&arena, ARENA_MAX);
    hs_buf_init(&scratch, SCRATCH_MAX);
    for (size_t i = 0; i < HS_LEN(requests) && argc == 1; i++)
        show(&requests[i]);
    if (argc > 1)
        show(&own);
    hs_buf_fini(&scratch);
    hs_arena_fini(&arena);
    rest_world_close(&world);
    return 0;
}
