/* Fork-join: the slow paths of skua/parallel.h, and jobs in the hands of thieves. The protocol is strand.h's.
 *
 * A strand is a fiber's from the outermost SKUA_RUN to its end. Its memory is one aligned mapping, header first, so
 * that a job's address tells its strand, with a guard behind the last job. What a thief takes it runs on a fiber of its
 * own, with a strand of its own, on which it forks in turn.
 *
 * One file, though a long one: to fork, look, offer, take and join are the steps of one protocol over one private
 * struct, and each is called by the one before.
 */
#define _GNU_SOURCE
#include "sched/parallel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/overflow.h"
#include "sched/scope.h"
#include "sched/spawn.h"
#include "sched/strand.h"
#include "sched/ticks.h"

enum {
    LOOK_NS = 4000,       /* what a look has to be paid with: it costs 50 ns, so these are one in a hundred */
    LOOK_LATE_NS = 16000, /* too long without one */
    LOOK_CREDIT_NS = 64000,
    LOOK_LOOP_US = 16,    /* a loop, which could look at each chunk, looks so often if nobody is hungry */
    /* What lasted so long likely lasts longer. Untuned: some times what it costs to have a job done elsewhere, by a
     * worker that searches, 2 µs; and by one that sleeps, 11 µs for who wakes it. */
    SHARE_NS = 8000,
    WAKE_NS = 40000,
    GAP_MAX_NS = 1 << 20,
    SMALL_NS = 4000,      /* what took less was not worth it */
    SOON_US = 8,          /* twice a chunk of a loop; a suspension and what wakes from it cost 2 */
    FIRST_WATCH = 16,
    LEAST_SMALL = 2,    /* levels that no clone may begin at */
    /* After two runs that took so long the next is expected to, and shares at its first fork: with who searches, and
     * with who must be woken. Else 1 ms of skynet had a second worker for 0.7. */
    LONG_NS = 2 * SHARE_NS,
    WAKES_NS = 4 * WAKE_NS,
    SHORT_NS = 80000,    /* a run that will be like the next one, if that uses the strand: it keeps the watch */
    SLICE_NS = 100000,    /* of what a strand computes while tasks wait */
    MAPPING_BYTES = 1 << 20, /* of address space; what is never forked takes no memory */
    GUARD_BYTES = 1 << 16,   /* at least a page of any size */
    HEADER_BYTES = 512
};

/* A job that was taken. In its fiber, as long as it runs. */
struct taken {
    skua_waker waker;
    bool told; /* of its forker's cancellation */
    struct taken *next, **link;
};

