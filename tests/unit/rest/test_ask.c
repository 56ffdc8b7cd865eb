/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of the PostgREST dialect: what is read, one line a case. */
#include "rest/ask.h"

#include "rest/ask_dump.h"
#include "test.h"

struct test_case {
    const char *query;
    const char *read;
};

static struct hs_arena arena;

static void check(enum rest_use use, const struct test_case *cases, size_t n)
{
    struct hs_buf out;

    hs_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        struct rest_ask ask;
        struct hs_err err;
        struct hs_str got;

        hs_err_clear(&err);
        hs_buf_clear(&out);
        if (rest_ask_read(use, hs_str(cases[i].query), &arena, &ask, &err))
            fail_msg("%s: %s; %s", cases[i].query, err.what, err.why);
        dump_ask(&out, &ask);
        assert_true(dump_is_terminated);
        got = hs_str_sub(hs_buf_str(&out), 1, out.n);
        if (!hs_str_is(got, cases[i].read))
            fail_msg("%s\nis read as %.*s\nnot as     %s", cases[i].query, HS_FMT(got),
                     cases[i].read);
        hs_arena_reset(&arena);
    }
    hs_buf_fini(&out);
}

#define CHECK(use, ...)                                         \
    do {                                                        \
        static const struct test_case cases_[] = {__VA_ARGS__}; \
                                                                \
        check(use, cases_, HS_LEN(cases_));                     \
    } while (0)

static void test_select(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"", ""}, {"select=*", "select{*}"}, {"select=", "select{}"},
          {"select", ""}, {"select&select=a", ""}, {"select=a&select=b", "select{<a>}"},
          {"select=id,name", "select{<id> <name>}"}, {"select=*,id", "select{* <id>}"},
          {"select=%20id%20,%20name%20", "select{<id> <name>}"},
          {"select=full+name,a-b,a%20-%20b,$x,_,1", "select{<full name> <a-b> <a-b> <$x> <_> <1>}"},
          {"select=n:name,full:a::text", "select{as<n><name> as<full><a>::<text>}"},
          {"select=a::text,b::double+precision", "select{<a>::<text> <b>::<double precision>}"},
          {"select=\"a,b\",\"c.d\":\"e(f)\",\"say+\\\"hi\\\"\",\"a\\\\b\"",
           "select{<a,b> as<c.d><e(f)> <say \"hi\"> <a\\b>}"},
          {"select=\"%20a%20\"", "select{< a >}"},
          {"select=%E0%AE%AF:\xe5\xad\x97,na%C3%AFve",
           "select{as<\xe0\xae\xaf><\xe5\xad\x97> <na\xc3\xafve>}"},
          {"select=data->a->>b,data->0,data->>-1,data->0->x",
           "select{<data>-><a>->><b> <data>->0 <data>->>-1 <data>->0-><x>}"},
          {"select=k:data->!@%23$%25^%26*_a::int", "select{as<k><data>-><!@#$%^&*_a>::<int>}"},
          {"select=data->a-b->%22c.d%22,data->1a", "select{<data>-><a-b>-><c.d> <data>-><1a>}"},
          {"select=a::b::c", "select{<a>::<b>}"});
}

static void test_aggregates(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"select=count()", "select{<>.count}"},
          {"select=n:count()::text", "select{as<n><>.count::<text>}"},
          {"select=amount.sum(),a.avg(),b.count(),c.max(),d.min()",
           "select{<amount>.sum <a>.avg <b>.count <c>.max <d>.min}"},
          {"select=total:amount::int.sum()::text,x",
           "select{as<total><amount>::<int>.sum::<text> <x>}"},
          {"select=data->a.sum(),count", "select{<data>-><a>.sum <count>}"},
          {"select=o(n:count(),v.sum())", "select{<o>(as<n><>.count <v>.sum)}"});
}

static void test_embeds(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"select=id,client(id,name)", "select{<id> <client>(<id> <name>)}"},
          {"select=a(b(c(*))),d", "select{<a>(<b>(<c>(*))) <d>}"},
          {"select=x:rel(*),rel!hint(*),rel!inner(*),rel!left(*)",
           "select{as<x><rel>(*) <rel>!<hint>(*) <rel>!inner(*) <rel>!left(*)}"},
          {"select=x:rel!hint!inner(*),rel!inner!hint(*),rel!a-b!left(*)",
           "select{as<x><rel>!<hint>!inner(*) <rel>!<hint>!inner(*) <rel>!<a-b>!left(*)}"},
          {"select=rel!\"odd,hint\"(a)", "select{<rel>!<odd,hint>(<a>)}"},
          {"select=...rel(a,b),...r!h!inner(*)", "select{...<rel>(<a> <b>) ...<r>!<h>!inner(*)}"},
          {"select=id,target(),o(...p())", "select{<id> <target>() <o>(...<p>())}"},
          {"select=a(data->0),b(data->>x)", "select{<a>(<data>->0) <b>(<data>->><x>)}"},
          {"select=a(b)%20,%20c", "select{<a>(<b>) <c>}"});
}

