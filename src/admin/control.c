/* admin/control.c - what the control socket answers. */
#include "admin/control.h"

#include "base/counter.h"
#include "oci/errbody.h"

#define BODY_MAX (64u * 1024)
#define JSON_HEADERS "Content-Type: application/json\r\n"

static void refuse(struct http_exchange *x, enum err_code code, const char *message)
{
    struct buf body;

    buf_init(&body, BODY_MAX);
    errbody_write(&body, err_oci_code(code), message, NULL);
    http_reply(x, err_status(code), slice_str(JSON_HEADERS), buf_view(&body));
    buf_free(&body);
}

static void reply_counters(struct http_exchange *x)
{
    struct buf body;

    buf_init(&body, BODY_MAX);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        buf_printf(&body, "%s\"%s\":%lld", i == 0 ? "{" : ",", counter_name((enum counter)i),
                   (long long)counter_sum((enum counter)i));
    }
    buf_str(&body, "}\n");
    http_reply(x, 200, slice_str(JSON_HEADERS), buf_view(&body));
    buf_free(&body);
}

void control_handle(struct http_exchange *x)
{
    if (!slice_is(x->head.path, "/-/counters")) {
        refuse(x, ERR_NOT_FOUND, "the control socket has /-/counters");
    } else if (x->head.method != HTTP_GET && x->head.method != HTTP_HEAD) {
        refuse(x, ERR_UNSUPPORTED, "counters are read by GET");
    } else {
        reply_counters(x);
    }
}
