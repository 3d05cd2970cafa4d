/* store/record.c - records to bytes and back, field by field. */
#include "store/record.h"

#include "base/sha.h"

#include <assert.h>
#include <stdio.h>

#define VERSION 1

/* Marks a part of a key that is a hash; no name or reference begins with it. */
#define HASHED 0xff

#define FLAG_PINNED 1u
#define FLAG_SYNCED 2u

/* The media types of nearly all members, by number on disk: rows may only be added. 0: as text. */
static const char *const MEDIA_TYPES[] = {
    NULL,
    "",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/octet-stream",
    "application/vnd.in-toto+json",
};

/* --- writing ------------------------------------------------------------------------------- */

/* The sizes are ours: a record that outgrows its buffer is a mistake here. */
static void put_bytes(struct record *r, const void *p, size_t n)
{
    assert(n <= sizeof(r->bytes) - r->len);
    if (n > 0) {
        memcpy(r->bytes + r->len, p, n);
    }
    r->len += n;
}

static void put_u8(struct record *r, uint8_t n)
{
    put_bytes(r, &n, 1);
}

static void put_le(struct record *r, uint64_t n, size_t size)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(n >> (8 * i));
    }
    put_bytes(r, bytes, size);
}

static void put_u64(struct record *r, uint64_t n)
{
    put_le(r, n, 8);
}

/* A text with its length; what does not fit `max` was refused before. */
static void put_text(struct record *r, const char *s, size_t max)
{
    size_t n = strlen(s);

    assert(n <= max && max <= UINT16_MAX);
    put_le(r, n, 2);
    put_bytes(r, s, n);
}

static void put_digest(struct record *r, const struct digest *d)
{
    unsigned char key[DIGEST_KEY_MAX];

    put_bytes(r, key, digest_key(d, key));
}

static void begin(struct record *r)
{
    r->len = 0;
    put_u8(r, VERSION);
}

/* --- reading ------------------------------------------------------------------------------- */

/* Takes fields off the front; once one is not there, `bad` stays and zeros come. */
struct reader {
    struct slice rest;
    bool bad;
};

static const unsigned char *take(struct reader *r, size_t n)
{
    const char *p = r->rest.p;

    if (r->bad || r->rest.len < n) {
        r->bad = true;
        return NULL;
    }
    r->rest = slice_from(r->rest, n);
    return (const unsigned char *)p;
}

static uint64_t take_le(struct reader *r, size_t size)
{
    const unsigned char *p = take(r, size);
    uint64_t n = 0;

    for (size_t i = 0; p != NULL && i < size; i++) {
        n |= (uint64_t)p[i] << (8 * i);
    }
    return n;
}

static uint8_t take_u8(struct reader *r)
{
    return (uint8_t)take_le(r, 1);
}

static uint64_t take_u64(struct reader *r)
{
    return take_le(r, 8);
}

static int64_t take_time(struct reader *r)
{
    return (int64_t)take_u64(r);
}

/* Into `ret`, which takes max + 1 bytes. */
static void take_text(struct reader *r, char *ret, size_t max)
{
    size_t n = (size_t)take_le(r, 2);
    const unsigned char *p = n <= max ? take(r, n) : NULL;

    if (p == NULL || !slice_copy(slice_of((const char *)p, n), ret, max + 1)) {
        r->bad = true;
    }
}

static void take_digest(struct reader *r, struct digest *ret)
{
    static const struct digest sha256 = {.alg = DIGEST_SHA256};
    static const struct digest sha512 = {.alg = DIGEST_SHA512};
    uint8_t alg = r->rest.len > 0 ? (uint8_t)r->rest.p[0] : 0;
    size_t n = 1 + digest_size(alg == DIGEST_SHA512 ? &sha512 : &sha256);
    const unsigned char *p = take(r, n);

    if (p == NULL || !digest_from_key(slice_of((const char *)p, n), ret)) {
        r->bad = true;
    }
}

static struct reader reader_of(struct slice v)
{
    struct reader r = {v, false};

    if (take_u8(&r) != VERSION) {
        r.bad = true;
    }
    return r;
}

