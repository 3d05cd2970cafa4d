/*
 * base/err.h - the error value, and the one table where failure meets HTTP.
 *
 * An error lives in its caller and owns nothing. Functions that fail in one way return bool or
 * NULL; those that fail in several take `struct err *` last and return -1 (or false).
 * Files below cache/ do not log: they say what is wrong, and the top logs it once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/mem.h"

enum err_retry {
    RETRY_NO,    /* the same question gets the same answer */
    RETRY_LATER, /* the same endpoint may answer later */
    RETRY_NEXT,  /* another endpoint or source may answer */
};

/* code, HTTP status, OCI error code, whether another try may help. OCI codes: distribution-spec
 * "Error Codes"; RANGE_INVALID, TAG_INVALID, PAGINATION_NUMBER_INVALID, UNAVAILABLE and UNKNOWN are
 * those of the reference registry. */
#define ERR_LIST(X)                                                                                \
    X(ERR_NONE, 200, "", RETRY_NO)                                                                 \
    X(ERR_BAD_REQUEST, 400, "UNSUPPORTED", RETRY_NO)                                               \
    X(ERR_NAME_INVALID, 400, "NAME_INVALID", RETRY_NO)                                             \
    X(ERR_NAME_UNKNOWN, 404, "NAME_UNKNOWN", RETRY_NO)                                             \
    X(ERR_MANIFEST_UNKNOWN, 404, "MANIFEST_UNKNOWN", RETRY_NO)                                     \
    X(ERR_MANIFEST_INVALID, 502, "MANIFEST_INVALID", RETRY_NEXT)                                   \
    X(ERR_MANIFEST_REFUSED, 400, "MANIFEST_INVALID", RETRY_NO)                                     \
    X(ERR_TAG_INVALID, 400, "TAG_INVALID", RETRY_NO)                                               \
    X(ERR_BLOB_UNKNOWN, 404, "BLOB_UNKNOWN", RETRY_NO)                                             \
    X(ERR_UPLOAD_UNKNOWN, 404, "BLOB_UPLOAD_UNKNOWN", RETRY_NO)                                    \
    X(ERR_UPLOAD_RANGE, 416, "BLOB_UPLOAD_INVALID", RETRY_NO)                                      \
    X(ERR_SIZE_INVALID, 400, "SIZE_INVALID", RETRY_NO)                                             \
    X(ERR_NOT_FOUND, 404, "UNSUPPORTED", RETRY_NO)                                                 \
    X(ERR_DIGEST_INVALID, 400, "DIGEST_INVALID", RETRY_NO)                                         \
    X(ERR_PAGINATION, 400, "PAGINATION_NUMBER_INVALID", RETRY_NO)                                  \
    X(ERR_UNAUTHORIZED, 401, "UNAUTHORIZED", RETRY_NO)                                             \
    X(ERR_DENIED, 403, "DENIED", RETRY_NO)                                                         \
    X(ERR_UNSUPPORTED, 405, "UNSUPPORTED", RETRY_NO)                                               \
    X(ERR_TOO_LARGE, 413, "SIZE_INVALID", RETRY_NO)                                                \
    X(ERR_URI_TOO_LONG, 414, "UNSUPPORTED", RETRY_NO)                                              \
    X(ERR_RANGE, 416, "RANGE_INVALID", RETRY_NO)                                                   \
    X(ERR_TOO_MANY, 429, "TOOMANYREQUESTS", RETRY_LATER)                                           \
    X(ERR_HEAD_TOO_LARGE, 431, "UNSUPPORTED", RETRY_NO)                                            \
    X(ERR_INTERNAL, 500, "UNKNOWN", RETRY_NO)                                                      \
    X(ERR_STORE, 500, "UNKNOWN", RETRY_NO)                                                         \
    X(ERR_NO_SPACE, 507, "UNKNOWN", RETRY_NO)                                                      \
    X(ERR_UPSTREAM_REFUSED, 404, "DENIED", RETRY_NO)                                               \
    X(ERR_UPSTREAM_PROTOCOL, 502, "UNAVAILABLE", RETRY_NEXT)                                       \
    X(ERR_UPSTREAM_DOWN, 502, "UNAVAILABLE", RETRY_NEXT)                                           \
    X(ERR_UPSTREAM_TLS, 502, "UNAVAILABLE", RETRY_NEXT)                                            \
    X(ERR_DIGEST_MISMATCH, 502, "UNAVAILABLE", RETRY_NEXT)                                         \
    X(ERR_UNAVAILABLE, 503, "UNAVAILABLE", RETRY_LATER)                                            \
    X(ERR_UPSTREAM_SHUT, 503, "UNAVAILABLE", RETRY_NEXT)                                           \
    X(ERR_IN_USE, 503, "UNAVAILABLE", RETRY_LATER)                                                 \
    X(ERR_TIMEOUT, 504, "UNAVAILABLE", RETRY_NEXT)                                                 \
    X(ERR_CONFIG, 500, "UNKNOWN", RETRY_NO)                                                        \
    X(ERR_CLIENT_GONE, 499, "UNKNOWN", RETRY_NO)

enum err_code {
#define X(code, status, oci, retry) code,
    ERR_LIST(X)
#undef X
};

struct err {
    enum err_code code;
    unsigned retry_after; /* seconds that an upstream asked us to wait; 0: it said nothing */
    char text[240];
};

/* Sets code and text (cut to fit). Returns -1, so that `return err_set(…)` reads well. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prepends "fmt: " to the text; the code stays. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#ifdef __clang_analyzer__
/* It sees one file at a time, and would take every error path for one that may go on. */
#define err_set(...) ((void)(err_set)(__VA_ARGS__), -1)
#define err_wrap(...) ((void)(err_wrap)(__VA_ARGS__), -1)
#endif

/* What the table says of a code. Static storage. */
int err_status(enum err_code code);
const char *err_oci_code(enum err_code code);
enum err_retry err_retry(enum err_code code);
const char *err_name(enum err_code code);

/* The code of an answer with that status and OCI code: the first in the table with both, else with
 * that status, else ERR_INTERNAL. */
enum err_code err_of_answer(int status, const char *oci);

#endif
