/*
 * store/keep.h - which tags of a repository a rule of retention lets go.
 */
#ifndef STORE_KEEP_H
#define STORE_KEEP_H

#include "oci/name.h"
#include "store/retain.h"

/* Most tags that are looked at in one run; those of a larger repository go in several. */
#define KEEP_MAX 100000

struct keep_tag {
    char name[TAG_MAX_LEN + 1];
    struct digest digest;
    int64_t used;    /* last push or pull, wall seconds */
    const char *why; /* the rule by which it goes; NULL: it stays */
    bool gone;       /* for the caller */
};

/* The tags that go at `now`, in an array that the caller frees. -1: the index cannot be read. */
int keep_find(struct store *s, uint64_t repo, const struct retain_rule *rule, int64_t now,
              struct keep_tag **ret, size_t *ret_n) MUST_CHECK;

/* The rule itself: sorts the tags, those that stay first, and says why the others go; how many
 * stay. Pure. */
size_t keep_judge(const struct retain_rule *rule, int64_t now, struct keep_tag *tags, size_t n);

/* Whether no rule removes the tag. */
bool keep_protected(const struct retain_rule *rule, const char *tag);

/* Whether this is a pattern of tags: characters of a tag, and '*' for any run of them. */
bool keep_pattern_valid(const char *pattern);

#endif
