/* bundle/tar_read.c - headers, what overrides them, and the bytes behind them. */
#include "bundle/tar_read.h"

#include <assert.h>
#include <stdio.h>

/* The fields of a header that count here: POSIX, "ustar Interchange Format". */
struct field {
    size_t at;
    size_t len;
};

static const struct field F_NAME = {0, 100};
static const struct field F_SIZE = {124, 12};
static const struct field F_SUM = {148, 8};
static const struct field F_LINK = {157, 100};
static const struct field F_MAGIC = {257, 8};
static const struct field F_PREFIX = {345, 155};
/* Where star's own mark stands at the end, its prefix is shorter: times follow. */
static const struct field F_STAR_PREFIX = {345, 131};

#define TYPE_AT 156
#define STAR_MARK_AT 508

/* Larger than any file, and far from where sums of offsets overflow. */
#define SIZE_LIMIT ((uint64_t)1 << 60)

void tar_read_init(struct tar_read *t)
{
    *t = (struct tar_read){.state = TAR_AT_HEADER};
    buf_init(&t->meta, TAR_META_MAX);
}

void tar_read_fini(struct tar_read *t)
{
    buf_free(&t->meta);
}

/* --- errors -------------------------------------------------------------------------------- */

/* The entry at hand, so that it can stand in an error: cut, and without control characters. */
static void place_text(const struct tar_read *t, char *buf, size_t size)
{
    char name[101] = "";
    size_t n = strnlen(t->entry.name, sizeof(name) - 1);

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)t->entry.name[i];

        name[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (n > 0) {
        snprintf(buf, size, "the archive's entry %s, at byte %llu", name,
                 (unsigned long long)t->header);
    } else {
        snprintf(buf, size, "the archive at byte %llu", (unsigned long long)t->header);
    }
}

static int bad(struct tar_read *t, const char *why)
{
    char place[180];

    place_text(t, place, sizeof(place));
    t->state = TAR_IS_BAD;
    return err_set(&t->err, ERR_BAD_REQUEST, "%s: %s", place, why);
}

/* --- fields -------------------------------------------------------------------------------- */

/* Up to the first NUL, or all of the field. Borrows. */
static struct slice text_field(const unsigned char *block, struct field f)
{
    const char *p = (const char *)block + f.at;

    return slice_of(p, strnlen(p, f.len));
}

/* GNU's way: the first bit set, the rest a big-endian number; all ones in front is a negative. */
static bool number_binary(struct slice s, uint64_t *ret)
{
    uint64_t value = (unsigned char)s.p[0] & 0x7f;

    if (((unsigned char)s.p[0] & 0x40) != 0) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (value >> 56 != 0) {
            return false;
        }
        value = value << 8 | (unsigned char)s.p[i];
    }
    *ret = value;
    return true;
}

/* Octal digits between blanks and NULs; none at all is 0. */
static bool number_octal(struct slice s, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;

    while (i < s.len && s.p[i] == ' ') {
        i++;
    }
    for (; i < s.len && s.p[i] >= '0' && s.p[i] <= '7'; i++) {
        value = value << 3 | (uint64_t)(s.p[i] - '0'); /* 12 digits at most */
    }
    for (; i < s.len; i++) {
        if (s.p[i] != ' ' && s.p[i] != '\0') {
            return false;
        }
    }
    *ret = value;
    return true;
}

static bool number_field(const unsigned char *block, struct field f, uint64_t *ret)
{
    struct slice s = slice_of((const char *)block + f.at, f.len);

    return (block[f.at] & 0x80) != 0 ? number_binary(s, ret) : number_octal(s, ret);
}

