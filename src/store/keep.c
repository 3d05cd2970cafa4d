/* store/keep.c - tags by age and number. */
#include "store/keep.h"

#include "oci/pattern.h"

#include <stdio.h>
#include <stdlib.h>

bool keep_pattern_valid(const char *pattern)
{
    size_t n = strlen(pattern);

    for (size_t i = 0; i < n; i++) {
        char c = pattern[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-' || c == '*';

        if (!good) {
            return false;
        }
    }
    return n > 0 && n <= TAG_MAX_LEN;
}

bool keep_protected(const struct retain_rule *rule, const char *tag)
{
    for (size_t i = 0; i < rule->n_protect; i++) {
        if (pattern_match(slice_str(rule->protect[i]), slice_str(tag))) {
            return true;
        }
    }
    return false;
}

/* Those that stay first, the newest of the others before the older. */
static int compare(const void *a, const void *b)
{
    const struct keep_tag *x = a;
    const struct keep_tag *y = b;

    if ((x->why == NULL) != (y->why == NULL)) {
        return x->why == NULL ? -1 : 1;
    }
    if (x->used != y->used) {
        return x->used > y->used ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static void sort(struct keep_tag *tags, size_t n)
{
    if (n > 0) {
        qsort(tags, n, sizeof(*tags), compare);
    }
}

/* Whether it is among the newest, from `first` on, that the rule keeps. Times are of whole seconds:
 * which of several pushed in one was the last nobody knows, so all of them stay. */
static bool is_kept(const struct retain_rule *rule, const struct keep_tag *tags, size_t first,
                    size_t i)
{
    return rule->keep_tags == 0 || i - first < rule->keep_tags ||
           tags[i].used == tags[first + rule->keep_tags - 1].used;
}

size_t keep_judge(const struct retain_rule *rule, int64_t now, struct keep_tag *tags, size_t n)
{
    size_t first;
    size_t stay;

    for (size_t i = 0; i < n; i++) {
        tags[i].why = keep_protected(rule, tags[i].name) ? NULL : "keep_tags";
    }
    sort(tags, n);
    for (first = 0; first < n && tags[first].why == NULL; first++) {
    }
    for (size_t i = first; i < n; i++) {
        bool expired = rule->expire_after_s > 0 && now - tags[i].used > rule->expire_after_s;

        if (is_kept(rule, tags, first, i)) {
            tags[i].why = expired ? "expire_after" : NULL;
        }
    }
    sort(tags, n);
    for (stay = 0; stay < n && tags[stay].why == NULL; stay++) {
    }
    return stay;
}

struct found {
    struct keep_tag *tags;
    size_t n;
    size_t room;
};

static bool add(void *arg, const char *reference, const struct tag_record *tag)
{
    struct found *f = arg;
    struct keep_tag *one;

    if (f->n == f->room) {
        f->room = f->room == 0 ? 64 : 2 * f->room;
        f->tags = xrealloc(f->tags, f->room * sizeof(*f->tags));
    }
    one = &f->tags[f->n++];
    *one = (struct keep_tag){.digest = tag->digest, .used = tag->checked};
    snprintf(one->name, sizeof(one->name), "%s", reference);
    return f->n < KEEP_MAX;
}

int keep_find(struct store *s, uint64_t repo, const struct retain_rule *rule, int64_t now,
              struct keep_tag **ret, size_t *ret_n)
{
    struct index_read *r = index_read_begin(s);
    struct found found = {0};
    size_t stay;

    if (r == NULL) {
        return -1;
    }
    index_each_tag(r, repo, TAG_TAG, "", add, &found);
    index_read_end(r);
    stay = keep_judge(rule, now, found.tags, found.n);
    if (stay > 0) {
        memmove(found.tags, found.tags + stay, (found.n - stay) * sizeof(*found.tags));
    }
    *ret = found.tags;
    *ret_n = found.n - stay;
    return 0;
}
