/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node trees: what is read is walked whole, and must keep the promises of pg/node_tree.h.
 */
#include <stdint.h>

#include "pg/node_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct pg_tree *tree, unsigned depth)
{
    struct hs_str text;
    size_t n = 1;

    HS_BUG_ON(depth > PG_TREE_DEPTH_MAX);
    HS_BUG_ON(tree->kind == PG_TREE_NODE && tree->text.n == 0);
    HS_BUG_ON(tree->kind != PG_TREE_NODE && tree->kind != PG_TREE_LIST && tree->child);
    if (pg_tree_const_text(tree, &text))
        HS_BUG_ON(text.n + 4 != pg_tree_field(tree, "constvalue")->text.n);
    for (const struct pg_tree *child = tree->child; child; child = child->next) {
        HS_BUG_ON((tree->kind == PG_TREE_NODE) != (child->label.n > 0));
        n += walk(child, depth + 1);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_arena arena;
    const struct pg_tree *tree;

    hs_arena_init(&arena, 1 << 24);
    tree = pg_tree_read(&arena, hs_strn((const char *)data, size));
    /* Each value takes a byte of the input at least. */
    if (tree)
        HS_BUG_ON(walk(tree, 1) > size);
    hs_arena_fini(&arena);
    return 0;
}
