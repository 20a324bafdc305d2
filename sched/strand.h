/* A strand: the stack of fork-join jobs of one fiber, from whose far end other workers take.
 *
 *     jobs … tail    taken: some thief runs them, or has
 *     tail … split   public: for whoever comes first, the oldest next
 *     split … top    private: the owner forks and joins here without an atomic read-modify-write or a fence
 *
 * The owner is the fiber, on whatever worker it runs; there is one. The protocol:
 *   Y1 fork     the owner fills the job at top. If its address is below `limit`, it looks at why: Y8, Y10.
 *   Y2 share    it makes the older half of its private jobs public: the states FORKED, then one addition to split
 *               (release), then limit = split by an exchange, so that no hunger that comes later is overwritten. The
 *               older ones, because they are the larger parts of a recursion.
 *   Y3 take     a thief moves tail by compare-and-swap (acquire: pairs with Y2) and the job is its own.
 *   Y4 done     it has read whom to wake (the strand's fiber) when it took the job; it writes the result and exchanges
 *               the state for DONE (release): its last access to job and strand. If the joiner was WAITING it wakes it.
 *   Y5 join     of the youngest job. At or above limit it is private and the owner runs it. Else: if it is private all
 *               the same, the owner looks at why it is below the limit, may share what lies below it, and runs it; if
 *               it is public, the owner takes it and the younger half of the public ones back, by compare-and-swap of
 *               split against the same word that thieves move tail in; if it is taken, Y6.
 *   Y6 wait     all older jobs are taken, too, then; so split and tail are put where top is. The owner exchanges FORKED
 *               for WAITING and sleeps until DONE (acquire: pairs with Y4), unless it was DONE already.
 *   Y7 expose   before the fiber suspends for anything else all private jobs become public.
 *   Y8 hunger   a thief that finds nothing stores POISON into the limit of a running strand: a hint. It is larger than
 *               any job's address, so that one comparison answers whether a job is private and whether anyone wants it.
 *               The owner shares, or if it has reason not to puts the limit back; either by an exchange, as in Y2.
 *   Y9 token    public jobs are found through the strand's one token in a worker's deque. `offered` says that it is
 *               in one. Whoever makes jobs public and finds it unset sets it and pushes the token; whoever has the
 *               token and finds nothing more to take clears it, then looks once more. Litmus: store buffering,
 *               { split; offered } against { offered; split }, all seq_cst.
 *   Y10 watch   the owner may put the limit above split, so that the joins of some private jobs, too, come to where it
 *               looks at the clock (parallel.c). So limit is POISON or the greater of split and watch.
 *   Y11 force   a job that computes for long neither forks nor joins, so nobody sees the hunger. Then the guard makes
 *               jobs public for the owner: under the strand's lock, which the owner takes too wherever it moves split
 *               or limit, it stores POISON, has every thread of the process pass a full barrier (membarrier), and reads
 *               top. A fork or join of the owner's is then before the barrier, and top is true, or it comes after and
 *               meets POISON, and waits for the lock; of the latter top may say either. top is stored by release for
 *               this: the guard, who reads it by acquire, has the jobs below it in view.
 *               Litmus: store buffering, { top; limit } against { limit; top }, with the guard's barrier for both.
 * A strand's memory is a strand for as long as the runtime lives: a token that is still queued when its fiber has ended
 * finds nothing, or the jobs of the strand's next fiber.
 * Model: tests/model/model_strand.c. Reasons: sched/DESIGN.md, "Fork-join".
 */
#ifndef SKUAI_STRAND_H
#define SKUAI_STRAND_H

#include "sched/atomic.h"
#include "sched/lock.h"
#include "skua/parallel.h"

enum skuai_job_state { SKUAI_JOB_FORKED, SKUAI_JOB_WAITING, SKUAI_JOB_DONE }; /* once public */

_Static_assert(sizeof(skua_job) == SKUAI_CACHE_LINE, "a job is a cache line");

