/* The scheduler of one runtime, and its workers: what they hold and who writes it.
 *
 * A worker is a thread (or a virtual one) with a deque, a next-slot, a timer wheel and caches of task memory and
 * stacks. It runs on its own stack, the *base*, where it runs futures and looks for work; fibers run on theirs, and
 * switch to the next fiber or back to the base.
 */
#ifndef SKUAI_SCHEDULER_H
#define SKUAI_SCHEDULER_H

#include "sched/atomic.h"
#include "sched/context.h"
#include "sched/crowd.h"
#include "sched/deque.h"
#include "sched/env.h"
#include "sched/guard.h"
#include "sched/idle.h"
#include "sched/inject.h"
#include "sched/lateness.h"
#include "sched/parallel.h"
#include "sched/poll.h"
#include "sched/probes.h"
#include "sched/rundown.h"
#include "sched/self.h"
#include "sched/slab.h"
#include "sched/spares.h"
#include "sched/stack.h"
#include "sched/task.h"
#include "sched/timer_wheel.h"
#include "sched/topology.h"
#include "sched/trace.h"
#include "sched/victims.h"
#include "skua/combine.h"
#include "skua/runtime.h"

struct skuai_scheduler;
struct skuai_watch;
struct skuai_watchdog;

/* What the flow that a worker switches to does first, for the fiber that it switched away from: the *post-switch step*
 * (fiber.c). Only then does the fiber's stack hold all of it, and only then may others know that it waits. */
enum skuai_post { SKUAI_POST_NOTHING, SKUAI_POST_PAUSE, SKUAI_POST_REQUEUE, SKUAI_POST_ASIDE, SKUAI_POST_END };

enum { SKUAI_AWAIT_BUDGET = 128 }; /* awaits that find their op done in one run of a task; as tokio\'s */

struct skuai_counters { /* written by their worker, read by anybody; relaxed */
    skua_word64 spawned, ended, polls, steal_attempts, stolen, overflows, injected, parks, wakes;
    skua_word64 events_looked, events_slept, poller_looks, poller_parks;
    skua_word64 looks; /* of fork-join strands on it (parallel.c) */
    skua_word64 steals_at[SKUA_DISTANCES];
    struct skuai_lateness timers;
};

_Static_assert((int)SKUA_DISTANCE_CORE == (int)SKUAI_SHARE_CORE && (int)SKUA_DISTANCE_L2 == (int)SKUAI_SHARE_L2 &&
                   (int)SKUA_DISTANCE_L3 == (int)SKUAI_SHARE_L3 && (int)SKUA_DISTANCE_NUMA == (int)SKUAI_SHARE_NUMA &&
                   (int)SKUA_DISTANCE_PACKAGE == (int)SKUAI_SHARE_PACKAGE &&
                   (int)SKUA_DISTANCE_MACHINE == (int)SKUAI_SHARE_COUNT,
               "the distances of victims.h are the public ones");