/* The sum of all bytes, with the sum's own as blanks. Old writers took bytes as signed. */
static bool sum_matches(const unsigned char *block)
{
    uint64_t written;
    int64_t plain = 0;
    int64_t with_sign = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        bool own = i >= F_SUM.at && i < F_SUM.at + F_SUM.len;
        unsigned char c = own ? ' ' : block[i];

        plain += c;
        with_sign += (signed char)c;
    }
    return number_field(block, F_SUM, &written) &&
           ((int64_t)written == plain || (int64_t)written == with_sign);
}

static bool all_zero(const unsigned char *block)
{
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return true;
}

/* --- names --------------------------------------------------------------------------------- */

/* Appends a part to a name of `n` bytes; false where it does not fit. */
static bool part_add(char *name, size_t *n, struct slice part)
{
    size_t slash = *n > 0 ? 1 : 0;

    if (*n + slash + part.len > TAR_NAME_MAX) {
        return false;
    }
    if (slash > 0) {
        name[*n] = '/';
    }
    memcpy(name + *n + slash, part.p, part.len);
    *n += slash + part.len;
    name[*n] = '\0';
    return true;
}

/* Without its last part; false where there is none. */
static bool part_drop(char *name, size_t *n)
{
    struct slice rest = slice_of(name, *n);
    size_t slash = slice_rfind(rest, '/');

    if (*n == 0) {
        return false;
    }
    *n = slash == rest.len ? 0 : slash;
    name[*n] = '\0';
    return true;
}

/* Appends the parts of a path; ".." goes up where `up` is. False where it leads out, or is too
 * long. */
static bool parts_add(char *name, size_t *n, struct slice path, bool up)
{
    struct slice part;

    while (slice_split(&path, '/', &part)) {
        if (slice_is(part, "..")) {
            if (!up || !part_drop(name, n)) {
                return false;
            }
        } else if (part.len > 0 && !slice_is(part, ".") && !part_add(name, n, part)) {
            return false;
        }
    }
    return true;
}

/* As much of a name that will not do as an error can show. */
static void name_show(struct tar_read *t, struct slice raw)
{
    size_t n = raw.len < TAR_NAME_MAX ? raw.len : TAR_NAME_MAX;

    memcpy(t->entry.name, raw.p, n);
    t->entry.name[n] = '\0';
}

static int name_set(struct tar_read *t, struct slice raw)
{
    char name[TAR_NAME_MAX + 1] = "";
    size_t n = 0;

    name_show(t, raw);
    if (raw.len == 0) {
        return bad(t, "it has no name");
    }
    if (raw.len > TAR_NAME_MAX) {
        return bad(t, "its name is too long");
    }
    if (raw.p[0] == '/') {
        return bad(t, "its name begins with a /");
    }
    if (!parts_add(name, &n, raw, false)) {
        return bad(t, "its name has a .. in it");
    }
    memcpy(t->entry.name, n == 0 ? "." : name, n == 0 ? 2 : n + 1);
    return 0;
}

bool tar_link_target(const struct tar_entry *entry, char ret[TAR_NAME_MAX + 1])
{
    struct slice link = slice_str(entry->link);
    char name[TAR_NAME_MAX + 1] = "";
    size_t n = 0;

    if (link.len == 0 || link.p[0] == '/') {
        return false;
    }
    if (entry->type == TAR_SYMLINK &&
        (!parts_add(name, &n, slice_str(entry->name), false) || !part_drop(name, &n))) {
        return false;
    }
    if (!parts_add(name, &n, link, entry->type == TAR_SYMLINK) || n == 0) {
        return false;
    }
    memcpy(ret, name, n + 1);
    return true;
}

/* --- what overrides a header --------------------------------------------------------------- */

/* A name or target that a long one replaces. Longer ones are told from the entry's own, so that
 * the error can say whose it is. */
static int over_text(struct tar_read *t, struct slice value, bool *has, char *out)
{
    if (value.len > TAR_NAME_MAX) {
        return bad(t, "the next entry's name, or what it links to, is too long");
    }
    if (!slice_copy(value, out, TAR_NAME_MAX + 1)) {
        return bad(t, "the next entry's name, or what it links to, has a NUL in it");
    }
    *has = true;
    return 0;
}

