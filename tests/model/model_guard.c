/* The guard (sched/guard.c) with a worker (worker.c) under it: it does not sleep deeply while a worker computes (G1,
 * G2), what it finds it hands on, and a worker that settles while it expires timers does not sleep past what is left
 * (G3).
 */
/* model-sources: sched/guard.c sched/idle.c sched/poll.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c*/
/* model-sources: sched/crowd.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 */
#include "model/world.h"
#include "model/world_guard.h"

enum { LATE_NS = 600000, LEFT_NS = 100000000 };

static skua_task tasks[WORLD_TASKS];
static unsigned runs[WORLD_TASKS];
static skua_word32 expired, meeting;
static bool one_is_left; /* after the one that expires there is another timer */

/* T2, with one timer that has come, and perhaps one that has not. */
void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    uint64_t next = skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL);
    if (next <= now_ns) {
        uint32_t before = skuai_add_32(&expired, 1, SKUAI_ACQ_REL);
        mc_futex_wake(&expired, 1);
        next = one_is_left && before == 0 ? now_ns + LEFT_NS : SKUA_NEVER;
    }
    if (next != SKUA_NEVER)
        skuai_store_64(&of->timer_next, next, SKUAI_RELEASE);
}

static void spawn(unsigned i, skuai_run_fn *run)
{
    tasks[i].run = run;
    skuai_schedule_spawned(&sched, skuai_worker_self(), &tasks[i]);
}

/* Computes until its timer has been expired, by whomever. */
static enum skuai_run run_long(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    runs[task - tasks]++;
    skuai_store_64(&sched.timer_next, world_now + LATE_NS / 6, SKUAI_RELEASE); /* T1 */
    while (skuai_load_32(&expired, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&expired, 0);
    return SKUAI_RUN_SETTLED;
}
static enum skuai_run run_met(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    runs[task - tasks]++;
    skuai_store_32(&meeting, 1, SKUAI_RELEASE);
    mc_futex_wake(&meeting, 1);
    return SKUAI_RUN_SETTLED;
}
/* A worker that is inside of such a task: it has left another somewhere where nobody is woken for it. */
static void leave_in_slot(void) { spawn(0, run_met); }
static void leave_in_deque(void)
{
    tasks[0].run = run_met;
    skuai_schedule_last(world_pointers[0], &tasks[0]);
}
static void leave_in_inbox(void)
{
    tasks[0].run = run_met;
    skuai_deque_push(&world_pointers[0]->inbox, &tasks[0], SKUAI_RELEASE);
}
static void leave_nothing(void) { skuai_store_32(&meeting, 1, SKUAI_RELAXED); }
static void (*left_by_hog)(void);
static void hog(void *arg)
{
    (void)arg;
    world_self[mc.current] = world_pointers[0];
    left_by_hog();
    while (skuai_load_32(&meeting, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&meeting, 0);
}

static void producer(void *arg) { (void)arg; spawn(0, run_long); }

static void reset(uint32_t nworkers)
{
    world_reset(nworkers);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    expired.raw = meeting.raw = 0;
    one_is_left = false;
    mc_name(&sched.guard.deep, "deep");
    mc_name(&sched.guard.parker.token, "guard.token");
    mc_name(&expired, "expired");
    mc_name(&meeting, "meeting");
}
static void start(uint32_t nworkers)
{
    reset(nworkers);
    world_start_workers();
    (void)skuai_guard_start(&sched);
}
static void finish_after(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    mc_assert(mc_is_blocked(guard_thread), "the guard has ended");
    world_check_asleep();
}

#define SEARCH .stale = 1, .max_executions = 100000, .random = 10000

/* ---- G1, G2 ---- */

static void long_setup(void) { start(1); mc_thread(producer, NULL); }
static void long_finish(void)
{
    mc_assert(skuai_load_32(&expired, SKUAI_RELAXED) == 1, "the guard sleeps while a worker computes");
    finish_after(1);
}
MC_TEST(computes, .setup = long_setup, .finish = long_finish, SEARCH);

static void with_hog(void (*leave)(void))
{
    reset(2);
    world_naps = 9;
    left_by_hog = leave;
    mc_thread(hog, NULL);
    mc_allow_blocked(mc_thread_named("worker", skuai_worker_main, world_pointers[1]));
    (void)skuai_guard_start(&sched);
}
static void slot_setup(void) { with_hog(leave_in_slot); }
static void deque_setup(void) { with_hog(leave_in_deque); }
static void inbox_setup(void) { with_hog(leave_in_inbox); }
static void hog_finish(void) { mc_assert(runs[0] == 1, "what lies in a queue of a worker that computes is nobody's"); }
MC_TEST(slot, .setup = slot_setup, .finish = hog_finish, SEARCH);
MC_TEST(deque, .setup = deque_setup, .finish = hog_finish, .stale = 1, .max_executions = 20000, .random = 2000);
MC_TEST(inbox, .setup = inbox_setup, .finish = hog_finish, .stale = 1, .max_executions = 20000, .random = 2000);

/* Nothing waits, so nobody is woken. */
static void nothing_setup(void)
{
    with_hog(leave_nothing);
    world_parks = 1;
}
MC_TEST(nothing, .setup = nothing_setup, .stale = 1, .max_executions = 20000, .random = 2000);

/* The same without worker.c, whose other accesses of the counts could stand in for those that G2 names: a worker that
 * was in the set when the test began leaves it by itself, or is picked. */
static void bare_begin(void)
{
    skuai_guard_work_begins(&sched);
    skuai_store_64(&sched.timer_next, world_now + LATE_NS / 6, SKUAI_RELEASE);
    while (skuai_load_32(&expired, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&expired, 0);
}
static void bare_leaver(void *arg)
{
    (void)arg;
    mc_assert(skuai_idle_leave(&sched.idle, 0), "nobody has picked it");
    bare_begin();
}
static void bare_picked(void *arg)
{
    (void)arg;
    skuai_env_park(&sched.env, &world_pointers[0]->parker, SKUA_NEVER);
    mc_assert(!skuai_idle_leave(&sched.idle, 0), "it was picked");
    bare_begin();
}
static void bare_picker(void *arg) { (void)arg; skuai_schedule_wake_one(&sched); }

static void bare_reset(void)
{
    reset(1);
    world_naps = 7; /* four until it is deep, and to look */
    skuai_idle_settle(&sched.idle, 0, false, &sched.timer_next);
    (void)skuai_guard_start(&sched);
}
static void bare_finish(void)
{
    mc_assert(skuai_load_32(&expired, SKUAI_RELAXED) == 1, "the guard sleeps while a worker computes");
}
static void bare_leave_setup(void) { bare_reset(); mc_thread(bare_leaver, NULL); }
static void bare_pick_setup(void)
{
    bare_reset();
    mc_thread(bare_picked, NULL);
    mc_thread(bare_picker, NULL);
}
MC_TEST(bare_leave, .setup = bare_leave_setup, .finish = bare_finish, .stale = 1, .max_executions = 300000);
MC_TEST(bare_pick, .setup = bare_pick_setup, .finish = bare_finish, .stale = 1, .max_executions = 300000);

/* ---- G3 ---- */

static void left_setup(void)
{
    start(2);
    one_is_left = true;
    mc_thread(producer, NULL);
}
static void left_finish(void)
{
    mc_assert(skuai_load_32(&expired, SKUAI_RELAXED) == 2, "all sleep, and a timer was forgotten");
    finish_after(1);
}
MC_TEST(left, .setup = left_setup, .finish = left_finish, SEARCH);