static void test_filters(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS, {"id=eq.1", "where{<id> eq <1>}"}, {"id=eq.", "where{<id> eq <>}"},
        {"id", ""}, {"id=gte.1&id=lt.9", "where{<id> gte <1>, <id> lt <9>}"},
        {"a=neq.x.y,z&b=gt.(1)&c=lte.%22q%22",
         "where{<a> neq <x.y,z>, <b> gt <(1)>, <c> lte <\"q\">}"},
        {"a=not.eq.1&b=not.is.null", "where{not <a> eq <1>, not <b> is <null>}"},
        {"a=like.*x*&b=ilike.x%25y&c=match.^a*",
         "where{<a> like <%x%>, <b> ilike <x%y>, <c> match <^a*>}"},
        {"a=imatch.x&b=isdistinct.1&c=adj.[1,2)",
         "where{<a> imatch <x>, <b> isdistinct <1>, <c> adj <[1,2)>}"},
        {"a=like(any).{*x,y}&b=eq(all).{1,2,3}&c=lt(any).{}",
         "where{<a> likeany <{%x,y}>#2, <b> eqall <{1,2,3}>#3, <c> ltany <{}>}"},
        {"a=eq(any).{\"x,y\",\"\\\"\"}", "where{<a> eqany <{\"x,y\",\"\\\"\"}>#2}"},
        {"a=is.null&b=is.NOT_NULL&c=is.True&d=is.unknown&e=is.fAlse",
         "where{<a> is <null>, <b> is <not_null>, <c> is <true>, <d> is <unknown>, <e> is <false>}"},
        {"a=fts.x&b=fts(english).x&c=not.plfts(Pg+Cat).%27a%27&d=phfts.x&e=wfts(simple).x",
         "where{<a> fts <x>, <b> fts<english> <x>, not <c> plfts<Pg Cat> <'a'>, <d> phfts <x>, <e> wfts<simple> <x>}"},
        {"a=cs.{1,2}&b=cd.[1,2]&c=ov.(1,2)&d=sl.x&e=sr.x&f=nxr.x&g=nxl.x",
         "where{<a> cs <{1,2}>, <b> cd <[1,2]>, <c> ov <(1,2)>, <d> sl <x>, <e> sr <x>, <f> nxr <x>, <g> nxl <x>}"},
        {"data->a->>b=eq.1&\"x.y\"=eq.2&a+b=eq.3",
         "where{<data>-><a>->><b> eq <1>, <x.y> eq <2>, <a b> eq <3>}"},
        {"a=eq.100%&b=eq.%zz&c=eq.%4", "where{<a> eq <100%>, <b> eq <%zz>, <c> eq <%4>}"},
        {"a=eq.1;b=eq.2&&c=eq.3&", "where{<a> eq <1>, <b> eq <2>, <c> eq <3>}"});
}

static void test_lists(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"a=in.(1,2,3)", "where{<a> in <{\"1\",\"2\",\"3\"}>#3}"},
          {"a=in.()", "where{<a> in <{}>}"}, {"a=in.(\"\")", "where{<a> in <{}>}"},
          {"a=in.(,)", "where{<a> in <{\"\",\"\"}>#2}"},
          {"a=not.in.(x,\"b,c\",\"d)\")", "where{not <a> in <{\"x\",\"b,c\",\"d)\"}>#3}"},
          {"a=in.(\"q\\\"q\",\"b\\\\b\",b\\b,x\"y,\"x\"y)",
           "where{<a> in <{\"q\\\"q\",\"b\\\\b\",\"b\\\\b\",\"x\\\"y\",\"\\\"x\\\"y\"}>#5}"},
          {"a=in.(%20x%20,null)%20", "where{<a> in <{\"x \",\"null\"}>#2}"});
}

static void test_logic(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS, {"or=(a.eq.1,b.eq.2)", "where{or(<a> eq <1>, <b> eq <2>)}"},
        {"and=(a.gt.1,or(b.eq.2,not.and(c.is.null,d.not.in.(1,2))))",
         "where{and(<a> gt <1>, or(<b> eq <2>, not and(<c> is <null>, not <d> in <{\"1\",\"2\"}>#2)))}"},
        {"not.or=(a.eq.1)&not.and=(b.eq.1)", "where{not or(<a> eq <1>), not and(<b> eq <1>)}"},
        {"or=(%20a.eq.1%20,%20b.eq.%22x,)%22)", "where{or(<a> eq <1 >, <b> eq <x,)>)}"},
        {"or=(a.eq.\"x,\\\")\",b.cs.{1,2},c.eq(any).{3,4},d.like.*x*)",
         "where{or(<a> eq <x,\")>, <b> cs <{1,2}>, <c> eqany <{3,4}>#2, <d> like <%x%>)}"},
        {"or=(data->a->>b.eq.1,\"x.y\".fts(english).z,e.eq.)",
         "where{or(<data>-><a>->><b> eq <1>, <x.y> fts<english> <z>, <e> eq <>)}"},
        {"or=(and.eq.1,or.is.null,not.eq.2)",
         "where{or(<and> eq <1>, <or> is <null>, <not> eq <2>)}"},
        {"x=eq.1&or=(a.eq.1)", "where{or(<a> eq <1>), <x> eq <1>}"});
}

