/* A stand-in for the rest of the runtime, so that worker.c, schedule.c and guard.c run under the checker as they are.
 *
 * They ask the environment (sched/env.h) as a simulated runtime does, and the checker answers: parking is its futex
 * with the real parker's transitions, time stands still until a sleep ends by itself, and who runs is its choice. Tasks
 * are functions of the test. Included by one file of a model test; defines what that one links against.
 */
#ifndef SKUA_MODEL_WORLD_H
#define SKUA_MODEL_WORLD_H

#include <string.h>

#include "model/mc_internal.h"
#include "sched/overflow.h"
#include "sched/parker.h"
#include "sched/scheduler.h"
#include "sched/watchdog.h"

enum { WORLD_WORKERS = 3, WORLD_TASKS = 6, WORLD_ROUNDS = 4, WORLD_DEFERRALS = 2, WORLD_NAPS = 16 };
enum { WORLD_LONELY_NAPS = 5, WORLD_POLLERS = 2 };

static struct skuai_scheduler sched;
static skua_word32 world_alive; /* no fork's child */
static struct world_worker {
    struct skuai_worker worker;
    unsigned rounds; /* through the sleepers' set since the last sleep or task */
    unsigned deferrals;
    union {
        struct skuai_victims table;
        char room[sizeof(struct skuai_victims) + WORLD_WORKERS * sizeof(uint16_t)];
    } victims;
} world_workers[WORLD_WORKERS];
static struct skuai_worker *world_pointers[WORLD_WORKERS];
static uint32_t world_sleepers[WORLD_WORKERS];
static struct skuai_poll world_polls[WORLD_POLLERS];
static struct skuai_worker *world_self[MC_THREADS];
static int world_threads[WORLD_WORKERS];
enum { WORLD_FAR_NS = 400000000 }; /* further than any timer of a test, nearer than decay.h's period */
static uint64_t world_now;
static unsigned world_naps; /* sleeps with a deadline, by whomever, that may still be */
static unsigned world_parks; /* of workers, that may still be */
static unsigned world_lonely_naps; /* those in a row while nobody else could run */

/* ---- the environment ---- */

uint64_t skuai_sim_now(struct skuai_sim *sim) { (void)sim; return world_now; }

bool skuai_sim_park(struct skuai_sim *sim, struct skuai_parker *parker, uint64_t deadline_ns)
{
    (void)sim;
    if (skuai_worker_self() != NULL) {
        mc_assert(world_parks-- != 0, "a worker is woken for nothing");
        world_workers[skuai_worker_self()->index].rounds = world_workers[skuai_worker_self()->index].deferrals = 0;
    }
    if (deadline_ns != SKUA_NEVER && world_naps-- == 0)
        mc_abandon(); /* nobody is as unfair as that */
    /* Who sleeps while nobody else can run sees all that they did; and after some rounds has done what it can, so that
     * what still waits does so for ever. */
    bool alone = ((mc.ready | mc.deferred) & ~(1u << mc.current)) == 0 && deadline_ns != SKUA_NEVER;
    world_lonely_naps = alone ? world_lonely_naps + 1 : 0;
    if (world_lonely_naps > WORLD_LONELY_NAPS)
        deadline_ns = SKUA_NEVER;
    else if (alone)
        mc_yield();
    if (skuai_parker_begin(parker, SKUAI_PARKER_PARKED))
        return true;
    if (deadline_ns >= world_now + WORLD_FAR_NS) /* a wake that comes so late is a lost one */
        mc_futex_wait(&parker->token, SKUAI_PARKER_PARKED);
    else if (deadline_ns > world_now && !mc_futex_wait_timed(&parker->token, SKUAI_PARKER_PARKED))
        world_now = deadline_ns > world_now ? deadline_ns : world_now;
    return skuai_parker_end(parker);
}

bool skuai_sim_unpark(struct skuai_sim *sim, struct skuai_parker *parker)
{
    (void)sim;
    uint32_t seen = skuai_parker_give(parker);
    if (seen < SKUAI_PARKER_PARKED)
        return false;
    if (seen == SKUAI_PARKER_PARKED)
        mc_futex_wake(&parker->token, 1);
    else
        skuai_parker_kick(parker, seen);
    return true;
}

/* A worker that finds a gap in the injection queue, or its lock held, comes again and again until whoever is in there
 * goes on: after some rounds it lets all others go first. If it comes in vain after that, what it sees is nobody's. */
void skuai_sim_run_point(struct skuai_sim *sim, skua_word64 *task_word)
{
    (void)task_word;
    skuai_sim_point(sim, SKUAI_POINT_RUN);
}