struct mapped_strand {
    struct skuai_strand strand;
    skua_task token __attribute__((aligned(SKUAI_CACHE_LINE)));
    struct skuai_strand *next_idle; /* guarded by the pool's lock */
    struct skuai_strand *next_made; /* likewise */
    void *raw;                       /* what was mapped */
    /* those of its jobs that run elsewhere */
    struct skuai_lock lock;
    struct taken *taken; /* guarded by lock */
    bool canceled;       /* likewise, but the owner, who alone writes it, reads it without: they have been told */
    skua_word32 was_small; /* any thread: a job that was taken has taken no time */
    /* the owner's */
    uint32_t depth;                    /* SKUA_RUNs in one another */
    bool is_taken;                     /* it runs a job, which has been found worth sharing */
    skua_task *forker;                 /* then: whose; constant meanwhile, and read by jobs that it has forked */
    uint64_t last_ns, before_ns;       /* what the last two runs took; jobs that were taken do not count */
    uint64_t announced_ns;             /* what this one takes at least, as its caller knows */
    uint64_t wanted_ticks;             /* the last look of a loop */
    bool owes;                         /* it was to share and had nothing: what it forks next is shared */
    uint64_t first_ns, looked_ns;      /* the first and last look; 0: there was none in this run */
    int64_t credit_ns;                 /* of time since looks that has not been paid for looks */
    uint64_t fed_ns;                   /* the last time that it shared, or the first look */
    uint64_t share_gap_ns;             /* how long to compute from then on until the next, for who searches */
    uint64_t wake_gap_ns;              /* and for who sleeps */
    uint64_t slice_ns, slice_polls;    /* the begin of its turn on the worker, and which turn of his it is */
    const struct skuai_worker *sliced; /* the worker */
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

/* Jobs that nobody looks at are small, except for the first ones: a run may be longer than those before, by which the
 * watch was found, and a clone has nothing to share. */
static void set_watch(struct mapped_strand *strand, skua_job *watch)
{
    skua_job *least = strand->strand.jobs + LEAST_SMALL;
    skuai_strand_watch(&strand->strand, watch);
    strand->strand.head.small = watch > least ? watch : least;
}

/* Twice the address space that an aligned one needs, out of bounds but for what is used. */
static struct mapped_strand *map_strand(void)
{
    char *raw = mmap(NULL, 2 * MAPPING_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    char *at = (char *)(((uintptr_t)raw + MAPPING_BYTES - 1) & ~(uintptr_t)(MAPPING_BYTES - 1));
    if (mprotect(at, MAPPING_BYTES - GUARD_BYTES, PROT_READ | PROT_WRITE) != 0) {
        munmap(raw, 2 * MAPPING_BYTES);
        return NULL;
    }
    struct mapped_strand *made = (struct mapped_strand *)(void *)at;
    made->raw = raw;
    skua_job *jobs = (skua_job *)(void *)(at + HEADER_BYTES);
    skuai_strand_init(&made->strand, jobs, JOBS);
    set_watch(made, jobs + FIRST_WATCH);
    made->token.run = run_token;
    return made;
}

static void push(struct skuai_strand **list, struct mapped_strand *strand)
{
    strand->next_idle = *list;
    *list = &strand->strand;
}
static struct mapped_strand *pop(struct skuai_strand **list)
{
    struct mapped_strand *first = mapped(*list);
    if (first != NULL)
        *list = first->next_idle;
    return first;
}

static struct mapped_strand *acquire(struct skuai_worker *worker)
{
    struct skuai_strand_pool *pool = &worker->sched->strands;
    struct mapped_strand *strand = mapped(worker->spare_strand);
    worker->spare_strand = NULL;
    if (SKUAI_LIKELY(strand != NULL))
        return strand;
    skuai_lock_acquire(&pool->lock);
    if ((strand = pop(&pool->warm)) != NULL)
        skuai_kept_remove(&pool->warm_kept);
    else
        strand = pop(&pool->cold);
    skuai_lock_release(&pool->lock);
    if (strand != NULL || (strand = map_strand()) == NULL)
        return strand;
    skuai_lock_acquire(&pool->lock);
    strand->next_made = pool->all;
    pool->all = &strand->strand;
    skuai_lock_release(&pool->lock);
    return strand;
}

static void release(struct skuai_worker *worker, struct mapped_strand *strand)
{
    struct skuai_strand_pool *pool = &worker->sched->strands;
    struct mapped_strand *other = mapped(worker->spare_strand);
    if (SKUAI_LIKELY(other == NULL || !strand->is_taken)) { /* what is known of this one's runs will be of use */
        worker->spare_strand = &strand->strand;
        strand = other;
    }
    if (strand == NULL)
        return;
    skuai_lock_acquire(&pool->lock);
    push(&pool->warm, strand);
    skuai_kept_add(&pool->warm_kept);
    skuai_lock_release(&pool->lock);
}

void skuai_strand_pool_fini(struct skuai_strand_pool *pool)
{
    for (struct mapped_strand *strand = mapped(pool->all), *next; strand != NULL; strand = next) {
        next = mapped(strand->next_made);
        munmap(strand->raw, 2 * MAPPING_BYTES);
    }
    pool->all = pool->warm = pool->cold = NULL;
}

enum skuai_decay skuai_strand_pool_decay(struct skuai_strand_pool *pool, uint32_t max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < max; i++) {
        skuai_lock_acquire(&pool->lock);
        struct mapped_strand *strand = skuai_kept_unneeded(&pool->warm_kept, 0) != 0 ? pop(&pool->warm) : NULL;
        if (strand == NULL) {
            bool later = skuai_kept_renew(&pool->warm_kept, 0);
            skuai_lock_release(&pool->lock);
            return later ? SKUAI_DECAY_LATER : SKUAI_DECAY_NOTHING;
        }
        skuai_kept_give_back(&pool->warm_kept, 1);
        skuai_lock_release(&pool->lock);
        (void)madvise((char *)strand + page, MAPPING_BYTES - GUARD_BYTES - page, MADV_DONTNEED);
        skuai_lock_acquire(&pool->lock);
        push(&pool->cold, strand);
        skuai_lock_release(&pool->lock);
    }
    return SKUAI_DECAY_NOW;
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

/* A strand for the calling fiber, on whose worker it may go on: waits for memory if need be, as for a stack. */
static struct mapped_strand *acquire_somehow(struct skuai_worker **worker)
{
    struct mapped_strand *strand;
    while ((strand = acquire(*worker)) == NULL) {
        skuai_fiber_starved(*worker, "jobs");
        skuai_fiber_suspend(*worker, SKUAI_POST_REQUEUE);
        *worker = skuai_worker_self();
    }
    return strand;
}

/* What the task's scopes say goes along with the jobs that it shares. */
static void note_scopes(struct skuai_strand *strand, const skua_task *task)
{
    uint32_t say = 0;
    if (SKUAI_LIKELY(task->scope == NULL))
        skuai_strand_set_scopes(strand, false, SKUA_NEVER);
    else
        skuai_strand_set_scopes(strand, skuai_scopes_shield(task->scope, &say), skuai_scopes_deadline_ns(task->scope));
}

static bool expects(const struct mapped_strand *strand, uint64_t ns)
{
    return strand->announced_ns >= ns || (strand->last_ns >= ns && strand->before_ns >= ns);
}

void skuai_parallel_announce(uint64_t ns) { skuai_worker_self()->announced_ns = ns; }

/* Whether somebody waits for what the run is expected to be long enough for. Hints. */
static bool is_awaited(const struct mapped_strand *strand, const struct skuai_idle *idle)
{
    return expects(strand, LONG_NS) && (skuai_idle_searching(idle) != 0 ||
                                        (expects(strand, WAKES_NS) && skuai_idle_sleeping(idle) != 0));
}

static struct mapped_strand *begin(bool is_taken)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_fiber *fiber = fiber_of(worker);
    uint64_t announced_ns = worker->announced_ns;
    worker->announced_ns = 0;
    if (fiber->strand == NULL) {
        struct mapped_strand *strand = acquire_somehow(&worker);
        strand->strand.waiter = worker->task;
        strand->announced_ns = announced_ns;
        strand->first_ns = strand->looked_ns = strand->wanted_ticks = 0;
        strand->is_taken = is_taken;
        if (is_taken) /* it was worth sharing, so it is not like this strand's short runs, if there were some */
            set_watch(strand, strand->strand.jobs + FIRST_WATCH);
        strand->owes = false;
        strand->canceled = false;
        note_scopes(&strand->strand, worker->task);
        if (worker->sched->env.is_seeded) /* what the clock decides otherwise */
            strand->strand.head.small = strand->strand.jobs + skuai_random_below(&worker->random, FIRST_WATCH);
        else if (!is_taken && is_awaited(strand, &worker->sched->idle))
            skuai_strand_poison(&strand->strand);
        fiber->strand = &strand->strand;
        /* Release: whoever poisons it finds it made. No model test runs this: one pair. */
        skuai_store_ptr(&worker->strand, fiber->strand, SKUAI_RELEASE);
    }
    struct mapped_strand *strand = mapped(fiber->strand);
    strand->depth++;
    return strand;
}

/* For the next run: as it has been found if this one was short, a little higher if it was never seen. */
static void leave_watch(struct mapped_strand *strand)
{
    skua_job *first = strand->strand.jobs + FIRST_WATCH;
    if (strand->is_taken || strand->looked_ns - strand->first_ns > SHORT_NS)
        set_watch(strand, first);
    else if (strand->looked_ns == 0 && strand->strand.watch < first)
        set_watch(strand, strand->strand.watch + 1);
}

static void leave_length(struct skuai_worker *worker, struct mapped_strand *strand)
{
    if (strand->is_taken)
        return;
    strand->before_ns = strand->last_ns;
    strand->last_ns = strand->looked_ns == 0 ? 0 : skuai_env_now(&worker->sched->env) - strand->first_ns;
}

static void end(struct mapped_strand *strand)
{
    if (--strand->depth != 0)
        return;
    struct skuai_worker *worker = skuai_worker_self();
    leave_watch(strand);
    leave_length(worker, strand);
    fiber_of(worker)->strand = NULL;
    skuai_store_ptr(&worker->strand, NULL, SKUAI_RELAXED);
    release(worker, strand);
}

void skuai_parallel_misuse(const char *function, const char *what)
{
    skuai_misuse(function, what, "join each fork before its function returns, the latest first");
    abort(); /* jobs would be overwritten that have not run */
}

/* Forks and joins have left the job stack as it was. */
static void run_checked(struct skuai_strand *strand, skuai_job_fn *run, void *room)
{
    const skua_job *top = skuai_strand_top(strand);
    run(&strand->head, room);
    if (SKUAI_UNLIKELY(skuai_strand_top(strand) != top))
        skuai_parallel_misuse("a job", "has ended with jobs that were forked and not joined");
}

void skuai_parallel_run(skuai_job_fn *run, void *room)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL || worker->polling != 0) {
        skuai_misuse("SKUA_RUN",
                     worker == NULL ? "was called outside of a runtime"
                                    : "was called outside of any fiber, in a future's body",
                     worker == NULL ? "use SKUA_RUN_ON" : "use SKUA_RUN_FUTURE");
        abort(); /* there is no result to return */
    }
    struct mapped_strand *strand = begin(false);
    run_checked(&strand->strand, run, room);
    end(strand);
}

