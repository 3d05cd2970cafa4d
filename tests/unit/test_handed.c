/* test_handed.c - the JSON of a hand-over: as it is written, and each way in which it may be wrong.
 */
#include "admin/handed.c"

#include "tap.h"

#define ID "0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HUGE "99999999999999999999"

static struct err err;

/* --- one object, of which one member is another --------------------------------------------- */

/* A value as JSON; NULL: the member is missing. */
struct member {
    const char *name;
    const char *value;
};

static const struct member BLOB[] = {
    {"file", "\"sha256-ab\""},
    {"digest", "\"" DIGEST "\""},
    {"size", "5"},
    {"class", "0"},
    {"repo", "\"d/x\""},
    {"kind", "2"},
    {"credential", "\"7\""},
};

static const struct member UPLOAD[] = {
    {"id", "\"" ID "\""}, {"repo", "\"stage/app\""},    {"owner", "\"616c\""}, {"end", "1"},
    {"offset", "9"},      {"digest", "\"" DIGEST "\""}, {"state", "\"00ff\""},
};

/* The members of `all`, but for one that is `other` instead. */
static json_t *object(const struct member *all, size_t n, const char *name, const char *other)
{
    char text[4096] = "{";
    size_t at = 1;

    for (size_t i = 0; i < n; i++) {
        const char *value = strcmp(all[i].name, name) == 0 ? other : all[i].value;

        if (value != NULL) {
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\":%s", at > 1 ? "," : "",
                                   all[i].name, value);
        }
    }
    snprintf(text + at, sizeof(text) - at, "}");
    return json_loads(text, 0, NULL);
}

static bool takes_blob(const char *name, const char *other)
{
    json_t *j = object(BLOB, ARRAY_LEN(BLOB), name, other);
    struct handed_blob b;
    bool taken;

    err = (struct err){0};
    taken = read_blob(j, &b, &err) == 0;
    json_decref(j);
    return taken;
}

static bool takes_upload(const char *name, const char *other)
{
    json_t *j = object(UPLOAD, ARRAY_LEN(UPLOAD), name, other);
    char owner[UPLOAD_OWNER_MAX + 1];
    struct handed_upload u;
    bool taken;

    err = (struct err){0};
    taken = read_upload(j, &u, owner, &err) == 0;
    json_decref(j);
    return taken;
}

/* Text of n letters, as JSON. */
static const char *letters(char letter, size_t n)
{
    static char text[2048];

    memset(text, letter, sizeof(text));
    text[0] = '"';
    snprintf(text + n + 1, 2, "\"");
    return text;
}

static const char *const NEVER[] = {NULL, "null", "true", "[]", "{}", "-1", "1.5"};

static void test_blob(void)
{
    CHECK(takes_blob("", NULL));
    for (size_t i = 0; i < ARRAY_LEN(BLOB); i++) {
        for (size_t k = 0; k < ARRAY_LEN(NEVER); k++) {
            CHECK_NOTE(!takes_blob(BLOB[i].name, NEVER[k]) && err.code == ERR_BAD_REQUEST,
                       BLOB[i].name);
        }
    }
    CHECK(!takes_blob("digest", "\"sha256:ab\"") && !takes_blob("digest", "\"\""));
    CHECK(!takes_blob("size", "\"5\"") && !takes_blob("credential", "7"));
    CHECK(takes_blob("size", "9223372036854775807"));
    CHECK(takes_blob("credential", "\"18446744073709551615\""));
    CHECK(!takes_blob("credential", "\"" HUGE "\"") && !takes_blob("credential", "\"-1\""));
    CHECK(takes_blob("class", "3") && !takes_blob("class", "4"));
    CHECK(takes_blob("kind", "255") && !takes_blob("kind", "256"));
    CHECK(takes_blob("repo", letters('r', ROUTE_REPO_MAX - 1)));
    CHECK(!takes_blob("repo", letters('r', ROUTE_REPO_MAX)));
}

static void test_upload(void)
{
    CHECK(takes_upload("", NULL));
    for (size_t i = 0; i < ARRAY_LEN(UPLOAD); i++) {
        for (size_t k = 0; k < ARRAY_LEN(NEVER); k++) {
            CHECK_NOTE(!takes_upload(UPLOAD[i].name, NEVER[k]) && err.code == ERR_BAD_REQUEST,
                       UPLOAD[i].name);
        }
    }
    CHECK(!takes_upload("id", "\"../../../../../../../../../../x\""));
    CHECK(!takes_upload("id", letters('a', 31)) && !takes_upload("id", letters('a', 33)));
    CHECK(takes_upload("id", letters('a', 32)) && !takes_upload("id", letters('A', 32)));
    CHECK(takes_upload("repo", letters('r', REPO_NAME_MAX)));
    CHECK(!takes_upload("repo", letters('r', REPO_NAME_MAX + 1)));
    CHECK(takes_upload("owner", "\"\"") && takes_upload("owner", letters('6', 510)));
    CHECK(!takes_upload("owner", letters('6', 512)) && !takes_upload("owner", "\"6\""));
    CHECK(!takes_upload("owner", "\"xy\""));
    CHECK(takes_upload("end", "0") && takes_upload("end", "2") && !takes_upload("end", "3"));
    CHECK(takes_upload("state", letters('0', 480)) && !takes_upload("state", letters('0', 482)));
}

