/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests bound to a real catalog: the tree that is made of each, as a short text (rest_world.h). Faults are in
 * test_plan_errors.c.
 */
#include "rest/plan.h"

#include "fault.h"
#include "rest/rest_world.h"
#include "test.h"

static struct rest_world world;

struct row {
    const char *of;
    const char *query;
    const char *expected;
};

static struct rest_plan_setup setup_of(const char *name, struct hs_arena *arena)
{
    return (struct rest_plan_setup){.model = world.model,
                                    .schema = HS_STR("test"),
                                    .relation = rest_world_relation(&world, name)->pg,
                                    .has_aggregates = true,
                                    .arena = arena};
}

static void read(const char *query, struct hs_arena *arena, struct rest_ask *ask)
{
    struct hs_err err = {0};

    if (rest_ask_read(REST_FOR_ROWS, hs_str(query), arena, ask, &err) != HS_OK)
        fail_msg("%s: %s %s", query, err.what, err.why);
}

/* setup->arena is the caller's. */
static void expect(const struct rest_plan_setup *setup, const char *query, const char *expected)
{
    struct hs_err err = {0};
    struct rest_ask ask;
    struct tree_select tree;
    struct hs_buf out;

    read(query, setup->arena, &ask);
    if (rest_plan(setup, &ask, &tree, &err) != HS_OK)
        fail_msg("%s: %s (%s)", query, err.what, err.why);
    hs_buf_init(&out, 1 << 16);
    rest_world_tree(&tree, &out);
    assert_string_equal(hs_buf_cstr(&out), expected);
    hs_buf_fini(&out);
}

static void expect_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hs_arena arena;
        struct rest_plan_setup setup;

        hs_arena_init(&arena, 1 << 20);
        setup = setup_of(rows[i].of, &arena);
        expect(&setup, rows[i].query, rows[i].expected);
        hs_arena_fini(&arena);
    }
}

static void test_select(void **state)
{
    static const struct row rows[] = {
        {"projects", "", "projects{id,name,client_id}"},
        {"projects", "select=", "projects{id,name,client_id}"},
        {"projects", "select=*", "projects{id,name,client_id}"},
        {"projects", "select=*,name", "projects{id,name,client_id,name}"},
        {"projects", "select=name,id,name", "projects{name,id,name}"},
        {"projects", "select=n:name", "projects{\"n\":name}"},
        {"projects", "select=name:id", "projects{\"name\":id}"},
        {"projects", "select=\"a\\\"b\":id", "projects{\"a\\\"b\":id}"},
        {"projects", "select=id::text", "projects{\"id\":id::text}"},
        {"projects", "select=id::TEXT", "projects{\"id\":id::text}"},
        {"clients", "select=shout", "clients{\"shout\":shout()}"},
        {"clients", "select=s:shout", "clients{\"s\":shout()}"},
        {"users", "select=doc->a->>b", "users{\"b\":doc->'a'->>'b'}"},
        {"users", "select=doc->a->0", "users{\"a\":doc->'a'->0}"},
        {"users", "select=doc->-1", "users{\"doc\":doc->-1}"},
        {"users", "select=x:doc->>a::int", "users{\"x\":doc->>'a'::integer}"},
    };

    (void)state;
    expect_rows(rows, HS_LEN(rows));
}

static void test_aggregates(void **state)
{
    static const struct row rows[] = {
        {"films", "select=count()", "films{\"count\":count()}[grouped]"},
        {"films", "select=year,length.sum()", "films{year,\"sum\":sum(length)}[grouped]"},
        {"films", "select=s:length::numeric.avg()::int",
         "films{\"s\":avg(length::numeric)::integer}[grouped]"},
        {"users", "select=doc->a.max()", "users{\"max\":max(doc->'a')}[grouped]"},
        {"clients", "select=name,projects(id.count())",
         "clients{name,projects*:projects{\"count\":count(id)}[grouped]}"},
        {"projects", "select=id,...clients(name.max())",
         "projects{id,clients^:clients{\"max\":max(name)}}[grouped]"},
        {"tasks", "select=...projects(...clients(count()))",
         "tasks{projects^:projects{clients^:clients{\"count\":count()}}}[grouped]"},
        {"tasks", "select=projects(...clients(count()))",
         "tasks{projects:projects{clients^:clients{\"count\":count()}}[grouped]}"},
    };

    (void)state;
    expect_rows(rows, HS_LEN(rows));
}