/* ---- cancellation ------------------------------------------------------------------------------------------------ */

/* The next of those who are to be told, as a waker, because it may end as soon as the lock is free. In a simulation a
 * cancel gives way to other threads, so the lock is not held meanwhile. */
static bool next_to_tell(struct mapped_strand *strand, skua_waker *waker)
{
    struct taken *taken;
    skuai_lock_acquire(&strand->lock);
    strand->canceled = true;
    for (taken = strand->taken; taken != NULL && taken->told;)
        taken = taken->next;
    if (taken != NULL) {
        taken->told = true;
        *waker = taken->waker;
    }
    skuai_lock_release(&strand->lock);
    return taken != NULL;
}

/* Tells those who run the strand's jobs that its fiber is cancelled, once. */
static void pass_on_cancel(struct skuai_worker *worker, struct mapped_strand *strand)
{
    skua_waker waker;
    if (SKUAI_LIKELY(skuai_interruption(worker) != -ECANCELED) || strand->canceled)
        return;
    while (next_to_tell(strand, &waker))
        skua_waker_cancel(waker);
}

/* The job's fiber enters itself with the strand it was taken from. */
static void enter(struct mapped_strand *from, struct taken *taken)
{
    skua_task *task = skuai_worker_self()->task;
    *taken = (struct taken){ .waker = skua_task_waker(task), .link = &from->taken };
    skuai_lock_acquire(&from->lock);
    taken->told = from->canceled;
    taken->next = from->taken;
    if (taken->next != NULL)
        taken->next->link = &taken->next;
    from->taken = taken;
    bool told = taken->told;
    skuai_lock_release(&from->lock);
    if (told)
        skua_cancel(task);
}

