/* test_store_record.c - records to bytes and back, and bytes that are no records. */
#include "tap.h"

#include "store/record.h"

#include <stdlib.h>

static struct digest digest_of_byte(enum digest_alg alg, unsigned char byte)
{
    unsigned char raw[64];

    memset(raw, byte, sizeof(raw));
    return digest_of_raw(alg, raw);
}

static struct slice key_view(const struct record_key *k)
{
    return record_key_view(k);
}

/* --- keys ---------------------------------------------------------------------------------- */

static void test_digest_keys(void)
{
    struct digest a = digest_of_byte(DIGEST_SHA256, 0xab);
    struct digest b = digest_of_byte(DIGEST_SHA512, 0xcd);
    struct record_key key;
    struct digest got;
    uint64_t repo = 0;

    record_key_digest(&key, &a);
    CHECK_INT(key.len, 33);
    CHECK(record_digest_of_key(key_view(&key), &got) && digest_equal(&a, &got));
    key.len--;
    CHECK(!record_digest_of_key(key_view(&key), &got));
    record_key_holder(&key, &b, 0x0102030405060708);
    CHECK(record_repo_of_holder(key_view(&key), &repo));
    CHECK(repo == 0x0102030405060708);
    CHECK(!record_repo_of_holder(slice_str("short"), &repo));
    record_key_pair(&key, &a, &b);
    CHECK_INT(key.len, 33 + 65);
    CHECK(record_second_of_pair(key_view(&key), &got) && digest_equal(&b, &got));
    record_key_pair(&key, &b, &a);
    CHECK(record_second_of_pair(key_view(&key), &got) && digest_equal(&a, &got));
    key.len--;
    CHECK(!record_second_of_pair(key_view(&key), &got));
    CHECK(!record_second_of_pair(slice_of("", 0), &got));
}

static void test_repo_keys(void)
{
    char name[REPO_NAME_MAX + 2];
    struct record_key mirrored;
    struct record_key hosted;
    struct record_key id;

    CHECK(record_key_repo(&mirrored, REPO_MIRRORED, "docker.io/library/alpine"));
    CHECK(record_key_repo(&hosted, REPO_HOSTED, "docker.io/library/alpine"));
    CHECK(!slice_eq(key_view(&mirrored), key_view(&hosted)));
    record_key_repo_id(&id, 7);
    CHECK(!slice_eq(key_view(&mirrored), key_view(&id)));
    CHECK(!record_key_repo(&id, REPO_HOSTED, ""));
    memset(name, 'n', sizeof(name));
    for (size_t n = 500; n <= REPO_NAME_MAX; n++) {
        name[n] = '\0';
        CHECK_NOTE(record_key_repo(&id, REPO_HOSTED, name) && id.len <= RECORD_KEY_MAX,
                   "a name of up to 511 bytes has a key of up to 511");
        name[n] = 'n';
    }
    name[REPO_NAME_MAX + 1] = '\0';
    CHECK(!record_key_repo(&id, REPO_HOSTED, name));
}

static void test_tag_keys(void)
{
    static const size_t lengths[] = {
        0, 1, 128, REFERENCE_HASHED - 1, REFERENCE_HASHED, REFERENCE_MAX};
    char reference[REFERENCE_MAX + 2];
    char got[REFERENCE_MAX + 1];
    struct record_tag tag = {.now.digest = digest_of_byte(DIGEST_SHA256, 1)};
    struct record_key key;
    struct record_key prefix;

    record_key_tags(&prefix, 3, TAG_TAG);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        memset(reference, 'r', sizeof(reference));
        reference[lengths[i]] = '\0';
        memcpy(tag.reference, reference, sizeof(tag.reference));
        CHECK(record_key_tag(&key, 3, TAG_TAG, reference));
        CHECK(key.len <= RECORD_KEY_MAX && memcmp(key.bytes, prefix.bytes, prefix.len) == 0);
        CHECK(record_reference_of_tag(key_view(&key), &tag, got));
        CHECK_STR(got, reference);
    }
    memset(reference, 'r', sizeof(reference));
    reference[REFERENCE_MAX + 1] = '\0';
    CHECK(!record_key_tag(&key, 3, TAG_TAG, reference));
    CHECK(!record_key_tag(&key, 3, TAG_TAG, "\xff"));
    CHECK(!record_reference_of_tag(slice_str("12345678"), &tag, got));
}

static void test_pull_keys(void)
{
    struct record_key early;
    struct record_key late;
    int64_t time = 0;

    record_key_pull(&early, 255, UINT32_MAX);
    record_key_pull(&late, 256, 0);
    CHECK(memcmp(early.bytes, late.bytes, early.len) < 0);
    CHECK(record_time_of_pull(key_view(&late), &time));
    CHECK_INT(time, 256);
    CHECK(!record_time_of_pull(slice_str("123"), &time));
}

