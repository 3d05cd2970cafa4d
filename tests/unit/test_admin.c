/* test_admin.c - the commands on a store with images that were pushed and pulled. */
#include "admin/admin.h"
#include "store/hosted.h"
#include "store_blobs.h"
#include "tap.h"

#include <jansson.h>

static const struct route_upstream UPSTREAMS[] = {{"docker.io", NULL, 0, true},
                                                  {"ghcr.io", NULL, 0, false}};
static const char *const HOSTED[] = {"stage/**", "cache/**"};
static const struct route_table ROUTES = {UPSTREAMS, 2, HOSTED, 2, NULL, 0};

static struct err err;
static struct store *store;

/* --- what is in the store ------------------------------------------------------------------ */

static struct digest digest_of_bytes(const void *p, size_t n)
{
    struct digest d = {.alg = DIGEST_SHA256};

    sha_of(SHA_256, p, n, d.bytes);
    return d;
}

/* The bytes become a blob, synced. */
static struct digest put(const void *p, size_t n)
{
    struct blob_put put = {digest_of_bytes(p, n), {.size = n, .synced = true}};
    struct ingest in;

    if (ingest_open(&in, store, &put.digest, n, false, &err) < 0 ||
        ingest_write(&in, p, n, 0, &err) < 0 || ingest_commit(&in, n, true, &err) < 0) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    CHECK_NOTE(change(store, blob_put_in, &put, &err) == 0, "a blob is put");
    ingest_recorded(&in);
    ingest_close(&in);
    return put.digest;
}

struct image {
    struct digest digest;
    struct digest layers[8];
    size_t n_layers;
    uint64_t bytes; /* of all of it */
    char body[4096];
    char config[2048];
};

/* One whose layers hold the letters of `diffs`, 1000 bytes for an 'a', 2000 for a 'b'; `salt` says
 * how they were compressed. */
static void build(struct image *i, const char *diffs, unsigned salt, const char *config_type)
{
    char layers[2048] = "";
    char ids[1024] = "";
    char text[DIGEST_TEXT_MAX];
    struct digest config;

    *i = (struct image){0};
    for (; diffs[i->n_layers] != '\0'; i->n_layers++) {
        char letter = diffs[i->n_layers];
        size_t size = 1000 * (size_t)(letter - 'a' + 1);
        unsigned char *bytes = xcalloc(size, 1);
        struct digest id = digest_of_bytes(&letter, 1);
        const char *comma = i->n_layers == 0 ? "" : ",";

        nth_bytes((unsigned)letter + 1000 * salt, bytes, size);
        i->layers[i->n_layers] = put(bytes, size);
        i->bytes += size;
        free(bytes);
        snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s\"%s\"", comma,
                 digest_text(&id, text));
        snprintf(layers + strlen(layers), sizeof(layers) - strlen(layers),
                 "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\","
                 "\"digest\":\"%s\",\"size\":%zu}",
                 comma, digest_text(&i->layers[i->n_layers], text), size);
    }
    snprintf(i->config, sizeof(i->config),
             "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[%s]}}", ids);
    config = put(i->config, strlen(i->config));
    snprintf(i->body, sizeof(i->body),
             "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":"
             "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[%s]}",
             config_type, digest_text(&config, text), strlen(i->config), layers);
    i->digest = put(i->body, strlen(i->body));
    i->bytes += strlen(i->config) + strlen(i->body);
}

struct pushed {
    const char *repo;
    struct hosted_manifest manifest;
};

static void push_in(struct index_txn *t, void *arg)
{
    struct pushed *p = arg;
    size_t missing;

    hosted_put_manifest(t, p->repo, &p->manifest, &missing);
}

static void push(const char *repo, const char *tag, const char *body)
{
    bool may_take[16];
    struct manifest *m = NULL;
    struct pushed p = {.repo = repo};

    memset(may_take, 1, sizeof(may_take));
    if (manifest_parse(slice_str(body), slice_str(""), &m, &err) < 0) {
        CHECK_NOTE(false, err.text);
        return;
    }
    p.manifest = (struct hosted_manifest){
        .digest = digest_of_bytes(body, strlen(body)),
        .body = slice_str(body),
        .parsed = m,
        .may_take = may_take,
        .tags = &tag,
        .n_tags = tag == NULL ? 0 : 1,
    };
    snprintf(p.manifest.media_type, sizeof(p.manifest.media_type), "%s", m->media_type);
    CHECK_NOTE(change(store, push_in, &p, &err) == 0, "a manifest is pushed");
    manifest_free(m);
}

