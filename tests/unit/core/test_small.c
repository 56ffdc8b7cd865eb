/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts of core: hash, rng, list, identity, mem. */
#include "core/hash.h"
#include "core/identity.h"
#include "core/list.h"
#include "fault.h"

/* ---- hash ---- */

static void test_hash(void **state)
{
    static char text[1000];
    uint64_t unseeded = hs_hash(HS_STR("abc"));
    uint64_t seen[1000];

    (void)state;
    (void)hs_hash(HS_STR_NULL);
    assert_true(hs_hash_more(hs_hash(HS_STR("ab")), HS_STR("c")) !=
                hs_hash_more(hs_hash(HS_STR("a")), HS_STR("bc")));
    assert_true(hs_hash_more(hs_hash(HS_STR("a")), HS_STR("b")) !=
                hs_hash_more(hs_hash(HS_STR("b")), HS_STR("a")));
    assert_true(hs_hash_more(hs_hash(HS_STR("a")), HS_STR("")) != hs_hash(HS_STR("a")));
    for (size_t n = 0; n < sizeof(text); n++) {
        seen[n] = hs_hash(hs_strn(text, n));
        assert_true(seen[n] == hs_hash(hs_strn(text, n)));
        for (size_t i = 0; i < n; i++)
            assert_true(seen[i] != seen[n]);
    }
    hs_hash_seed(1);
    assert_true(hs_hash(HS_STR("abc")) != unseeded);
    for (size_t n = 0; n < sizeof(text); n++)
        seen[n] = hs_hash(hs_strn(text, n));
    hs_hash_seed(2); /* another key changes every length's hash, the long ones' too */
    for (size_t n = 0; n < sizeof(text); n++)
        assert_true(hs_hash(hs_strn(text, n)) != seen[n]);
}

/* ---- rng ---- */

static void test_rng_is_splitmix64(void **state)
{
    /* The first numbers of Java's SplittableRandom(0), and of every other splitmix64. */
    struct hs_rng rng = {0};

    (void)state;
    assert_true(hs_rng_next(&rng) == 0xe220a8397b1dcdafu);
    assert_true(hs_rng_next(&rng) == 0x6e789e6aa1b965f4u);
    assert_true(hs_rng_next(&rng) == 0x06c45d188009454fu);
}

static void test_rng_below(void **state)
{
    struct hs_rng rng = test_rng();
    unsigned count[10] = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++)
        count[hs_rng_below(&rng, 10)]++;
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(count[i], 9000, 11000);
    assert_int_equal(hs_rng_below(&rng, 1), 0);
    assert_true(hs_rng_seed() != hs_rng_seed());
}

/* ---- list ---- */

struct item {
    int v;
    struct hs_list node;
};

static void assert_list(const struct hs_list *head, const char *expected)
{
    const struct hs_list *node = head;
    char got[32] = "";
    size_t n = 0;

    while ((node = node->next) != head) {
        assert_ptr_equal(node->next->prev, node);
        got[n++] = (char)('0' + HS_CONTAINER(node, struct item, node)->v);
    }
    assert_string_equal(got, expected);
}

static void test_list(void **state)
{
    struct item items[5];
    struct hs_list a;
    struct hs_list b;

    (void)state;
    hs_list_init(&a);
    hs_list_init(&b);
    for (int i = 0; i < 5; i++) {
        items[i].v = i;
        hs_list_init(&items[i].node);
    }
    assert_true(hs_list_is_empty(&a));
    assert_null(hs_list_first(&a));
    assert_null(hs_list_pop(&a));
    hs_list_append_all(&a, &b);
    assert_list(&a, "");
    hs_list_append(&a, &items[1].node);
    hs_list_append(&a, &items[2].node);
    hs_list_prepend(&a, &items[0].node);
    assert_list(&a, "012");
    hs_list_append(&b, &items[3].node);
    hs_list_append_all(&a, &b);
    assert_true(hs_list_is_empty(&b));
    assert_list(&a, "0123");
    hs_list_append_all(&b, &a);
    assert_list(&b, "0123");
    assert_true(hs_list_is_empty(&a));
    hs_list_remove(&items[1].node);
    hs_list_remove(&items[1].node);
    hs_list_remove(&items[4].node);
    assert_list(&b, "023");
    assert_ptr_equal(hs_list_pop(&b), &items[0].node);
    assert_list(&b, "23");
}

/* ---- identity ---- */

static void test_identity(void **state)
{
    struct hs_identity *a = hs_identity_new(HS_STR("member"), HS_STR("{\"a\":1}"), false);
    struct hs_identity *b = hs_identity_new(HS_STR("member"), HS_STR("{\"a\":1}"), false);
    struct hs_identity *c = hs_identity_new(HS_STR("member"), HS_STR("{\"a\":2}"), false);
    struct hs_identity *d = hs_identity_new(HS_STR("membe"), HS_STR("r{\"a\":1}"), false);
    struct hs_identity *e = hs_identity_new(HS_STR("viewer"), HS_STR("{}"), true);

    (void)state;
    assert_true(hs_identity_eq(a, a));
    assert_true(hs_identity_eq(a, b));
    assert_false(hs_identity_eq(a, c));
    assert_false(hs_identity_eq(a, d));
    c->hash = a->hash; /* texts decide, not the hash */
    assert_false(hs_identity_eq(a, c));
    assert_true(a->role_hash == c->role_hash);
    assert_true(e->is_anonymous);
    assert_string_equal(e->role.p, "viewer");
    assert_string_equal(e->claims.p, "{}");
    assert_ptr_equal(hs_identity_ref(a), a);
    hs_identity_unref(a);
    assert_string_equal(a->role.p, "member");
    hs_identity_unref(a);
    hs_identity_unref(b);
    hs_identity_unref(c);
    hs_identity_unref(d);
    hs_identity_unref(e);
    hs_identity_unref(NULL);
    hs_mem_fail_at(1);
    assert_null(hs_identity_new(HS_STR("x"), HS_STR_NULL, false));
    hs_mem_fail_at(0);
    a = hs_identity_new(HS_STR_NULL, HS_STR_NULL, false);
    assert_string_equal(a->claims.p, "");
    hs_identity_unref(a);
}

/* ---- mem ---- */

static void test_mem_hook(void **state)
{
    void *p;

    (void)state;
    hs_mem_fail_at(2);
    p = hs_malloc(0);
    assert_non_null(p);
    assert_null(hs_calloc(1, 1));
    assert_null(hs_realloc(p, 100));
    assert_int_equal(hs_mem_count(), 3);
    hs_free(p);
    hs_mem_fail_only(1);
    assert_null(hs_memdup0("a", 1));
    p = hs_memdup0("a\0b", 3);
    assert_memory_equal(p, "a\0b", 4);
    hs_free(p);
    hs_mem_fail_at(0);
    assert_null(hs_calloc(SIZE_MAX / 2, 4));
    hs_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),      cmocka_unit_test(test_rng_is_splitmix64),
        cmocka_unit_test(test_rng_below), cmocka_unit_test(test_list),
        cmocka_unit_test(test_identity),  cmocka_unit_test(test_mem_hook),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