static void test_embeds(void **state)
{
    static const struct row rows[] = {
        {"projects", "select=id,clients(name)", "projects{id,clients:clients{name}}"},
        {"projects", "select=c:clients(*),id", "projects{id,c:clients{id,name,mood}}"},
        {"projects", "select=client_id(name)", "projects{client_id:clients{name}}"},
        {"projects", "select=projects_client_id_fkey(name)",
         "projects{projects_client_id_fkey:clients{name}}"},
        {"projects", "select=clients!client_id(id)", "projects{clients:clients{id}}"},
        {"projects", "select=clients!id!inner(id)", "projects{clients!:clients{id}}"},
        {"projects", "select=clients!projects_client_id_fkey(id)", "projects{clients:clients{id}}"},
        {"clients", "select=name,projects!inner(id,tasks(name))",
         "clients{name,projects*!:projects{id,tasks*:tasks{name}}}"},
        {"tasks", "select=users!users_tasks(id)", "tasks{users*:users{id}}"},
        {"films", "select=specs(camera),posters(path)",
         "films{specs:specs{camera},posters*:posters{path}}"},
        {"orders", "select=billing(id),shipping_address_id(name),a:addresses!billing(id)",
         "orders{billing:addresses{id},shipping_address_id:addresses{name},a:addresses{id}}"},
        {"families", "select=name,children:families(name),parent(name)",
         "families{name,children*:families{name},parent:families{name}}"},
        {"organizations", "select=organizations!referee(id),auditor(id)",
         "organizations{organizations*:organizations{id},auditor:organizations{id}}"},
        {"beds", "select=rooms(name)", "beds{rooms:rooms{name}}"},
        {"actors", "select=name,movies(name)", "actors{name,movies*:movies{name}}"},
        {"games", "select=designers(name)", "games{designers:designers{name}}"},
        {"designers", "select=made(name),games(id)",
         "designers{made*:games{name},games*:games{id}}"},
        {"projects", "select=id,...clients(c:name)", "projects{id,clients^:clients{\"c\":name}}"},
        {"clients", "select=id,...projects(name)", "clients{id,projects*^:projects{name}}"},
        {"projects", "select=clients()", "projects{clients-:clients{}}"},
        {"tasks", "select=id,projects(clients())",
         "tasks{id,projects-:projects{clients-:clients{}}}"},
        {"tasks", "select=id,projects(clients(id))",
         "tasks{id,projects:projects{clients:clients{id}}}"},
    };

    (void)state;
    expect_rows(rows, HS_LEN(rows));
}

