/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of two-way sets. The caller is compared by address: each place holds a reference to its identity, and
 * whoever brings the same token again is given the same object (edge/token_cache.c); one that was made anew
 * is only a miss here.
 */
#include "api/memo.h"

#include "core/hash.h"
#include "core/mem.h"

enum { SETS = 8192, WAYS = 2 };

struct place {
    struct hs_identity *who; /* NULL: free */
    uint64_t hash;           /* of target and words */
    uint64_t key_hash;
    unsigned route;
    unsigned target_n;
    unsigned words_n;
    unsigned key_n;
    char *text; /* target, words, key */
};

struct api_memo {
    struct place places[SETS][WAYS];
};

hs_status api_memo_new(struct api_memo **ret_memo, struct hs_err *reterr)
{
    *ret_memo = hs_calloc(1, sizeof(**ret_memo));
    return *ret_memo ? HS_OK : hs_fail_memory(reterr);
}

static void empty(struct place *place)
{
    hs_identity_unref(place->who);
    hs_free(place->text);
    *place = (struct place){.who = NULL};
}

void api_memo_clear(struct api_memo *memo)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t way = 0; way < WAYS; way++) {
            if (memo->places[i][way].who)
                empty(&memo->places[i][way]);
        }
    }
}

void api_memo_free(struct api_memo *memo)
{
    if (!memo)
        return;
    api_memo_clear(memo);
    hs_free(memo);
}

static uint64_t hash_of(const struct http_req *req, struct hs_str words)
{
    uint64_t hash = hs_hash(req->target) ^ req->identity->hash;

    return words.n ? hs_hash_more(hash, words) : hash;
}

static bool is_same(const struct place *place, const struct http_req *req, struct hs_str words,
                    uint64_t hash)
{
    return place->who == req->identity && place->hash == hash &&
           hs_str_eq(hs_strn(place->text, place->target_n), req->target) &&
           hs_str_eq(hs_strn(place->text + place->target_n, place->words_n), words);
}

bool api_memo_find(struct api_memo *memo, const struct http_req *req, struct hs_str words,
                   struct api_memo_key *ret_key)
{
    uint64_t hash = hash_of(req, words);
    struct place *set = memo->places[hash % SETS];

    for (size_t way = 0; way < WAYS; way++) {
        const struct place *place = &set[way];

        if (!is_same(place, req, words, hash))
            continue;
        *ret_key = (struct api_memo_key){
            .key = hs_strn(place->text + place->target_n + place->words_n, place->key_n),
            .hash = place->key_hash,
            .route = place->route};
        return true;
    }
    return false;
}

/* The newer of the two in front: it moves back when another comes. */
static struct place *make_room(struct place *set)
{
    empty(&set[1]);
    set[1] = set[0];
    set[0] = (struct place){.who = NULL};
    return &set[0];
}

void api_memo_put(struct api_memo *memo, const struct http_req *req, struct hs_str words,
                  const struct api_memo_key *key)
{
    size_t n = req->target.n + words.n + key->key.n;
    struct api_memo_key known;
    struct place *place;
    uint64_t hash;
    char *text;

    if (n > MEMO_TEXT_MAX || api_memo_find(memo, req, words, &known))
        return;
    text = hs_malloc(n + 1);
    if (!text)
        return;
    hash = hash_of(req, words);
    place = make_room(memo->places[hash % SETS]);
    memcpy(text, req->target.p, req->target.n);
    if (words.n)
        memcpy(text + req->target.n, words.p, words.n);
    memcpy(text + req->target.n + words.n, key->key.p, key->key.n);
    *place = (struct place){.who = hs_identity_ref(req->identity),
                            .hash = hash,
                            .key_hash = key->hash,
                            .route = key->route,
                            .target_n = (unsigned)req->target.n,
                            .words_n = (unsigned)words.n,
                            .key_n = (unsigned)key->key.n,
                            .text = text};
}