static int pax_apply(struct tar_read *t, struct slice key, struct slice value)
{
    struct tar_over *o = &t->over;

    if (slice_is(key, "path")) {
        return over_text(t, value, &o->has_name, o->name);
    }
    if (slice_is(key, "linkpath")) {
        return over_text(t, value, &o->has_link, o->link);
    }
    if (slice_is(key, "size")) {
        o->has_size = slice_u64(value, &o->size);
        return o->has_size && o->size < SIZE_LIMIT
                   ? 0
                   : bad(t, "the next entry's size is no number of bytes");
    }
    o->sparse = o->sparse || slice_starts(key, "GNU.sparse.");
    return 0;
}

/* Records of "LENGTH KEY=VALUE\n", where LENGTH counts all of the record. */
static int pax_parse(struct tar_read *t, struct slice body)
{
    while (body.len > 0) {
        size_t blank = slice_find(body, ' ');
        struct slice record;
        uint64_t len;
        size_t equals;

        if (blank > 20 || !slice_u64(slice_sub(body, 0, blank), &len) || len > body.len ||
            len < blank + 2 || body.p[len - 1] != '\n') {
            return bad(t, "its pax records are broken");
        }
        record = slice_sub(body, blank + 1, (size_t)len - 1);
        equals = slice_find(record, '=');
        if (equals == record.len || equals == 0) {
            return bad(t, "its pax records are broken");
        }
        if (pax_apply(t, slice_sub(record, 0, equals), slice_from(record, equals + 1)) < 0) {
            return -1;
        }
        body = slice_from(body, (size_t)len);
    }
    return 0;
}

/* GNU's long names end with a NUL, or with their block. */
static struct slice until_nul(struct slice s)
{
    return slice_sub(s, 0, slice_find(s, '\0'));
}

static int meta_apply(struct tar_read *t)
{
    struct slice body = buf_view(&t->meta);
    int result = 0;

    if (t->meta_type == 'x') {
        result = pax_parse(t, body);
    } else if (t->meta_type == 'L') {
        result = over_text(t, until_nul(body), &t->over.has_name, t->over.name);
    } else if (t->meta_type == 'K') {
        result = over_text(t, until_nul(body), &t->over.has_link, t->over.link);
    }
    buf_free(&t->meta);
    buf_init(&t->meta, TAR_META_MAX);
    return result;
}

/* --- headers ------------------------------------------------------------------------------- */

/* The name that the header itself gives, with its prefix where the format has one. */
static struct slice header_name(const unsigned char *block, char out[260])
{
    struct slice name = text_field(block, F_NAME);
    struct slice prefix = SLICE_NULL;
    int n;

    if (memcmp(block + F_MAGIC.at, "ustar\0", 6) == 0) {
        bool star = memcmp(block + STAR_MARK_AT, "tar\0", 4) == 0;

        prefix = text_field(block, star ? F_STAR_PREFIX : F_PREFIX);
    }
    n = prefix.len == 0
            ? snprintf(out, 260, SLICE_FMT, SLICE_ARG(name))
            : snprintf(out, 260, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(prefix), SLICE_ARG(name));
    return slice_of(out, (size_t)n);
}

static enum tar_type type_of(char flag, struct slice name)
{
    switch (flag) {
    case '\0':
    case '0':
        /* Before there was a type for folders, a '/' at the end told them. */
        return slice_ends(name, "/") ? TAR_DIR : TAR_FILE;
    case '7':
        return TAR_FILE;
    case '1':
        return TAR_HARDLINK;
    case '2':
        return TAR_SYMLINK;
    case '5':
        return TAR_DIR;
    default:
        return TAR_OTHER;
    }
}

/* Whatever size the header of such an entry states, nothing follows it. */
static bool type_is_bare(char flag)
{
    return flag >= '1' && flag <= '6';
}

