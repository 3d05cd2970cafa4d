/*
 * store/retain.h - what hosted repositories keep, and what goes: tags by their policy, manifests
 * without a tag, blobs that no manifest refers to. Online: pushes run beside it.
 *
 * Everything is judged and removed in the same change of the index, so that a push either finds
 * what it names or is told that it is missing. What a manifest that stays refers to never goes.
 */
#ifndef STORE_RETAIN_H
#define STORE_RETAIN_H

#include "store/index.h"

/* What holds for hosted names of a pattern; the first that matches counts. Borrowed. */
struct retain_rule {
    const char *pattern;
    uint64_t keep_tags;       /* of the newest, by when they were last pushed or pulled; 0: all */
    int64_t expire_after_s;   /* since a tag's last push or pull; 0: never */
    int64_t untagged_after_s; /* since a manifest without tag had one or was asked for; 0: never */
    const char *const *protect; /* tags that neither rule removes: patterns with '*' */
    size_t n_protect;
    bool gives_way; /* class `cache`: goes when there is no room */
};

/* Owner: the caller; borrowed for as long as the store is open. Runs come every
 * limits.retain_every; a blob that nothing refers to stays for limits.retain_grace after it was
 * last pushed or asked for. */
struct retain_rules {
    const struct retain_rule *rules;
    size_t n_rules;
};

enum retain_what { RETAIN_TAG, RETAIN_MANIFEST, RETAIN_BLOB };

/* One thing that goes from one repository. `repo` is "" for bytes that nobody holds any more. */
struct retain_gone {
    enum retain_what what;
    const char *repo;
    const char *tag; /* of RETAIN_TAG */
    const struct digest *digest;
    uint64_t size;   /* of a blob or manifest */
    const char *why; /* "keep_tags", "expire_after", "untagged_after", "unreferenced" */
};

/* What a run did. */
struct retain_sum {
    uint64_t tags;
    uint64_t manifests;
    uint64_t blobs;
    uint64_t bytes; /* of files that were (or would be) removed */
};

/*
 * One run over all hosted repositories, on this thread, which may block: not on a loop. f (may be
 * NULL) is told of each thing that goes. `dry`: nothing goes, but f is told all the same, what
 * would follow from it included. One run at a time: a second waits. -1: ERR_STORE, what was done
 * stays done.
 */
int retain_run(struct store *s, bool dry, void (*f)(void *arg, const struct retain_gone *gone),
               void *arg, struct retain_sum *ret, struct err *err) MUST_CHECK;

struct retain;

/* Where there is no room: of the repositories that give way, what no tag holds goes, and where that
 * is nothing, the tag that was pushed or pulled longest ago with what it alone held. *ret_bytes:
 * what was freed; 0: nothing is left that could go. Blocks, as retain_run() does. -1: ERR_STORE. */
int retain_give_way(struct store *s, uint64_t *ret_bytes, struct err *err) MUST_CHECK;

/* For the store. `rules` NULL: only runs that are asked for. */
struct retain *retain_new(struct store *s, const struct retain_rules *rules);
/* From the next run on these rules count. False: a run is under way with those before; ask again.
 * Any thread; does not block. */
bool retain_renew(struct retain *r, const struct retain_rules *rules) MUST_CHECK;
void retain_free(struct retain *r);
/* Starts what is due; when to ask again. Writer thread. */
uint64_t retain_tick(struct retain *r, uint64_t now);

/* Removes the bytes of these where no repository holds them, nobody has a lease and nothing is
 * pinned; the index first. In the background, on the disk pool; nobody waits. After something was
 * deleted from a repository. */
void retain_drop(struct store *s, const struct digest *d, size_t n);

#endif
