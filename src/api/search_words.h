/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/search_words.h - what a user typed into a search box, as texts for PostgreSQL's full text.
 *
 *     anna schm* -closed or "opening hours"
 *
 * words, "a phrase", or, -without, prefix*. Nothing that a user types is a syntax error.
 */
#ifndef API_SEARCH_WORDS_H
#define API_SEARCH_WORDS_H

#include "api/tree.h"

enum { SEARCH_TERMS_MAX = 32 }; /* of a text that is taken apart here */

/*
 * Fills to->parts.
 *   is_several  the words are read in several configurations: what must not be there is kept apart
 *   errors      HS_E_BAD_PARAMETER (more than SEARCH_TERMS_MAX), HS_E_MEMORY
 */
hs_status search_words_read(struct hs_str text, bool is_several, struct hs_arena *arena,
                            struct tree_search *to, struct hs_err *reterr) hs_must_check;

#endif