/* --- values: each reader gets all that a writer made, and every byte less or more --------- */

static bool read_number(struct slice v)
{
    uint64_t n;

    return record_get_number(v, &n);
}

static bool read_totals(struct slice v)
{
    struct record_totals t;

    return record_get_totals(v, &t);
}

static bool read_blob(struct slice v)
{
    struct blob_record b;

    return record_get_blob(v, &b);
}

static bool read_repo(struct slice v)
{
    char name[REPO_NAME_MAX + 1];
    enum repo_kind kind;
    uint64_t id;

    return record_get_repo(v, &id, &kind, name);
}

static bool read_member(struct slice v)
{
    struct member_record m;

    return record_get_member(v, &m);
}

static bool read_tag(struct slice v)
{
    struct record_tag t;

    return record_get_tag(v, &t);
}

static bool read_ref(struct slice v)
{
    uint8_t kind;
    uint64_t size;

    return record_get_ref(v, &kind, &size);
}

static bool read_partial(struct slice v)
{
    struct partial_record p;

    return record_get_partial(v, &p);
}

static bool read_pull(struct slice v)
{
    struct record_pull p;

    return record_get_pull(v, &p);
}

/* Every shorter record and one that is longer are refused, and so is another version. */
static void check_lengths(const struct record *r, bool (*read)(struct slice), const char *what)
{
    struct record longer = *r;
    struct record other = *r;
    unsigned taken = 0;

    CHECK_NOTE(read(record_view(r)), what);
    for (size_t n = 0; n < r->len; n++) {
        /* An exact copy, so that a sanitizer sees a read of one byte too many. */
        char *copy = malloc(n + 1);

        memcpy(copy, r->bytes, n);
        taken += read(slice_of(copy, n));
        free(copy);
    }
    CHECK_INT(taken, 0);
    longer.len++;
    CHECK(!read(record_view(&longer)));
    other.bytes[0]++;
    CHECK(!read(record_view(&other)));
}

static void test_numbers(void)
{
    struct record_totals totals = {{1, 2, 3, UINT64_MAX}, {5, 6, 7, 8}};
    struct record_totals got_totals;
    struct record r;
    uint64_t n = 0;

    record_put_number(&r, 0x0123456789abcdef);
    CHECK(r.bytes[1] == 0xef); /* little-endian, whatever the machine */
    CHECK(record_get_number(record_view(&r), &n) && n == 0x0123456789abcdef);
    check_lengths(&r, read_number, "a number");
    record_put_totals(&r, &totals);
    CHECK(record_get_totals(record_view(&r), &got_totals) &&
          memcmp(&totals, &got_totals, sizeof(totals)) == 0);
    check_lengths(&r, read_totals, "sums");
}

static void test_blob(void)
{
    struct blob_record b = {
        .size = 123456789012,
        .created = 1700000000,
        .used = -1,
        .hits = UINT32_MAX,
        .class = BLOB_CONFIG,
        .pinned = true,
        .boot = 0xfeedfacecafebeef,
    };
    struct blob_record got = {0};
    struct record r;

    record_put_blob(&r, &b);
    CHECK(record_get_blob(record_view(&r), &got));
    CHECK(got.size == b.size && got.created == b.created && got.used == b.used &&
          got.hits == b.hits && got.class == b.class && got.pinned && !got.synced &&
          got.boot == b.boot);
    check_lengths(&r, read_blob, "a blob that is not synced");
    b.synced = true;
    record_put_blob(&r, &b);
    check_lengths(&r, read_blob, "a blob that is synced");
    r.bytes[1] = BLOB_CLASSES;
    CHECK_NOTE(!read_blob(record_view(&r)), "a class that there is not");
    record_put_blob(&r, &b);
    r.bytes[2] |= 0x80;
    CHECK_NOTE(!read_blob(record_view(&r)), "a flag that there is not");
    b.size = UINT64_MAX;
    record_put_blob(&r, &b);
    CHECK_NOTE(!read_blob(record_view(&r)), "a size that no file has");
}

static void test_repo(void)
{
    char name[REPO_NAME_MAX + 1] = "";
    enum repo_kind kind = REPO_MIRRORED;
    struct record r;
    uint64_t id = 0;

    record_put_repo(&r, 42, REPO_HOSTED, "stage/app");
    CHECK(record_get_repo(record_view(&r), &id, &kind, name));
    CHECK(id == 42 && kind == REPO_HOSTED);
    CHECK_STR(name, "stage/app");
    check_lengths(&r, read_repo, "a repository");
    r.bytes[9] = 9;
    CHECK_NOTE(!read_repo(record_view(&r)), "a kind that there is not");
    record_put_repo(&r, 42, REPO_HOSTED, "a\001b");
    r.bytes[r.len - 2] = '\0';
    CHECK_NOTE(!read_repo(record_view(&r)), "a NUL within a name");
}

