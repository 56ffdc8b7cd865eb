/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/list.h - intrusive doubly linked list, circular with a head.
 *
 * A node is in at most one list; an unlinked node points at itself, so hs_list_remove() may be called
 * on it again. The list owns nothing.
 */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include "core/check.h"

struct hs_list {
    struct hs_list *next;
    struct hs_list *prev;
};

static inline void hs_list_init(struct hs_list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool hs_list_is_empty(const struct hs_list *head)
{
    return head->next == head;
}

static inline void hs_list_append(struct hs_list *head, struct hs_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void hs_list_prepend(struct hs_list *head, struct hs_list *node)
{
    hs_list_append(head->next, node);
}

static inline void hs_list_remove(struct hs_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    hs_list_init(node);
}

/* The first node, or NULL. */
static inline struct hs_list *hs_list_first(const struct hs_list *head)
{
    return head->next == head ? NULL : head->next;
}

/* Removes and returns the first node, or NULL. */
static inline struct hs_list *hs_list_pop(struct hs_list *head)
{
    struct hs_list *node = hs_list_first(head);

    if (node)
        hs_list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void hs_list_append_all(struct hs_list *to, struct hs_list *from)
{
    if (hs_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    hs_list_init(from);
}

#endif
