/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule: what decides, apart from where the values live.
 *
 * Each function here has its counterpart of the same meaning in the executable specification of the cache
 * (position_part, entry_part), and the unit test repeats that specification's calls. Whatever
 * cannot be told is told as "no": a needless miss costs a query, a needless hit costs the truth.
 */
#include "cache/rule.h"

bool cache_rule_passed(const struct cache_view *view, struct cache_token token)
{
    if (view->epoch != token.epoch && HS_GUARD(position_epoch))
        return false;
    return view->position >= token.position;
}

/* A time after `now` is young: the feed stored it after the reader had looked at the clock. */
static bool is_young(hs_us at, hs_us now, hs_us max_staleness)
{
    return at && (at >= now || now - at <= max_staleness);
}

bool cache_rule_position(const struct cache_view *view, struct cache_token token, hs_us now,
                         hs_us max_staleness)
{
    if (view->epoch == CACHE_EPOCH_NONE)
        return false;
    if (HS_GUARD(proof_of_freshness) && !is_young(view->proof_at, now, max_staleness))
        return false;
    if (HS_GUARD(catalog_poll) && !is_young(view->poll_at, now, max_staleness))
        return false;
    if (view->proof_at < view->required_proof)
        return false;
    if (view->required.epoch != CACHE_EPOCH_NONE && !cache_rule_passed(view, view->required))
        return false;
    return token.epoch == CACHE_EPOCH_NONE || !HS_GUARD(token_check) ||
           cache_rule_passed(view, token);
}

bool cache_rule_entry(const struct cache_view *view, const struct cache_moment *entry)
{
    if (entry->epoch != view->epoch && HS_GUARD(epoch))
        return false;
    if (entry->generation != view->generation)
        return false;
    return entry->fence >= view->begun || !HS_GUARD(l2_floor);
}