struct skuai_worker {
    /* the owner only */
    struct skuai_scheduler *sched;
    uint32_t index;
    uint32_t budget;             /* awaits that may still succeed at once in this run */
    union {
        skua_task *task;         /* the one that runs, or NULL; set by skuai_worker_set_task() */
        skua_wordptr shown_task; /* likewise, for reports: anybody reads it */
    };
    skua_child *child;           /* the set child being polled, or NULL */
    skua_frame *leaf;            /* the innermost frame that has just returned SKUA_PENDING */
    uint8_t short_calls;         /* how many calls have taken a part of a unit of budget only; wraps around */
    bool yielding;               /* the future being polled asked to run again behind the others */
    uint32_t polling;            /* > 0: inside a future's poll function, where waiting calls are misuse */
    uint32_t next_streak;        /* tasks run from the next-slot in a row */
    bool inbox_turn;             /* the next task comes from the inbox, if it has one */
    bool inbox_filled;           /* since it was last found empty */
    uint32_t until_check;        /* tasks to run until the next look at timers and the injection queue */
    uint32_t check_interval;
    uint64_t checked_ns;
    uint64_t token_polls;        /* which run was the last of a token (parallel.c) */
    uint64_t tokens_in_a_row;
    uint64_t tokens_only;        /* the deque's bottom when there was nothing else in it */
    bool had_jobs;               /* since it last slept it has taken a job, or somebody has taken one from it */
    bool looks_first;            /* into the poller, before it sleeps */
    bool slept_for_events;       /* the last sleep was ended by some; until its length has been looked at */
    bool had_events;             /* since it last slept the poller has given it some, or ended its sleep by them */
    bool is_aside;               /* it sleeps beside one that is awake, on its parker (idle.h, P6; poll.h, K8) */
    bool stopping;               /* it has seen SKUAI_STAGE_STOP; or its turn is over (turn.h) */
    bool forked;                 /* this is a fork's child, which has no workers (runtime/fork.c) */
    bool is_spare;               /* fixed */
    uint64_t random;
    struct skuai_poll *home;     /* the poller that it looks into (poll.h) */
    struct skuai_context *flow;  /* whose stack it is on: the base's or a fiber's */
    enum skuai_post post;
    skua_task *post_task;
    skua_task *handover;         /* what the base is to run next: a fiber picked it, or an ending task's joiner */
    bool ending;                 /* inside a task's end: whom that wakes can be handed over */
    struct skuai_context base;
    struct skuai_slab_cache slab;
    struct skuai_stack_cache stacks;
    struct skuai_strand *spare_strand; /* or NULL */
    uint64_t announced_ns;             /* how long the next run takes at least; 0: nobody knows */
    struct skuai_victims *victims;
    struct skuai_thread thread;
    uint64_t stop_cpu_ns;        /* whoever stops it: its processor time when it was told */
    bool caches_made;
    bool away;                   /* of an embedded runtime: it sleeps in its poller (turn.h, U2) */
    uint64_t turn_until_ns;      /* likewise: when the turn is over; else 0 */
    struct skuai_poll_batch polled; /* events that it has found */
    struct skuai_counters counters __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* shared */
    skua_wordptr next __attribute__((aligned(SKUAI_CACHE_LINE))); /* the next-slot: owner fills, anybody takes */
    skua_wordptr trace;          /* its ring, or NULL (trace.h): whoever turns it on or off writes */
    skua_wordptr trace_kept;     /* likewise, whether on or not; under the trace's lock */
    skua_word32 born;            /* what time it is, about, as bits of a task's word: the owner, and the guard */
    skua_wordptr strand;         /* that of the fiber it runs, or NULL: owner writes, hungry workers read */
    struct skuai_parker parker;
    skua_word32 asleep;          /* for spares.h: owner writes, the guard reads */
    skua_word32 spare_state;     /* spares.h */
    uint64_t watched_polls, watched_ns; /* the guard's: what it saw last, since when */
    uint64_t watched_looks, watched_looked_ns; /* likewise */
    bool watched_stuck;          /* likewise: it has been counted as stuck since then */
    struct skuai_crowd_share crowd_share; /* likewise */
    struct skuai_watch *watch;   /* fixed: its record with the watchdog, or NULL */
    struct skuai_wheel wheel __attribute__((aligned(SKUAI_CACHE_LINE))); /* guarded by its lock */
    struct skuai_deque deque;
    struct skuai_deque inbox;    /* tasks it has fetched from the injection queue; owner fills, anybody takes */
};

/* The application's allocator (skua_config). */
struct skuai_memory {
    void *(*alloc)(void *context, size_t size);
    void (*free)(void *context, void *memory, size_t size);
    void *context;
};

/* How a scheduler tells the outside; given at start by runtime/. */
struct skuai_reporting {
    void (*log)(void *context, enum skua_log_level level, const char *text);
    void *log_context;
    void (*misuse)(void *context, const char *text);
    void *misuse_context;
};

enum skuai_stage {
    SKUAI_STAGE_OPEN,
    SKUAI_STAGE_REFUSE,
    SKUAI_STAGE_CANCEL,
    SKUAI_STAGE_STOP, /* workers leave their loops */
    SKUAI_STAGE_LEFT  /* they have, and tasks were left */
};

struct skuai_scheduler;

/* How an embedded runtime's tasks are run by who waits for them; given by runtime/embed.c. */
struct skuai_embed_hooks {
    /* The calling thread is the one that turns it, so that it would wait in vain. */
    bool (*is_embedder)(const struct skuai_scheduler *sched);
    /* It turns it until the word has the value, or the time has come (-ETIMEDOUT). Another error: it may not now. */
    int (*drive)(struct skuai_scheduler *sched, skua_word32 *word, uint32_t value, uint64_t until_ns);
};