static void test_scopes(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_ROWS,
        {"actors.films.name=eq.x&actors.films.year=gt.1&actors.name=eq.y",
         "at <actors>.<films> where{<name> eq <x>, <year> gt <1>} at <actors> where{<name> eq <y>}"},
        {"actors.or=(a.eq.1)&a.not.b.and=(x.is.null)",
         "at <actors> where{or(<a> eq <1>)} at <a>.<b> where{not and(<x> is <null>)}"},
        {"actors.order=a.desc&actors.limit=3&actors.offset=1&limit=20",
         "limit 20 at <actors> order{<a> desc} limit 3 offset 1"},
        {"\"a.b\".x=eq.1&\"a.b\".order=y", "at <a.b> where{<x> eq <1>} order{<y>}"});
}

static void test_order(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"order=a", "order{<a>}"},
          {"order=a.desc.nullslast,b.asc.nullsfirst,c.nullsfirst,%20d%20",
           "order{<a> desc nulls last, <b> nulls first, <c> nulls first, <d>}"},
          {"order=data->a->>b.desc,data->0.asc,\"x.y\".desc",
           "order{<data>-><a>->><b> desc, <data>->0, <x.y> desc}"},
          {"order=client(name).desc,client(data->a).nullslast,id",
           "order{of<client><name> desc, of<client><data>-><a> nulls last, <id>}"},
          {"order=a&order=b", "order{<a>}"});
}

static void test_ranges(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"limit=20&offset=40", "limit 20 offset 40"},
          {"limit=0&offset=-4", "limit 0 offset 0"}, {"limit=a&offset=1.5", ""},
          {"limit=&limit", ""}, {"limit=1&limit=%202%20", "limit 2"}, {"limit=-0", "limit 0"},
          {"limit=99999999999999999999999", "limit 9223372036854775807"});
}

static void test_writes(void **state)
{
    (void)state;
    CHECK(REST_FOR_ROWS, {"columns=a,b%20,%20\"c,d\"", "columns{<a> <b> <c,d>}"},
          {"on_conflict=a,b&columns=x&columns=y", "columns{<x>} on_conflict{<a> <b>}"},
          {"columns", ""});
}

static void test_call(void **state)
{
    (void)state;
    CHECK(
        REST_FOR_CALL, {"a=1&b=x.y&c=", "arg<a>=<1> arg<b>=<x.y> arg<c>=<>"},
        {"a=eq.1&b=1&select=x&limit=2", "select{<x>} where{<a> eq <1>} limit 2 arg<b>=<1>"},
        {"v=1&v=2", "arg<v>=<1> arg<v>=<2>"}, {"t.a=5", "arg<a>=<5>"},
        {"a=equal&b=gt&c=nothing&d=in", "arg<a>=<equal> arg<b>=<gt> arg<c>=<nothing> arg<d>=<in>"},
        {"order=a&x=%7B1,2%7D", "order{<a>} arg<x>=<{1,2}>"});
}

static void test_scope_lookup(void **state)
{
    struct rest_ask ask;
    struct hs_str path[2] = {HS_STR("a"), HS_STR("b")};

    (void)state;
    assert_int_equal(
        rest_ask_read(REST_FOR_ROWS, HS_STR("a.b.limit=3&limit=7"), &arena, &ask, NULL), HS_OK);
    assert_ptr_equal(rest_ask_scope(&ask, NULL, 0), ask.scopes);
    assert_int_equal(ask.scopes->limit, 7);
    assert_int_equal(rest_ask_scope(&ask, path, 2)->limit, 3);
    assert_null(rest_ask_scope(&ask, path, 1));
    assert_int_equal(rest_ask_read(REST_FOR_ROWS, HS_STR_NULL, &arena, &ask, NULL), HS_OK);
    assert_null(ask.scopes->next);
    hs_arena_reset(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select), cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_embeds), cmocka_unit_test(test_filters),
        cmocka_unit_test(test_lists),  cmocka_unit_test(test_logic),
        cmocka_unit_test(test_scopes), cmocka_unit_test(test_order),
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_writes),
        cmocka_unit_test(test_call),   cmocka_unit_test(test_scope_lookup),
    };
    int failed;

    hs_arena_init(&arena, 1 << 24);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    hs_arena_fini(&arena);
    return failed;
}