void skuai_sim_point(struct skuai_sim *sim, enum skuai_point point)
{
    (void)sim;
    struct skuai_worker *self = skuai_worker_self();
    if (self == NULL)
        return;
    struct world_worker *worker = &world_workers[self->index];
    if (point == SKUAI_POINT_RUN)
        worker->rounds = worker->deferrals = 0;
    if (point != SKUAI_POINT_SETTLE || ++worker->rounds <= WORLD_ROUNDS)
        return;
    mc_assert(++worker->deferrals <= WORLD_DEFERRALS, "a worker sees work that nobody ever gets");
    worker->rounds = 0;
    mc_defer();
}

struct skuai_worker *skuai_worker_self(void) { return world_self[mc.current]; }
void skuai_worker_set_self(struct skuai_worker *worker) { world_self[mc.current] = worker; }
struct skuai_scheduler *skuai_task_scheduler(const skua_task *task) { (void)task; return &sched; }

/* ---- tasks' ends: nobody joins them ---- */

static unsigned world_frees, world_locals; /* tasks' that were destroyed */
enum skuai_end skuai_join_end(skua_task *task)
{
    return skuai_task_word_end(&task->word) == SKUAI_TASK_FREE ? SKUAI_END_UNSEEN : SKUAI_END_KEPT;
}
void skuai_task_free(skua_task *task) { (void)task; world_frees++; }
void skuai_count_failed(const skua_task *task) { (void)task; }
void skuai_task_locals_destroy(skua_task *task)
{
    mc_assert(skuai_load_ptr(&task->more, SKUAI_RELAXED) != NULL, "the task has no locals");
    world_locals++;
}

/* As spawn.c's. */
uint64_t skuai_scheduler_live(struct skuai_scheduler *of)
{
    uint64_t ended = 0, spawned = 0;
    for (uint32_t i = 0; i < of->nworkers; i++)
        ended += skuai_load_64(&of->workers[i]->counters.ended, SKUAI_ACQUIRE);
    for (uint32_t i = 0; i < of->nworkers; i++)
        spawned += skuai_load_64(&of->workers[i]->counters.spawned, SKUAI_RELAXED);
    spawned += skuai_load_64(&of->spawned_outside, SKUAI_RELAXED);
    return spawned > ended ? spawned - ended : 0;
}

/* ---- what is not asked for here ---- */