struct skuai_scheduler {
    /* fixed once started */
    struct skuai_env env;
    uint32_t nworkers;       /* the regular ones */
    skua_word32 hurry; /* not fixed, but rarely written: the guard wants a worker to look around after its task */
    uint64_t started_ns;
    struct skuai_worker **workers;
    size_t stack_size;
    struct skuai_reporting reporting;
    struct skuai_memory memory;
    struct skuai_topology topology;
    bool bind;
    uint32_t *cpu_of_worker;
    uint32_t workers_per_poller;          /* skua_config's */
    uint32_t *home_of_worker;             /* numbers of pollers */
    uint32_t *idle_stack;
    bool slabs_made, stacks_made;
    const struct skuai_embed_hooks *embed; /* of an embedded runtime (turn.h); else NULL */
    /* shared, each with its own discipline */
    struct skuai_slab_set slabs;
    skua_word64 spawned_outside;          /* any thread that is none of the workers */
    skua_word64 wakes_outside;            /* likewise */
    skua_word64 failed_unseen;            /* any thread: skuai_count_failed() */
    struct skuai_stack_pool stack_pool;
    struct skuai_strand_pool strands;
    struct skuai_inject inject;
    struct skuai_idle idle;
    struct skuai_guard_thread guard;
    struct skuai_spares spares;
    struct skuai_crowd crowd;
    struct skuai_watchdog *watchdog;      /* or NULL; fixed before anything runs */
    struct skuai_trace trace;
    struct skuai_polls polls;
    struct {
        skua_wordptr pool;            /* io/blocking.c; NULL until there is one, then constant */
        void (*destroy)(void *pool);  /* set before pool is */
    } blocking;
    skua_word64 timer_next __attribute__((aligned(SKUAI_CACHE_LINE))); /* timers.c: no timer ends before this */
    /* timers.c, hints of whoever runs timers: when it began to count those that expired, how many, and whether they are
     * dense */
    skua_word64 timers_since_ns, timers_count;
    skua_word32 timers_dense;
    skua_word32 stage __attribute__((aligned(SKUAI_CACHE_LINE)));      /* enum skuai_stage; only grows */
    skua_word32 drain;                    /* 0; 1: somebody waits for all tasks to end; 2: they have */
    skua_word32 stopped;                  /* workers whose loop has ended */
    struct skuai_rundown spawning;        /* spawns from outside: between the look at stage and the end of the push */
    uint64_t reported_state;              /* deadlock.c: whoever reports, when nothing runs; 0: none was */
    skua_word32 said_starved;             /* that a fiber waits for memory has been logged */
    struct skuai_lock looking;            /* dump.c: one task is held at a time */
    struct skuai_rundown name_readers;    /* who reads names of tasks that may end meanwhile (task_more.c) */
    struct skuai_rundown holds;           /* fires from outside that are still under way (op.h) */
    skua_word32 *alive_here;              /* a page that a fork's child finds zeroed */
};

/* The regular workers and the spare ones that have been made: all that have queues, wheels and counters. SEQ_CST: S6
 * (spares.h). */
SKUAI_INLINE uint32_t skuai_workers_all(const struct skuai_scheduler *sched)
{
    return sched->nworkers + skuai_load_32(&sched->spares.made, SKUAI_SEQ_CST);
}

/* P6 (idle.h): by the caller's own account, a hint. */
SKUAI_INLINE bool skuai_awake_are_enough(const struct skuai_scheduler *sched)
{
    return skuai_crowd_is_enough(&sched->crowd, sched->nworkers - skuai_idle_sleeping(&sched->idle));
}

/* Relaxed: a report wants to know who runs what, and touches the task otherwise (dump.c). */
SKUAI_INLINE void skuai_worker_set_task(struct skuai_worker *worker, skua_task *task)
{
    /* No model test runs this: for reports. */
    skuai_store_ptr(&worker->shown_task, task, SKUAI_RELAXED);
}

/* When tasks are born that the worker spawns from now on: by the worker when it has looked at a clock, by the guard for
 * one that has not for long. For reports only, so the model's worlds have none of it. */