static void leave(struct mapped_strand *from, struct taken *taken)
{
    skuai_lock_acquire(&from->lock);
    *taken->link = taken->next;
    if (taken->next != NULL)
        taken->next->link = taken->link;
    skuai_lock_release(&from->lock);
}

/* ---- looking around --------------------------------------------------------------------------------------------- */

static void offer(struct skuai_worker *worker, struct skuai_strand *strand)
{
    if (skuai_strand_offer(strand))
        skuai_schedule_offered(worker->sched, worker, &mapped(strand)->token);
}

/* Whether to share now: if somebody is out of work, nothing lies there for him already, and it pays, as far as the past
 * can tell. */
static bool pays(struct mapped_strand *strand, const struct skuai_idle *idle, uint64_t now)
{
    bool searching = skuai_idle_searching(idle) != 0;
    uint64_t since = now - strand->fed_ns;
    if (SKUAI_UNLIKELY(skuai_load_32(&strand->was_small, SKUAI_RELAXED) != 0)) { /* a hint */
        skuai_store_32(&strand->was_small, 0, SKUAI_RELAXED);
        strand->share_gap_ns = 2 * strand->share_gap_ns + SHARE_NS;
    } else if (since > 4 * GAP_MAX_NS) {
        strand->share_gap_ns = strand->wake_gap_ns = 0;
    }
    uint64_t gap = searching ? strand->share_gap_ns : strand->wake_gap_ns;
    if ((!searching && skuai_idle_sleeping(idle) == 0) || since < (gap < GAP_MAX_NS ? gap : GAP_MAX_NS) ||
        skuai_strand_has_public(&strand->strand))
        return false;
    if (!searching)
        strand->wake_gap_ns = 2 * strand->wake_gap_ns + WAKE_NS;
    strand->fed_ns = now;
    return true;
}