#define WORLD_UNUSED(declaration) \
    declaration { mc_fail("a part of the runtime that has no stand-in: " #declaration); }
WORLD_UNUSED(uint64_t skuai_clock_now(void))
WORLD_UNUSED(bool skuai_park_real(struct skuai_parker *p __attribute__((unused)), uint64_t d __attribute__((unused))))
WORLD_UNUSED(bool skuai_unpark_real(struct skuai_parker *p __attribute__((unused))))
WORLD_UNUSED(void skuai_word_wake_real(skua_word32 *word __attribute__((unused))))
WORLD_UNUSED(int skuai_thread_start_real(struct skuai_thread *thread __attribute__((unused))))
WORLD_UNUSED(void skuai_thread_join_real(struct skuai_thread *thread __attribute__((unused))))
WORLD_UNUSED(void skuai_context_init_thread(struct skuai_context *context __attribute__((unused))))
WORLD_UNUSED(void skuai_context_fini(struct skuai_context *context __attribute__((unused))))
WORLD_UNUSED(int skuai_overflow_thread_init(struct skuai_overflow_thread *thread __attribute__((unused))))
WORLD_UNUSED(void skuai_overflow_thread_fini(struct skuai_overflow_thread *thread __attribute__((unused))))

_Noreturn void skuai_die_forked(void) { mc_fail("nobody forks here"); }

void skuai_log(struct skuai_scheduler *of, enum skua_log_level level, const char *format, ...)
{
    (void)of;
    (void)level;
    mc_fail(format);
}
int skuai_topology_bind_self(const struct skuai_topology *t, uint32_t cpu)
{
    (void)t;
    (void)cpu;
    return 0;
}
int skuai_topology_unbind_self(const struct skuai_topology *t)
{
    (void)t;
    return 0;
}
bool skuai_parallel_is_running(struct skuai_scheduler *of) { return of == NULL; }
void skuai_parallel_hunger(struct skuai_scheduler *of) { (void)of; } /* model_strand.c has hungry ones */
void skuai_parallel_force(struct skuai_scheduler *of) { (void)of; }
bool skuai_parallel_has_offers(const struct skuai_scheduler *of) { return of == NULL; }
void skuai_watchdog_look(struct skuai_scheduler *of, uint64_t now_ns) { mc_assert(of == NULL && now_ns == 0, "none"); }
void skuai_watchdog_enter(struct skuai_worker *worker) { (void)worker; }
#if !defined(WORLD_SPARES) /* model_spares.c has some */
bool skuai_spare_is_called(const struct skuai_worker *worker) { return worker->is_spare; }
WORLD_UNUSED(bool skuai_spare_may_work(const struct skuai_worker *worker __attribute__((unused))))
WORLD_UNUSED(bool skuai_spare_rest(struct skuai_worker *worker __attribute__((unused))))
bool skuai_spares_are_active(const struct skuai_scheduler *of) { return of == NULL; }
bool skuai_spares_watch(struct skuai_scheduler *of, uint64_t now_ns, bool injected)
{
    return of == NULL && now_ns == 0 && injected;
}
#endif
void skuai_slab_cache_trim(struct skuai_slab_cache *cache) { (void)cache; }
enum skuai_decay skuai_slab_set_decay(struct skuai_slab_set *set, uint32_t max)
{
    (void)set;
    (void)max;
    return SKUAI_DECAY_NOTHING;
}
enum skuai_decay skuai_strand_pool_decay(struct skuai_strand_pool *pool, uint32_t max)
{
    (void)pool;
    (void)max;
    return SKUAI_DECAY_NOTHING;
}
enum skuai_decay skuai_stack_pool_decay(struct skuai_stack_pool *pool, uint32_t max)
{
    (void)pool;
    (void)max;
    return SKUAI_DECAY_NOTHING;
}

/* ---- a runtime ---- */

static uint32_t world_cpus[WORLD_WORKERS];

static void world_reset(uint32_t nworkers)
{
    memset(&sched, 0, sizeof sched);
    memset(world_workers, 0, sizeof world_workers);
    memset(world_self, 0, sizeof world_self);
    world_now = 1000;
    world_naps = WORLD_NAPS;
    world_parks = UINT32_MAX;
    world_lonely_naps = world_frees = world_locals = 0;
    sched.env.sim = (struct skuai_sim *)(void *)&sched; /* not NULL: the environment is ours */
    world_alive.raw = 1;
    sched.alive_here = &world_alive;
    sched.nworkers = nworkers;
    sched.cpu_of_worker = world_cpus;
    sched.workers = world_pointers;
    memset(world_polls, 0, sizeof world_polls);
    sched.polls.of = world_polls;
    sched.polls.count = 1;
    skuai_store_64(&sched.timer_next, SKUA_NEVER, SKUAI_RELAXED);
    skuai_idle_init(&sched.idle, nworkers, world_sleepers);
    skuai_inject_init(&sched.inject);
    mc_name(&sched.idle.counts, "counts");
    mc_name(&sched.idle.lock, "idle.lock");
    mc_name(&sched.inject.pushed, "pushed");
    mc_name(&sched.inject.newest, "newest");
    mc_name(&sched.timer_next, "timer_next");
    mc_name(&sched.stage, "stage");
    for (uint32_t i = 0; i < nworkers; i++) {
        struct skuai_worker *worker = world_pointers[i] = &world_workers[i].worker;
        struct skuai_victims *victims = &world_workers[i].victims.table;
        worker->sched = &sched;
        worker->index = i;
        worker->home = world_polls;
        worker->until_check = worker->check_interval = 1u << 30; /* no look around: timers have tests of their own */
        worker->victims = victims;
        victims->nrings = nworkers > 1;
        victims->ring_end[0] = nworkers - 1;
        for (uint32_t v = 0, n = 0; v < nworkers; v++)
            if (v != i)
                victims->order[n++] = (uint16_t)v;
        mc_name(&worker->parker.token, "w%u.token", i);
        mc_name(&worker->next, "w%u.next", i);
        mc_name(&worker->deque.top, "w%u.top", i);
        mc_name(&worker->deque.bottom, "w%u.bottom", i);
    }
}

/* Workers that may sleep for ever when all else has ended. */
static __attribute__((unused)) void world_start_workers(void)
{
    for (uint32_t i = 0; i < sched.nworkers; i++) {
        world_threads[i] = mc_thread_named("worker", skuai_worker_main, world_pointers[i]);
        mc_allow_blocked(world_threads[i]);
    }
}

/* At the end, all workers asleep. */
static __attribute__((unused)) void world_check_asleep(void)
{
    uint64_t counts = skuai_load_64(&sched.idle.counts, SKUAI_RELAXED);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        mc_assert(mc_is_blocked(world_threads[i]), "a worker has ended");
    mc_assert(counts == sched.nworkers, "all sleep, nobody searches, and the counts say otherwise");
    mc_assert(sched.idle.depth == sched.nworkers, "all sleep, and the set says otherwise");
    mc_assert(sched.idle.timekeeper != SKUAI_IDLE_NOBODY, "all sleep, and nobody keeps the time");
}

#endif
