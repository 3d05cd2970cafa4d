/* test_docker_auth.c - Docker's config.json and the answers of helpers. */
#include "oci/docker_auth.c"

#include "tap.h"

static struct docker_auth got;
static struct err err;

static bool config(const char *text, const char *server)
{
    docker_auth_free(&got);
    err = (struct err){0};
    return docker_config_parse(slice_str(text), server, &got, &err) == 0;
}

static bool answer(const char *text)
{
    docker_auth_free(&got);
    err = (struct err){0};
    return docker_answer_parse(slice_str(text), &got, &err) == 0;
}

#define FILE_ALL                                                                                   \
    "{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": \"aHVi\"},"                          \
    "  \"https://ghcr.io/v2/\": {\"identitytoken\": \"tok\", \"auth\": \"eDo=\"},"                 \
    "  \"quay.io\": {}},"                                                                          \
    " \"credsStore\": \"desktop\", \"credHelpers\": {\"ECR.example\": \"ecr-login\","              \
    "  \"bad.example\": \"../sh\"}}"

static void test_config(void)
{
    CHECK_STR(docker_server("docker.io"), "https://index.docker.io/v1/");
    CHECK_STR(docker_server("ghcr.io"), "ghcr.io");
    CHECK(config(FILE_ALL, docker_server("docker.io")));
    CHECK_STR(got.basic, "aHVi");
    CHECK(config(FILE_ALL, "docker.io"));
    CHECK_STR(got.basic, "aHVi");
    CHECK(config(FILE_ALL, "ghcr.io"));
    CHECK_STR(got.identity_token, "tok");
    CHECK(got.basic == NULL);
    CHECK(config(FILE_ALL, "quay.io")); /* Docker leaves an empty entry where a store has it */
    CHECK_STR(got.helper, "desktop");
    CHECK(config(FILE_ALL, "ecr.example"));
    CHECK_STR(got.helper, "ecr-login");
    CHECK_STR(got.server, "ECR.example");
    CHECK(!config(FILE_ALL, "bad.example")); /* never a path */
    CHECK(!config("{\"auths\": {\"a.io\": {\"auth\": \"hush\"}}}", "b.io"));
    CHECK(strstr(err.text, "b.io") != NULL && strstr(err.text, "docker login") != NULL);
    CHECK(!config("{\"auths\": {\"a.io\": {\"auth\": 1}}, \"credHelpers\": []}", "a.io"));
    CHECK(!config("[]", "a.io") && strstr(err.text, "JSON object") != NULL);
    CHECK(!config("{\"auths\": hush", "a.io") && strstr(err.text, "hush") == NULL);
}

static void test_answer(void)
{
    CHECK(answer("{\"ServerURL\": \"x\", \"Username\": \"AWS\", \"Secret\": \"s:1\"}\n"));
    CHECK_STR(got.user, "AWS");
    CHECK_STR(got.password, "s:1");
    CHECK(answer("{\"Username\": \"<token>\", \"Secret\": \"refresh\"}"));
    CHECK_STR(got.identity_token, "refresh");
    CHECK(got.user == NULL && got.password == NULL);
    CHECK(!answer("{\"Username\": \"a:b\", \"Secret\": \"hush\"}"));
    CHECK(strstr(err.text, "hush") == NULL);
    CHECK(!answer("{\"Username\": \"a\", \"Secret\": \"\"}"));
    CHECK(!answer("hush") && strstr(err.text, "hush") == NULL);
    CHECK(!answer(""));
}

int main(void)
{
    test_config();
    test_answer();
    docker_auth_free(&got);
    return tap_done();
}
