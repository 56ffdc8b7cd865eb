/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: what it hands out does not overlap and is aligned, its maximum holds, failure sticks, and
 * under AddressSanitizer overflow and use after reset end the process (seen in a child).
 */
#include "core/arena.h"

#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

static void test_pieces_are_apart(void **state)
{
    struct hs_rng rng = test_rng();
    struct hs_arena a;

    (void)state;
    hs_arena_init(&a, 1 << 22);
    for (unsigned round = 0; round < 200; round++) {
        unsigned char *pieces[64];
        size_t sizes[64];

        for (size_t i = 0; i < HS_LEN(pieces); i++) {
            sizes[i] = (size_t)hs_rng_below(&rng, i % 16 == 0 ? 20000 : 300);
            pieces[i] = hs_arena_alloc(&a, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], (int)i, sizes[i]);
        }
        for (size_t i = 0; i < HS_LEN(pieces); i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(pieces[i][k], i);
        }
        hs_arena_reset(&a);
        assert_true(a.bytes <= 8192);
    }
    hs_arena_fini(&a);
}

static void test_reset_keeps_one_chunk(void **state)
{
    struct hs_arena a;

    (void)state;
    hs_arena_init(&a, 1 << 20);
    for (unsigned i = 0; i < 50; i++)
        assert_non_null(hs_arena_alloc(&a, 1000));
    assert_non_null(hs_arena_alloc(&a, 100000));
    hs_arena_reset(&a);
    hs_mem_fail_at(1); /* from here on the kept chunk must do */
    assert_non_null(hs_arena_alloc(&a, 4000));
    assert_non_null(hs_arena_alloc(&a, 4000));
    hs_mem_fail_at(0);
    hs_arena_fini(&a);
    /* A first piece larger than usual must not become the chunk that stays. */
    hs_arena_init(&a, 1 << 20);
    assert_non_null(hs_arena_alloc(&a, 5000));
    hs_arena_reset(&a);
    assert_int_equal(a.bytes, 0);
    assert_null(a.chunk);
    hs_arena_fini(&a);
}

static void test_maximum(void **state)
{
    struct hs_arena a;
    size_t n = 0;

    (void)state;
    hs_arena_init(&a, 100000);
    while (hs_arena_alloc(&a, 700))
        n++;
    assert_true(n > 100000 / 800 - 12);
    assert_true(a.bytes <= 100000);
    assert_true(hs_arena_failed(&a));
    assert_null(hs_arena_alloc(&a, 1)); /* sticky */
    assert_null(hs_arena_dup(&a, HS_STR("x")).p);
    hs_arena_reset(&a);
    assert_false(hs_arena_failed(&a));
    assert_non_null(hs_arena_alloc(&a, 1));
    assert_null(hs_arena_alloc(&a, SIZE_MAX));
    hs_arena_reset(&a);
    assert_null(hs_arena_zalloc(&a, SIZE_MAX / 2, 3));
    assert_true(hs_arena_failed(&a));
    hs_arena_fini(&a);
    /* Smaller than a common chunk: what fits is still given. */
    hs_arena_init(&a, 1000);
    assert_non_null(hs_arena_alloc(&a, 500));
    assert_null(hs_arena_alloc(&a, 500));
    hs_arena_fini(&a);
}

static void test_texts(void **state)
{
    struct hs_arena a;
    struct hs_str s;
    int *numbers;

    (void)state;
    hs_arena_init(&a, 1 << 20);
    s = hs_arena_dup(&a, HS_STR("a\0b"));
    assert_int_equal(s.n, 3);
    assert_int_equal(s.p[3], 0);
    assert_non_null(hs_arena_dup(&a, HS_STR_NULL).p);
    s = hs_arena_printf(&a, "%s-%d", "x", 42);
    assert_str(s, HS_STR("x-42"));
    assert_int_equal(s.p[s.n], 0);
    numbers = HS_NEW_ARRAY(&a, 3000, int);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(numbers[i], 0);
    assert_non_null(hs_arena_zalloc(&a, 0, 8));
    hs_arena_fini(&a);
    hs_arena_fini(&a);
}

static bool build(void *arg)
{
    struct hs_arena a;
    bool done;

    (void)arg;
    hs_arena_init(&a, 1 << 20);
    for (unsigned i = 0; i < 40; i++)
        (void)hs_arena_printf(&a, "%0*u", (int)(i * 300), i);
    done = !hs_arena_failed(&a);
    hs_arena_reset(&a);
    hs_arena_fini(&a);
    return done;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(build, NULL);
}

#ifdef HAS_ASAN
static void overflow(struct hs_arena *a)
{
    volatile char *p = hs_arena_alloc(a, 24);

    assert_non_null(hs_arena_alloc(a, 24));
    p[24] = 1;
}

static void use_after_reset(struct hs_arena *a)
{
    volatile char *p = hs_arena_alloc(a, 24);

    hs_arena_reset(a);
    p[0] = 1;
}

static void overflow_large(struct hs_arena *a)
{
    volatile char *p;

    assert_non_null(hs_arena_alloc(a, 24));
    p = hs_arena_alloc(a, 10000);
    p[10000] = 1;
}

static void assert_dies(void (*fault)(struct hs_arena *a))
{
    struct hs_arena a;
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        hs_arena_init(&a, 1 << 20);
        fault(&a);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_fences(void **state)
{
    (void)state;
    assert_dies(overflow);
    assert_dies(overflow_large);
    assert_dies(use_after_reset);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_apart), cmocka_unit_test(test_reset_keeps_one_chunk),
        cmocka_unit_test(test_maximum),          cmocka_unit_test(test_texts),
        cmocka_unit_test(test_no_memory),
#ifdef HAS_ASAN
        cmocka_unit_test(test_fences),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
