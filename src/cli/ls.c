/* cli/ls.c - `larder ls`: repositories, their tags, and what has none. */
#include "cli/ls.h"

#include "cli/command.h"
#include "cli/render.h"

/* "sha256:" and as many digits as tell one from another. */
#define SHORT_DIGEST 19

static void add_repository(struct render *r, const json_t *repository)
{
    const char *upstream = command_text(repository, "upstream");
    char size[RENDER_SIZE_MAX];
    struct buf note;

    buf_init(&note, 256);
    render_count(&note, json_array_size(json_object_get(repository, "tags")), "tag");
    buf_str(&note, ", ");
    render_count(&note, command_number(repository, "manifests"), "manifest");
    render_add(r,
               xasprintf("%s%s%s", upstream, upstream[0] == '\0' ? "" : "/",
                         command_text(repository, "repository")),
               xstrdup(render_size(command_number(repository, "bytes"), size)), buf_take(&note));
}

/* Manifests that no tag holds: how many, and what only they need; below, which. */
static void add_untagged(struct render *r, const json_t *repository)
{
    const json_t *untagged = json_object_get(repository, "untagged");
    const json_t *one;
    char size[RENDER_SIZE_MAX];
    struct buf note;
    size_t i;

    if (command_number(untagged, "manifests") == 0) {
        return;
    }
    buf_init(&note, 1024);
    render_count(&note, command_number(untagged, "manifests"), "manifest");
    buf_printf(&note, "; `untagged_after` or `larder rm %s@DIGEST` removes %s",
               command_text(repository, "repository"),
               command_number(untagged, "manifests") == 1 ? "it" : "them");
    render_add(r, xstrdup("  without a tag"),
               xstrdup(render_size(command_number(untagged, "bytes"), size)), buf_take(&note));
    json_array_foreach(json_object_get(untagged, "list"), i, one)
    {
        render_add(r, xasprintf("    since %s", command_text(one, "since")),
                   xstrdup(render_size(command_number(one, "bytes"), size)),
                   xasprintf("%s%s", command_text(one, "digest"),
                             json_is_true(json_object_get(one, "pinned")) ? "  pinned" : ""));
    }
}

static void add_tag(struct render *r, const json_t *tag)
{
    const char *pushed = command_text(tag, "pushed");
    bool hosted = pushed[0] != '\0';
    char size[RENDER_SIZE_MAX];

    render_add(
        r, xasprintf("  %s", command_text(tag, "tag")),
        xstrdup(render_size(command_number(tag, "bytes"), size)),
        xasprintf("%.*s  %s %s  %s %s%s", SHORT_DIGEST, command_text(tag, "digest"),
                  hosted ? "pushed" : "fetched", hosted ? pushed : command_text(tag, "fetched"),
                  hosted ? "used" : "checked", command_text(tag, hosted ? "used" : "checked"),
                  json_is_true(json_object_get(tag, "pinned")) ? "  pinned" : ""));
}

static void tell(const json_t *answer, struct buf *out)
{
    const json_t *repositories = json_object_get(answer, "repositories");
    struct render r = {0};
    const json_t *repository;
    size_t i;

    json_array_foreach(repositories, i, repository)
    {
        const json_t *tags = json_object_get(repository, "tags");
        const json_t *tag;
        size_t k;

        add_repository(&r, repository);
        json_array_foreach(tags, k, tag)
        {
            add_tag(&r, tag);
        }
        add_untagged(&r, repository);
    }
    render_print(&r, out);
    render_fini(&r);
}

int ls_run(const struct flags *flags)
{
    struct admin_query q = {
        .name = flags->n_args > 0 ? flags->args[0] : "",
        .all = flags->all,
    };

    return command_run(flags, "ls", &q, tell);
}
