/* test_base.c - hashes that go on, maps, errors, files and lists. */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/sha.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

/* --- hashes -------------------------------------------------------------------------------- */

#define TEXT 400

/* Saved after `at` bytes, restored in another struct, and gone on with: the same digest. */
static bool goes_on(enum sha_alg alg, const unsigned char *text, size_t at)
{
    unsigned char state[SHA_STATE_MAX];
    unsigned char whole[SHA_MAX];
    unsigned char parts[SHA_MAX];
    struct sha first;
    struct sha second;
    size_t n;

    sha_of(alg, text, TEXT, whole);
    sha_init(&first, alg);
    sha_update(&first, text, at);
    n = sha_save(&first, state);
    if (n > SHA_STATE_MAX || !sha_restore(&second, state, n) || second.hashed != at) {
        return false;
    }
    sha_update(&second, text + at, TEXT - at);
    sha_final(&second, parts);
    return memcmp(whole, parts, sha_size(alg)) == 0;
}

/* Each byte of a saved state that OpenSSL would take as an index or a length, spoilt. */
static unsigned spoilt_states_taken(enum sha_alg alg)
{
    unsigned char state[SHA_STATE_MAX];
    struct sha h;
    struct sha out = {.hashed = 77};
    unsigned taken = 0;
    size_t n;

    sha_init(&h, alg);
    sha_update(&h, "abc", 3);
    n = sha_save(&h, state);
    for (size_t cut = 0; cut < n; cut++) {
        taken += sha_restore(&out, state, cut);
    }
    taken += sha_restore(&out, state, n + 1);
    for (size_t i = 0; i < 10; i++) { /* version, algorithm, count */
        state[i] ^= 0x40;
        taken += sha_restore(&out, state, n);
        state[i] ^= 0x40;
    }
    for (size_t i = n - 8; i < n; i++) { /* both structs end in num and md_len */
        state[i] ^= 0x40;
        taken += sha_restore(&out, state, n);
        state[i] ^= 0x40;
    }
    CHECK(out.hashed == 77);
    CHECK(sha_restore(&out, state, n) && out.hashed == 3);
    return taken;
}

