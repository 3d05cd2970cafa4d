/* oci/errbody.c - the JSON body of an error. */
#include "oci/errbody.h"

#include <jansson.h>
#include <stdio.h>

void errbody_write(struct buf *b, const char *code, const char *message, const char *detail_json)
{
    buf_str(b, "{\"errors\":[{\"code\":");
    buf_json(b, slice_str(code));
    buf_str(b, ",\"message\":");
    buf_json(b, slice_str(message));
    if (detail_json != NULL) {
        buf_str(b, ",\"detail\":");
        buf_str(b, detail_json);
    }
    buf_str(b, "}]}");
}

/* A member of the first error, or `other`. */
static void first_member(struct slice body, const char *name, const char *other, char *out,
                         size_t size)
{
    json_t *root = json_loadb(body.len == 0 ? "" : body.p, body.len, 0, NULL);
    const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
    const char *text = json_string_value(json_object_get(first, name));

    snprintf(out, size, "%s", text == NULL ? other : text);
    json_decref(root);
}

void errbody_message(struct slice body, char *out, size_t size)
{
    first_member(body, "message", "an error that is not explained", out, size);
}

void errbody_code(struct slice body, char *out, size_t size)
{
    first_member(body, "code", "", out, size);
}