static void test_member(void)
{
    static const char *const types[] = {"", "application/vnd.oci.image.layer.v1.tar+gzip",
                                        "application/vnd.example.own+thing"};
    struct member_record m = {
        .size = UINT64_MAX,
        .proof = PROOF_MANIFEST,
        .kind = 2,
        .credential = 99,
        .proved = 1700000001,
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct member_record got = {0};
        struct record r;

        snprintf(m.media_type, sizeof(m.media_type), "%s", types[i]);
        record_put_member(&r, &m);
        CHECK(record_get_member(record_view(&r), &got));
        CHECK(got.size == m.size && got.proof == m.proof && got.kind == m.kind &&
              got.credential == m.credential && got.proved == m.proved);
        CHECK_STR(got.media_type, types[i]);
        check_lengths(&r, read_member, "a member");
        r.bytes[1] = 0;
        CHECK_NOTE(!read_member(record_view(&r)), "a proof that there is not");
    }
}

static struct tag_record nth_value(unsigned n)
{
    return (struct tag_record){
        .digest = digest_of_byte(n % 2 == 0 ? DIGEST_SHA256 : DIGEST_SHA512, (unsigned char)n),
        .fetched = 1000 + n,
        .checked = 1000 + n,
    };
}

static void test_tag_history(void)
{
    struct record_tag tag = {0};
    struct tag_record value;
    struct tag_record now = {0};
    struct record_tag got;
    struct record r;

    for (unsigned i = 0; i < 40; i++) {
        value = nth_value(i);
        record_tag_change(&tag, &value);
        value.checked += 500; /* seen again: no new value */
        value.fetched += 500;
        record_tag_change(&tag, &value);
    }
    CHECK_INT(tag.n_before, TAG_HISTORY);
    CHECK_INT(tag.now.fetched, 1039);
    CHECK_INT(tag.now.checked, 1539);
    for (unsigned i = 0; i < TAG_HISTORY; i++) {
        value = nth_value(38 - i);
        CHECK_NOTE(digest_equal(&tag.before[i].digest, &value.digest) &&
                       tag.before[i].fetched == value.fetched,
                   "values before stand newest first");
    }
    record_put_tag(&r, &tag);
    CHECK(record_get_tag(record_view(&r), &got));
    CHECK(got.n_before == TAG_HISTORY && got.now.fetched == 1039);
    for (unsigned i = 0; i < TAG_HISTORY; i++) {
        CHECK(digest_equal(&got.before[i].digest, &tag.before[i].digest) &&
              got.before[i].fetched == tag.before[i].fetched &&
              got.before[i].checked == tag.before[i].checked);
    }
    CHECK(record_get_tag_now(record_view(&r), &now) && now.checked == 1539);
    check_lengths(&r, read_tag, "a tag with all its history");
}

static void test_others(void)
{
    struct partial_record p = {.size = 100, .stored = 60, .touched = 7, .state_len = 240};
    struct partial_record got = {0};
    struct record_pull pull = {.repo = 3, .has_digest = true};
    struct record_pull got_pull = {0};
    uint64_t size = 0;
    uint8_t kind = 0;
    struct record r;

    memset(p.state, 0x5a, sizeof(p.state));
    record_put_partial(&r, &p);
    CHECK(record_get_partial(record_view(&r), &got));
    CHECK(got.size == 100 && got.stored == 60 && got.state_len == 240 &&
          memcmp(got.state, p.state, 240) == 0);
    check_lengths(&r, read_partial, "a partial file");
    p.stored = 101;
    record_put_partial(&r, &p);
    CHECK_NOTE(!read_partial(record_view(&r)), "more is stored than there is");

    record_put_ref(&r, 2, 77);
    CHECK(record_get_ref(record_view(&r), &kind, &size) && kind == 2 && size == 77);
    check_lengths(&r, read_ref, "a reference");

    pull.digest = digest_of_byte(DIGEST_SHA512, 9);
    snprintf(pull.reference, sizeof(pull.reference), "latest");
    snprintf(pull.client, sizeof(pull.client), "127.0.0.1");
    record_put_pull(&r, &pull);
    CHECK(record_get_pull(record_view(&r), &got_pull));
    CHECK(got_pull.repo == 3 && digest_equal(&got_pull.digest, &pull.digest));
    CHECK_STR(got_pull.client, "127.0.0.1");
    check_lengths(&r, read_pull, "a pull");
}

int main(void)
{
    test_digest_keys();
    test_repo_keys();
    test_tag_keys();
    test_pull_keys();
    test_numbers();
    test_blob();
    test_repo();
    test_member();
    test_tag_history();
    test_others();
    return tap_done();
}