/* All of it was read, and all was there. */
static bool ended(const struct reader *r)
{
    return !r->bad && r->rest.len == 0;
}

/* --- keys ---------------------------------------------------------------------------------- */

static void key_bytes(struct record_key *k, const void *p, size_t n)
{
    assert(n <= sizeof(k->bytes) - k->len);
    memcpy(k->bytes + k->len, p, n);
    k->len += n;
}

static void key_u8(struct record_key *k, uint8_t n)
{
    key_bytes(k, &n, 1);
}

static void key_be(struct record_key *k, uint64_t n, size_t size)
{
    for (size_t i = size; i-- > 0;) {
        key_u8(k, (uint8_t)(n >> (8 * i)));
    }
}

static void key_digest(struct record_key *k, const struct digest *d)
{
    unsigned char bytes[DIGEST_KEY_MAX];

    key_bytes(k, bytes, digest_key(d, bytes));
}

static void key_hashed(struct record_key *k, const char *text)
{
    unsigned char hash[SHA_MAX];

    sha_of(SHA_256, text, strlen(text), hash);
    key_u8(k, HASHED);
    key_bytes(k, hash, sha_size(SHA_256));
}

static uint64_t number_be(const char *p, size_t size)
{
    uint64_t n = 0;

    for (size_t i = 0; i < size; i++) {
        n = n << 8 | (unsigned char)p[i];
    }
    return n;
}

void record_key_meta(struct record_key *k, const char *name)
{
    k->len = 0;
    key_bytes(k, name, strlen(name));
}

void record_key_digest(struct record_key *k, const struct digest *d)
{
    k->len = 0;
    key_digest(k, d);
}

bool record_digest_of_key(struct slice key, struct digest *ret)
{
    return digest_from_key(key, ret);
}

bool record_key_repo(struct record_key *k, enum repo_kind kind, const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > REPO_NAME_MAX) {
        return false;
    }
    k->len = 0;
    key_u8(k, (uint8_t)kind);
    if (n < RECORD_KEY_MAX) {
        key_bytes(k, name, n);
    } else {
        key_hashed(k, name);
    }
    return true;
}

void record_key_repo_id(struct record_key *k, uint64_t id)
{
    k->len = 0;
    key_u8(k, 0); /* no kind */
    key_be(k, id, 8);
}

void record_key_members(struct record_key *k, uint64_t repo)
{
    k->len = 0;
    key_be(k, repo, 8);
}

void record_key_member(struct record_key *k, uint64_t repo, const struct digest *d)
{
    record_key_members(k, repo);
    key_digest(k, d);
}

void record_key_holder(struct record_key *k, const struct digest *d, uint64_t repo)
{
    record_key_digest(k, d);
    key_be(k, repo, 8);
}

bool record_digest_of_holder(struct slice key, struct digest *ret)
{
    return key.len >= 8 && digest_from_key(slice_sub(key, 0, key.len - 8), ret);
}

bool record_repo_of_holder(struct slice key, uint64_t *ret_repo)
{
    struct digest d;

    if (!record_digest_of_holder(key, &d)) {
        return false;
    }
    *ret_repo = number_be(key.p + key.len - 8, 8);
    return true;
}

void record_key_tags(struct record_key *k, uint64_t repo, enum tag_kind kind)
{
    k->len = 0;
    key_be(k, repo, 8);
    key_u8(k, (uint8_t)kind);
}

bool record_key_tag(struct record_key *k, uint64_t repo, enum tag_kind kind, const char *reference)
{
    size_t n = strlen(reference);

    if (n > REFERENCE_MAX || (unsigned char)reference[0] == HASHED) {
        return false;
    }
    record_key_tags(k, repo, kind);
    if (n < REFERENCE_HASHED) {
        key_bytes(k, reference, n);
    } else {
        key_hashed(k, reference);
    }
    return true;
}

