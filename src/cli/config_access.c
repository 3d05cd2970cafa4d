/* cli/config_access.c - the section access: who may do what where. */
#include "cli/config_parts.h"
#include "oci/pattern.h"

#include <stdlib.h>
#include <string.h>

#define RULES_MAX 1000
#define WORD_MAX 255

/* Names of users and certificates: a star stands for any run of characters. */
static int read_word(const struct config_node *n, char ***list, size_t *count)
{
    char *word = NULL;

    if (config_read_string(n, &word) < 0) {
        return -1;
    }
    if (strlen(word) > WORD_MAX) {
        free(word);
        return config_fail(n, "is too long; right are at most %d bytes", WORD_MAX);
    }
    config_list_add(list, count, word);
    return 0;
}

static int read_anonymous(const struct config_node *n, void *at)
{
    struct config_access *a = at;

    return config_read_bool(n, &a->everybody);
}

static int read_user(const struct config_node *n, void *at)
{
    struct config_access *a = at;

    return read_word(n, &a->users, &a->n_users);
}

static int read_users(const struct config_node *n, void *at)
{
    return config_read_array(n, read_user, at);
}

static int read_certificate(const struct config_node *n, void *at)
{
    struct config_access *a = at;

    return read_word(n, &a->certificates, &a->n_certificates);
}

static int read_certificates(const struct config_node *n, void *at)
{
    return config_read_array(n, read_certificate, at);
}

static int read_repository(const struct config_node *n, void *at)
{
    struct config_access *a = at;
    char shown[CONFIG_SHOWN_MAX];
    char *pattern = NULL;

    if (config_read_string(n, &pattern) < 0) {
        return -1;
    }
    if (!pattern_valid(slice_str(pattern))) {
        config_fail(n,
                    "\"%s\" is no pattern of names; right are \"stage/**\", \"docker.io/**\" and "
                    "\"**\" (all)",
                    config_shown(pattern, shown));
        free(pattern);
        return -1;
    }
    config_list_add(&a->repositories, &a->n_repositories, pattern);
    return 0;
}

static int read_repositories(const struct config_node *n, void *at)
{
    return config_read_array(n, read_repository, at);
}

static int read_action(const struct config_node *n, void *at)
{
    static const char *const WORDS[] = {"pull", "push", "delete"};
    struct config_access *a = at;
    unsigned word;

    if (config_read_word(n, WORDS, ARRAY_LEN(WORDS), &word) < 0) {
        return -1;
    }
    a->actions |= 1u << word; /* enum grant_action */
    return 0;
}

static int read_actions(const struct config_node *n, void *at)
{
    return config_read_array(n, read_action, at);
}

static const struct config_field FIELDS[] = {
    {"anonymous", read_anonymous, 0},       {"users", read_users, 0},
    {"certificates", read_certificates, 0}, {"repositories", read_repositories, 0},
    {"actions", read_actions, 0},
};

static void fini(struct config_access *a)
{
    config_list_free(&a->users, &a->n_users);
    config_list_free(&a->certificates, &a->n_certificates);
    config_list_free(&a->repositories, &a->n_repositories);
}

/* A rule that can never allow anything is a mistake. */
static int check_rule(const struct config_node *n, const struct config_access *a)
{
    if (a->n_users + a->n_certificates == 0 && !a->everybody) {
        return config_fail(n, "names nobody; right is \"users\" or \"certificates\", as in "
                              "\"users\": [\"ci-*\"], or \"anonymous\": true for everybody");
    }
    if (a->n_users + a->n_certificates > 0 && a->everybody) {
        return config_fail(n, "names users or certificates beside \"anonymous\", which is for "
                              "everybody; right is one of them");
    }
    if (a->n_repositories == 0) {
        return config_fail(n, "names no repositories; right is \"repositories\": [\"stage/**\"]");
    }
    if (a->actions == 0) {
        return config_fail(n, "allows nothing; right is \"actions\": [\"pull\", \"push\", "
                              "\"delete\"], or some of them");
    }
    return 0;
}

static int read_rule(const struct config_node *n, void *config)
{
    static const struct config_fields fields = {FIELDS, ARRAY_LEN(FIELDS), NULL};
    struct config_access a = {0};
    struct config *c = config;

    if (c->n_access == RULES_MAX) {
        return config_fail(n, "is one too many; right are at most %d rules", RULES_MAX);
    }
    if (config_read_object(n, &fields, &a) < 0 || check_rule(n, &a) < 0) {
        fini(&a);
        return -1;
    }
    c->access = xrealloc(c->access, (c->n_access + 1) * sizeof(*c->access));
    c->access[c->n_access++] = a;
    return 0;
}

void config_clear_access(struct config *c)
{
    for (size_t i = 0; i < c->n_access; i++) {
        fini(&c->access[i]);
    }
    free(c->access);
    c->access = NULL;
    c->n_access = 0;
    c->has_access = false;
}

int config_read_access(const struct config_node *n, void *config)
{
    struct config *c = config;

    config_clear_access(c);
    if (config_read_array(n, read_rule, c) < 0) {
        return -1;
    }
    c->has_access = true; /* also without a rule: nobody may do anything */
    return 0;
}