/* Shares what there is; or, if that is nothing, what is forked next, which it sees to by being hungry itself. */
static void feed(struct skuai_worker *worker, struct mapped_strand *strand)
{
    strand->owes = !skuai_strand_share(&strand->strand);
    if (strand->owes)
        skuai_strand_poison(&strand->strand);
    else
        offer(worker, &strand->strand);
}

/* Whether other tasks wait for this worker. */
static bool others_wait(struct skuai_worker *worker, const struct skuai_strand *strand, uint64_t now)
{
    struct skuai_scheduler *sched = worker->sched;
    /* All of these are hints: whoever takes a task decides. Tokens are no tasks. */
    int64_t tokens = skuai_load_32(&strand->offered, SKUAI_RELAXED) != 0;
    bool only_tokens = worker->tokens_only == skuai_load_64(&worker->deque.bottom, SKUAI_RELAXED);
    return skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL ||
           (!only_tokens && (int64_t)skuai_deque_count(&worker->deque) > tokens) ||
           skuai_deque_count(&worker->inbox) != 0 ||
           !skuai_inject_is_empty(&sched->inject) || now >= skuai_load_64(&sched->timer_next, SKUAI_RELAXED);
}

/* After stepping aside: if only tokens were met, that is all there is in the deque, until something is pushed. */
static void note_tokens(struct skuai_worker *worker)
{
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* the worker's own; with this run */
    if (polls == worker->token_polls + 1 && skuai_deque_count(&worker->deque) <= worker->tokens_in_a_row)
        worker->tokens_only = skuai_load_64(&worker->deque.bottom, SKUAI_RELAXED); /* likewise */
}