static void push_image(const char *repo, const char *tag, const char *diffs, unsigned salt)
{
    struct image i;

    build(&i, diffs, salt, "application/vnd.oci.image.config.v1+json");
    push(repo, tag, i.body);
}

struct pulled {
    const char *repo;
    const char *tag;
    const struct image *image;
};

static void pull_in(struct index_txn *t, void *arg)
{
    const struct pulled *p = arg;
    uint64_t repo = index_put_repo(t, REPO_MIRRORED, p->repo);
    struct tag_record tag = {.digest = p->image->digest, .fetched = 86400, .checked = 86401};
    struct member_record m = {.size = 1, .proof = PROOF_UPSTREAM_ANSWER, .kind = CHILD_MANIFEST};

    index_put_tag(t, repo, TAG_TAG, p->tag, &tag);
    index_put_member(t, repo, &p->image->digest, &m);
}

static void pull_image(const char *repo, const char *tag, const char *diffs)
{
    struct image i;
    struct pulled p = {repo, tag, &i};

    build(&i, diffs, 7, "application/vnd.docker.container.image.v1+json");
    CHECK_NOTE(change(store, pull_in, &p, &err) == 0, "an image is pulled");
}

/* --- asking -------------------------------------------------------------------------------- */

/* The answer as JSON, or NULL with `err`. */
static json_t *ask_with(const char *command, const struct admin_query *q)
{
    struct admin a = {store, &ROUTES, NULL};
    const struct admin_command *c = admin_find(slice_str(command));
    json_t *root = NULL;
    struct buf out;

    err = (struct err){0};
    if (admin_run(&a, c, q, &out, &err) == 0) {
        root = json_loadb(out.p, out.len, 0, NULL);
        CHECK_NOTE(json_is_object(root), "the answer is JSON");
    } else {
        CHECK_NOTE(out.len == 0 && err.code != ERR_NONE && err.text[0] != '\0', "it says why not");
    }
    buf_free(&out);
    return root;
}