bool record_reference_of_tag(struct slice key, const struct record_tag *tag,
                             char ret[REFERENCE_MAX + 1])
{
    struct slice reference = slice_from(key, 9);

    if (key.len > 9 && (unsigned char)key.p[9] == HASHED) {
        reference = slice_str(tag->reference);
    }
    return key.len >= 9 && slice_copy(reference, ret, REFERENCE_MAX + 1);
}

void record_key_pair(struct record_key *k, const struct digest *first, const struct digest *second)
{
    record_key_digest(k, first);
    key_digest(k, second);
}

bool record_second_of_pair(struct slice key, struct digest *ret)
{
    struct reader r = {key, false};
    struct digest first;
    struct digest second;

    take_digest(&r, &first);
    take_digest(&r, &second);
    if (!ended(&r)) {
        return false;
    }
    *ret = second;
    return true;
}

void record_key_pull(struct record_key *k, int64_t time, uint32_t sequence)
{
    k->len = 0;
    key_be(k, time < 0 ? 0 : (uint64_t)time, 8);
    key_be(k, sequence, 4);
}

bool record_time_of_pull(struct slice key, int64_t *ret_time)
{
    if (key.len != 12) {
        return false;
    }
    *ret_time = (int64_t)number_be(key.p, 8);
    return true;
}

/* --- values -------------------------------------------------------------------------------- */

void record_put_number(struct record *r, uint64_t n)
{
    begin(r);
    put_u64(r, n);
}

bool record_get_number(struct slice v, uint64_t *ret)
{
    struct reader r = reader_of(v);
    uint64_t n = take_u64(&r);

    if (!ended(&r)) {
        return false;
    }
    *ret = n;
    return true;
}

void record_put_totals(struct record *r, const struct record_totals *t)
{
    begin(r);
    put_u8(r, BLOB_CLASSES);
    for (size_t i = 0; i < BLOB_CLASSES; i++) {
        put_u64(r, t->bytes[i]);
        put_u64(r, t->count[i]);
    }
}

bool record_get_totals(struct slice v, struct record_totals *ret)
{
    struct reader r = reader_of(v);
    struct record_totals t = {0};

    if (take_u8(&r) != BLOB_CLASSES) {
        return false;
    }
    for (size_t i = 0; i < BLOB_CLASSES; i++) {
        t.bytes[i] = take_u64(&r);
        t.count[i] = take_u64(&r);
    }
    if (!ended(&r)) {
        return false;
    }
    *ret = t;
    return true;
}

void record_put_blob(struct record *r, const struct blob_record *b)
{
    begin(r);
    put_u8(r, b->class);
    put_u8(r, (uint8_t)((b->pinned ? FLAG_PINNED : 0) | (b->synced ? FLAG_SYNCED : 0)));
    put_u64(r, b->size);
    put_u64(r, (uint64_t)b->created);
    put_u64(r, (uint64_t)b->used);
    put_le(r, b->hits, 4);
    if (!b->synced) {
        put_u64(r, b->boot);
    }
}

bool record_get_blob(struct slice v, struct blob_record *ret)
{
    struct reader r = reader_of(v);
    struct blob_record b = {.class = take_u8(&r)};
    uint8_t flags = take_u8(&r);

    b.pinned = (flags & FLAG_PINNED) != 0;
    b.synced = (flags & FLAG_SYNCED) != 0;
    b.size = take_u64(&r);
    b.created = take_time(&r);
    b.used = take_time(&r);
    b.hits = (uint32_t)take_le(&r, 4);
    if (!b.synced) {
        b.boot = take_u64(&r);
    }
    if (!ended(&r) || b.class >= BLOB_CLASSES || (flags & ~(FLAG_PINNED | FLAG_SYNCED)) != 0 ||
        b.size > INT64_MAX) {
        return false;
    }
    *ret = b;
    return true;
}

void record_put_repo(struct record *r, uint64_t id, enum repo_kind kind, const char *name)
{
    begin(r);
    put_u64(r, id);
    put_u8(r, (uint8_t)kind);
    put_text(r, name, REPO_NAME_MAX);
}

