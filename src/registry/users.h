/*
 * registry/users.h - who may sign in: an htpasswd file, and what was found out from it lately.
 *
 * Only bcrypt ("$2y$", "$2b$", "$2a$"). Checking a password takes some 50 ms of a CPU on purpose,
 * so it is done in the disk pool, and a good one is remembered for 5 minutes, as a salted hash. An
 * address whose passwords are wrong has to wait. The file is read again when it changed.
 */
#ifndef REGISTRY_USERS_H
#define REGISTRY_USERS_H

#include "base/err.h"
#include "base/str.h"

#define USER_MAX 128
#define PASSWORD_MAX 73 /* bcrypt looks at 72 bytes, so longer ones are refused */
#define USER_HASH_MAX 61

struct users;

/* NULL with ERR_CONFIG that names the file and the line. Any thread may use it, until its end. */
struct users *users_new(const char *path, struct err *err) MUST_CHECK;
void users_free(struct users *u);

/* What somebody says who they are. */
struct user_claim {
    char name[USER_MAX];
    char password[PASSWORD_MAX];
};

/* Reads an Authorization field of the Basic scheme (RFC 7617). False: it is none, or holds what no
 * user can have. Pure. */
bool users_claim(struct slice field, struct user_claim *ret) MUST_CHECK;

/* Whether it was found good lately. Does not block. */
bool users_remembered(struct users *u, const struct user_claim *claim);

enum user_verdict {
    USER_WRONG,
    USER_GOOD,
    USER_TOO_MANY, /* not looked at: too many of that client were wrong lately */
};

/* Looks whether the file changed, and then for the password where it is not remembered; remembers
 * it where it is good, and else counts it. USER_TOO_MANY with the seconds to wait in *ret_wait.
 * Blocks for long: pool threads. */
enum user_verdict users_check(struct users *u, const struct user_claim *claim, const char *client,
                              unsigned *ret_wait) MUST_CHECK;

/* The user's hash, as the file said when it was last read: another for another password. False:
 * there is no such user. Does not block. */
bool users_hash(struct users *u, const char *name, char ret[USER_HASH_MAX]) MUST_CHECK;

/* Whether a client may try a password now: so many in a minute may have been wrong, beside those
 * that are being looked at, which are as many as pool threads. Else *ret_wait is the seconds to
 * wait. Does not block. */
bool users_may_try(struct users *u, const char *client, unsigned *ret_wait) MUST_CHECK;

#endif
