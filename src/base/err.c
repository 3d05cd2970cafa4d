/* base/err.c - the error value and its table. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Macros where the analyser reads this. */
#undef err_set
#undef err_wrap

struct err_row {
    int status;
    const char *oci;
    enum err_retry retry;
    const char *name;
};

static const struct err_row ERR_ROWS[] = {
#define X(code, status, oci, retry) [code] = {status, oci, retry, #code},
    ERR_LIST(X)
#undef X
};

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list args;

    e->code = code;
    e->retry_after = 0;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char old[sizeof(e->text)];
    va_list args;
    size_t used;

    memcpy(old, e->text, sizeof(old));
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, ": %s", old);
    return -1;
}

int err_status(enum err_code code)
{
    return ERR_ROWS[code].status;
}

const char *err_oci_code(enum err_code code)
{
    return ERR_ROWS[code].oci;
}

enum err_retry err_retry(enum err_code code)
{
    return ERR_ROWS[code].retry;
}

const char *err_name(enum err_code code)
{
    return ERR_ROWS[code].name;
}

enum err_code err_of_answer(int status, const char *oci)
{
    enum err_code of_status = ERR_INTERNAL;

    for (size_t i = ARRAY_LEN(ERR_ROWS); i-- > 1;) {
        if (ERR_ROWS[i].status == status) {
            of_status = (enum err_code)i;
        }
    }
    for (size_t i = 1; i < ARRAY_LEN(ERR_ROWS); i++) {
        if (ERR_ROWS[i].status == status && strcmp(ERR_ROWS[i].oci, oci) == 0) {
            return (enum err_code)i;
        }
    }
    return of_status;
}
