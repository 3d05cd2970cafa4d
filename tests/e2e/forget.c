/*
 * tests/e2e/forget.c - remembers what a program has put on disk for certain, for power.py to forget
 * the rest.
 *
 * Loaded before a server (LD_PRELOAD), it keeps in the folder FORGET_SHADOW, for each file and
 * each folder below FORGET_DIR that was synced, what it held then:
 *
 *     INODE-BIRTH    of a file its bytes, of a folder lines "INODE-BIRTH NAME"
 *
 * That is done before fsync and fdatasync return, and, for what is written to a file that was
 * opened with O_DSYNC, before the write returns. Nothing else lasts: no write, no rename, no new
 * name. The disk itself is not synced, which takes time and shows nothing.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_MAX 64
#define PIECE 65536

static const char *shadow;
static const char *below = "";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    shadow = getenv("FORGET_SHADOW");
    below = getenv("FORGET_DIR");
}

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static bool is_ours(int fd)
{
    char path[PATH_MAX];
    char name[64];
    ssize_t n;

    if (shadow == NULL || below == NULL) {
        return false;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
    return strncmp(path, below, strlen(below)) == 0;
}

static bool key_of(int at, const char *name, char out[KEY_MAX])
{
    struct statx st;

    if (statx(at, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &st) < 0) {
        return false;
    }
    snprintf(out, KEY_MAX, "%llu-%lld.%u", (unsigned long long)st.stx_ino,
             (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
    return true;
}

static void copy_folder(int fd, FILE *out)
{
    DIR *folder = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    char key[KEY_MAX];

    must(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        bool self = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;

        if (!self && key_of(fd, entry->d_name, key)) {
            fprintf(out, "%s %s\n", key, entry->d_name);
        }
    }
    closedir(folder);
}

static void copy_file(int fd, FILE *out)
{
    static char piece[PIECE];
    char name[64];
    ssize_t n;
    int in;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    in = open(name, O_RDONLY | O_CLOEXEC);
    must(in >= 0);
    while ((n = read(in, piece, sizeof(piece))) > 0) {
        must(fwrite(piece, 1, (size_t)n, out) == (size_t)n);
    }
    close(in);
}

/* What it holds now lasts. errno is the caller's. */
static void remember(int fd)
{
    int error = errno;
    char new[PATH_MAX];
    char path[PATH_MAX];
    char key[KEY_MAX];
    struct stat st;
    FILE *out;

    if (!is_ours(fd) || fstat(fd, &st) < 0 || !key_of(fd, "", key)) {
        errno = error;
        return;
    }
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof(path), "%s/%s", shadow, key);
    snprintf(new, sizeof(new), "%s/new", shadow);
    out = fopen(new, "we");
    must(out != NULL);
    if (S_ISDIR(st.st_mode)) {
        copy_folder(fd, out);
    } else {
        copy_file(fd, out);
    }
    must(fclose(out) == 0 && rename(new, path) == 0);
    pthread_mutex_unlock(&lock);
    errno = error;
}

int fsync(int fd)
{
    remember(fd);
    return 0;
}

int fdatasync(int fd)
{
    remember(fd);
    return 0;
}

/* Bytes that the program wrote through: they alone last, not what stands around them. */
static void remember_write(int fd, const void *p, size_t size, off_t at)
{
    int flags = fcntl(fd, F_GETFL);
    int error = errno;
    char path[PATH_MAX];
    char key[KEY_MAX];
    FILE *out;

    if (flags < 0 || (flags & O_DSYNC) == 0 || !is_ours(fd) || !key_of(fd, "", key)) {
        errno = error;
        return;
    }
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof(path), "%s/%s", shadow, key);
    out = fopen(path, "r+e");
    out = out == NULL ? fopen(path, "w+e") : out;
    must(out != NULL && fseeko(out, at, SEEK_SET) == 0 && fwrite(p, 1, size, out) == size &&
         fclose(out) == 0);
    pthread_mutex_unlock(&lock);
    errno = error;
}

/* POSIX lets a pointer to a function be one to an object. */
#define WRITES(name, type)                                                                         \
    ssize_t name(int fd, const void *p, size_t size, type at)                                      \
    {                                                                                              \
        static __typeof__(&(name)) real;                                                           \
        ssize_t n;                                                                                 \
                                                                                                   \
        if (real == NULL) {                                                                        \
            void *symbol = dlsym(RTLD_NEXT, #name);                                                \
                                                                                                   \
            memcpy(&real, &symbol, sizeof(symbol));                                                \
        }                                                                                          \
        n = real(fd, p, size, at);                                                                 \
        if (n > 0) {                                                                               \
            remember_write(fd, p, (size_t)n, at);                                                  \
        }                                                                                          \
        return n;                                                                                  \
    }

WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)
