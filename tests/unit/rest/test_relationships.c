/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relationships that a real catalog has, in the order in which choices are listed, and the names by which they are
 * found; every allocation failing in turn.
 */
#include "rest/model.h"

#include "fault.h"
#include "rest/rest_world.h"
#include "test.h"

static struct rest_world world;

static void expect(const char *name, const char *expected)
{
    const struct rest_relation *r = rest_world_relation(&world, name);
    struct hs_buf out;

    hs_buf_init(&out, 1 << 16);
    for (size_t i = 0; i < r->n_relationships; i++)
        rest_world_relationship(r->relationships[i], &out);
    assert_string_equal(out.n ? hs_buf_cstr(&out) : "", expected);
    hs_buf_fini(&out);
}

static void test_keys(void **state)
{
    (void)state;
    expect("tasks",
           "tasks -> projects, many to one by tasks_project_id_fkey, project_id = id\n"
           "tasks -> projects_view, many to one by tasks_project_id_fkey, project_id = id\n"
           "tasks -> users, many to many by users_tasks_task_id_fkey and "
           "users_tasks_user_id_fkey, id = users_tasks.task_id and users_tasks.user_id = id\n"
           "tasks -> users_tasks, one to many by users_tasks_task_id_fkey, id = task_id\n");
    expect("specs", "specs -> films, one to one by specs_film_id_fkey, film_id = id\n");
    expect("beds", "beds -> rooms, many to one by bed_room, house, room = house, room\n"
                   "beds -> stays, one to many by stays_bed_id_fkey, id = bed_id\n");
    expect("orders", "orders -> addresses, many to one by billing, billing_address_id = id\n"
                     "orders -> addresses, many to one by shipping, shipping_address_id = id\n");
    /* The inverse of one to one; a unique index is no constraint; the junction is of another schema. */
    expect("films",
           "films -> posters, one to many by posters_film_id_fkey, id = film_id\n"
           "films -> specs, inverse one to one by specs_film_id_fkey, id = film_id\n"
           "films -> users, many to many by users_films_film_id_fkey and "
           "users_films_user_id_fkey, id = users_films.film_id and users_films.user_id = id\n");
}

static void test_to_itself(void **state)
{
    const struct rest_relation *r = rest_world_relation(&world, "families");

    (void)state;
    expect("families", "families -> families, one to many by pptr, name = parent\n"
                       "families -> families, many to one by pptr, parent = name\n");
    for (size_t i = 0; i < r->n_relationships; i++)
        assert_true(r->relationships[i]->is_self);
}

static void test_views(void **state)
{
    (void)state;
    expect("projects_view",
           "projects_view -> clients, many to one by projects_client_id_fkey, client_id = id\n"
           "projects_view -> clients_view, many to one by projects_client_id_fkey, client_id = a\n"
           "projects_view -> clients_view, many to one by projects_client_id_fkey, client_id = b\n"
           "projects_view -> tasks, one to many by tasks_project_id_fkey, id = project_id\n");
    expect("rooms_part", "");
    /* Tables that are not exposed, and a view as the junction. */
    expect("actors",
           "actors -> movies, many to many by roles_actor_id_fkey and roles_movie_id_fkey, "
           "actor = roles.actor_id and roles.movie_id = id\n"
           "actors -> roles, one to many by roles_actor_id_fkey, actor = actor_id\n");
    assert_int_equal(rest_world_relation(&world, "roles")->n_key, 2);
    assert_str(rest_world_relation(&world, "clients_view")->key[0]->name, HS_STR("a"));
}

/* 17 x 17 ways to show a key of two columns. */
static void test_combinations_are_bounded(void **state)
{
    const struct rest_relation *books = rest_world_relation(&world, "books");
    size_t n;

    (void)state;
    assert_non_null(rest_relation_choices(books, HS_STR("shelves_wide"), &n));
    assert_int_equal(n, REST_KEYS_OF_VIEW_MAX);
    assert_non_null(rest_relation_choices(books, HS_STR("shelves"), &n));
    assert_int_equal(n, 1);
}

static void test_functions(void **state)
{
    (void)state;
    /* It stands for the foreign key's. */
    expect("games", "games -> designers, computed to one by function designers\n");
    expect("designers",
           "designers -> games, one to many by games_designer_id_fkey, id = designer_id\n"
           "designers -> games, computed to many by function made\n");
}

static void test_schemas(void **state)
{
    const struct rest_relation *clients = rest_world_relation(&world, "clients");

    (void)state;
    for (size_t i = 0; i < clients->n_relationships; i++)
        assert_str(clients->relationships[i]->to->schema, HS_STR("test"));
}

static void test_names(void **state)
{
    static const struct {
        const char *of;
        const char *name;
        size_t n;
    } rows[] = {
        {"projects", "clients", 1},   {"projects", "projects_client_id_fkey", 1},
        {"projects", "client_id", 1}, {"projects", "clients_view", 2},
        {"projects", "id", 1}, /* of tasks.project_id, from over there */
        {"projects", "Clients", 0},   {"projects", "", 0},
        {"projects", "zzz", 0},       {"orders", "addresses", 2},
        {"orders", "billing", 1},     {"families", "families", 2},
        {"families", "parent", 1},    {"families", "pptr", 0},
        {"beds", "house", 0},         {"designers", "made", 1},
        {"rooms_part", "beds", 0},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        size_t n;
        const struct rest_choice *choices = rest_relation_choices(
            rest_world_relation(&world, rows[i].of), hs_str(rows[i].name), &n);

        if (n != rows[i].n)
            fail_msg("%s of %s: %zu", rows[i].name, rows[i].of, n);
        assert_int_equal(choices != NULL, n > 0);
    }
}

static void test_fields(void **state)
{
    const struct rest_relation *r = rest_world_relation(&world, "films");

    (void)state;
    for (size_t i = 0; i < r->pg->n_columns; i++) {
        assert_ptr_equal(rest_relation_field(r, r->pg->columns[i].name), &r->fields[i]);
        assert_ptr_equal(r->all[i], &r->fields[i]);
        assert_ptr_equal(r->fields[i].column, &r->pg->columns[i]);
    }
    assert_null(rest_relation_field(r, HS_STR("Title")));
    assert_null(rest_relation_field(r, HS_STR("")));
    assert_str(r->fields[1].key, HS_STR("\"title\":"));
    assert_str(r->fields[1].alias, HS_STR("\"title\""));
}

static void test_rows_of_functions(void **state)
{
    size_t n;
    const struct pg_function *all = pg_catalog_functions(world.catalog, HS_STR("test"),
                                                         HS_STR("all_projects"), &n);
    const struct pg_function *pairs = pg_catalog_functions(world.catalog, HS_STR("test"),
                                                           HS_STR("pairs"), &n);

    (void)state;
    assert_ptr_equal(rest_model_row(world.model, all), rest_world_relation(&world, "projects"));
    assert_non_null(rest_relation_field(rest_model_row(world.model, pairs), HS_STR("b")));
    assert_null(rest_model_relation(world.model, pairs->row));
}

static bool build(void *arg)
{
    struct rest_model *model;
    struct hs_err err = {0};

    (void)arg;
    if (rest_model_new(world.catalog, &model, &err) != HS_OK) {
        assert_int_equal(err.status, HS_E_MEMORY);
        return false;
    }
    rest_model_free(model);
    return true;
}

static void test_memory(void **state)
{
    (void)state;
    fault_each(build, NULL);
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
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_to_itself),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_combinations_are_bounded),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_rows_of_functions),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