#if defined(SKUAI_MODEL)
SKUAI_INLINE void skuai_worker_note_time(struct skuai_worker *worker, uint64_t now_ns)
{
    (void)worker;
    (void)now_ns;
}
#else
SKUAI_INLINE void skuai_worker_note_time(struct skuai_worker *worker, uint64_t now_ns)
{
    /* No model test runs this: as above. */
    uint32_t born = skuai_task_born_at(now_ns);
    if (SKUAI_UNLIKELY(skuai_load_32(&worker->born, SKUAI_RELAXED) != born)) /* once a second */
        skuai_store_32(&worker->born, born, SKUAI_RELAXED);                  /* no data behind it */
}
#endif

/* worker.c */
void skuai_worker_main(void *worker);
/* turn.c's: what skuai_worker_main() is made of. */
void skuai_worker_begin_turn(struct skuai_worker *worker, uint64_t now_ns, bool looks); /* looks: into the poller */
void skuai_worker_deliver_slept(struct skuai_worker *worker);
skua_task *skuai_worker_find_here(struct skuai_worker *worker); /* when its own queues are empty */
void skuai_worker_run(struct skuai_worker *worker, skua_task *task);
bool skuai_worker_has_work(const struct skuai_worker *worker); /* in its queues, or in the injection queue */
bool skuai_worker_settle(struct skuai_worker *worker, bool searching); /* P2; false: there is work */
void skuai_worker_settle_post(struct skuai_worker *worker);
skua_task *skuai_worker_next_local(struct skuai_worker *worker);
void skuai_worker_end_task(struct skuai_worker *worker, skua_task *task);
bool skuai_worker_hand_over(struct skuai_worker *worker, skua_task *task); /* false: it must be queued */

/* schedule.c: putting tasks into queues */
void skuai_schedule_woken(skua_task *task);                              /* any thread; ENQUEUE is the caller's */
void skuai_schedule_woken_here(struct skuai_worker *worker, skua_task *task); /* on a worker of the task's runtime */
/* Likewise; `worker` is the calling thread's if it is one of the scheduler's, else NULL. */
void skuai_schedule_spawned(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *task);
void skuai_schedule_last(struct skuai_worker *worker, skua_task *task);  /* behind all that is ready here */
/* Likewise, of a strand's token, which is for others (strand.h). */
void skuai_schedule_offered(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *token);
void skuai_schedule_wake_one(struct skuai_scheduler *sched);
void skuai_schedule_wake_all(struct skuai_scheduler *sched);             /* poll.h, K5 */

/* timers.c */
void skuai_timers_init(struct skuai_scheduler *sched);
void skuai_timers_run(struct skuai_scheduler *sched, uint64_t now_ns);

/* frame.c, combine.c */
enum skuai_run skuai_frame_run(struct skuai_worker *worker, skua_task *task);
enum skuai_run skuai_frame_run_large(struct skuai_worker *worker, skua_task *task);
enum skua_poll skuai_frame_climb(struct skuai_worker *worker, skua_frame *leaf, skua_frame *top);
/* The frame, a leaf, is to be polled again behind the other ready tasks. */
void skuai_frame_requeue(struct skuai_worker *worker, skua_frame *frame);
void skuai_sets_deliver(skua_task *task);

/* fiber.c */
enum skuai_run skuai_fiber_run(struct skuai_worker *worker, skua_task *task);
/* For a fiber that must wait for memory: says so once, and spares the processor if there is nothing else to run. */
void skuai_fiber_starved(struct skuai_worker *worker, const char *what);
void skuai_fiber_suspend(struct skuai_worker *worker, enum skuai_post post);
void skuai_fiber_free_stack(struct skuai_worker *worker, skua_task *task);

/* cancel.c: 0, or what an await of the task that runs on the worker returns at once: -ECANCELED or -ETIMEDOUT. */
int skuai_interruption(struct skuai_worker *worker);
/* That this is 0, and that nobody wants to know when it was asked: what it finds nearly always, for fast paths. */
SKUAI_INLINE bool skuai_is_undisturbed(const struct skuai_worker *worker)
{
    return worker->child == NULL && worker->task->scope == NULL &&
           /* C's sender wakes the task besides */
           (skuai_load_64(&worker->task->word, SKUAI_RELAXED) & (SKUAI_TASK_CANCEL | SKUAI_TASK_WATCHED)) == 0;
}