static void test_sha(void)
{
    static const enum sha_alg ALGS[] = {SHA_256, SHA_512};
    unsigned char text[TEXT];
    unsigned char out[SHA_MAX];
    char hex[2 * SHA_MAX + 1];

    for (size_t i = 0; i < TEXT; i++) {
        text[i] = (unsigned char)(i * 7);
    }
    for (size_t a = 0; a < 2; a++) {
        unsigned wrong = 0;

        for (size_t at = 0; at <= TEXT; at++) {
            wrong += !goes_on(ALGS[a], text, at);
        }
        CHECK_INT(wrong, 0);
        CHECK_INT(spoilt_states_taken(ALGS[a]), 0);
    }
    sha_of(SHA_256, "", 0, out);
    hex_encode(out, 32, hex);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha_of(SHA_256, "{}", 2, out);
    hex_encode(out, 32, hex);
    CHECK_STR(hex, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

/* --- maps ---------------------------------------------------------------------------------- */

struct entry {
    struct map_node node;
    unsigned key;
};

static bool same_key(const struct map_node *node, const void *key)
{
    return container_of_const(node, struct entry, node)->key == *(const unsigned *)key;
}

static void add_key(struct map_node *node, void *arg)
{
    *(uint64_t *)arg += container_of(node, struct entry, node)->key;
}

static void test_map(void)
{
    enum { N = 1000 };
    static struct entry entries[N];
    struct map m;
    uint64_t sum = 0;
    unsigned missing = 0;
    unsigned left = 0;
    unsigned absent = N;

    map_init(&m);
    for (unsigned i = 0; i < N; i++) {
        entries[i].key = i;
        map_insert(&m, i % 10, &entries[i].node); /* a hundred with each hash */
    }
    CHECK_INT(m.count, N);
    for (unsigned i = 0; i < N; i++) {
        missing += map_find(&m, i % 10, same_key, &i) != &entries[i].node;
    }
    CHECK_INT(missing, 0);
    CHECK(map_find(&m, 3, same_key, &absent) == NULL);
    CHECK(map_find(&m, 11, same_key, &entries[1].key) == NULL);
    for (unsigned i = 0; i < N; i += 2) {
        map_remove(&m, &entries[i].node);
    }
    for (unsigned i = 0; i < N; i++) {
        left += map_find(&m, i % 10, same_key, &i) != NULL;
    }
    CHECK_INT(left, N / 2);
    map_each(&m, add_key, &sum);
    CHECK_INT(sum, N / 2 * (N / 2));
    map_fini(&m);
    CHECK(map_hash("abcdefgh1", 9) == map_hash("abcdefgh1", 9));
    CHECK(map_hash("abcdefgh1", 9) != map_hash("abcdefgh2", 9));
    CHECK(map_hash("", 0) != map_hash("\0", 1));
}

/* --- errors -------------------------------------------------------------------------------- */

static void test_err(void)
{
    struct err e = {.retry_after = 9};
    char text[400];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    CHECK_INT(err_set(&e, ERR_TOO_MANY, "%s", text), -1);
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
    CHECK_INT(e.retry_after, 0);
    CHECK_INT(err_wrap(&e, "%s", "the upstream"), -1);
    CHECK(strncmp(e.text, "the upstream: xxx", 17) == 0);
    CHECK_INT(err_wrap(&e, "%s", text), -1);
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
    CHECK_INT(e.code, ERR_TOO_MANY);
    CHECK_INT(err_status(ERR_UPSTREAM_REFUSED), 404);
    CHECK_INT(err_status(ERR_TIMEOUT), 504);
    CHECK_STR(err_oci_code(ERR_TOO_MANY), "TOOMANYREQUESTS");
    CHECK_INT(err_retry(ERR_UPSTREAM_DOWN), RETRY_NEXT);
    CHECK_STR(err_name(ERR_BLOB_UNKNOWN), "ERR_BLOB_UNKNOWN");
}

/* --- files --------------------------------------------------------------------------------- */

static void test_file(void)
{
    char folder[] = "/tmp/larder-test-XXXXXX";
    char *deep;
    char *path;
    char *text = NULL;
    size_t len = 0;
    struct err err;
    char got[8];
    int fd;

    assert(mkdtemp(folder) != NULL);
    deep = xasprintf("%s/a//b/c/", folder);
    path = xasprintf("%s/a/b/c/file", folder);
    CHECK_INT(file_mkdirs(""), -1);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(file_mkdirs(deep), 0);
    CHECK_INT(file_mkdirs(deep), 0);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_INT(file_pwrite_all(fd, "hello", 5, 3), 0);
    CHECK_INT(file_pread_all(fd, got, sizeof(got), 3), 5);
    CHECK(memcmp(got, "hello", 5) == 0);
    CHECK_INT(file_pread_all(fd, got, sizeof(got), 100), 0);
    CHECK_INT(file_read(path, 8, &text, &len, &err), 0);
    CHECK_INT(len, 8);
    CHECK(text[8] == '\0' && memcmp(text, "\0\0\0hello", 8) == 0);
    free(text);
    CHECK_INT(file_read(path, 7, &text, &len, &err), -1);
    CHECK_INT(file_read(folder, 7, &text, &len, &err), -1);
    CHECK(strstr(err.text, folder) != NULL);
    CHECK_INT(file_mkdirs(path), 0); /* what is there is enough, whatever it is */
    close(fd);
    CHECK_INT(file_pwrite_all(fd, "x", 1, 0), -1);
    CHECK_INT(file_pread_all(fd, got, 1, 0), -1);
    unlink(path);
    while (strlen(path) > strlen(folder)) { /* what was made, from the inside out */
        *strrchr(path, '/') = '\0';
        if (strlen(path) > strlen(folder)) {
            CHECK_INT(rmdir(path), 0);
        }
    }
    CHECK_INT(rmdir(folder), 0);
    free(deep);
    free(path);
}

/* --- lists --------------------------------------------------------------------------------- */

static void test_list(void)
{
    struct list nodes[4];
    unsigned seen = 0;
    LIST_HEAD(a);
    LIST_HEAD(b);

    for (int i = 0; i < 4; i++) {
        list_init(&nodes[i]);
        list_append(i < 2 ? &a : &b, &nodes[i]);
    }
    list_splice(&a, &b);
    CHECK(list_empty(&b));
    list_each_safe(it, &a) {
        CHECK(it == &nodes[seen]);
        seen++;
        list_remove(it);
    }
    CHECK_INT(seen, 4);
    CHECK(list_pop(&a) == NULL);
    list_remove(&nodes[0]);
    list_append(&a, &nodes[1]);
    list_prepend(&a, &nodes[2]);
    CHECK(list_pop(&a) == &nodes[2]);
    list_splice(&b, &a);
    list_splice(&b, &a);
    CHECK(list_pop(&b) == &nodes[1] && list_empty(&b));
}

static void test_clock_parse(void)
{
    static const struct {
        const char *text;
        int64_t time; /* -1: it is none */
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-31T12:00:00Z", 1769860800},
        {"2026-01-31T12:00:00.999z", 1769860800},
        {"2026-01-31T13:30:00+01:30", 1769860800},
        {"2026-01-31T04:00:00.5-08:00", 1769860800},
        {"2024-02-29T00:00:00Z", 1709164800},
        {"", -1},
        {"24h", -1},
        {"2026-01-31", -1},
        {"2026-01-31T12:00:00", -1},
        {"2026-01-31 12:00:00Z", -1},
        {"2026-01-31T12:00:00.Z", -1},
        {"2026-01-31T12:00:00Zx", -1},
        {"2026-01-31T12:00:00+0100", -1},
        {"2026-01-31T12:00:00+24:00", -1},
        {"2026-13-01T12:00:00Z", -1},
        {"2026-02-29T12:00:00Z", -1},
        {"2026-01-00T12:00:00Z", -1},
        {"2026-01-31T24:00:00Z", -1},
        {"2026-1-31T12:00:00Z", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"1970-01-01T00:00:00+00:01", -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t time = -1;
        bool good = clock_parse(slice_str(CASES[i].text), &time);

        CHECK_NOTE(good == (CASES[i].time >= 0) && time == CASES[i].time, CASES[i].text);
    }
}

/* RFC 4231 4.3 and 4.7, and a key of none. */
static void test_mac(void)
{
    static const struct {
        const char *key;
        size_t key_n;
        const char *text;
        const char *want;
    } CASES[] = {
        {"Jefe", 4, "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {NULL, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {"", 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    unsigned char long_key[131];
    unsigned char first[SHA_MAC_SIZE] = {0};

    memset(long_key, 0xaa, sizeof(long_key));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const char *key = CASES[i].key == NULL ? (const char *)long_key : CASES[i].key;
        unsigned char out[SHA_MAC_SIZE];
        char text[2 * SHA_MAC_SIZE + 1];

        sha_mac((const unsigned char *)key, CASES[i].key_n, CASES[i].text, strlen(CASES[i].text),
                out);
        hex_encode(out, sizeof(out), text);
        CHECK_STR(text, CASES[i].want);
        CHECK(sha_mac_same(out, out) && !sha_mac_same(out, first));
        memcpy(first, out, sizeof(first));
        first[SHA_MAC_SIZE - 1] ^= 1;
        CHECK(!sha_mac_same(out, first));
    }
}

int main(void)
{
    test_mac();
    test_sha();
    test_map();
    test_err();
    test_file();
    test_list();
    test_clock_parse();
    return tap_done();
}
