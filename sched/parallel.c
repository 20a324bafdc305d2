/* Fork-join: the slow paths of skua/parallel.h, and jobs in the hands of thieves. The protocol is strand.h's.
 *
 * A strand is a fiber's from the outermost SKUA_RUN to its end. Its memory is one aligned mapping, header first, so
 * that a job's address tells its strand, with a guard behind the last job. What a thief takes it runs on a fiber of its
 * own, with a strand of its own, on which it forks in turn.
 *
 * The token of a strand (Y9) is a task header that no slab knows, with a run function and nothing else: it lies in
 * deques like a task, and whoever takes it takes a job, puts the token back if there are more, and runs the job.
 */
#define _GNU_SOURCE
#include "sched/parallel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sched/overflow.h"
#include "sched/spawn.h"
#include "sched/strand.h"

enum {
    MAPPING_BYTES = 1 << 20, /* of address space; what is never forked takes no memory */
    GUARD_BYTES = 1 << 16,   /* at least a page of any size */
    HEADER_BYTES = 512
};

struct mapped_strand {
    struct skuai_strand strand;
    skua_task token __attribute__((aligned(SKUAI_CACHE_LINE)));
    struct mapped_strand *next_idle; /* guarded by the pool's lock */
    struct mapped_strand *next_made; /* likewise */
    uint32_t depth;                  /* the owner: SKUA_RUNs in one another */
};
_Static_assert(sizeof(struct mapped_strand) <= HEADER_BYTES, "the header has room in front of the jobs");

enum { JOBS = (MAPPING_BYTES - GUARD_BYTES - HEADER_BYTES) / SKUAI_CACHE_LINE };

static struct mapped_strand *mapped(struct skuai_strand *strand) { return (struct mapped_strand *)(void *)strand; }
static struct skuai_strand *strand_of_job(const skua_job *job)
{
    return (struct skuai_strand *)((uintptr_t)job & ~(uintptr_t)(MAPPING_BYTES - 1));
}
static struct mapped_strand *mapped_of_token(skua_task *token)
{
    return (struct mapped_strand *)(void *)((char *)token - offsetof(struct mapped_strand, token));
}

/* ---- strands --------------------------------------------------------------------------------------------------- */

static enum skuai_run run_token(struct skuai_worker *worker, skua_task *token);

static struct mapped_strand *map_strand(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *raw = mmap(NULL, 2 * MAPPING_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    char *at = (char *)(((uintptr_t)raw + MAPPING_BYTES - 1) & ~(uintptr_t)(MAPPING_BYTES - 1));
    if (at > raw)
        munmap(raw, (size_t)(at - raw));
    munmap(at + MAPPING_BYTES, (size_t)(raw + MAPPING_BYTES - at));
    if (mprotect(at + MAPPING_BYTES - GUARD_BYTES, GUARD_BYTES, PROT_NONE) != 0) {
        munmap(at, MAPPING_BYTES);
        return NULL;
    }
    struct mapped_strand *made = (struct mapped_strand *)(void *)at;
    skuai_strand_init(&made->strand, (skua_job *)(void *)(at + HEADER_BYTES), JOBS);
    made->token.run = run_token;
    return made;
}

static struct mapped_strand *acquire(struct skuai_strand_pool *pool)
{
    skuai_lock_acquire(&pool->lock);
    struct mapped_strand *strand = mapped(pool->idle);
    if (strand != NULL)
        pool->idle = (struct skuai_strand *)strand->next_idle;
    skuai_lock_release(&pool->lock);
    if (strand != NULL || (strand = map_strand()) == NULL)
        return strand;
    skuai_lock_acquire(&pool->lock);
    strand->next_made = mapped(pool->all);
    pool->all = &strand->strand;
    skuai_lock_release(&pool->lock);
    return strand;
}

static void release(struct skuai_strand_pool *pool, struct mapped_strand *strand)
{
    skuai_lock_acquire(&pool->lock);
    strand->next_idle = mapped(pool->idle);
    pool->idle = &strand->strand;
    skuai_lock_release(&pool->lock);
}

void skuai_strand_pool_fini(struct skuai_strand_pool *pool)
{
    for (struct mapped_strand *strand = mapped(pool->all), *next; strand != NULL; strand = next) {
        next = strand->next_made;
        munmap(strand, MAPPING_BYTES);
    }
    pool->all = pool->idle = NULL;
}

int skuai_strand_describe(const struct skuai_strand *strand, const void *fault_address, char *text, size_t size)
{
    if (strand == NULL)
        return 0;
    const char *guard = (const char *)strand + MAPPING_BYTES - GUARD_BYTES, *fault = fault_address;
    if (fault < guard || fault >= guard + GUARD_BYTES)
        return 0;
    static const char message[] =
        "skua: more than 15,000 jobs of one fiber are forked and not joined: its job stack is full; fork less deeply, "
        "or call below a certain depth\n";
    _Static_assert(JOBS > 15000, "as the message says");
    size_t length = sizeof message - 1 < size ? sizeof message - 1 : size;
    for (size_t i = 0; i < length; i++)
        text[i] = message[i];
    return (int)length;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static struct skuai_fiber *fiber_of(struct skuai_worker *worker) { return SKUAI_TASK_BODY(worker->task); }

static struct mapped_strand *begin(struct skuai_worker *worker)
{
    struct skuai_fiber *fiber = fiber_of(worker);
    if (fiber->strand == NULL) {
        struct mapped_strand *strand = acquire(&worker->sched->strands);
        if (strand == NULL) {
            skuai_log(worker->sched, SKUA_LOG_ERROR, "no memory for a job stack");
            abort();
        }
        strand->strand.waiter = worker->task;
        fiber->strand = &strand->strand;
        /* Release: whoever poisons it finds it made. */
        skuai_store_ptr(&worker->strand, fiber->strand, SKUAI_RELEASE);
    }
    struct mapped_strand *strand = mapped(fiber->strand);
    strand->depth++;
    return strand;
}

static void end(struct mapped_strand *strand)
{
    if (--strand->depth != 0)
        return;
    struct skuai_worker *worker = skuai_worker_self();
    fiber_of(worker)->strand = NULL;
    skuai_store_ptr(&worker->strand, NULL, SKUAI_RELAXED);
    release(&worker->sched->strands, strand);
}

void skuai_parallel_run(skuai_job_fn *run, void *room)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL || worker->polling != 0) {
        skuai_misuse("SKUA_RUN",
                     worker == NULL ? "was called outside of a runtime" : "was called inside a future's body",
                     worker == NULL ? "call it in a fiber; skua_block_on() runs one" : "spawn a fiber and join it");
        abort(); /* there is no result to return */
    }
    struct mapped_strand *strand = begin(worker);
    run(&strand->strand.head, room);
    end(strand);
}

