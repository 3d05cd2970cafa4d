/* test_member.c - the rules of membership: how long a proof lasts, and what a manifest proves. */
#include "cache/member.h"

#include "fake_store.h"
#include "fake_upstream.h"
#include "oci/manifest.h"

#include "tap.h"

#define DAY (24 * 3600)

static struct upstream hub = {"docker.io", 0, NULL};
static struct upstream corp = {"corp.example", 7, NULL};
static struct upstream corp_too = {"corp.example.org", 8, NULL};
static const struct digest BLOB = {.alg = DIGEST_SHA256, .bytes = {1}};

static void test_fresh(void)
{
    static const struct {
        uint64_t credential;
        int64_t age;
        bool offline;
        bool fresh;
    } CASES[] = {
        {0, 0, false, true},         {0, 1000 * DAY, false, true}, {7, 0, false, true},
        {7, DAY - 1, false, true},   {7, DAY, false, false},       {7, 1000 * DAY, false, false},
        {7, 1000 * DAY, true, true}, {7, -60, false, true}, /* a clock that was set right */
        {7, -DAY, false, false},     {7, -1000 * DAY, true, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct member_record m = {.credential = CASES[i].credential, .proved = 5000 * (int64_t)DAY};
        char note[64];

        snprintf(note, sizeof(note), "case %zu", i);
        CHECK_NOTE(member_is_fresh(&m, m.proved + CASES[i].age, CASES[i].offline) == CASES[i].fresh,
                   note);
    }
}

static void put(const char *repo, enum member_proof proof, uint64_t credential)
{
    struct member_record m = {
        .proof = (uint8_t)proof, .credential = credential, .proved = fake_wall_s};

    index_put_member(&fake.txn, index_put_repo(&fake.txn, REPO_MIRRORED, repo), &BLOB, &m);
}

static enum member_verdict judge(struct upstream *u, const char *text)
{
    struct cache c = {.offline = false};
    struct member_record m;
    struct cache_repo repo;

    cache_repo_set(&repo, u, text);
    return member_judge(&c, &fake.read, &repo, &BLOB, &m);
}

static void test_judge(void)
{
    const struct blob_record here = {.size = 1};

    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_UNKNOWN);
    put("docker.io/a/x", PROOF_MANIFEST, 0);
    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_YES); /* its bytes are nowhere */
    CHECK_INT(judge(&hub, "docker.io/a/y"), MEMBER_UNKNOWN);

    /* Here, and nobody without a credential has answered for it: somebody's secret. */
    index_put_blob(&fake.txn, &BLOB, &here);
    put("corp.example/c", PROOF_UPSTREAM_ANSWER, 7);
    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_UNKNOWN);
    CHECK_INT(judge(&corp, "corp.example/c"), MEMBER_YES);
    put("corp.example/d", PROOF_MANIFEST, 7);
    CHECK_INT(judge(&corp, "corp.example/d"), MEMBER_YES); /* of the same credential */
    corp.secret = "c";
    CHECK_INT(judge(&corp, "corp.example/d"), MEMBER_UNKNOWN); /* which is read without it */
    corp.secret = NULL;
    put("corp.example.org/c", PROOF_MANIFEST, 7);
    CHECK_INT(judge(&corp_too, "corp.example.org/c"), MEMBER_UNKNOWN);
    put("docker.io/b/x", PROOF_MANIFEST, 0); /* a second manifest proves no more than the first */
    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_UNKNOWN);
    put("docker.io/b/x", PROOF_UPSTREAM_ANSWER, 0);
    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_YES);
    CHECK_INT(judge(&corp_too, "corp.example.org/c"), MEMBER_YES);

    fake_wall_s += DAY;
    CHECK_INT(judge(&corp, "corp.example/c"), MEMBER_EXPIRED);
    CHECK_INT(judge(&hub, "docker.io/a/x"), MEMBER_YES);
}

static struct member_record member_of(const struct cache_repo *repo)
{
    struct member_record m = {0};
    uint64_t id = 0;

    CHECK(index_get_repo(&fake.read, REPO_MIRRORED, repo->text, &id) == INDEX_FOUND);
    CHECK(index_get_member(&fake.read, id, &BLOB, &m) == INDEX_FOUND);
    return m;
}

static void test_put(void)
{
    struct cache_repo repo;
    struct member_record m;

    fake_index_reset();
    cache_repo_set(&repo, &corp, "corp.example/c");
    member_put_answered(&fake.txn, &repo, &BLOB, 9, "", CHILD_BLOB);
    m = member_of(&repo);
    CHECK(m.kind == CHILD_BLOB && m.size == 9 && m.credential == 7);
    CHECK_INT(m.proof, PROOF_UPSTREAM_ANSWER);
    member_put_answered(&fake.txn, &repo, &BLOB, UINT64_MAX, "", CHILD_BLOB);
    CHECK_INT(member_of(&repo).size, 9); /* a size that is known stays known */
    member_put_answered(&fake.txn, &repo, &BLOB, 9, MEDIA_TYPE_OCI_INDEX, CHILD_MANIFEST);
    CHECK_INT(member_of(&repo).kind, CHILD_MANIFEST);
    CHECK_STR(member_of(&repo).media_type, MEDIA_TYPE_OCI_INDEX);
    member_put_answered(&fake.txn, &repo, &BLOB, 9, "text/plain", CHILD_MANIFEST);
    CHECK_STR(member_of(&repo).media_type, MEDIA_TYPE_OCI_INDEX);
    member_put_answered(&fake.txn, &repo, &BLOB, 9, "", CHILD_BLOB);
    CHECK_INT(member_of(&repo).kind, CHILD_MANIFEST);
}

int main(void)
{
    test_fresh();
    test_judge();
    test_put();
    return tap_done();
}