struct skuai_strand {
    /* the owner's; but thieves poison `limit` */
    skua_strand head __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_job *jobs, *jobs_end;
    void *waiter;           /* whom to wake: constant while a job is public */
    /* guarded by lock: the owner's and the guard's */
    struct skuai_lock lock;
    uint32_t shielded;      /* these two go along with what becomes public */
    uint64_t deadline_ns;
    skua_job *split;        /* as in `ends` */
    skua_job *watch;        /* Y10 */
    /* any thread */
    skua_word64 ends __attribute__((aligned(SKUAI_CACHE_LINE))); /* split << 32 | tail, as indices */
    skua_word32 offered;
};

#define SKUAI_STRAND_POISON ((void *)UINTPTR_MAX)

void skuai_strand_init(struct skuai_strand *strand, skua_job *jobs, uint32_t count);

/* ---- the owner ---- */

/* Y1, after the job has been filled and top moved, and Y5's first question. */
SKUAI_INLINE bool skuai_strand_is_below_limit(const struct skuai_strand *strand, const skua_job *job)
{
    /* As in skua/parallel.h. Relaxed: only the owner lowers it, and hunger is a hint. */
    return SKUAI_UNLIKELY((uintptr_t)job < (uintptr_t)skuai_load_ptr(&strand->head.limit, SKUAI_RELAXED));
}

SKUAI_INLINE skua_job *skuai_strand_top(const struct skuai_strand *strand)
{
    return skuai_load_ptr(&strand->head.top, SKUAI_ACQUIRE); /* Y11; the owner needs no order */
}

/* Y2, Y7. True: there are new public jobs, and the caller sees to the token (Y9). */
bool skuai_strand_share(struct skuai_strand *strand);
bool skuai_strand_expose(struct skuai_strand *strand);

/* Y5 for a job below the limit, which top is at by now. PRIVATE: it has been all the time, so the caller looks at why,
 * and runs it. BACK: the caller runs it. AWAY: the caller waits for it. */
enum skuai_strand_join { SKUAI_STRAND_PRIVATE, SKUAI_STRAND_BACK, SKUAI_STRAND_AWAY };
enum skuai_strand_join skuai_strand_join(struct skuai_strand *strand, skua_job *job);

/* Y8. */
SKUAI_INLINE bool skuai_strand_is_hungry(const struct skuai_strand *strand)
{
    return skuai_load_ptr(&strand->head.limit, SKUAI_RELAXED) == SKUAI_STRAND_POISON; /* a hint */
}
void skuai_strand_sate(struct skuai_strand *strand);

/* Y10. */
void skuai_strand_watch(struct skuai_strand *strand, skua_job *watch);

/* What scopes say of what becomes public from now on. */
void skuai_strand_set_scopes(struct skuai_strand *strand, bool shielded, uint64_t deadline_ns);

/* Y6, the rest. True: the owner must sleep until skuai_job_is_done(). */
bool skuai_job_wait(skua_job *job);
SKUAI_INLINE bool skuai_job_is_done(const skua_job *job)
{
    return skuai_load_32(&job->state, SKUAI_ACQUIRE) == SKUAI_JOB_DONE; /* pairs with Y4's release */
}

/* ---- others ---- */

/* Y3. NULL: nothing is public. */
skua_job *skuai_strand_take(struct skuai_strand *strand);
bool skuai_strand_has_public(const struct skuai_strand *strand);

/* Y4, after the result has been written. True: the caller wakes the strand's waiter, as it was at Y3. */
bool skuai_job_done(skua_job *job);

/* Y11. The guard. True: as of sharing. */
bool skuai_strand_force(struct skuai_strand *strand);

/* Y8. Any thread, the owner too. */
SKUAI_INLINE void skuai_strand_poison(struct skuai_strand *strand)
{
    if (skuai_load_ptr(&strand->head.limit, SKUAI_RELAXED) != SKUAI_STRAND_POISON)
        skuai_store_ptr(&strand->head.limit, SKUAI_STRAND_POISON, SKUAI_RELAXED); /* a hint, with no data behind it */
}

/* Y9. True: the caller pushes the token. By whoever made jobs public; and by who has the token, has taken what it
 * wanted and will not push it again. */
bool skuai_strand_offer(struct skuai_strand *strand);
bool skuai_strand_offer_again(struct skuai_strand *strand);

#endif
