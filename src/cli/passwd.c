/*
 * cli/passwd.c - one line of an htpasswd file, new or in the place of the one before.
 *
 * The file is written beside the old one and renamed, so that a server that reads it sees either.
 */
#include "cli/passwd.h"

#include "base/file.h"
#include "registry/users.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ROUNDS 10 /* some 50 ms */
#define FILE_MAX_BYTES (8u << 20)

/* --- the password -------------------------------------------------------------------------- */

/* A line of standard input, at a terminal without echo. */
static int read_line(const char *prompt, char *out, size_t size, struct err *err)
{
    struct termios before;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    char *got;

    if (terminal) {
        struct termios quiet = before;

        quiet.c_lflag &= ~(tcflag_t)ECHO;
        ignore_result(tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0);
        fputs(prompt, stderr);
    }
    got = fgets(out, (int)size, stdin);
    if (terminal) {
        ignore_result(tcsetattr(STDIN_FILENO, TCSAFLUSH, &before) < 0);
        fputc('\n', stderr);
    }
    if (got == NULL) {
        return err_set(err, ERR_BAD_REQUEST, "no password on standard input");
    }
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}

static int read_password(char *out, size_t size, struct err *err)
{
    char again[2 * PASSWORD_MAX];

    if (read_line("Password: ", out, size, err) < 0) {
        return -1;
    }
    if (out[0] == '\0') {
        return err_set(err, ERR_BAD_REQUEST, "the password is empty");
    }
    if (strlen(out) >= PASSWORD_MAX) {
        return err_set(err, ERR_BAD_REQUEST,
                       "a password has at most %d bytes, of which bcrypt takes note",
                       PASSWORD_MAX - 1);
    }
    if (isatty(STDIN_FILENO)) {
        if (read_line("Again: ", again, sizeof(again), err) < 0) {
            return -1;
        }
        if (strcmp(out, again) != 0) {
            return err_set(err, ERR_BAD_REQUEST, "the two are not the same");
        }
        explicit_bzero(again, sizeof(again));
    }
    return 0;
}

static int append_line(struct buf *out, const char *user, const char *password, struct err *err)
{
    char *setting = crypt_gensalt_ra("$2b$", ROUNDS, NULL, 0);
    struct crypt_data *data = xnew(struct crypt_data);
    const char *hash = setting == NULL ? NULL : crypt_r(password, setting, data);
    bool good = hash != NULL && hash[0] == '$';

    if (good) {
        buf_printf(out, "%s:%s\n", user, hash);
    }
    free(setting);
    explicit_bzero(data, sizeof(*data));
    free(data);
    return good ? 0 : err_set(err, ERR_INTERNAL, "this libcrypt has no bcrypt");
}

/* --- the file ------------------------------------------------------------------------------ */

/* All lines of the file but those of the user; there may be no file. */
static int keep_others(const char *path, const char *user, struct buf *out, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    struct slice rest;
    struct slice line;
    size_t len;

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        return 0;
    }
    if (file_read(path, FILE_MAX_BYTES, &text, &len, err) < 0) {
        return -1;
    }
    rest = slice_of(text, len);
    while (slice_split(&rest, '\n', &line)) {
        if (line.len > 0 && !slice_is(slice_sub(line, 0, slice_find(line, ':')), user)) {
            buf_slice(out, line);
            buf_str(out, "\n");
        }
    }
    return 0;
}

/* A new file is its owner's and group's to read, as a server may run as somebody of the group. */
static int write_beside(const char *beside, const char *path, struct slice text)
{
    struct stat st;
    bool old = stat(path, &st) == 0;
    _cleanup_close_ int fd =
        open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return -1;
    }
    if (old) {
        ignore_result(fchown(fd, st.st_uid, st.st_gid) < 0);
    }
    if (fchmod(fd, old ? st.st_mode & 0777 : 0640) < 0 ||
        file_pwrite_all(fd, text.p, text.len, 0) < 0 || fsync(fd) < 0) {
        return -1;
    }
    return rename(beside, path);
}

static int write_file(const char *path, struct slice text, struct err *err)
{
    _cleanup_free_ char *beside = xasprintf("%s.new", path);

    if (write_beside(beside, path, text) < 0) {
        err_set(err, ERR_STORE, "%s: cannot be written: %s", path, strerror(errno));
        unlink(beside);
        return -1;
    }
    return 0;
}

static int set_password(const char *path, const char *user, struct err *err)
{
    char password[2 * PASSWORD_MAX] = "";
    struct buf text;
    int rc;

    buf_init(&text, FILE_MAX_BYTES);
    rc = read_password(password, sizeof(password), err);
    rc = rc < 0 ? rc : keep_others(path, user, &text, err);
    rc = rc < 0 ? rc : append_line(&text, user, password, err);
    rc = rc < 0 ? rc : write_file(path, buf_view(&text), err);
    explicit_bzero(password, sizeof(password));
    buf_free(&text);
    return rc;
}

static bool user_good(const char *user)
{
    size_t n = strlen(user);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)user[i] <= 0x20 || user[i] == 0x7f || user[i] == ':') {
            return false;
        }
    }
    return n > 0 && n < USER_MAX && user[0] != '#';
}

int passwd_run(const struct flags *flags)
{
    struct err err = {0};

    if (flags->n_args != 2) {
        fprintf(stderr, "larder: give FILE and USER; see `larder passwd --help`\n");
        return 2;
    }
    if (!user_good(flags->args[1])) {
        fprintf(stderr, "larder: a user's name has at most %d bytes, no space and no colon\n",
                USER_MAX - 1);
        return 2;
    }
    if (set_password(flags->args[0], flags->args[1], &err) < 0) {
        fprintf(stderr, "larder: %s\n", err.text);
        return flags_status(&err);
    }
    return 0;
}