/* Lets the tasks run that wait, once the fiber has had its slice. Its jobs stay private: it is ready itself. */
static void step_aside(struct skuai_worker *worker, struct mapped_strand *strand, uint64_t now)
{
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* the worker's own */
    if (strand->sliced != worker || strand->slice_polls != polls) {
        strand->sliced = worker;
        strand->slice_polls = polls;
        strand->slice_ns = now;
    } else if (now - strand->slice_ns >= SLICE_NS && others_wait(worker, &strand->strand, now)) {
        worker->until_check = 1; /* timers and what was injected, too */
        skuai_fiber_suspend(worker, SKUAI_POST_ASIDE);
        note_tokens(skuai_worker_self());
    }
}

/* Under a seed no time passes while a job computes, so the seed decides what the clock does otherwise. */
static void look_seeded(struct skuai_worker *worker, struct mapped_strand *strand)
{
    uint32_t choice = skuai_random_below(&worker->random, 32);
    if (choice < 2)
        feed(worker, strand);
    else if (choice == 2)
        skuai_fiber_suspend(worker, SKUAI_POST_ASIDE);
}

/* The watch follows how often there are looks: down to below those jobs whose looks nothing pays for, and up by about
 * as many levels of a binary tree as have been too long without one. */
static void move_watch(struct mapped_strand *more, skua_job *job, uint64_t since)
{
    struct skuai_strand *strand = &more->strand;
    more->credit_ns += (int64_t)(since < LOOK_CREDIT_NS ? since : LOOK_CREDIT_NS) - LOOK_NS;
    if (more->credit_ns > LOOK_CREDIT_NS)
        more->credit_ns = LOOK_CREDIT_NS;
    if (more->credit_ns < 0 && job != NULL) {
        more->credit_ns = 0;
        set_watch(more, job);
    } else if (since > LOOK_LATE_NS) {
        ptrdiff_t room = strand->jobs_end - strand->watch, levels = 64 - __builtin_clzll(since / LOOK_LATE_NS);
        set_watch(more, strand->watch + (levels < room ? levels : room));
    }
}

/* Y10. What the owner does now and then, at the join of `job`, a fork, or between two chunks of a loop: it passes its
 * cancellation on, feeds workers that have no work, and steps aside for other tasks. */
enum where { AT_FORK, AT_JOIN, IN_LOOP };

static void look(struct skuai_strand *strand, enum where where, skua_job *job)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_scheduler *sched = worker->sched;
    struct mapped_strand *more = mapped(strand);
    skuai_env_point(&sched->env, SKUAI_POINT_SHARE);
    skuai_count(&worker->counters.looks, 1);
    bool hungry = skuai_strand_is_hungry(strand);
    pass_on_cancel(worker, more);
    if (SKUAI_UNLIKELY(sched->env.is_seeded)) {
        look_seeded(worker, more);
        return;
    }
    if (!hungry && where == AT_FORK)
        return; /* forks come in a row, on the way down */
    uint64_t now = skuai_env_now(&sched->env);
    if (more->looked_ns != 0) {
        if (where != IN_LOOP)
            move_watch(more, job, now - more->looked_ns);
    } else {
        more->credit_ns = 0;
        more->first_ns = more->fed_ns = now;
        more->share_gap_ns = more->is_taken || expects(more, LONG_NS) ? 0 : SHARE_NS;
        more->wake_gap_ns = !more->is_taken && expects(more, WAKES_NS) ? 0 : WAKE_NS;
    }
    more->looked_ns = now;
    if (more->owes || pays(more, &sched->idle, now))
        feed(worker, more);
    else if (hungry)
        skuai_strand_sate(strand);
    step_aside(worker, more, now);
}

void skuai_parallel_forked(skua_strand *head) { look((struct skuai_strand *)(void *)head, AT_FORK, NULL); }

bool skuai_parallel_expects_long(const skua_strand *head)
{
    return expects((const struct mapped_strand *)(const void *)head, LONG_NS);
}