static void test_filters(void **state)
{
    static const struct row rows[] = {
        {"projects", "select=id&id=eq.1", "projects{id}[where and(id = '1')]"},
        {"projects", "select=id&id=not.gt.1&name=like.*a*",
         "projects{id}[where and(not(id > '1'), name like '%a%')]"},
        {"projects", "select=id&or=(id.eq.1,and(name.is.null,not.or(id.neq.2,id.in.(3,4))))",
         "projects{id}[where and(or(id = '1', and(name null, not(or(id <> '2', id in '{\"3\",\"4\"}')))))]"},
        {"projects", "select=id&name=not.is.null", "projects{id}[where and(not(name null))]"},
        {"projects", "select=id&name=is.not_null", "projects{id}[where and(name not null)]"},
        {"projects", "select=id&name=is.true&id=is.unknown",
         "projects{id}[where and(name true, id unknown)]"},
        {"projects", "select=id&id=eq(any).{1,2}", "projects{id}[where and(id = any '{1,2}')]"},
        {"projects", "select=id&id=isdistinct.1", "projects{id}[where and(id distinct '1')]"},
        {"films", "select=id&fts=fts(english).cat", "films{id}[where and(fts fts(english) 'cat')]"},
        {"films", "select=id&title=wfts.cat", "films{id}[where and(title wfts 'cat')]"},
        {"users", "select=id&doc->>a=eq.x", "users{id}[where and(doc->>'a' = 'x')]"},
        {"users", "select=id&doc=cs.{\"a\":1}", "users{id}[where and(doc @> '{\"a\":1}')]"},
        {"clients", "select=id&shout=eq.A", "clients{id}[where and(shout() = 'A')]"},
        {"clients", "select=id,projects(id)&projects.name=eq.a&projects.or=(id.eq.1,id.eq.2)",
         "clients{id,projects*:projects{id}[where and(or(id = '1', id = '2'), name = 'a')]}"},
        {"clients", "select=id,p:projects(id,tasks(id))&p.tasks.id=eq.1",
         "clients{id,p*:projects{id,tasks*:tasks{id}[where and(id = '1')]}}"},
        {"clients", "select=id,projects()&projects=is.null",
         "clients{id,projects*-:projects{}}[where and(not(exists(projects)))]"},
        {"clients", "select=id,p:projects(id)&p=not.is.null",
         "clients{id,p*:projects{id}}[where and(exists(p))]"},
        {"clients", "select=id,projects()&or=(projects.is.null,id.eq.1)",
         "clients{id,projects*-:projects{}}[where and(or(not(exists(projects)), id = '1'))]"},
        /* A column where no embed has the name. */
        {"projects", "select=id&client_id=is.null", "projects{id}[where and(client_id null)]"},
        {"projects", "select=id,client_id(id)&client_id=is.null",
         "projects{id,client_id:clients{id}}[where and(not(exists(client_id)))]"},
    };

    (void)state;
    expect_rows(rows, HS_LEN(rows));
}

static void test_orders_and_limits(void **state)
{
    static const struct row rows[] = {
        {"projects", "select=id&order=name.desc.nullslast,id",
         "projects{id}[order name desc nulls last, id]"},
        {"users", "select=id&order=doc->a->>b.asc.nullsfirst",
         "users{id}[order doc->'a'->>'b' nulls first]"},
        {"clients", "select=id&order=shout", "clients{id}[order shout()]"},
        {"projects", "select=id,clients(name)&order=clients(name).desc,id",
         "projects{id,clients:clients{name}}[order clients.name desc, id]"},
        {"projects", "select=id,c:clients(n:name::int)&order=c(n)",
         "projects{id,c:clients{\"n\":name::integer}}[order c.name::integer]"},
        {"projects", "select=id,clients()&order=clients(shout)",
         "projects{id,clients-:clients{}}[order clients.shout()]"},
        {"clients", "select=id,projects(id)&projects.order=name&projects.limit=2&projects.offset=1",
         "clients{id,projects*:projects{id}[order name][limit 2][offset 1]}"},
        {"projects", "select=id&limit=0", "projects{id}[limit 0]"},
        {"projects", "select=id&limit=5&offset=3", "projects{id}[limit 5][offset 3]"},
        {"projects", "select=id,clients(id)&clients.limit=0",
         "projects{id,clients:clients{id}[limit 0]}"},
        /* By the target, although there is an alias. */
        {"clients", "select=p:projects(id)&projects.order=id&p.limit=1",
         "clients{p*:projects{id}[order id][limit 1]}"},
    };

    (void)state;
    expect_rows(rows, HS_LEN(rows));
}

static void test_max_rows(void **state)
{
    struct hs_identity who = {0};
    struct hs_arena arena;
    struct rest_plan_setup setup;

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena);
    setup.max_rows = 10;
    setup.who = &who;
    expect(&setup, "select=id,clients(id),tasks(id)&tasks.limit=3",
           "projects{id,clients:clients{id},tasks*:tasks{id}[limit 3]}[limit 10 fixed]");
    expect(&setup, "select=id,tasks(id)&limit=20",
           "projects{id,tasks*:tasks{id}[limit 10 fixed]}[limit 10 fixed]");
    expect(&setup, "select=id&limit=0", "projects{id}[limit 0]");
    who.rows_max = 4;
    expect(&setup, "select=id", "projects{id}[limit 4 fixed]");
    setup.max_rows = 0;
    expect(&setup, "select=id&limit=7", "projects{id}[limit 4 fixed]");
    hs_arena_fini(&arena);
}