static json_t *ask(const char *command, const char *name)
{
    struct admin_query q = {.name = name};

    return ask_with(command, &q);
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* The forest in one line: each image's names, what it adds, and below which it stands. */
static const char *show(const json_t *answer)
{
    static char text[4096];
    const json_t *image;
    const json_t *name;
    size_t i;
    size_t k;

    text[0] = '\0';
    json_array_foreach(json_object_get(answer, "images"), i, image)
    {
        const json_t *parent = json_object_get(image, "parent");

        json_array_foreach(json_object_get(image, "names"), k, name)
        {
            snprintf(text + strlen(text), 256, "%s%s:%s", k == 0 ? " " : "=",
                     json_string_value(json_object_get(name, "repository")),
                     json_string_value(json_object_get(name, "tag")));
        }
        snprintf(text + strlen(text), 64, "+%lld",
                 (long long)number(json_object_get(image, "added"), "bytes"));
        if (json_is_integer(parent)) {
            snprintf(text + strlen(text), 64, "<%lld", (long long)json_integer_value(parent));
        }
    }
    return text;
}

/* The names of what `rm` removed. */
static const char *removed(const json_t *answer)
{
    static char text[256 * 1024];
    const json_t *one;
    size_t i;

    text[0] = '\0';
    json_array_foreach(json_object_get(answer, "removed"), i, one)
    {
        const char *tag = json_string_value(json_object_get(one, "tag"));

        snprintf(text + strlen(text), 256, " %s %s",
                 json_string_value(json_object_get(one, "what")), tag == NULL ? "-" : tag);
    }
    return text;
}

static void open_store(void)
{
    store_dir_new();
    store = store_dir_open();
}

/* --- stages -------------------------------------------------------------------------------- */

static void test_stages(void)
{
    json_t *j;

    open_store();
    pull_image("docker.io/library/golang", "1.18", "ab");
    pull_image("docker.io/library/alone", "latest", "xy");
    push_image("stage/app", "builder", "abc", 1);
    push_image("stage/app", "ci", "abcd", 2);
    push_image("stage/app", "dev", "abcde", 2);
    push_image("stage/app", "latest", "abcde", 2);
    push_image("stage/app", "release", "f", 3);
    push_image("stage/other", "ci", "abcd", 4);
    j = ask("stages", "");
    CHECK_STR(show(j), " library/golang:1.18+3000 stage/app:builder+3000<0"
                       " stage/app:ci=stage/other:ci+4000<1"
                       " stage/app:dev=stage/app:latest+5000<2 stage/app:release+6000");
    CHECK(number(j, "others") == 0 && number(j, "absent") == 0);
    json_decref(j);
    j = ask("stages", "stage/other");
    CHECK_STR(show(j), " library/golang:1.18+3000 stage/app:builder+3000<0"
                       " stage/app:ci=stage/other:ci+4000<1"
                       " stage/app:dev=stage/app:latest+5000<2");
    json_decref(j);
    j = ask("stages", "alone");
    CHECK_STR(show(j), " library/alone:latest+49000");
    json_decref(j);
    CHECK(ask("stages", "stage/none") == NULL && err.code == ERR_NAME_UNKNOWN);
    CHECK(ask("stages", "debian") == NULL && err.code == ERR_NAME_UNKNOWN);
    CHECK(strstr(err.text, "docker.io/library/debian") != NULL);
    CHECK(ask("stages", "example.org/x") == NULL && err.code == ERR_NAME_UNKNOWN);
    CHECK(ask("stages", "no//name") == NULL && err.code == ERR_NAME_INVALID);
    store_close(store);
}

/* Stored and separate are what the files hold. */
static void test_sums(void)
{
    struct image a;
    struct image b;
    json_t *j;

    open_store();
    build(&a, "ab", 1, "application/vnd.oci.image.config.v1+json");
    build(&b, "abc", 1, "application/vnd.oci.image.config.v1+json");
    push("stage/app", "a", a.body);
    push("stage/app", "b", b.body);
    j = ask("stages", "");
    CHECK_INT(number(j, "separate"), a.bytes + b.bytes);
    CHECK_INT(number(j, "stored"), a.bytes + b.bytes - 3000);
    json_decref(j);
    store_close(store);
}

/* Artifacts, caches and what is broken are counted and do no harm. */
static void test_no_images(void)
{
    static const char CACHE[] =
        "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":["
        "{\"mediaType\":\"application/vnd.buildkit.cacheconfig.v0\",\"size\":1,\"digest\":\"sha256:"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}";
    struct image i;
    char *layers;
    json_t *j;

    open_store();
    push("cache/app", "old", CACHE);
    build(&i, "ab", 1, "application/vnd.buildkit.cacheconfig.v0");
    push("cache/app", "new", i.body);
    build(&i, "ab", 1, "application/vnd.oci.image.config.v1+json");
    layers = strstr(i.body, "\"layers\":[");
    snprintf(layers, 16, "\"layers\":[]}"); /* fewer than its configuration speaks of */
    push("stage/app", "fewer", i.body);
    push("stage/app", "absent",
         "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json"
         "\",\"size\":1,\"digest\":\"sha256:"
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"},\"layers\":[]}");
    push_image("stage/app", "good", "abc", 1);
    j = ask("stages", "");
    CHECK_STR(show(j), " stage/app:good+6000");
    CHECK_INT(number(j, "others"), 3);
    CHECK_INT(number(j, "absent"), 1);
    json_decref(j);
    store_close(store);
}

/* A file that is not what its name says is not believed. */
static void test_damaged(void)
{
    struct image i;
    char path[512];
    char hex[DIGEST_TEXT_MAX];
    struct digest config;
    FILE *f;
    json_t *j;

    open_store();
    build(&i, "a", 1, "application/vnd.oci.image.config.v1+json");
    push("stage/app", "x", i.body);
    config = digest_of_bytes(i.config, strlen(i.config));
    digest_text(&config, hex);
    snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", store_dir_path, hex + 7, hex + 9);
    f = fopen(path, "r+");
    if (CHECK(f != NULL)) {
        CHECK(fputs("{\"os\":7}", f) >= 0 && fclose(f) == 0);
    }
    j = ask("stages", "");
    CHECK_STR(show(j), "");
    CHECK_INT(number(j, "absent"), 1);
    json_decref(j);
    store_close(store);
}

/* --- ls ------------------------------------------------------------------------------------ */

static void test_ls(void)
{
    struct admin_query all = {.name = "", .all = true};
    const json_t *repo;
    const json_t *tag;
    struct image i;
    json_t *j;

    open_store();
    j = ask("ls", "");
    CHECK_INT(json_array_size(json_object_get(j, "repositories")), 0);
    json_decref(j);
    build(&i, "ab", 1, "application/vnd.oci.image.config.v1+json");
    push("stage/app", "one", i.body);
    push("stage/app", "two", i.body);
    push_image("stage/app", "three", "abc", 1);
    pull_image("ghcr.io/owner/x", "1", "d");
    j = ask("ls", "");
    CHECK_INT(json_array_size(json_object_get(j, "repositories")), 1);
    repo = json_array_get(json_object_get(j, "repositories"), 0);
    CHECK_STR(json_string_value(json_object_get(repo, "repository")), "stage/app");
    CHECK(json_object_get(repo, "upstream") == NULL);
    CHECK_INT(number(repo, "manifests"), 2);
    CHECK_INT(number(repo, "blobs"), 2 + 2 + 3);
    CHECK_INT(json_array_size(json_object_get(repo, "tags")), 3);
    tag = json_array_get(json_object_get(repo, "tags"), 2);
    CHECK_STR(json_string_value(json_object_get(tag, "tag")), "two");
    CHECK_INT(number(tag, "bytes"), i.bytes);
    CHECK(json_is_string(json_object_get(tag, "pushed")));
    CHECK(json_is_string(json_object_get(tag, "used")));
    json_decref(j);
    j = ask_with("ls", &all);
    CHECK_INT(json_array_size(json_object_get(j, "repositories")), 2);
    repo = json_array_get(json_object_get(j, "repositories"), 1);
    CHECK_STR(json_string_value(json_object_get(repo, "repository")), "owner/x");
    CHECK_STR(json_string_value(json_object_get(repo, "upstream")), "ghcr.io");
    tag = json_array_get(json_object_get(repo, "tags"), 0);
    CHECK_STR(json_string_value(json_object_get(tag, "fetched")), "1970-01-02T00:00:00Z");
    json_decref(j);
    j = ask("ls", "ghcr.io/owner/x");
    CHECK_INT(json_array_size(json_object_get(j, "repositories")), 1);
    json_decref(j);
    CHECK(ask("ls", "stage/none") == NULL && err.code == ERR_NAME_UNKNOWN);
    store_close(store);
}

/* --- rm ------------------------------------------------------------------------------------ */

static void test_rm(void)
{
    struct image i;
    char name[256];
    char text[DIGEST_TEXT_MAX];
    json_t *j;

    open_store();
    build(&i, "ab", 1, "application/vnd.oci.image.config.v1+json");
    push("stage/app", "one", i.body);
    push("stage/app", "two", i.body);
    push_image("stage/app", "three", "abc", 1);
    push_image("stage/app2", "keep", "abc", 1);
    pull_image("docker.io/library/x", "latest", "d");
    j = ask("rm", "stage/app:one");
    CHECK_STR(removed(j), " tag one");
    json_decref(j);
    CHECK(ask("rm", "stage/app:one") == NULL && err.code == ERR_MANIFEST_UNKNOWN);
    CHECK(strstr(err.text, "stage/app has no tag one") != NULL);
    snprintf(name, sizeof(name), "stage/app@%s", digest_text(&i.digest, text));
    j = ask("rm", name);
    CHECK_STR(removed(j), " tag two manifest -");
    json_decref(j);
    CHECK(ask("rm", name) == NULL && err.code == ERR_MANIFEST_UNKNOWN);
    /* A layer is no manifest: the images that have it would break. */
    snprintf(name, sizeof(name), "stage/app@%s", digest_text(&i.layers[0], text));
    CHECK(ask("rm", name) == NULL && err.code == ERR_MANIFEST_UNKNOWN);
    j = ask("rm", "stage/app");
    CHECK(number(j, "tags") == 1 && number(j, "manifests") == 1);
    CHECK_INT(number(j, "blobs"), 2 + 3); /* both configurations, three layers */
    json_decref(j);
    CHECK(ask("rm", "stage/app") == NULL && err.code == ERR_NAME_UNKNOWN);
    j = ask("ls", "");
    CHECK_INT(json_array_size(json_object_get(j, "repositories")), 1);
    json_decref(j);
    j = ask("stages", "");
    CHECK_STR(show(j), " stage/app2:keep+6000");
    json_decref(j);
    store_close(store);
}

static void test_rm_refused(void)
{
    static const struct {
        const char *name;
        enum err_code code;
    } CASES[] = {
        {"", ERR_NAME_INVALID},
        {":tag", ERR_NAME_INVALID},
        {"x", ERR_UNSUPPORTED},
        {"x:latest", ERR_UNSUPPORTED},
        {"docker.io/library/x:latest", ERR_UNSUPPORTED},
        {"stage/none", ERR_NAME_UNKNOWN},
        {"stage/none:x", ERR_NAME_UNKNOWN},
        {"stage/app:", ERR_MANIFEST_UNKNOWN},
        {"stage/app:none", ERR_MANIFEST_UNKNOWN},
        {"stage/app:no tag", ERR_MANIFEST_UNKNOWN},
        {"stage/app@", ERR_DIGEST_INVALID},
        {"stage/app@sha256:12", ERR_DIGEST_INVALID},
        {"localhost:5000/stage/app", ERR_NAME_UNKNOWN},
    };
    json_t *j;

    open_store();
    push_image("stage/app", "one", "a", 1);
    pull_image("docker.io/library/x", "latest", "d");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        json_t *answer = ask("rm", CASES[i].name);

        if (!CHECK_NOTE(answer == NULL && err.code == CASES[i].code, CASES[i].name)) {
            printf("# %s: %s\n", err_name(err.code), err.text);
        }
        json_decref(answer);
    }
    j = ask("stages", "");
    CHECK_STR(show(j), " stage/app:one+1000");
    json_decref(j);
    store_close(store);
}

