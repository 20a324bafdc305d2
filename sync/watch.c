/* Watches: one value that senders replace, and that readers copy without a lock.
 *
 *   V1 set     under the lock: begun, the value's words, the version, in this order (words.h says why). All who wait
 *              have seen an earlier version: they are claimed, and the value is copied to them after the lock, from the
 *              sender's memory
 *   V2 get     without the lock: the version; the words; then begun. If another has begun meanwhile, again; after some
 *              turns under the lock, as a sender may have lost its processor in between
 *   V3 wait    under the lock: the version has been seen, so the reader is linked
 *   V4 close   under the lock; no version comes later. So who sees it closed, and looks at the version after that, sees
 *              the last one
 * Model: tests/model/model_watch.c.
 */
#include "skua/watch.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/kind.h"
#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "sync/words.h"

#ifndef SKUAI_WATCH_TURNS
#define SKUAI_WATCH_TURNS 100 /* untuned; a set of a few words takes less */
#endif

struct skua_watch {
    size_t value_size; /* fixed */
    uint32_t kind;     /* SKUAI_KIND_WATCH (sched/kind.h) */
    /* senders write, readers read */
    skua_word64 begun __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_word64 version;
    skua_word32 closed;
    /* under the lock */
    struct skuai_lock lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_waiters waiters;
    skua_word64 words[] __attribute__((aligned(SKUAI_CACHE_LINE)));
};

static skua_watch_op *whole(skua_op *op) { return (skua_watch_op *)(void *)op; }

static bool is_closed(const skua_watch *watch)
{
    return skuai_load_32(&watch->closed, SKUAI_ACQUIRE) != 0; /* V4: pairs with close's release */
}

/* V1, under the lock or before anybody knows it. */
static uint64_t put(skua_watch *watch, const void *value)
{
    uint64_t version = skuai_load_64(&watch->version, SKUAI_RELAXED) + 1; /* the lock orders it */
    /* Published by each word: words.h. No model test needs the step: no copy would be whole, but under the lock. */
    skuai_store_64(&watch->begun, version, SKUAI_RELAXED);
    skuai_words_put(watch->words, value, watch->value_size);
    skuai_store_64(&watch->version, version, SKUAI_RELEASE); /* pairs with V2's acquire */
    return version;
}

int skua_watch_create(skua_watch **watch, size_t value_size, const void *initial)
{
    *watch = NULL;
    if (value_size > SIZE_MAX / 2)
        return -ENOMEM;
    size_t size = sizeof **watch + skuai_words_for(value_size) * sizeof(skua_word64);
    size = (size + SKUAI_CACHE_LINE - 1) / SKUAI_CACHE_LINE * SKUAI_CACHE_LINE;
    skua_watch *made = aligned_alloc(SKUAI_CACHE_LINE, size);
    if (made == NULL)
        return -ENOMEM;
    memset(made, 0, size);
    made->kind = SKUAI_KIND_WATCH;
    made->value_size = value_size;
    if (initial != NULL)
        (void)put(made, initial);
    *watch = made;
    return 0;
}

int skua_watch_destroy(skua_watch *watch)
{
    if (watch == NULL)
        return 0;
    if (!skuai_kind_check(&watch->kind, SKUAI_KIND_WATCH, "skua_watch_destroy"))
        return -EPERM;
    if (SKUAI_READ(watch->waiters.first) != NULL) {
        skuai_misuse("skua_watch_destroy", "was called while somebody waits", "close it and let them return first");
        return -EBUSY;
    }
    skuai_kind_end(&watch->kind);
    free(watch);
    return 0;
}

/* ---- senders ----------------------------------------------------------------------------------------------------- */

/* V1, the end: outside of the lock. */
static void deliver(struct skuai_fires *fires, const void *value, size_t size, uint64_t version)
{
    for (skua_op *op = fires->first; op != NULL; op = SKUAI_READ(op->next)) {
        if (whole(op)->value != NULL && size != 0)
            memcpy(whole(op)->value, value, size);
        SKUAI_WRITE(*whole(op)->seen, version);
    }
    skuai_fires_finish(fires);
}

static void claim_all(skua_watch *watch, struct skuai_fires *fires, int64_t result)
{
    skua_op *op;
    while ((op = skuai_waiters_claim(&watch->waiters)) != NULL)
        skuai_fires_add(fires, op, result);
}

static int set(skua_watch *watch, const uint64_t *expected, const void *value)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    uint64_t version = 0;
    size_t size = watch->value_size;
    int rc = 0;
    skuai_lock_acquire(&watch->lock);
    if (is_closed(watch))
        rc = -EPIPE;
    else if (expected != NULL && skuai_load_64(&watch->version, SKUAI_RELAXED) != *expected) /* the lock orders it */
        rc = -EAGAIN;
    if (rc == 0) {
        version = put(watch, value);
        claim_all(watch, &fires, 1);
    }
    skuai_lock_release(&watch->lock);
    deliver(&fires, value, size, version);
    return rc;
}

