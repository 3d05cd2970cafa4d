/*
 * loop/op.h - step operations: a sequence of small functions, each of which returns the next.
 *
 * A step is polled, not resumed: it asks whether what it needs is there, and if not makes sure that
 * op_wake() will be called and returns STEP_WAIT. Spurious wakes are harmless. Failure is
 * `return op_fail(…)`; a timeout or a client that left is op_abort() from outside, which diverts to
 * the error step before the next one runs. done() is called once, from the loop, and may free the
 * op.
 */
#ifndef LOOP_OP_H
#define LOOP_OP_H

#include "base/err.h"
#include "loop/loop.h"

struct op;

struct step {
    const char *name;
    const struct step *(*run)(struct op *);
};

extern const struct step STEP_WAIT_VALUE, STEP_END_VALUE;
#define STEP_WAIT (&STEP_WAIT_VALUE)
#define STEP_END (&STEP_END_VALUE)

/* Declares a step S_name that runs step_name(). */
#define STEP(name)                                                                                 \
    static const struct step *step_##name(struct op *op);                                          \
    static const struct step S_##name = {#name, step_##name}

/* Owner: whoever embeds it. Thread: one loop's. Invariant: `step` is NULL before start, at end. */
struct op {
    struct task task;
    struct loop *loop;
    const struct step *step;
    const struct step *on_error; /* where failure goes; must end without failing again */
    struct err err;              /* why it failed; code ERR_NONE where it did not */
    bool aborted;
    void (*done)(struct op *);
};

/* Starts at `first` in the next turn. */
void op_start(struct op *op, struct loop *loop, const struct step *first,
              const struct step *on_error, void (*done)(struct op *));

/* Runs the current step again in the next turn. Loop thread; harmless before start, after end. */
void op_wake(struct op *op);

/* For use as `return op_fail(op, …)` in a step: records why and gives the error step. */
const struct step *op_fail(struct op *op, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same with an error that somebody else set. */
const struct step *op_fail_with(struct op *op, const struct err *err);

/* Diverts to the error step from outside, unless the op failed or ended already. */
void op_abort(struct op *op, enum err_code code, const char *why);

/* Forgets the op without calling done(); what it holds is the caller's to release. */
void op_cancel(struct op *op);

#endif
