/* test_upstream_token.c - how long tokens are used, and by whom. Nothing is sent here. */
#include "loop/loop.c"

#include "net/resolve.h"

#include "upstream/token.c"

#include "tap.h"

/* What take_body() does with an answer. */
static void answer(struct token *t, const char *text, uint64_t expires_s)
{
    op_cancel(&t->op);
    t->text = xstrdup(text);
    atomic_store(&t->expires_ms, loop_now(t->op.loop) + expires_s * 900);
    publish(t, TOKEN_READY);
    token_ended(&t->op);
}

static void test_table(struct upstreams *us, struct loop *l)
{
    struct token_question q = {
        .upstream = upstreams_at(us, 0),
        .realm = "https://reg.example/token",
        .service = "s",
        .scope = "repository:a:pull",
    };
    struct token_question other = q;
    struct waiter w;
    struct token *first = token_get(&q, l);
    struct token *second = token_get(&q, l);
    struct token *third;

    waiter_init(&w, NULL);
    CHECK(first == second); /* one is asked for, both wait */
    CHECK_INT(atomic_load(&second->state), TOKEN_NOT_YET);
    other.scope = "repository:b:pull";
    third = token_get(&other, l);
    CHECK(third != first);
    answer(third, "other", 60);
    token_unref(third);

    answer(first, "text", 300);
    CHECK_INT(token_poll(second, l, &w), TOKEN_READY);
    CHECK_STR(token_text(second), "text");
    token_unref(second);
    l->now += 300 * 900 - 1;
    second = token_get(&q, l);
    CHECK(second == first);
    token_unref(second);
    l->now += 1; /* 90 % of its life are over */
    second = token_get(&q, l);
    CHECK(second != first);
    CHECK_STR(token_text(first), "text"); /* who has it may use it to the end */
    token_unref(first);

    answer(second, "next", 300);
    token_drop(second);
    token_drop(second);
    third = token_get(&q, l);
    CHECK(third != second);
    token_drop(second); /* late: its successor stays */
    first = token_get(&q, l);
    CHECK(first == third);
    token_unref(first);
    token_unref(second);
    answer(third, "last", 300);
    token_unref(third);
}

static void test_failure(struct upstreams *us, struct loop *l)
{
    struct token_question q = {
        .upstream = upstreams_at(us, 0),
        .realm = "https://reg.example/token",
        .service = "",
        .scope = "x",
    };
    struct token *first = token_get(&q, l);
    struct token *second;
    struct waiter w;

    waiter_init(&w, NULL);
    op_cancel(&first->op);
    op_fail(&first->op, ERR_UPSTREAM_REFUSED, "no");
    CHECK(step_failed(&first->op) == STEP_END);
    token_ended(&first->op);
    CHECK_INT(token_poll(first, l, &w), TOKEN_FAILED);
    CHECK_STR(token_error(first)->text, "no");
    second = token_get(&q, l); /* a failure is not remembered */
    CHECK(second != first);
    token_unref(first);
    answer(second, "t", 60);
    token_unref(second);
}

int main(void)
{
    struct credential_options k = {.user = "u", .password = "p"};
    struct upstream_options o = {.name = "reg.example", .credentials = &k, .n_credentials = 1};
    struct loop *l = loop_new();
    struct resolver *r = resolver_new(1);
    struct http_client *client = http_client_new(r);
    struct err err = {0};
    struct upstreams *us = upstreams_new(&o, 1, client, &err);

    CHECK_STR(err.text, "");
    test_table(us, l);
    test_failure(us, l);
    upstreams_free(us);
    http_client_free(client);
    resolver_free(r);
    loop_free(l);
    return tap_done();
}