static int meta_begin(struct tar_read *t, char flag, uint64_t size)
{
    t->entry.name[0] = '\0';
    if (flag != 'g' && size > TAR_META_MAX) {
        return bad(t, "a long name, or pax records, of more than 256 KiB");
    }
    t->state = TAR_IN_META;
    t->meta_type = flag == 'g' ? '\0' : flag;
    t->left = size;
    t->padding = (unsigned)(-size % TAR_BLOCK);
    return 0;
}

static int entry_begin(struct tar_read *t, char flag, uint64_t size)
{
    char text[260];
    struct slice name = t->over.has_name ? slice_str(t->over.name) : header_name(t->block, text);
    struct slice link = t->over.has_link ? slice_str(t->over.link) : text_field(t->block, F_LINK);

    size = t->over.has_size ? t->over.size : size;
    if (name_set(t, name) < 0) {
        return -1;
    }
    if (flag == 'S' || t->over.sparse) {
        return bad(t, "a sparse file, which is not read");
    }
    t->entry.type = type_of(flag, name);
    t->entry.size = type_is_bare(flag) || t->entry.type == TAR_DIR ? 0 : size;
    t->entry.offset = t->header;
    if (!slice_copy(link, t->entry.link, sizeof(t->entry.link)) ||
        (t->entry.type != TAR_SYMLINK && t->entry.type != TAR_HARDLINK)) {
        t->entry.link[0] = '\0';
    }
    t->over = (struct tar_over){0};
    t->state = TAR_IN_DATA;
    t->left = t->entry.size;
    t->padding = (unsigned)(-t->left % TAR_BLOCK);
    return 0;
}

static int not_tar(struct tar_read *t)
{
    t->state = TAR_IS_BAD;
    return err_set(&t->err, ERR_BAD_REQUEST, "this is no tar archive");
}

/* A whole block where a header belongs. */
static int header_read(struct tar_read *t)
{
    char flag = (char)t->block[TYPE_AT];
    uint64_t size;

    t->entry.name[0] = '\0';
    t->header = t->at - TAR_BLOCK;
    if (all_zero(t->block)) {
        t->state = t->zeros ? TAR_AT_END : TAR_AT_HEADER;
        t->zeros = true;
        return 0;
    }
    if (t->zeros || !sum_matches(t->block)) {
        return t->header == 0 ? not_tar(t) : bad(t, "no header of an entry");
    }
    if (!number_field(t->block, F_SIZE, &size) || size >= SIZE_LIMIT) {
        name_show(t, text_field(t->block, F_NAME));
        return bad(t, "its size is no number of bytes");
    }
    if (flag == 'x' || flag == 'g' || flag == 'L' || flag == 'K') {
        return meta_begin(t, flag, size);
    }
    return entry_begin(t, flag, size);
}

/* --- bytes --------------------------------------------------------------------------------- */

/* Takes up to `max` bytes off *in. */
static struct slice take(struct tar_read *t, struct slice *in, uint64_t max)
{
    struct slice got = slice_sub(*in, 0, max < in->len ? (size_t)max : in->len);

    *in = slice_from(*in, got.len);
    t->at += got.len;
    return got;
}

static enum tar_event feed_header(struct tar_read *t, struct slice *in)
{
    struct slice got = take(t, in, TAR_BLOCK - t->n_block);

    memcpy(t->block + t->n_block, got.p, got.len);
    t->n_block += got.len;
    if (t->n_block < TAR_BLOCK) {
        return TAR_MORE;
    }
    t->n_block = 0;
    if (header_read(t) < 0) {
        return TAR_BAD;
    }
    return t->state == TAR_IN_DATA ? TAR_ENTRY : TAR_MORE;
}

static enum tar_event feed_meta(struct tar_read *t, struct slice *in)
{
    struct slice got = take(t, in, t->left);