bool record_get_repo(struct slice v, uint64_t *ret_id, enum repo_kind *ret_kind, char *ret_name)
{
    struct reader r = reader_of(v);
    char name[REPO_NAME_MAX + 1] = "";
    uint64_t id = take_u64(&r);
    uint8_t kind = take_u8(&r);

    take_text(&r, name, REPO_NAME_MAX);
    if (!ended(&r) || (kind != REPO_MIRRORED && kind != REPO_HOSTED) || name[0] == '\0') {
        return false;
    }
    *ret_id = id;
    *ret_kind = kind == REPO_MIRRORED ? REPO_MIRRORED : REPO_HOSTED;
    memcpy(ret_name, name, strlen(name) + 1);
    return true;
}

static uint8_t media_type_number(const char *text)
{
    for (size_t i = 1; i < ARRAY_LEN(MEDIA_TYPES); i++) {
        if (strcmp(MEDIA_TYPES[i], text) == 0) {
            return (uint8_t)i;
        }
    }
    return 0;
}

void record_put_member(struct record *r, const struct member_record *m)
{
    uint8_t type = media_type_number(m->media_type);

    begin(r);
    put_u8(r, m->proof);
    put_u8(r, m->kind);
    put_u64(r, m->size);
    put_u64(r, m->credential);
    put_u64(r, (uint64_t)m->proved);
    put_u8(r, type);
    if (type == 0) {
        put_text(r, m->media_type, sizeof(m->media_type) - 1);
    }
}

bool record_get_member(struct slice v, struct member_record *ret)
{
    struct reader r = reader_of(v);
    struct member_record m = {.proof = take_u8(&r)};
    uint8_t type;

    m.kind = take_u8(&r);
    m.size = take_u64(&r);
    m.credential = take_u64(&r);
    m.proved = take_time(&r);
    type = take_u8(&r);
    if (type == 0) {
        take_text(&r, m.media_type, sizeof(m.media_type) - 1);
    } else if (type < ARRAY_LEN(MEDIA_TYPES)) {
        snprintf(m.media_type, sizeof(m.media_type), "%s", MEDIA_TYPES[type]);
    } else {
        r.bad = true;
    }
    if (!ended(&r) || m.proof < PROOF_UPSTREAM_ANSWER || m.proof > PROOF_PUSHED_BOTH ||
        (m.size > INT64_MAX && m.size != UINT64_MAX)) {
        return false;
    }
    *ret = m;
    return true;
}

static void put_tag_value(struct record *r, const struct tag_record *t)
{
    put_digest(r, &t->digest);
    put_u64(r, (uint64_t)t->fetched);
    put_u64(r, (uint64_t)t->checked);
}

static void take_tag_value(struct reader *r, struct tag_record *ret)
{
    take_digest(r, &ret->digest);
    ret->fetched = take_time(r);
    ret->checked = take_time(r);
}

void record_put_tag(struct record *r, const struct record_tag *t)
{
    begin(r);
    put_tag_value(r, &t->now);
    put_u8(r, (uint8_t)t->n_before);
    for (unsigned i = 0; i < t->n_before; i++) {
        put_tag_value(r, &t->before[i]);
    }
    put_text(r, t->reference, REFERENCE_MAX);
}

bool record_get_tag(struct slice v, struct record_tag *ret)
{
    struct reader r = reader_of(v);
    struct record_tag t = {0};

    take_tag_value(&r, &t.now);
    t.n_before = take_u8(&r);
    if (t.n_before > TAG_HISTORY) {
        return false;
    }
    for (unsigned i = 0; i < t.n_before; i++) {
        take_tag_value(&r, &t.before[i]);
    }
    take_text(&r, t.reference, REFERENCE_MAX);
    if (!ended(&r)) {
        return false;
    }
    *ret = t;
    return true;
}

bool record_get_tag_now(struct slice v, struct tag_record *ret)
{
    struct reader r = reader_of(v);
    struct tag_record t;

    take_tag_value(&r, &t);
    if (r.bad) {
        return false;
    }
    *ret = t;
    return true;
}

