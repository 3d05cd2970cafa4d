/* oci/errbody.c - the JSON body of an error. */
#include "oci/errbody.h"

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
