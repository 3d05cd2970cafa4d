/*
 * bundle/json_list.h - the entries of one long JSON list, as its bytes come.
 *
 * The list is the whole text, or a member of the object that the text is. Its entries are objects;
 * each is collected and given on its own, so that what is held does not grow with their number.
 * What stands around the list is kept, to be looked at in the end. Pure; one owner, any thread.
 */
#ifndef BUNDLE_JSON_LIST_H
#define BUNDLE_JSON_LIST_H

#include "base/err.h"
#include "base/str.h"

/* Largest entry, and most bytes around the list. */
#define JSON_LIST_ENTRY_MAX (1u << 20)
#define JSON_LIST_AROUND_MAX (64u * 1024)
/* Deepest nesting, and most values of one entry or around the list. */
#define JSON_LIST_DEPTH_MAX 32
#define JSON_LIST_VALUES_MAX 20000

enum json_list_event {
    JSON_LIST_MORE,  /* all that was given is used up */
    JSON_LIST_ENTRY, /* `entry` holds an object, until the next call */
    JSON_LIST_BAD,   /* `e` says why; said from now on */
};

enum json_list_state {
    JSON_LIST_AROUND,
    JSON_LIST_AT_FIRST, /* behind '[' */
    JSON_LIST_AT_VALUE, /* behind ',' */
    JSON_LIST_AT_COMMA, /* behind an entry */
    JSON_LIST_IN_ENTRY,
    JSON_LIST_IS_BAD,
};

/* Owner: the caller, by json_list_init() and json_list_fini(). Only `entry` is for reading. */
struct json_list {
    struct slice entry;

    const char *what; /* for errors; borrowed */
    const char *member;
    enum json_list_state state;
    bool seen;      /* the list began */
    bool in_string; /* of the entry, or around it */
    bool escaped;
    bool begins;     /* around: the value at hand is the list, should it be one */
    unsigned depth;  /* of the entry, or around the list */
    size_t key_from; /* the last string around the list */
    size_t key_to;
    uint64_t at; /* bytes taken so far */
    bool given;  /* the entry at hand was */
    struct buf text;
    struct buf around;
    struct err err;
};

/* `what` is the file's name, for errors; `member` names the list, NULL: it is the whole text. */
void json_list_init(struct json_list *l, const char *what, const char *member);
void json_list_fini(struct json_list *l);

/* Takes bytes off the front of *in; called until JSON_LIST_MORE. An entry is legal JSON. What
 * stands around the list is looked at by json_list_finish() alone, so no entry means anything
 * before that. Errors are ERR_BAD_REQUEST. */
enum json_list_event json_list_feed(struct json_list *l, struct slice *in, struct err *e);

/* No more bytes will come. 0 with what stood around the list (which is left as "[]" there; borrows
 * until json_list_fini()), or -1 where that is not one JSON value. The member may be missing, or
 * no list: the caller looks. */
int json_list_finish(struct json_list *l, struct slice *ret_around, struct err *e);

#endif
