/* Sleeping and waking (sched/idle.c, P1 … P4) by the workers themselves (worker.c's find(), schedule.c) with their
 * queues: no work is left lying while all sleep, whoever publishes it; wakes chain; the counts are right at the end; a
 * timer that somebody lowered is slept for by somebody; stopping workers end.
 */
/* model-sources: sched/idle.c sched/poll.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 */
#include "model/world.h"

static skua_task tasks[WORLD_TASKS];
static unsigned runs[WORLD_TASKS], fired;
static skua_word32 meeting, firing;
static bool one_is_left; /* after the first timer there is another one */

void skuai_guard_work_begins(struct skuai_scheduler *of) { (void)of; }

/* T2, with one timer in all: whoever takes its time either fires it or puts it back. */
void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    uint64_t next = skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL);
    if (next <= now_ns) {
        next = one_is_left && fired == 0 ? now_ns + 500 : SKUA_NEVER;
        fired++;
        skuai_store_32(&firing, 1, SKUAI_RELEASE);
        mc_futex_wake(&firing, 1);
    }
    if (next != SKUA_NEVER)
        skuai_store_64(&of->timer_next, next, SKUAI_RELEASE);
}

/* ---- tasks ---- */

/* What a task has in its header, for the queues to keep. */
static skua_scope *content_of(unsigned i) { return (skua_scope *)(uintptr_t)(i + 1); }

