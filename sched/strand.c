/* See strand.h. */
#include "sched/strand.h"

#include <stddef.h>

#include "sched/barrier.h"

enum { SPLIT_SHIFT = 32 };

static uint32_t tail_of(uint64_t ends) { return (uint32_t)ends; }
static uint32_t split_of(uint64_t ends) { return (uint32_t)(ends >> SPLIT_SHIFT); }
static uint64_t ends_of(uint32_t split, uint32_t tail) { return (uint64_t)split << SPLIT_SHIFT | tail; }
static uint32_t index_of(const struct skuai_strand *strand, const skua_job *job)
{
    return (uint32_t)(job - strand->jobs);
}

void skuai_strand_init(struct skuai_strand *strand, skua_job *jobs, uint32_t count)
{
    strand->split = strand->watch = strand->jobs = jobs;
    strand->jobs_end = jobs + count;
    strand->waiter = NULL;
    strand->head.small = jobs;
    strand->shielded = 0;
    strand->deadline_ns = SKUA_NEVER;
    strand->lock = (struct skuai_lock){ { 0 } };
    /* These are published by whoever shows the strand to others. */
    skuai_store_ptr(&strand->head.top, jobs, SKUAI_RELAXED);
    skuai_store_ptr(&strand->head.limit, jobs, SKUAI_RELAXED);
    skuai_store_64(&strand->ends, 0, SKUAI_RELAXED);
    skuai_store_32(&strand->offered, 0, SKUAI_RELAXED);
}

static skua_job *limit_of(const struct skuai_strand *strand)
{
    return strand->split > strand->watch ? strand->split : strand->watch;
}

/* Moves the limit with split and watch, unless somebody is hungry: that stays to be answered. */
static void move_limit(struct skuai_strand *strand, skua_job *split, skua_job *watch)
{
    void *seen = limit_of(strand);
    strand->split = split;
    strand->watch = watch;
    if (limit_of(strand) != seen)
        /* No data behind it. No model test needs the step: a limit that is too high costs the slow path, no more. */
        skuai_cas_ptr(&strand->head.limit, &seen, limit_of(strand), SKUAI_RELAXED);
}

void skuai_strand_watch(struct skuai_strand *strand, skua_job *watch)
{
    skuai_lock_acquire(&strand->lock);
    move_limit(strand, strand->split, watch);
    skuai_lock_release(&strand->lock);
}

void skuai_strand_sate(struct skuai_strand *strand)
{
    skuai_lock_acquire(&strand->lock);
    /* An exchange, as in publish(). No model test needs the step: hunger that stays costs the slow path, no more. */
    skuai_exchange_ptr(&strand->head.limit, limit_of(strand), SKUAI_RELAXED);
    skuai_lock_release(&strand->lock);
}

/* No model test runs this: values, under the lock that every test needs elsewhere. */
void skuai_strand_set_scopes(struct skuai_strand *strand, bool shielded, uint64_t deadline_ns)
{
    if (strand->shielded == shielded && strand->deadline_ns == deadline_ns)
        return;
    skuai_lock_acquire(&strand->lock);
    strand->shielded = shielded;
    strand->deadline_ns = deadline_ns;
    skuai_lock_release(&strand->lock);
}

static bool publish(struct skuai_strand *strand, uint32_t count)
{
    if (count == 0)
        return false; /* whoever is hungry stays so */
    skua_job *split = strand->split + count;
    for (skua_job *job = strand->split; job < split; job++) {
        job->shielded = strand->shielded;
        job->deadline_ns = strand->deadline_ns;
        skuai_store_32(&job->state, SKUAI_JOB_FORKED, SKUAI_RELAXED); /* published by the addition */
    }
    strand->split = split;
    /* Release: pairs with Y3's acquire. SEQ_CST: Y9. No model test needs the sequence: who becomes hungry in between
     * asks again. */
    skuai_add_64(&strand->ends, ends_of(count, 0), SKUAI_SEQ_CST);
    /* Hunger from before is answered, later hunger stays. */
    skuai_exchange_ptr(&strand->head.limit, limit_of(strand), SKUAI_RELAXED);
    return true;
}

static uint32_t private_jobs(const struct skuai_strand *strand)
{
    return (uint32_t)(skuai_strand_top(strand) - strand->split);
}

bool skuai_strand_share(struct skuai_strand *strand)
{
    skuai_lock_acquire(&strand->lock);
    bool shared = publish(strand, (private_jobs(strand) + 1) / 2);
    skuai_lock_release(&strand->lock);
    return shared;
}

