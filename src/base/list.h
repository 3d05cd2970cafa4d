/*
 * base/list.h - a ring of nodes inside other structs.
 *
 * A node that is on no list points at itself, so that list_remove() may be called twice.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/mem.h"

#include <stdbool.h>

struct list {
    struct list *prev;
    struct list *next;
};

#define LIST_HEAD(name) struct list name = {&(name), &(name)}

static inline void list_init(struct list *l)
{
    l->prev = l;
    l->next = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Puts `node`, which is on no list, at the end of `head`. */
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_prepend(struct list *head, struct list *node)
{
    list_append(head->next, node);
}

/* Takes `node` off whatever list it is on; harmless where it is on none. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken off the list; NULL where it is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;

    if (first == head) {
        return NULL;
    }
    list_remove(first);
    return first;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* As list_each, but the body may remove `it`. */
#define list_each_safe(it, head)                                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