static void test_write(void **state)
{
    const char *query = "select=id,tasks(id)&id=eq.1&limit=1&order=id&tasks.id=eq.2&tasks.limit=1";
    struct hs_arena arena;
    struct rest_plan_setup setup;
    struct rest_ask ask;
    struct tree_select rows = {0};
    struct hs_err err = {0};
    struct hs_buf out;

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena);
    setup.use = REST_PLAN_WRITE;
    setup.max_rows = 10;
    expect(&setup, query, "projects{id,tasks*:tasks{id}[where and(id = '2')]}[order id]");
    read(query, &arena, &ask);
    rows.relation = setup.relation;
    assert_int_equal(rest_plan_where(&setup, &ask, &rows.where, &err), HS_OK);
    hs_buf_init(&out, 1 << 16);
    rest_world_tree(&rows, &out);
    assert_string_equal(hs_buf_cstr(&out), "projects{}[where and(id = '1')]");
    hs_buf_fini(&out);
    read("select=id", &arena, &ask);
    assert_int_equal(rest_plan_where(&setup, &ask, &rows.where, &err), HS_OK);
    assert_null(rows.where);
    hs_arena_fini(&arena);
}

static void test_calls(void **state)
{
    struct hs_arena arena;
    struct rest_plan_setup setup;
    size_t n;

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena);
    setup.use = REST_PLAN_CALL;
    setup.relation = NULL;
    setup.function = pg_catalog_functions(world.catalog, HS_STR("test"), HS_STR("all_projects"),
                                          &n);
    expect(&setup, "select=id,clients(name)&id=eq.1",
           "projects{id,clients:clients{name}}[where and(id = '1')]");
    setup.function = pg_catalog_functions(world.catalog, HS_STR("test"), HS_STR("pairs"), &n);
    setup.relation = NULL;
    expect(&setup, "select=b&order=a", "pairs{b}[order a]");
    hs_arena_fini(&arena);
}

static void test_legacy_names(void **state)
{
    struct hs_arena arena;
    struct rest_plan_setup setup;

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("clients", &arena);
    expect(&setup, "select=p:projects(id)&p.limit=1", "clients{p*:projects{id}[limit 1]}");
    expect(&setup, "select=p:projects(id)&projects.limit=1", "clients{p*:projects{id}[limit 1]}");
    hs_arena_fini(&arena);
}

/* All that is asked for as it is, is the model's: a list of columns costs no field. */
static void test_fields_are_shared(void **state)
{
    const struct rest_relation *projects = rest_world_relation(&world, "projects");
    struct hs_arena arena;
    struct rest_plan_setup setup;
    struct rest_ask ask;
    struct tree_select tree;
    struct hs_err err = {0};

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena);
    read("select=*", &arena, &ask);
    assert_int_equal(rest_plan(&setup, &ask, &tree, &err), HS_OK);
    assert_ptr_equal(tree.fields, projects->all);
    read("select=name", &arena, &ask);
    assert_int_equal(rest_plan(&setup, &ask, &tree, &err), HS_OK);
    assert_ptr_equal(tree.fields[0], &projects->fields[1]);
    hs_arena_fini(&arena);
}

static bool plan_once(void *arg)
{
    struct hs_arena arena;
    struct rest_plan_setup setup;
    struct rest_ask ask;
    struct tree_select tree;
    struct hs_err err = {0};
    hs_status status;

    (void)arg;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("clients", &arena);
    status = rest_ask_read(REST_FOR_ROWS,
                           HS_STR("select=\"ö\\\"\":id::text,projects!inner(*,c:clients(shout))"
                                  "&or=(id.eq.1,projects.not.is.null)&projects.order=c(shout)"
                                  "&projects.limit=3&name=not.eq.2"),
                           &arena, &ask, &err);
    if (!status)
        status = rest_plan(&setup, &ask, &tree, &err);
    if (status)
        assert_int_equal(err.status, HS_E_MEMORY);
    hs_arena_fini(&arena);
    return status == HS_OK;
}

static void test_memory(void **state)
{
    (void)state;
    fault_each(plan_once, NULL);
}

static int set_up(void **state)
{
    (void)state;
    rest_world_open(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rest_world_close(&world);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_embeds),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_orders_and_limits),
        cmocka_unit_test(test_max_rows),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_legacy_names),
        cmocka_unit_test(test_fields_are_shared),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