bool skuai_parallel_wants(skua_strand *head, uint64_t ticks)
{
    struct skuai_strand *strand = (struct skuai_strand *)(void *)head;
    struct mapped_strand *more = mapped(strand);
    const uint64_t often = (uint64_t)LOOK_LOOP_US * SKUAI_TICKS_PER_US;
    if (SKUAI_LIKELY(!skuai_strand_is_hungry(strand) && ticks - more->wanted_ticks < often))
        return false;
    more->wanted_ticks = ticks;
    look(strand, IN_LOOP, NULL);
    return skuai_strand_is_hungry(strand);
}

bool skuai_parallel_suspends(struct skuai_worker *worker, struct skuai_strand *strand)
{
    pass_on_cancel(worker, mapped(strand));
    if (skuai_strand_expose(strand))
        offer(worker, strand);
    if (!skuai_strand_has_public(strand))
        return false;
    skuai_add_32(&worker->sched->strands.offering, 1, SKUAI_RELAXED); /* a hint */
    return true;
}

void skuai_parallel_resumes(struct skuai_worker *worker)
{
    skuai_sub_32(&worker->sched->strands.offering, 1, SKUAI_RELAXED); /* as above */
}

bool skuai_parallel_has_offers(const struct skuai_scheduler *sched)
{
    return skuai_load_32(&sched->strands.offering, SKUAI_RELAXED) != 0; /* as above */
}

/* Waits for a job that is away, if nothing else is to do, for a little longer than the suspension would take. Else,
 * where a loop's last parts end at about the same time, the fiber would go on at the thief's worker each second time,
 * and the halves of what the next loop goes through would change caches: 0.76 ns an index became 0.58. */
static bool is_soon_done(struct skuai_worker *worker, const struct skuai_strand *strand, const skua_job *job)
{
    struct skuai_env *env = &worker->sched->env;
    if (env->is_seeded || others_wait(worker, strand, skuai_env_now(env)))
        return false;
    uint64_t begun = skuai_ticks(env);
    while (!skuai_job_is_done(job)) {
        if (skuai_ticks(env) - begun > (uint64_t)SOON_US * SKUAI_TICKS_PER_US)
            return false;
        skuai_env_pause(env);
    }
    return true;
}

bool skuai_parallel_join(skua_strand *head, skua_job *job)
{
    struct skuai_strand *strand = (struct skuai_strand *)(void *)head;
    switch (skuai_strand_join(strand, job)) {
    case SKUAI_STRAND_PRIVATE:
        look(strand, AT_JOIN, job);
        return true;
    case SKUAI_STRAND_BACK:
        return true;
    case SKUAI_STRAND_AWAY:
        break;
    }
    skuai_worker_self()->had_jobs = true;
    if (is_soon_done(skuai_worker_self(), strand, job))
        return false;
    if (skuai_job_wait(job))
        while (!skuai_job_is_done(job)) /* whatever else wakes the fiber: its cancellation is passed on */
            skuai_fiber_suspend(skuai_worker_self(), SKUAI_POST_PAUSE);
    return false;
}

/* ---- thieves ---------------------------------------------------------------------------------------------------- */

/* A job that was taken, on a fiber of its own. */
static int run_taken(void *arg)
{
    skua_job *job = arg;
    struct mapped_strand *from = mapped(strand_of_job(job));
    skua_task *waiter = from->strand.waiter;
    struct taken taken;
    skua_scope deadline;
    bool shielded = job->shielded != 0, timed = job->deadline_ns != SKUA_NEVER;
    if (!shielded)
        enter(from, &taken);
    if (timed)
        skua_deadline_enter(&deadline, job->deadline_ns);
    struct mapped_strand *strand = begin(true);
    strand->forker = waiter;
    uint64_t begun_ns = skuai_env_now(&skuai_worker_self()->sched->env);
    run_checked(&strand->strand, job->run, job->room);
    end(strand);
    if (skuai_env_now(&skuai_worker_self()->sched->env) - begun_ns < SMALL_NS)
        skuai_store_32(&from->was_small, 1, SKUAI_RELAXED); /* a hint */
    if (timed)
        skua_scope_leave(&deadline);
    if (!shielded)
        leave(from, &taken);
    if (skuai_job_done(job))
        skuai_task_wake(waiter);
    return 0;
}