void skuai_parallel_misuse(const char *function, const char *what)
{
    skuai_misuse(function, what, "each SKUA_FORK wants its SKUA_JOIN before the function returns");
    abort(); /* the jobs that are left would be overwritten */
}

/* ---- sharing ---------------------------------------------------------------------------------------------------- */

static void offer(struct skuai_worker *worker, struct skuai_strand *strand)
{
    if (skuai_strand_offer(strand))
        skuai_schedule_offered(worker, &mapped(strand)->token);
}

void skuai_parallel_share(skua_strand *head)
{
    struct skuai_strand *strand = (struct skuai_strand *)(void *)head;
    if (skuai_strand_share(strand))
        offer(skuai_worker_self(), strand);
}

void skuai_parallel_suspends(struct skuai_worker *worker, struct skuai_strand *strand)
{
    if (skuai_strand_expose(strand))
        offer(worker, strand);
}

bool skuai_parallel_join(skua_strand *head, skua_job *job)
{
    struct skuai_strand *strand = (struct skuai_strand *)(void *)head;
    bool shared;
    enum skuai_strand_join where = skuai_strand_join(strand, job, &shared);
    if (shared)
        offer(skuai_worker_self(), strand);
    if (where == SKUAI_STRAND_PRIVATE)
        return true;
    if (skuai_job_wait(job))
        while (!skuai_job_is_done(job)) /* whatever else wakes the fiber */
            skuai_fiber_suspend(skuai_worker_self(), SKUAI_POST_PAUSE);
    return false;
}

/* A job that was taken, on a fiber of its own. */
static int run_taken(void *arg)
{
    skua_job *job = arg;
    skua_task *waiter = strand_of_job(job)->waiter;
    struct mapped_strand *strand = begin(skuai_worker_self());
    job->run(&strand->strand.head, job->room);
    end(strand);
    if (skuai_job_done(job))
        skuai_task_wake(waiter);
    return 0;
}

static enum skuai_run run_token(struct skuai_worker *worker, skua_task *token)
{
    struct skuai_strand *strand = &mapped_of_token(token)->strand;
    skua_task *task = skuai_spawn_begin(worker, run_taken);
    if (SKUAI_UNLIKELY(task == NULL)) {
        skuai_schedule_last(worker, token); /* its owner may take the jobs back meanwhile */
        return SKUAI_RUN_SETTLED;
    }
    skua_job *job = skuai_strand_take(strand);
    if (skuai_strand_offer_again(strand))
        skuai_schedule_offered(worker, token);
    skuai_spawn_end(worker, task, job);
    return SKUAI_RUN_SETTLED;
}

void skuai_parallel_hunger(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < sched->nworkers; i++) {
        /* Acquire: pairs with begin(). A strand stays one, whoever runs on it by now. */
        struct skuai_strand *strand = skuai_load_ptr(&sched->workers[i]->strand, SKUAI_ACQUIRE);
        if (strand != NULL)
            skuai_strand_poison(strand);
    }
}