/* But for the next-slot: the worker's own queues, asked by itself. */
SKUAI_INLINE bool skuai_queues_are_empty(const struct skuai_worker *worker)
{
    return !worker->inbox_filled && skuai_deque_count(&worker->deque) == 0;
}

/* Debug builds: told of the end of each task and set child, by address; set by sync/lock_debug.c. */
#if defined(SKUAI_DEBUG) && !defined(SKUAI_MODEL)
extern skua_wordptr skuai_flow_ends_hook; /* void (*)(const void *flow), or NULL */
const char **skuai_thread_place(void);    /* tls.c: for skuai_lock_place() */
void skuai_flow_ends(const void *flow);   /* report.c */
#else
SKUAI_INLINE void skuai_flow_ends(const void *flow) { (void)flow; }
#endif

/* scope.c: what ends came inside scopes of its own. */
void skuai_scope_misuse(void);
/* That, and ends them, in memory that is still there. Returns `around`, the scope outside of them. */
skua_scope *skuai_scope_left_open(struct skuai_worker *worker, skua_scope *innermost, skua_scope *around);

/* task_more.c */
void skuai_task_locals_destroy(skua_task *task); /* at its end, on its worker */
void skuai_task_more_free(skua_task *task);
int skuai_task_rename(skua_task *task, const char *name);
const char *skuai_task_name(const skua_task *task); /* by the task itself, or when nothing runs any more */
/* For who has no handle: the task may end meanwhile. */
void skuai_task_name_from_outside(struct skuai_scheduler *sched, const skua_task *task, char *name, size_t size);

/* memory.c: the application's allocator, else malloc. _lines: zeroed, on a cache line of its own. */
void *skuai_memory_get(struct skuai_scheduler *sched, size_t size);
void skuai_memory_put(struct skuai_scheduler *sched, void *memory, size_t size);
void *skuai_memory_get_lines(const struct skuai_memory *memory, size_t size);
void skuai_memory_put_lines(const struct skuai_memory *memory, void *lines, size_t size);

/* report.c */
void skuai_log(struct skuai_scheduler *sched, enum skua_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Returns -EPERM if the application's handler returns. */
int skuai_misuse(const char *call, const char *what, const char *instead);
/* Of this runtime, by whatever thread. */
int skuai_misuse_of(struct skuai_scheduler *sched, const char *call, const char *what, const char *instead);
/* A fork's child was about to go on as a worker. */
_Noreturn void skuai_die_forked(void);

/* spawn.c */
struct skuai_scheduler *skuai_task_scheduler(const skua_task *task);
uint64_t skuai_task_id(const skua_task *task);
/* Asks every task to end; how many there were. Any thread. */
uint64_t skuai_scheduler_cancel_all(struct skuai_scheduler *sched);
uint64_t skuai_scheduler_live(struct skuai_scheduler *sched);
void skuai_task_free(skua_task *task);
/* Of one that has ended with an error, which nobody will be told of. */
void skuai_count_failed(const skua_task *task);

/* V1 (trace.h), if it is on. A model has no rings here. */
#if defined(SKUAI_MODEL) || defined(SKUAI_NO_TRACING)
#define skuai_trace(sched, at, kind, what, more) ((void)(sched), (void)(at), (void)(kind), (void)(what), (void)(more))
#define skuai_trace_run(worker, task) ((void)(worker), (void)(task))
#else
/* `at`: where the calling thread's ring is. Acquire: pairs with turn_on(): its size. */
SKUAI_INLINE void skuai_trace(struct skuai_scheduler *sched, skua_wordptr *at, enum skuai_trace_kind kind,
                              uint64_t what, uint64_t more)
{
    struct skuai_trace_ring *ring = skuai_load_ptr(at, SKUAI_ACQUIRE);
    if (SKUAI_UNLIKELY(ring != NULL))
        skuai_trace_note(sched, ring, kind, what, more);
}
SKUAI_INLINE void skuai_trace_run(struct skuai_worker *worker, skua_task *task)
{
    struct skuai_trace_ring *ring = skuai_load_ptr(&worker->trace, SKUAI_ACQUIRE); /* likewise */
    if (SKUAI_UNLIKELY(ring != NULL))
        skuai_trace_note_run(worker, ring, task);
}
#endif

#endif