skua_task *skuai_parallel_forker(const skua_task *task)
{
    if (task->run != skuai_fiber_run)
        return NULL;
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    return fiber->fn == run_taken && fiber->strand != NULL ? mapped(fiber->strand)->forker : NULL;
}

/* Jobs are for who has nothing else to do: what lies behind a token goes first. Else a strand that steps aside for the
 * token of another, which lies in its worker's deque because there is more to take, would begin a job of it each time,
 * and at last have all of them begun. Tokens that follow one another give way once around. */
static bool gives_way(struct skuai_worker *worker)
{
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* the worker's own; with this run */
    if (polls != worker->token_polls + 1)
        worker->tokens_in_a_row = 0;
    worker->token_polls = polls;
    return worker->tokens_in_a_row++ < skuai_deque_count(&worker->deque);
}

static enum skuai_run run_token(struct skuai_worker *worker, skua_task *token)
{
    struct skuai_strand *strand = &mapped_of_token(token)->strand;
    if (gives_way(worker)) {
        skuai_schedule_last(worker, token);
        return SKUAI_RUN_SETTLED;
    }
    skua_task *task = skuai_spawn_begin(worker, run_taken);
    if (SKUAI_UNLIKELY(task == NULL)) {
        skuai_schedule_last(worker, token); /* its owner may take the jobs back meanwhile */
        return SKUAI_RUN_SETTLED;
    }
    skua_job *job = skuai_strand_take(strand);
    if (job != NULL)
        worker->had_jobs = true;
    if (skuai_strand_offer_again(strand))
        skuai_schedule_offered(worker->sched, worker, token);
    skuai_spawn_end(worker, task, job);
    return SKUAI_RUN_SETTLED;
}

void skuai_parallel_scope(struct skuai_worker *worker)
{
    const struct skuai_fiber *fiber = fiber_of(worker);
    if (worker->task->run != skuai_fiber_run || fiber->strand == NULL)
        return;
    struct mapped_strand *strand = mapped(fiber->strand);
    note_scopes(&strand->strand, worker->task);
    /* It may have left what was cancelled. Relaxed: who cancels the task meanwhile is met at the next look. */
    if (strand->canceled && (skuai_load_64(&worker->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) == 0 &&
        skuai_interruption(worker) != -ECANCELED) {
        skuai_lock_acquire(&strand->lock);
        strand->canceled = false;
        skuai_lock_release(&strand->lock);
    }
}

static struct skuai_strand *running_on(struct skuai_worker *worker)
{
    /* Acquire: pairs with begin(). A strand stays one, whoever runs on it by now. No model test runs this: one pair. */
    return skuai_load_ptr(&worker->strand, SKUAI_ACQUIRE);
}

void skuai_parallel_ask(struct skuai_worker *worker)
{
    struct skuai_strand *strand = running_on(worker);
    if (strand != NULL)
        skuai_strand_poison(strand);
}

bool skuai_parallel_is_running(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if (running_on(sched->workers[i]) != NULL)
            return true;
    return false;
}

void skuai_parallel_hunger(struct skuai_scheduler *sched)
{
    struct skuai_strand *strand;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if ((strand = running_on(sched->workers[i])) != NULL)
            skuai_strand_poison(strand);
}

void skuai_parallel_force(struct skuai_scheduler *sched)
{
    struct skuai_strand *strand;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if ((strand = running_on(sched->workers[i])) != NULL && skuai_strand_is_hungry(strand) &&
            skuai_strand_force(strand) && skuai_strand_offer(strand))
            skuai_schedule_offered(sched, NULL, &mapped(strand)->token);
}
