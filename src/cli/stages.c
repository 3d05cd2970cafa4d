/* cli/stages.c - `larder stages`: a tree of images with sizes. */
#include "cli/stages.h"

#include "cli/command.h"
#include "cli/render.h"

#include <stdlib.h>

#define LINE_MAX (1u << 20)
#define HUB "docker.io"

/* What stands before an image's name: a branch, and for each image above it whether a line goes on
 * past it. Owner: tell(). */
struct branches {
    size_t n;
    bool *last;  /* of each image: nothing follows it below the same parent */
    bool *ended; /* of each depth: the image there, above the one at hand, was the last */
};

static uint64_t part(const json_t *image, const char *name, const char *what)
{
    return command_number(json_object_get(image, name), what);
}

static size_t parent_of(const json_t *image, size_t none)
{
    const json_t *parent = json_object_get(image, "parent");

    return json_is_integer(parent) ? (size_t)json_integer_value(parent) : none;
}

static void branches_init(struct branches *b, const json_t *images)
{
    bool *seen;

    b->n = json_array_size(images);
    b->last = xcalloc(b->n + 1, sizeof(*b->last));
    b->ended = xcalloc(b->n + 1, sizeof(*b->ended)); /* none is deeper than there are images */
    seen = xcalloc(b->n + 1, sizeof(*seen));
    for (size_t i = b->n; i > 0; i--) {
        size_t parent = parent_of(json_array_get(images, i - 1), b->n);

        parent = parent < b->n ? parent : b->n;
        b->last[i - 1] = !seen[parent];
        seen[parent] = true;
    }
    free(seen);
}

static void branches_fini(struct branches *b)
{
    free(b->last);
    free(b->ended);
}

static void write_branch(struct branches *b, size_t i, size_t depth, struct buf *out)
{
    depth = depth < b->n ? depth : b->n;
    b->ended[depth] = b->last[i];
    for (size_t d = 1; d < depth; d++) {
        buf_str(out, b->ended[d] ? "   " : "│  ");
    }
    if (depth > 0) {
        buf_str(out, b->last[i] ? "└─ " : "├─ ");
    }
}

/* As people write it: without the Hub's name, and without what the Hub adds to short names. */
static void write_name(const json_t *name, struct buf *out)
{
    const char *upstream = command_text(name, "upstream");
    struct slice repository = slice_str(command_text(name, "repository"));

    if (strcmp(upstream, HUB) == 0) {
        repository = slice_from(repository, slice_starts(repository, "library/") ? 8 : 0);
    } else if (upstream[0] != '\0') {
        buf_printf(out, "%s/", upstream);
    }
    buf_slice(out, repository);
    buf_printf(out, ":%s", command_text(name, "tag"));
}

static void write_names(const json_t *names, struct buf *out)
{
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        buf_str(out, i == 0 ? "" : ", ");
        write_name(name, out);
    }
}

static void write_note(const json_t *image, bool root, struct buf *out)
{
    const char *upstream =
        command_text(json_array_get(json_object_get(image, "names"), 0), "upstream");
    uint64_t siblings = part(image, "shared_with_siblings", "bytes");
    uint64_t bases = part(image, "shared_with_bases", "bytes");
    char size[RENDER_SIZE_MAX];

    if (root && upstream[0] != '\0') {
        buf_str(out, upstream);
    } else {
        buf_str(out, root ? "from scratch, " : "");
        render_count(out, part(image, "added", "layers"), "layer");
    }
    if (siblings > 0) {
        buf_printf(out, ", %s shared with siblings", render_size(siblings, size));
    }
    if (root && upstream[0] == '\0' && bases > 0) {
        buf_printf(out, ", %s shared with mirrored images", render_size(bases, size));
    }
}

static void add_image(struct render *r, struct branches *b, size_t i, const json_t *image)
{
    bool root = json_is_null(json_object_get(image, "parent"));
    char size[RENDER_SIZE_MAX];
    struct buf left;
    struct buf note;

    buf_init(&left, LINE_MAX);
    buf_init(&note, LINE_MAX);
    write_branch(b, i, (size_t)command_number(image, "depth"), &left);
    write_names(json_object_get(image, "names"), &left);
    write_note(image, root, &note);
    render_size(part(image, root ? "all" : "added", "bytes"), size);
    render_add(r, buf_take(&left), xasprintf("%s%s", root ? "" : "+", size), buf_take(&note));
}

static void write_sums(const json_t *answer, struct buf *out)
{
    uint64_t others = command_number(answer, "others");
    uint64_t absent = command_number(answer, "absent");
    char stored[RENDER_SIZE_MAX];
    char separate[RENDER_SIZE_MAX];

    buf_printf(out, "stored %s, as separate images %s\n",
               render_size(command_number(answer, "stored"), stored),
               render_size(command_number(answer, "separate"), separate));
    if (others > 0) {
        render_count(out, others, "tag");
        buf_str(out, others == 1 ? " is no image\n" : " are no images\n");
    }
    if (absent > 0) {
        render_count(out, absent, "tag");
        buf_str(out, ": the image is not here\n");
    }
}

static void tell(const json_t *answer, struct buf *out)
{
    const json_t *images = json_object_get(answer, "images");
    struct render r = {0};
    struct branches b;
    const json_t *image;
    size_t i;

    branches_init(&b, images);
    json_array_foreach(images, i, image)
    {
        add_image(&r, &b, i, image);
    }
    render_print(&r, out);
    write_sums(answer, out);
    branches_fini(&b);
    render_fini(&r);
}

int stages_run(const struct flags *flags)
{
    struct admin_query q = {.name = flags->n_args > 0 ? flags->args[0] : ""};

    return command_run(flags, "stages", &q, tell);
}