    t->left -= got.len;
    if (t->meta_type != '\0') {
        buf_slice(&t->meta, got);
    }
    if (t->left > 0) {
        return TAR_MORE;
    }
    t->state = TAR_IN_PADDING;
    return meta_apply(t) < 0 ? TAR_BAD : TAR_MORE;
}

static enum tar_event feed_data(struct tar_read *t, struct slice *in)
{
    if (t->left == 0) {
        t->state = TAR_IN_PADDING;
        return TAR_ENTRY_END;
    }
    t->data = take(t, in, t->left);
    t->left -= t->data.len;
    return TAR_DATA;
}

uint64_t tar_read_left(const struct tar_read *t)
{
    return t->state == TAR_IN_DATA ? t->left : 0;
}

void tar_read_skip(struct tar_read *t, uint64_t n)
{
    assert(n <= tar_read_left(t));
    t->left -= n;
    t->at += n;
}

static enum tar_event feed_padding(struct tar_read *t, struct slice *in)
{
    t->padding -= (unsigned)take(t, in, t->padding).len;
    if (t->padding == 0) {
        t->state = TAR_AT_HEADER;
        t->header = t->at;
        t->entry.name[0] = '\0';
    }
    return TAR_MORE;
}

/* What the bytes at hand were; TAR_MORE may also mean that the state went on. */
static enum tar_event feed_once(struct tar_read *t, struct slice *in)
{
    switch (t->state) {
    case TAR_AT_HEADER:
        return feed_header(t, in);
    case TAR_IN_META:
        return feed_meta(t, in);
    case TAR_IN_DATA:
        return feed_data(t, in);
    case TAR_IN_PADDING:
        return feed_padding(t, in);
    case TAR_AT_END:
        take(t, in, in->len);
        return TAR_END;
    case TAR_IS_BAD:
        return TAR_BAD;
    }
    return TAR_BAD;
}

enum tar_event tar_read_feed(struct tar_read *t, struct slice *in, struct err *e)
{
    enum tar_event event = TAR_MORE;

    t->data = SLICE_NULL;
    if (t->state == TAR_AT_END) {
        return feed_once(t, in);
    }
    /* An entry without bytes ends, and the archive too, without a further byte. */
    while (event == TAR_MORE) {
        bool empty_entry = t->state == TAR_IN_DATA && t->left == 0;
        bool passed = t->state == TAR_AT_END || t->state == TAR_IS_BAD;

        if (in->len == 0 && !empty_entry && !passed) {
            return TAR_MORE;
        }
        event = feed_once(t, in);
    }
    if (event == TAR_BAD) {
        *e = t->err;
    }
    return event;
}

/* Whether the next byte may as well never come. */
static bool at_boundary(const struct tar_read *t)
{
    bool between = (t->state == TAR_AT_HEADER && t->n_block == 0) ||
                   (t->state == TAR_IN_PADDING && t->padding == 0);

    return between && !t->over.has_name && !t->over.has_link && !t->over.has_size;
}

int tar_read_finish(const struct tar_read *t, struct err *e)
{
    char place[180];

    if (t->state == TAR_IS_BAD) {
        *e = t->err;
        return -1;
    }
    if (t->at == 0) {
        return err_set(e, ERR_BAD_REQUEST, "the archive is empty");
    }
    if (t->state == TAR_AT_END || at_boundary(t)) {
        return 0;
    }
    if (t->at < TAR_BLOCK) {
        return err_set(e, ERR_BAD_REQUEST, "this is no tar archive: it ends at byte %llu",
                       (unsigned long long)t->at);
    }
    place_text(t, place, sizeof(place));
    return err_set(e, ERR_BAD_REQUEST, "%s: the archive breaks off at byte %llu", place,
                   (unsigned long long)t->at);
}

bool tar_read_ended(const struct tar_read *t)
{
    return t->state == TAR_AT_END;
}
