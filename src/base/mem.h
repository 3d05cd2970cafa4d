/*
 * base/mem.h - allocation of sizes that we choose: running out of memory aborts.
 *
 * A size that a peer chooses is bounded before it gets here.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* The struct that contains `member`, of which `ptr` is the address. */
#define container_of(ptr, type, member) ((type *)(void *)(((char *)(ptr)) - offsetof(type, member)))

/* The same where `ptr` is const, and so is the struct. */
#define container_of_const(ptr, type, member)                                                      \
    ((const type *)(const void *)(((const char *)(ptr)) - offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory for n objects of `size` bytes; never NULL. Freed with free(). Any thread. */
void *xcalloc(size_t n, size_t size) MUST_CHECK;

/* As realloc(); never NULL for size > 0. */
void *xrealloc(void *p, size_t size) MUST_CHECK;

/* Copies of strings; never NULL. Freed with free(). */
char *xstrdup(const char *s) MUST_CHECK;
char *xstrndup(const char *s, size_t n) MUST_CHECK;

/* A formatted string; never NULL. Freed with free(). */
char *xasprintf(const char *fmt, ...) MUST_CHECK PRINTF_LIKE(1, 2);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* For results that are ignored on purpose, so that each such place can be searched for. */
#define ignore_result(call)                                                                        \
    do {                                                                                           \
        if (call) {                                                                                \
        }                                                                                          \
    } while (0)

/* Cleanup attributes for locals of synchronous functions. */
void mem_cleanup_free(void *p);
void mem_cleanup_close(int *fd);
#define _cleanup_free_ __attribute__((cleanup(mem_cleanup_free)))
#define _cleanup_close_ __attribute__((cleanup(mem_cleanup_close)))

#endif