static unsigned count_run(skua_task *task)
{
    unsigned i = (unsigned)(task - tasks);
    mc_assert(runs[i]++ == 0, "a task ran twice");
    mc_assert(SKUAI_READ(task->scope) == content_of(i), "the task's content was lost");
    return i;
}
static enum skuai_run run_plain(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    count_run(task);
    return SKUAI_RUN_SETTLED;
}
/* Computes until another such task has begun: both must get a worker. */
static enum skuai_run run_meets(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    count_run(task);
    uint32_t there = skuai_add_32(&meeting, 1, SKUAI_ACQ_REL) + 1;
    if (there == 2)
        mc_futex_wake(&meeting, 1);
    for (; there < 2; there = skuai_load_32(&meeting, SKUAI_ACQUIRE))
        mc_futex_wait(&meeting, there);
    return SKUAI_RUN_SETTLED;
}
/* Computes until a timer has fired. */
static enum skuai_run run_until_fired(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    count_run(task);
    while (skuai_load_32(&firing, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&firing, 0);
    return SKUAI_RUN_SETTLED;
}
static skua_task *task_of(unsigned i, skuai_run_fn *run)
{
    tasks[i].run = run;
    SKUAI_WRITE(tasks[i].scope, content_of(i));
    return &tasks[i];
}
static void spawn(unsigned i, skuai_run_fn *run)
{
    skuai_schedule_spawned(&sched, skuai_worker_self(), task_of(i, run));
}

/* Spawns one for the next-slot, for which nobody is woken, and one that meets this one: a thief must run it. A thief
 * may take what is in the slot, so the other goes to the deque by hand, as schedule.c would do. */
static enum skuai_run run_spawns_and_meets(struct skuai_worker *worker, skua_task *task)
{
    spawn(1, run_plain);
    mc_assert(skuai_deque_push(&worker->deque, task_of(2, run_meets), SKUAI_SEQ_CST), "there is room");
    skuai_schedule_wake_one(&sched);
    return run_meets(worker, task);
}
/* The worker looks around after this one, and fills its inbox. */
static enum skuai_run run_then_looks(struct skuai_worker *worker, skua_task *task)
{
    count_run(task);
    worker->until_check = 1;
    return SKUAI_RUN_SETTLED;
}
/* Its worker's deque is full, if no thief was there: it sheds, and wakes nobody for the new one. */
static enum skuai_run run_then_sheds(struct skuai_worker *worker, skua_task *task)
{
    count_run(task);
    skuai_schedule_last(worker, task_of(4, run_plain));
    skuai_schedule_last(worker, task_of(5, run_plain));
    return SKUAI_RUN_SETTLED;
}
static enum skuai_run run_lowers(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    count_run(task);
    skuai_store_64(&sched.timer_next, world_now + 500, SKUAI_RELEASE); /* T1 */
    return SKUAI_RUN_SETTLED;
}

/* ---- outside ---- */

static void producer(void *arg) { spawn((unsigned)(uintptr_t)arg, run_plain); }
static void producer_of_meeting(void *arg)
{
    (void)arg;
    spawn(0, run_meets);
    spawn(1, run_meets);
}
static void producer_of_inbox(void *arg)
{
    (void)arg;
    spawn(0, run_then_looks);
    spawn(1, run_meets);
    spawn(2, run_meets);
}
static void producer_of_one_meeting(void *arg) { spawn((unsigned)(uintptr_t)arg, run_meets); }
static void producer_of_spawner(void *arg) { (void)arg; spawn(0, run_spawns_and_meets); }
static void producer_of_waiter(void *arg) { (void)arg; spawn(0, run_until_fired); }
static void producer_of_timer(void *arg) { (void)arg; spawn(0, run_lowers); }
static int told; /* plain: what a task did */
static enum skuai_run run_tells(struct skuai_worker *worker, skua_task *task)
{
    SKUAI_WRITE(told, 1);
    return run_plain(worker, task);
}
/* As runtime/shutdown.c: stops, waits for the end of the workers' loops, reports. */
static void stopper(void *arg)
{
    (void)arg;
    skuai_store_32(&sched.stage, SKUAI_STAGE_STOP, SKUAI_RELAXED);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        skuai_env_unpark(&sched.env, &sched.workers[i]->parker);
    while (skuai_load_32(&sched.stopped, SKUAI_ACQUIRE) != sched.nworkers)
        mc_yield();
    mc_assert(SKUAI_READ(told) == (int)runs[0], "what the tasks did is seen");
}

static void reset(uint32_t nworkers)
{
    world_reset(nworkers);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    meeting.raw = firing.raw = 0;
    one_is_left = false;
    fired = 0;
    mc_name(&meeting, "meeting");
}
static void finish_after(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    world_check_asleep();
}
static void finish_1(void) { finish_after(1); }
static void finish_2(void) { finish_after(2); }
static void finish_3(void) { finish_after(3); }

#define SEARCH .stale = 1, .max_executions = 150000, .random = 10000

static void one_setup(void) { reset(2); world_start_workers(); mc_thread(producer, (void *)0); }
MC_TEST(one, .setup = one_setup, .finish = finish_1, SEARCH);

static void two_setup(void)
{
    reset(2);
    world_start_workers();
    mc_thread(producer, (void *)0);
    mc_thread(producer, (void *)1);
}
MC_TEST(two, .setup = two_setup, .finish = finish_2, SEARCH);

static void chain_setup(void) { reset(2); world_start_workers(); mc_thread(producer_of_meeting, NULL); }
MC_TEST(chain, .setup = chain_setup, .finish = finish_2, SEARCH);

static void chain_of_two_setup(void)
{
    reset(2);
    world_start_workers();
    mc_thread(producer_of_one_meeting, (void *)0);
    mc_thread(producer_of_one_meeting, (void *)1);
}
MC_TEST(chain_of_two, .setup = chain_of_two_setup, .finish = finish_2, SEARCH);

static void chain_of_three_setup(void) { reset(3); world_start_workers(); mc_thread(producer_of_meeting, NULL); }
MC_TEST(chain_of_three, .setup = chain_of_three_setup, .finish = finish_2, SEARCH);

static void spawns_setup(void) { reset(2); world_start_workers(); mc_thread(producer_of_spawner, NULL); }
MC_TEST(spawns, .setup = spawns_setup, .finish = finish_3, SEARCH);

/* What is on its way between two queues is in nobody's sight: a searcher may miss it and go to sleep. Whoever moves it
 * wakes another one then. */
static void inbox_setup(void) { reset(2); world_start_workers(); mc_thread(producer_of_inbox, NULL); }
MC_TEST(inbox, .setup = inbox_setup, .finish = finish_3, SEARCH);

static void sheds_setup(void)
{
    skuai_run_fn *const of[] = {run_then_sheds, run_meets, run_meets, run_plain};
    reset(2);
    for (unsigned i = 0; i < 4; i++)
        skuai_deque_push(&world_pointers[0]->deque, task_of(i, of[i]), SKUAI_RELEASE);
    world_start_workers();
}
static void finish_6(void) { finish_after(6); }
MC_TEST(sheds, .setup = sheds_setup, .finish = finish_6, SEARCH);

static void timer_setup(void) { reset(2); world_start_workers(); mc_thread(producer_of_timer, NULL); }
static void timer_finish(void)
{
    finish_after(1);
    mc_assert(fired == 1, "all sleep, and a timer was forgotten");
}
MC_TEST(timer, .setup = timer_setup, .finish = timer_finish, SEARCH);

/* A timer is armed; then one worker computes until it has fired: the other is, or becomes, the timekeeper. */
static void keeper_setup(void)
{
    reset(2);
    skuai_store_64(&sched.timer_next, world_now + 500, SKUAI_RELAXED);
    world_start_workers();
    mc_thread(producer_of_waiter, NULL);
}
MC_TEST(keeper, .setup = keeper_setup, .finish = timer_finish, SEARCH);

/* One worker settles by what another is just taking away, and goes to sleep by nothing. */
static void left_setup(void)
{
    reset(2);
    one_is_left = true;
    skuai_store_64(&sched.timer_next, world_now, SKUAI_RELAXED);
    world_start_workers();
}
static void left_finish(void)
{
    world_check_asleep();
    mc_assert(fired == 2, "all sleep, and a timer was forgotten");
}
MC_TEST(left, .setup = left_setup, .finish = left_finish, SEARCH);

static void stop_setup(void)
{
    reset(2);
    SKUAI_WRITE(told, 0);
    skuai_deque_push(&world_pointers[0]->deque, task_of(0, run_tells), SKUAI_RELEASE);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        mc_thread_named("worker", skuai_worker_main, world_pointers[i]);
    mc_thread(stopper, NULL);
}
static void stop_finish(void) { mc_assert(skuai_load_32(&sched.stopped, SKUAI_RELAXED) == 2, "both have ended"); }
MC_TEST(stop, .setup = stop_setup, .finish = stop_finish, SEARCH);

/* ---- P1 and P2 alone: between settling and the second look worker.c has a fence for other reasons ---- */

static struct skuai_deque *const work = &world_workers[0].worker.deque;

static void bare_sleeper(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    struct skuai_parker *parker = &world_pointers[self]->parker;
    void *item;
    /* As find(): who leaves the set by itself searches again, if it may, for others may have relied on it. */
    for (bool searching = true;; searching = !skuai_idle_leave(&sched.idle, self) || skuai_idle_search(&sched.idle)) {
        if (skuai_deque_take(work, &item, 1, 1) == 1) {
            count_run(item);
            if (searching) {
                skuai_idle_found(&sched.idle);
                skuai_schedule_wake_one(&sched);
            }
            return; /* it computes, for ever */
        }
        skuai_idle_settle(&sched.idle, self, searching, &sched.timer_next);
        if (skuai_deque_count(work) == 0)
            skuai_env_park(&sched.env, parker, SKUA_NEVER);
    }
}
static void bare_producer(void *arg)
{
    unsigned count = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < count; i++) {
        skuai_deque_push(work, task_of(i, run_plain), SKUAI_SEQ_CST);
        skuai_schedule_wake_one(&sched);
    }
}
static void bare(uint32_t nworkers, unsigned items)
{
    reset(nworkers);
    for (uint32_t i = 0; i < nworkers; i++) {
        skuai_add_64(&sched.idle.counts, UINT64_C(1) << 32, SKUAI_RELAXED); /* each searches */
        mc_allow_blocked(mc_thread(bare_sleeper, (void *)(uintptr_t)i));
    }
    mc_thread(bare_producer, (void *)(uintptr_t)items);
}
/* The task that leaves the next-slot for the deque, or finds the slot taken, is to be had by a sleeper. */
static void bare_publisher(void *arg)
{
    world_self[mc.current] = world_pointers[0];
    skuai_schedule_woken(task_of(1, run_plain)); /* goes to the slot */
    if (arg == NULL) {
        skuai_schedule_woken(task_of(0, run_plain));
    } else {
        skuai_schedule_spawned(&sched, world_pointers[0], task_of(0, run_plain));
    }
}
static void bare_finish_after(unsigned count)
{
    uint64_t counts = skuai_load_64(&sched.idle.counts, SKUAI_RELAXED);
    for (unsigned i = 0; i < count; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    mc_assert(counts == sched.nworkers - count, "the others sleep, nobody searches, and the counts say otherwise");
}
static void bare_finish_1(void) { bare_finish_after(1); }
static void bare_finish_2(void) { bare_finish_after(2); }
static void bare_finish_of(unsigned ran, unsigned kept)
{
    mc_assert(runs[ran] == 1, "all sleep, and what lies in the deque is left");
    mc_assert(skuai_load_ptr(&world_pointers[0]->next, SKUAI_RELAXED) == &tasks[kept] && runs[kept] == 0, "the slot");
}
static void bare_woken_finish(void) { bare_finish_of(1, 0); }
static void bare_spawned_finish(void) { bare_finish_of(0, 1); }
static void bare_publishes(void *arg)
{
    reset(2);
    sched.idle.counts.raw = UINT64_C(1) << 32;
    mc_allow_blocked(mc_thread(bare_sleeper, (void *)(uintptr_t)1));
    mc_thread(bare_publisher, arg);
}
static void bare_woken_setup(void) { bare_publishes(NULL); }
static void bare_spawned_setup(void) { bare_publishes(&sched); }
static void bare_one_setup(void) { bare(1, 1); }
static void bare_two_setup(void) { bare(2, 1); }
static void bare_chain_setup(void) { bare(2, 2); }
MC_TEST(bare_woken, .setup = bare_woken_setup, .finish = bare_woken_finish, .bound = 4);
MC_TEST(bare_spawned, .setup = bare_spawned_setup, .finish = bare_spawned_finish, .bound = 4);
MC_TEST(bare_one, .setup = bare_one_setup, .finish = bare_finish_1, .bound = 4);
MC_TEST(bare_two, .setup = bare_two_setup, .finish = bare_finish_1, SEARCH);
MC_TEST(bare_chain, .setup = bare_chain_setup, .finish = bare_finish_2, SEARCH);

/* ---- wakes that are needed ------------------------------------------------------------------------------------- */

static unsigned picked[2];
static void picks(void *arg)
{
    picked[(uintptr_t)arg] = skuai_idle_pick(&sched.idle, SKUAI_IDLE_QUARTER) != SKUAI_IDLE_NOBODY;
}
static void two_picks_setup(void)
{
    reset(2);
    for (uint32_t i = 0; i < 2; i++)
        skuai_idle_settle(&sched.idle, i, false, &sched.timer_next);
    mc_thread(picks, (void *)(uintptr_t)0);
    mc_thread(picks, (void *)(uintptr_t)1);
}
/* Whom the first has picked searches, and wakes the next if need be (P3). */
static void two_picks_finish(void) { mc_assert(picked[0] + picked[1] == 1, "not one sleeper picked"); }
MC_TEST(two_picks, .setup = two_picks_setup, .finish = two_picks_finish, .bound = MC_UNBOUNDED);
