/* store/inherit.c - what the process before did not finish, finished here. */
#include "base/clock.h"
#include "base/counter.h"
#include "store/lease.h"
#include "store/uploads.h"
#include "store/writer.h"

#include <inttypes.h>

void store_inherit(struct store *s, const struct store_state *state)
{
    for (size_t i = 0; i < state->n_uploads; i++) {
        uploads_inherit(s, &state->uploads[i]);
    }
    for (size_t i = 0; i < state->n_leases; i++) {
        ignore_result(!lease_take(s->leases, &state->leases[i]));
    }
}

void store_inherit_end(struct store *s)
{
    uploads_inherit_end(s);
    db_forget_dead(s->db);
    atomic_store(&s->before, false);
}

/* --- blobs --------------------------------------------------------------------------------- */

struct taking {
    struct index_write write;
    const struct handed_blob *blob;
    void (*member)(struct index_txn *t, const struct handed_blob *b);
};

static void taking_apply(struct index_write *w, struct index_txn *t)
{
    const struct taking *taking = container_of(w, struct taking, write);
    const struct handed_blob *b = taking->blob;
    int64_t now = clock_wall_s();
    struct blob_record blob = {
        .size = b->size,
        .created = now,
        .used = now,
        .class = (uint8_t)b->class,
        .synced = true,
    };

    taking->member(t, b);
    index_put_blob(t, &b->digest, &blob);
    index_del_partial(t, &b->digest);
}

/* Its own name in ingest/, and nothing beyond. */
static bool is_file_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strlen(name) < INGEST_NAME_MAX;
}

int store_take_blob(struct store *s, const struct handed_blob *b,
                    void (*member)(struct index_txn *t, const struct handed_blob *b),
                    struct err *err)
{
    struct taking taking = {.write = {.apply = taking_apply}, .blob = b, .member = member};
    struct ingest in;
    int rc;

    if (!is_file_name(b->file)) {
        return err_set(err, ERR_BAD_REQUEST, "file: this is no name in ingest/");
    }
    if (ingest_open_whole(&in, s, b->file, &b->digest, b->size, err) < 0) {
        return -1;
    }
    if (ingest_commit(&in, b->size, true, err) < 0) {
        ingest_drop(&in);
        return -1;
    }
    rc = writer_wait(s, &taking.write, err);
    ingest_recorded(&in);
    ingest_close(&in);
    if (rc == 0) {
        count(blobs_stored);
        count_add(bytes_stored, (int64_t)b->size);
    }
    return rc;
}

/* --- upload sessions ----------------------------------------------------------------------- */

/* Goes on from where the other process says; false: it cannot be so. */
static bool take_state(struct upload *u, const struct handed_upload *from)
{
    struct sha sha;

    if (!sha_restore(&sha, from->state, from->state_len) || sha.hashed != from->offset) {
        return false;
    }
    u->sha = sha;
    atomic_store(&u->offset, from->offset);
    return true;
}

static int refuse_state(const struct handed_upload *from, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "upload %s: state is not that of %" PRIu64 " bytes",
                   from->id, from->offset);
}

struct recording {
    struct index_write write;
    struct upload *upload;
};

static void recording_apply(struct index_write *w, struct index_txn *t)
{
    upload_record(container_of(w, struct recording, write)->upload, t);
}

static int take_whole(struct upload *u, const struct handed_upload *from, struct err *err)
{
    struct recording recording = {.write = {.apply = recording_apply}, .upload = u};
    int rc;

    u->digest = from->digest;
    rc = upload_open_file(u, err);
    u->ingest.digest = from->digest;
    if (rc < 0 || ingest_commit(&u->ingest, from->offset, true, err) < 0) {
        upload_drop(u);
        return -1;
    }
    rc = writer_wait(u->store, &recording.write, err);
    upload_finish(u);
    return rc;
}

int store_take_upload(struct store *s, const struct handed_upload *from, struct err *err)
{
    struct upload *u = uploads_take_inherited(s, from->id);
    struct upload_mark mark;

    if (u == NULL) {
        return err_set(err, ERR_UPLOAD_UNKNOWN, "there is no upload %.40s to go on with", from->id);
    }
    if (from->end == HANDED_DROPPED) {
        upload_drop(u);
        return 0;
    }
    if (!take_state(u, from)) {
        upload_drop(u);
        return refuse_state(from, err);
    }
    if (from->end == HANDED_WHOLE) {
        return take_whole(u, from, err);
    }
    mark = (struct upload_mark){.offset = from->offset, .sha = u->sha};
    u->synced = from->offset; /* it was, before it was told */
    upload_note(u, &mark);
    upload_leave(u);
    return 0;
}
