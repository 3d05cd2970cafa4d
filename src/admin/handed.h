/*
 * admin/handed.h - what goes from a server to the one that takes its place, as JSON: what only its
 * memory knew, and then each download and upload that it brought to its end.
 */
#ifndef ADMIN_HANDED_H
#define ADMIN_HANDED_H

#include "admin/admin.h"
#include "store/handover.h"

#define HANDED_LISTENERS_MAX 33
#define HANDED_KEY_SIZE 32
/* Of all that memory knew. */
#define HANDED_STATE_MAX (32u << 20)

/* An address, as configured and as bound. */
struct handed_listener {
    char *address;
    char *bound;
};

/* Owner: the caller, by handed_state_free(). */
struct handed_state {
    struct handed_listener listeners[HANDED_LISTENERS_MAX]; /* in the order of their sockets */
    size_t n_listeners;
    bool has_key;
    unsigned char key[HANDED_KEY_SIZE]; /* of tokens that clients sign in with */
    struct store_state store;
};

void handed_state_write(const struct handed_state *s, struct buf *out);
/* -1: ERR_BAD_REQUEST, it is not what handed_state_write() writes. */
int handed_state_read(struct slice text, struct handed_state *ret, struct err *err) MUST_CHECK;
void handed_state_free(struct handed_state *s);

/* Bodies of POST /-/take-blob and /-/take-upload. */
void handed_blob_write(const struct handed_blob *b, struct buf *out);
void handed_upload_write(const struct handed_upload *u, struct buf *out);

/* The commands that take them: store_take_blob(), store_take_upload(). */
int admin_take_blob(const struct admin *a, const struct admin_query *q, struct buf *out,
                    struct err *err) MUST_CHECK;
int admin_take_upload(const struct admin *a, const struct admin_query *q, struct buf *out,
                      struct err *err) MUST_CHECK;

#endif