static void put_many(struct index_txn *t, void *arg)
{
    uint64_t repo = index_put_repo(t, REPO_HOSTED, "stage/app");
    const struct digest *d = arg;

    for (unsigned n = 0; n < 700; n++) {
        char tag[32];

        snprintf(tag, sizeof(tag), "tag%u", n);
        hosted_put_tag(t, repo, tag, d);
    }
    for (unsigned n = 0; n < 600; n++) {
        struct digest other = nth_digest(n, 10);

        hosted_put_blob(t, "stage/app", &other, 10);
    }
}

/* More than one change takes. */
static void test_rm_many(void)
{
    struct image i;
    char name[256];
    char text[DIGEST_TEXT_MAX];
    json_t *j;

    open_store();
    build(&i, "a", 1, "application/vnd.oci.image.config.v1+json");
    push("stage/app", "one", i.body);
    CHECK_INT(change(store, put_many, &i.digest, &err), 0);
    snprintf(name, sizeof(name), "stage/app@%s", digest_text(&i.digest, text));
    j = ask("rm", name);
    CHECK(number(j, "tags") == 701 && number(j, "manifests") == 1 && number(j, "blobs") == 0);
    json_decref(j);
    push("stage/app", "one", i.body);
    CHECK_INT(change(store, put_many, &i.digest, &err), 0);
    j = ask("rm", "stage/app");
    CHECK(number(j, "tags") == 701 && number(j, "manifests") == 1);
    CHECK_INT(number(j, "blobs"), 602);
    json_decref(j);
    CHECK(ask("rm", "stage/app") == NULL && err.code == ERR_NAME_UNKNOWN);
    store_close(store);
}

/* A name that no pattern holds any more can still be seen and removed. */
static void test_forgotten_pattern(void)
{
    json_t *j;

    open_store();
    push_image("older/app", "one", "a", 1);
    j = ask("stages", "older/app");
    CHECK_STR(show(j), " older/app:one+1000");
    json_decref(j);
    j = ask("rm", "older/app:one");
    CHECK_STR(removed(j), " tag one");
    json_decref(j);
    store_close(store);
}

static void test_find(void)
{
    CHECK(admin_find(slice_str("stages")) != NULL && !admin_find(slice_str("stages"))->changes);
    CHECK(admin_find(slice_str("rm")) != NULL && admin_find(slice_str("rm"))->changes);
    CHECK(admin_find(slice_str("gc")) != NULL && admin_find(slice_str("gc"))->changes);
    CHECK(admin_find(slice_str("")) == NULL && admin_find(slice_str("lss")) == NULL);
}

int main(void)
{
    test_find();
    test_stages();
    test_sums();
    test_no_images();
    test_damaged();
    test_ls();
    test_rm();
    test_rm_refused();
    test_rm_many();
    test_forgotten_pattern();
    store_dir_join_pool();
    return tap_done();
}
