/*
 * tests/fuzz/replay.c - gives a fuzz target its stored seeds, without a fuzzer.
 *
 *     fuzz_x.replay SEEDS         runs the target on each SEEDS/NAME.txt; prints TAP
 *     fuzz_x.replay SEEDS OUT     writes the decoded seeds to OUT/NAME instead
 *
 * A seed is text in which \r \n \t \0 \xHH and \\ stand for bytes; a line end of the file itself
 * counts for nothing, so that long inputs can be broken into lines. The target sees an exact heap
 * copy, so that a sanitizer notices a read of one byte too many.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count;
static int failed;

static void seed_result(bool good, const char *name, const char *why)
{
    count++;
    failed += good ? 0 : 1;
    printf("%sok %d - %s%s%s\n", good ? "" : "not ", count, name, why[0] ? ": " : "", why);
    fflush(stdout);
}

static int hex_digit(int c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c | 0x20);

    return at == NULL ? -1 : (int)(at - digits);
}

/* One escape, without its backslash, from `in`. Gives its byte, or -1 where it is none. */
static int seed_escape(FILE *in)
{
    static const char names[] = "rnt0\\";
    static const char bytes[] = "\r\n\t\0\\";
    int c = fgetc(in);
    int high;
    int low;

    if (c == 'x') {
        high = hex_digit(fgetc(in));
        low = hex_digit(fgetc(in));
        return high < 0 || low < 0 ? -1 : high * 16 + low;
    }
    for (size_t i = 0; i < sizeof(names) - 1; i++) {
        if (c == names[i]) {
            return (unsigned char)bytes[i];
        }
    }
    return -1;
}

/* Copies the decoded seed to `out`. False where it holds an escape that is none. */
static bool seed_decode(FILE *in, FILE *out)
{
    int c;

    while ((c = fgetc(in)) != EOF) {
        if (c == '\n') {
            continue;
        }
        if (c == '\\') {
            c = seed_escape(in);
        }
        if (c < 0) {
            return false;
        }
        fputc(c, out);
    }
    return ferror(in) == 0;
}

static bool seed_write(const char *out_dir, const char *name, const char *bytes, size_t size)
{
    char path[4096];
    FILE *out;
    bool good;

    snprintf(path, sizeof(path), "%s/%s", out_dir, name);
    out = fopen(path, "wb");
    if (out == NULL) {
        return false;
    }
    good = fwrite(bytes, 1, size, out) == size;
    return fclose(out) == 0 && good;
}

static bool seed_give(const char *bytes, size_t size)
{
    uint8_t *exact = malloc(size); /* lint: allow malloc because its end must be exact */

    if (exact == NULL && size > 0) {
        return false;
    }
    if (size > 0) {
        memcpy(exact, bytes, size);
    }
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return true;
}

static void seed_run(const char *dir, const char *name, const char *out_dir)
{
    char path[4096];
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    FILE *in;
    bool good;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    in = fopen(path, "rb");
    good = in != NULL && out != NULL && seed_decode(in, out);
    if (in != NULL) {
        fclose(in);
    }
    if (out != NULL) {
        fclose(out);
    }
    if (!good) {
        seed_result(false, name, "cannot be read, or has an escape that is none");
    } else if (out_dir != NULL) {
        seed_result(seed_write(out_dir, name, bytes, size), name, "written");
    } else {
        seed_result(seed_give(bytes, size), name, "");
    }
    free(bytes);
}

static int is_seed(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');

    return end != NULL && strcmp(end, ".txt") == 0;
}

int main(int argc, char **argv)
{
    struct dirent **names;
    int found;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s SEEDS [OUT]\n", argv[0]);
        return 2;
    }
    found = scandir(argv[1], &names, is_seed, alphasort);
    if (found < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (int i = 0; i < found; i++) {
        seed_run(argv[1], names[i]->d_name, argv[2]);
        free(names[i]);
    }
    free(names);
    printf("1..%d\n", count);
    return failed > 0 || count == 0 ? 1 : 0;
}