int skua_watch_set(skua_watch *watch, const void *value) { return set(watch, NULL, value); }
int skua_watch_set_if(skua_watch *watch, uint64_t version, const void *value) { return set(watch, &version, value); }

void skua_watch_close(skua_watch *watch)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(&watch->lock);
    /* V4. No model test needs the sequence: whom it claims is told after the lock. */
    skuai_store_32(&watch->closed, 1, SKUAI_RELEASE);
    claim_all(watch, &fires, 0);
    skuai_lock_release(&watch->lock);
    skuai_fires_finish(&fires);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

uint64_t skua_watch_version(const skua_watch *watch)
{
    return skuai_load_64(&watch->version, SKUAI_ACQUIRE); /* pairs with V1's release */
}

/* The value of a version that is there; false: it was replaced meanwhile. */
static bool try_copy(const skua_watch *watch, uint64_t version, void *value)
{
    skuai_words_get(value, watch->words, watch->value_size);
    /* Relaxed: what the words brought is seen, and no more is asked. */
    return skuai_load_64(&watch->begun, SKUAI_RELAXED) == version;
}

/* V2. Returns the version. A half copy is not shown: it is made again. */
static uint64_t copy_out(skua_watch *watch, void *value)
{
    for (uint32_t turn = 0; turn < SKUAI_WATCH_TURNS; turn++) {
        uint64_t version = skua_watch_version(watch);
        /* No model test needs the check: what is not copied here is copied under the lock. */
        if (version == 0 || value == NULL || try_copy(watch, version, value))
            return version;
        skuai_pause(); /* no model test needs the step: it gives the sender time */
    }
    skuai_lock_acquire(&watch->lock);
    uint64_t version = skua_watch_version(watch);
    (void)try_copy(watch, version, value);
    skuai_lock_release(&watch->lock);
    return version;
}

uint64_t skua_watch_get(const skua_watch *watch, void *value)
{
    return copy_out((skua_watch *)(uintptr_t)watch, value); /* not const: it may take the lock */
}

/* 1, 0 or -EAGAIN, by who has not the lock. After the end the watch may go, if whoever has closed it is out. */
static int look(skua_watch *watch, uint64_t *seen, void *value)
{
    if (skua_watch_version(watch) <= *seen) {
        if (!is_closed(watch))
            return -EAGAIN;
        if (skua_watch_version(watch) <= *seen) { /* V4 */
            skuai_lock_pass(&watch->lock);
            return 0;
        }
    }
    *seen = copy_out(watch, value);
    return 1;
}

static bool withdraw(skua_op *op)
{
    skua_watch *watch = op->owner;
    return skuai_waiters_withdraw(&watch->lock, &watch->waiters, op);
}

/* V3. */
static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_watch *watch = op->owner;
    skuai_lock_acquire(&watch->lock);
    uint64_t version = skua_watch_version(watch);
    bool is_new = version > *whole(op)->seen;
    bool is_done = (is_new || is_closed(watch)) && skuai_op_claim_own(op);
    if (is_done && is_new) {
        if (whole(op)->value != NULL)
            (void)try_copy(watch, version, whole(op)->value);
        *whole(op)->seen = version;
    } else if (!is_new && !is_closed(watch) && may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&watch->waiters, op);
    }
    skuai_lock_release(&watch->lock);
    if (is_done)
        skuai_op_set_done(op, is_new);
}

static const struct skuai_op_kind kind = { .name = "skua_watch_changed", .start = start, .withdraw = withdraw };

skua_op *skua_watch_changed_prepare(skua_watch_op *op, skua_watch *watch, uint64_t *seen, void *value)
{
    op->seen = seen;
    op->value = value;
    return skuai_op_prepare(&op->op, &kind, watch);
}
skua_op *skua_watch_changed_start(skua_watch_op *op, skua_watch *watch, uint64_t *seen, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_start_may_be_done(worker) ? look(watch, seen, value) : -EAGAIN;
    if (rc != -EAGAIN)
        return skuai_start_paid(worker, skuai_start_done(&op->op, &kind, rc));
    return skuai_op_start(skua_watch_changed_prepare(op, watch, seen, value));
}

int skua_watch_try_changed(skua_watch *watch, uint64_t *seen, void *value) { return look(watch, seen, value); }

int skua_watch_changed(skua_watch *watch, uint64_t *seen, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = look(watch, seen, value);
    if (rc != -EAGAIN)
        return (int)skuai_call_end(worker, rc);
    skua_watch_op op;
    return (int)skuai_call(skua_watch_changed_prepare(&op, watch, seen, value));
}

int skua_watch_changed_until(skua_watch *watch, uint64_t *seen, void *value, uint64_t instant_ns)
{
    skua_watch_op op;
    return (int)skuai_call_until(skua_watch_changed_prepare(&op, watch, seen, value), instant_ns);
}
