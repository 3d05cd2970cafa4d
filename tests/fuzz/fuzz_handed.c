/* fuzz_handed.c - any JSON in a hand-over: all that was known, a blob, or an upload, as the first
 * byte says. What is taken is written, and read again as the same. */
#include "admin/handed.c"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_upload(const struct handed_upload *u)
{
    assert(strlen(u->id) == UPLOAD_ID_SIZE - 1 && strchr(u->id, '/') == NULL);
    assert(strlen(u->repo) <= REPO_NAME_MAX && strlen(u->owner) <= UPLOAD_OWNER_MAX);
    assert(u->end <= HANDED_DROPPED && u->offset <= INT64_MAX && u->state_len <= SHA_STATE_MAX);
}

static void one_state(struct slice text)
{
    struct handed_state again;
    struct handed_state s;
    struct err err = {0};
    struct buf out;

    if (handed_state_read(text, &s, &err) < 0) {
        assert(err.code == ERR_BAD_REQUEST && s.n_listeners == 0 && s.store.uploads == NULL);
        return;
    }
    for (size_t i = 0; i < s.store.n_uploads; i++) {
        check_upload(&s.store.uploads[i]);
    }
    buf_init(&out, HANDED_STATE_MAX);
    handed_state_write(&s, &out);
    assert(handed_state_read(buf_view(&out), &again, &err) == 0);
    assert(again.n_listeners == s.n_listeners && again.store.n_uploads == s.store.n_uploads &&
           again.store.n_leases == s.store.n_leases);
    for (size_t i = 0; i < s.n_listeners; i++) {
        assert(strcmp(again.listeners[i].bound, s.listeners[i].bound) == 0);
    }
    handed_state_free(&again);
    handed_state_free(&s);
    buf_free(&out);
}

static void one_blob(json_t *j)
{
    struct handed_blob b;
    struct err err = {0};

    if (read_blob(j, &b, &err) == 0) {
        assert(b.file != NULL && strlen(b.repo) < ROUTE_REPO_MAX && b.class <= BLOB_OTHER);
    } else {
        assert(err.code == ERR_BAD_REQUEST);
    }
}

static void one_upload(json_t *j)
{
    char owner[UPLOAD_OWNER_MAX + 1];
    struct handed_upload u;
    struct err err = {0};

    if (read_upload(j, &u, owner, &err) == 0) {
        check_upload(&u);
    } else {
        assert(err.code == ERR_BAD_REQUEST);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct err err;
    json_t *j;

    if (size == 0) {
        return 0;
    }
    if (data[0] == 's') {
        one_state(slice_from(text, 1));
        return 0;
    }
    if (read_object(slice_from(text, 1), &j, &err) < 0) {
        return 0;
    }
    if (data[0] == 'b') {
        one_blob(j);
    } else {
        one_upload(j);
    }
    json_decref(j);
    return 0;
}