void record_tag_change(struct record_tag *t, const struct tag_record *value)
{
    if (t->now.digest.alg != 0 && digest_equal(&t->now.digest, &value->digest)) {
        t->now.checked = value->checked;
        return;
    }
    if (t->now.digest.alg != 0) {
        unsigned kept = t->n_before < TAG_HISTORY ? t->n_before : TAG_HISTORY - 1;

        memmove(&t->before[1], &t->before[0], kept * sizeof(t->before[0]));
        t->before[0] = t->now;
        t->n_before = kept + 1;
    }
    t->now = *value;
}

void record_put_ref(struct record *r, uint8_t kind, uint64_t size)
{
    begin(r);
    put_u8(r, kind);
    put_u64(r, size);
}

bool record_get_ref(struct slice v, uint8_t *ret_kind, uint64_t *ret_size)
{
    struct reader r = reader_of(v);
    uint8_t kind = take_u8(&r);
    uint64_t size = take_u64(&r);

    if (!ended(&r)) {
        return false;
    }
    *ret_kind = kind;
    *ret_size = size;
    return true;
}

static void put_partial(struct record *r, const struct partial_record *p)
{
    assert(p->state_len <= sizeof(p->state));
    put_u64(r, p->size);
    put_u64(r, p->stored);
    put_u64(r, (uint64_t)p->touched);
    put_le(r, p->state_len, 2);
    put_bytes(r, p->state, p->state_len);
}

static void take_partial(struct reader *r, struct partial_record *ret)
{
    const unsigned char *state;

    ret->size = take_u64(r);
    ret->stored = take_u64(r);
    ret->touched = take_time(r);
    ret->state_len = (size_t)take_le(r, 2);
    state = ret->state_len <= sizeof(ret->state) ? take(r, ret->state_len) : NULL;
    if (state == NULL || ret->stored > INT64_MAX || ret->stored > ret->size) {
        r->bad = true;
        return;
    }
    memcpy(ret->state, state, ret->state_len);
}

void record_put_partial(struct record *r, const struct partial_record *p)
{
    begin(r);
    put_partial(r, p);
}

bool record_get_partial(struct slice v, struct partial_record *ret)
{
    struct reader r = reader_of(v);
    struct partial_record p = {0};

    take_partial(&r, &p);
    if (!ended(&r)) {
        return false;
    }
    *ret = p;
    return true;
}

void record_put_upload(struct record *r, const struct record_upload *u)
{
    begin(r);
    put_partial(r, &u->part);
    put_text(r, u->repo, sizeof(u->repo) - 1);
    put_text(r, u->owner, sizeof(u->owner) - 1);
}

bool record_get_upload(struct slice v, struct record_upload *ret)
{
    struct reader r = reader_of(v);
    struct record_upload u = {0};

    take_partial(&r, &u.part);
    take_text(&r, u.repo, sizeof(u.repo) - 1);
    take_text(&r, u.owner, sizeof(u.owner) - 1);
    if (!ended(&r) || u.repo[0] == '\0') {
        return false;
    }
    *ret = u;
    return true;
}

void record_put_pull(struct record *r, const struct record_pull *p)
{
    begin(r);
    put_u64(r, p->repo);
    put_u8(r, p->has_digest);
    if (p->has_digest) {
        put_digest(r, &p->digest);
    }
    put_text(r, p->reference, sizeof(p->reference) - 1);
    put_text(r, p->platform, sizeof(p->platform) - 1);
    put_text(r, p->client, sizeof(p->client) - 1);
}

bool record_get_pull(struct slice v, struct record_pull *ret)
{
    struct reader r = reader_of(v);
    struct record_pull p = {.repo = take_u64(&r)};
    uint8_t has_digest = take_u8(&r);

    p.has_digest = has_digest == 1;
    if (p.has_digest) {
        take_digest(&r, &p.digest);
    }
    take_text(&r, p.reference, sizeof(p.reference) - 1);
    take_text(&r, p.platform, sizeof(p.platform) - 1);
    take_text(&r, p.client, sizeof(p.client) - 1);
    if (!ended(&r) || has_digest > 1) {
        return false;
    }
    *ret = p;
    return true;
}