/* --- all of it ------------------------------------------------------------------------------ */

static bool takes_state(const char *listeners, const char *uploads, const char *leases)
{
    struct handed_state s;
    struct buf text;
    bool taken;

    buf_init(&text, HANDED_STATE_MAX);
    buf_printf(&text, "{\"listeners\":%s,\"uploads\":%s,\"leases\":%s}", listeners, uploads,
               leases);
    err = (struct err){0};
    taken = handed_state_read(buf_view(&text), &s, &err) == 0;
    if (taken) {
        handed_state_free(&s);
    }
    buf_free(&text);
    return taken;
}

/* An array of n times the same, which static memory holds. */
static const char *array(const char *one, size_t n)
{
    static struct buf text;

    buf_free(&text);
    buf_init(&text, HANDED_STATE_MAX);
    buf_str(&text, "[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "%s%s", i > 0 ? "," : "", one);
    }
    buf_str(&text, "]");
    return text.p;
}

#define LISTENER "{\"address\":\"3a30\",\"bound\":\"3a31\"}"

static void test_state(void)
{
    static const char *const WRONG[] = {"null", "{}", "1", "[1]", "[null]", "[\"x\"]"};
    struct handed_state s;

    CHECK(takes_state("[]", "[]", "[]"));
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        CHECK_NOTE(!takes_state(WRONG[i], "[]", "[]"), WRONG[i]);
        CHECK_NOTE(!takes_state("[]", WRONG[i], "[]"), WRONG[i]);
        CHECK_NOTE(!takes_state("[]", "[]", WRONG[i]), WRONG[i]);
    }
    CHECK(takes_state(array(LISTENER, HANDED_LISTENERS_MAX), "[]", "[]"));
    CHECK(!takes_state(array(LISTENER, HANDED_LISTENERS_MAX + 1), "[]", "[]"));
    CHECK(!takes_state("[" LISTENER ",{\"address\":\"3a30\"}]", "[]", "[]"));
    CHECK(!takes_state("[]", array("0", UPLOADS_MAX + 1), "[]"));
    CHECK(takes_state("[]", "[]", array("\"" DIGEST "\"", LEASES_MAX)));
    CHECK(!takes_state("[]", "[]", array("\"" DIGEST "\"", LEASES_MAX + 1)));
    for (const char *const *text = (const char *const[]){"", "[]", "{", "{}", "1", NULL};
         *text != NULL; text++) {
        CHECK_NOTE(handed_state_read(slice_str(*text), &s, &err) < 0, *text);
    }
}

/* What is written is read as the same, whatever bytes names have. */
static void test_round(void)
{
    struct handed_upload u = {.id = ID, .repo = "stage/app", .owner = "ren\xe9\x01\xff", .end = 0};
    struct digest lease;
    struct handed_state s = {.n_listeners = 1, .store = {&u, 1, &lease, 1}};
    struct handed_state got;
    struct buf text;

    s.listeners[0].address = (char[]){"unix:/d\xe9p\xf4t\n"};
    s.listeners[0].bound = (char[]){"unix:/\xff\xfe"};
    u.offset = INT64_MAX;
    u.state_len = SHA_STATE_MAX;
    memset(u.state, 0xa5, sizeof(u.state));
    CHECK(digest_parse(slice_str(DIGEST), &lease));
    buf_init(&text, HANDED_STATE_MAX);
    handed_state_write(&s, &text);
    if (!CHECK(handed_state_read(buf_view(&text), &got, &err) == 0)) {
        return;
    }
    CHECK_INT(got.n_listeners, 1);
    CHECK_STR(got.listeners[0].address, s.listeners[0].address);
    CHECK_STR(got.listeners[0].bound, s.listeners[0].bound);
    CHECK_INT(got.store.n_uploads, 1);
    CHECK_STR(got.store.uploads[0].owner, u.owner);
    CHECK(got.store.uploads[0].offset == u.offset && got.store.uploads[0].state_len == u.state_len);
    CHECK(memcmp(got.store.uploads[0].state, u.state, u.state_len) == 0);
    CHECK(got.store.n_leases == 1 && digest_equal(got.store.leases, &lease));
    handed_state_free(&got);
    buf_free(&text);
}

int main(void)
{
    test_blob();
    test_upload();
    test_state();
    test_round();
    return tap_done();
}
