/* store/parts.c - the parts of a store, made and freed. */
#include "store/parts.h"

#include "store/adopt.h"
#include "store/backup.h"
#include "store/claim.h"
#include "store/evict.h"
#include "store/gate.h"
#include "store/lease.h"
#include "store/pulls.h"
#include "store/retain.h"
#include "store/sweep.h"
#include "store/sync.h"
#include "store/touch.h"
#include "store/uploads.h"

void parts_make(struct store *s, const struct store_options *options)
{
    s->touch = touch_new(s);
    s->pulls = pulls_new(s);
    s->claims = claims_new();
    s->sync = sync_new(s);
    s->backup = backup_new(s);
    s->adopt = adopt_new(s);
    s->sweep = sweep_new(s);
    s->uploads = uploads_new(s);
    s->gate = gate_new();
    s->leases = leases_new();
    s->retain = retain_new(s, options->retain);
    s->evict = evict_new(s, options->keep_all);
}

void parts_free(struct store *s)
{
    touch_free(s->touch);
    pulls_free(s->pulls);
    sync_free(s->sync);
    backup_free(s->backup);
    adopt_free(s->adopt);
    sweep_free(s->sweep);
    uploads_free(s->uploads);
    claims_free(s->claims);
    gate_free(s->gate);
    leases_free(s->leases);
    retain_free(s->retain);
    evict_free(s->evict);
}

bool store_lease(struct store *s, const struct digest *d)
{
    /* In this order: what the successor is not told of any more is promised to nobody. */
    return lease_take(s->leases, d) && !atomic_load(&s->leaving);
}

void parts_finish(struct store *s)
{
    sync_finish(s->sync);
    uploads_finish(s, true);
    claims_clear(s->claims);
    sweep_run(s);
    backup_finish(s->backup);
}
