/*
 * oci/docker_auth.h - Docker's config.json, and what a credential helper answers. Pure.
 *
 * https://docs.docker.com/reference/cli/docker/login/ and the README of docker-credential-helpers.
 */
#ifndef OCI_DOCKER_AUTH_H
#define OCI_DOCKER_AUTH_H

#include "base/err.h"
#include "base/str.h"

#define DOCKER_CONFIG_MAX (1024u * 1024)
#define DOCKER_ANSWER_MAX (64u * 1024)

/* What is known of one server; each may be NULL. Owner: the caller, by docker_auth_free(). */
struct docker_auth {
    char *basic;          /* base64 of "user:password" */
    char *identity_token; /* for the refresh_token grant */
    char *helper;         /* the program to ask is docker-credential-HELPER */
    char *server;         /* what to ask it for: the name as the file has it */
    char *user;           /* of a helper's answer, with a password */
    char *password;
};

/* Wipes what it frees. */
void docker_auth_free(struct docker_auth *a);

/* How Docker calls the server: its own hub by an old URL, others by their host. */
const char *docker_server(const char *name);

/* Whether this may be a helper's name: what stands behind "docker-credential-". */
bool docker_helper_valid(struct slice name);

/* What the file says for this server ("ghcr.io", or a URL): its own helper in credHelpers, else
 * what stands in auths, else the credsStore. -1 with ERR_CONFIG, without any of the text. */
int docker_config_parse(struct slice text, const char *server, struct docker_auth *ret,
                        struct err *err) MUST_CHECK;

/* A helper's answer to "get": user and password, or an identity token where the user is "<token>".
 * -1 with ERR_CONFIG, without any of the text. */
int docker_answer_parse(struct slice text, struct docker_auth *ret, struct err *err) MUST_CHECK;

#endif