bool skuai_strand_expose(struct skuai_strand *strand)
{
    skuai_lock_acquire(&strand->lock);
    bool exposed = publish(strand, private_jobs(strand));
    skuai_lock_release(&strand->lock);
    return exposed;
}

bool skuai_strand_force(struct skuai_strand *strand)
{
    bool shared = false;
    skuai_lock_acquire(&strand->lock);
    /* No model test needs the check: it spares a barrier where nothing can come of it, or need come. */
    if (private_jobs(strand) != 0 && !skuai_strand_has_public(strand)) {
        skuai_strand_poison(strand);
        if (skuai_barrier_everywhere())
            shared = publish(strand, (private_jobs(strand) + 1) / 2);
    }
    skuai_lock_release(&strand->lock);
    return shared;
}

/* All up to this job are taken: the ends meet here, where top is by now. */
static void settle(struct skuai_strand *strand, skua_job *job)
{
    uint32_t index = index_of(strand, job);
    /* Relaxed: no thief takes while tail and split are equal, before or after. No model test needs the sequence: the
     * owner comes back to neither in between. */
    skuai_store_64(&strand->ends, ends_of(index, index), SKUAI_RELAXED);
    move_limit(strand, job, strand->watch);
}

static enum skuai_strand_join join_locked(struct skuai_strand *strand, skua_job *job)
{
    if (job >= strand->split)
        return SKUAI_STRAND_PRIVATE;
    uint32_t index = index_of(strand, job), split;
    uint64_t ends = skuai_load_64(&strand->ends, SKUAI_RELAXED); /* the compare-and-swap decides */
    do {
        if (tail_of(ends) > index) {
            settle(strand, job);
            return SKUAI_STRAND_AWAY;
        }
        split = tail_of(ends) + (index - tail_of(ends)) / 2;
        /* Relaxed: what comes back is the owner's own and nobody has touched it. */
    } while (!skuai_cas_64(&strand->ends, &ends, ends_of(split, tail_of(ends)), SKUAI_RELAXED));
    move_limit(strand, strand->jobs + split, strand->watch);
    return SKUAI_STRAND_BACK;
}

enum skuai_strand_join skuai_strand_join(struct skuai_strand *strand, skua_job *job)
{
    skuai_lock_acquire(&strand->lock);
    enum skuai_strand_join where = join_locked(strand, job);
    skuai_lock_release(&strand->lock);
    return where;
}

bool skuai_job_wait(skua_job *job)
{
    uint32_t forked = SKUAI_JOB_FORKED;
    /* Acquire, if it fails: as skuai_job_is_done(). */
    return skuai_cas_32(&job->state, &forked, SKUAI_JOB_WAITING, SKUAI_ACQUIRE);
}

skua_job *skuai_strand_take(struct skuai_strand *strand)
{
    uint64_t ends = skuai_load_64(&strand->ends, SKUAI_RELAXED); /* the compare-and-swap decides */
    do
        if (tail_of(ends) >= split_of(ends))
            return NULL;
    while (!skuai_cas_64(&strand->ends, &ends, ends + 1, SKUAI_ACQUIRE)); /* pairs with publish()'s release */
    return strand->jobs + tail_of(ends);
}

bool skuai_strand_has_public(const struct skuai_strand *strand)
{
    uint64_t ends = skuai_load_64(&strand->ends, SKUAI_SEQ_CST); /* Y9 */
    return tail_of(ends) < split_of(ends);
}

bool skuai_job_done(skua_job *job)
{
    /* Release: pairs with the owner's acquire: the result. */
    return skuai_exchange_32(&job->state, SKUAI_JOB_DONE, SKUAI_RELEASE) == SKUAI_JOB_WAITING;
}

bool skuai_strand_offer(struct skuai_strand *strand)
{
    /* Y9. No model test needs the seq_cst: racing stores are not reordered there, so that it reads the newest value. */
    return skuai_exchange_32(&strand->offered, 1, SKUAI_SEQ_CST) == 0;
}

bool skuai_strand_offer_again(struct skuai_strand *strand)
{
    if (skuai_strand_has_public(strand))
        return true; /* it is still offered */
    skuai_store_32(&strand->offered, 0, SKUAI_SEQ_CST); /* Y9; no model test needs the seq_cst: as above */
    return skuai_strand_has_public(strand) && skuai_strand_offer(strand);
}
