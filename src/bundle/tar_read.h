/*
 * bundle/tar_read.h - reads a tar archive as its bytes come: ustar, pax, GNU long names.
 *
 *      header -> body of a long name or pax record -> header …   (TAR_META_MAX held)
 *         |
 *         '----> TAR_ENTRY -> TAR_DATA* -> TAR_ENTRY_END -> header …
 *         '----> TAR_END after two blocks of zeros; what follows counts for nothing
 *
 * Nothing is opened and nothing waits. Names are judged: what is absolute, has a "..", holds a NUL
 * or is too long ends the archive with an error. Links are told, never followed; an entry that
 * comes twice is the caller's business. Pure; one owner, any thread.
 */
#ifndef BUNDLE_TAR_READ_H
#define BUNDLE_TAR_READ_H

#include "base/err.h"
#include "base/str.h"

#define TAR_BLOCK 512
/* Longest name of an entry or target of a link, in bytes. */
#define TAR_NAME_MAX 1023
/* Largest body of a long name or of pax records. */
#define TAR_META_MAX (256u * 1024)

enum tar_type {
    TAR_FILE,
    TAR_DIR,
    TAR_SYMLINK,
    TAR_HARDLINK,
    TAR_OTHER, /* a device, a pipe, what only GNU knows; its bytes come as a file's do */
};

struct tar_entry {
    /* Parts with one '/' between them: no "." among them and no '/' at the ends; "." alone is the
     * top of the archive. */
    char name[TAR_NAME_MAX + 1];
    char link[TAR_NAME_MAX + 1]; /* target as it was written, where it is a link; not judged */
    enum tar_type type;
    uint64_t size;   /* bytes of data; 0 unless TAR_FILE or TAR_OTHER */
    uint64_t offset; /* of its header, from the start of the archive */
};

enum tar_event {
    TAR_MORE,      /* all that was given is used up */
    TAR_ENTRY,     /* `entry` is filled */
    TAR_DATA,      /* `data` holds some bytes of it; they lie in what was given */
    TAR_ENTRY_END, /* all of its bytes came */
    TAR_END,       /* the end of the archive; said for all that is given from now on */
    TAR_BAD,       /* `e` says why; said from now on */
};

/* What pax records and long names say of the entry that follows them. */
struct tar_over {
    bool has_name;
    bool has_link;
    bool has_size;
    bool sparse;
    uint64_t size;
    char name[TAR_NAME_MAX + 1];
    char link[TAR_NAME_MAX + 1];
};

enum tar_state {
    TAR_AT_HEADER,
    TAR_IN_META,
    TAR_IN_DATA,
    TAR_IN_PADDING,
    TAR_AT_END,
    TAR_IS_BAD,
};

/* Owner: the caller, by tar_read_init() and tar_read_fini(). Only `entry` and `data` are for
 * reading: `entry` until the event behind TAR_ENTRY_END, `data` until the next one. */
struct tar_read {
    struct tar_entry entry;
    struct slice data;

    enum tar_state state;
    char meta_type;  /* of the body that is collected; 0: it is skipped */
    bool zeros;      /* the block before was all zeros */
    uint64_t at;     /* bytes taken so far */
    uint64_t left;   /* of the body or data */
    uint64_t header; /* offset of the header block at hand */
    unsigned padding;
    size_t n_block;
    unsigned char block[TAR_BLOCK];
    struct buf meta;
    struct tar_over over;
    struct err err;
};

void tar_read_init(struct tar_read *t);
void tar_read_fini(struct tar_read *t);

/* Takes bytes off the front of *in and says what they were; called until TAR_MORE. On TAR_BAD, `e`
 * (ERR_BAD_REQUEST) names the entry, as far as it is known, and the offset of its header. */
enum tar_event tar_read_feed(struct tar_read *t, struct slice *in, struct err *e);

/* How many bytes of the entry at hand are still to come; and leaves out `n` of them, as if they had
 * been fed. */
uint64_t tar_read_left(const struct tar_read *t);
void tar_read_skip(struct tar_read *t, uint64_t n);

/* No more bytes will come. 0, or -1 with ERR_BAD_REQUEST where that is in the midst of something.
 * An archive that ends behind an entry but without the blocks of zeros passes, as with other
 * readers; tar_read_ended() tells it apart. */
int tar_read_finish(const struct tar_read *t, struct err *e);

/* Whether the end of the archive was seen. */
bool tar_read_ended(const struct tar_read *t);

/* The name of the entry that a link means: symbolic ones start from the folder they are in. False
 * where that is outside of the archive, or too long. */
bool tar_link_target(const struct tar_entry *entry, char ret[TAR_NAME_MAX + 1]);

#endif
