/* Spare workers (sched/spares.c) beside a worker (worker.c): what a stuck worker has is run, what a spare that retires
 * has is not lost, what it has pushed is seen by who falls asleep, and the timers of its wheel have their time kept
 * (S1 … S6).
 *
 * The guard is a loop around its one call. No time passes, and none needs to: a worker that has begun no run since the
 * last look is stuck.
 */
/*model-sources: sched/spares.c sched/idle.c sched/poll.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c*/
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 WORLD_SPARES=1 */
#include "model/world.h"

enum { SPARE = 1, SPARES = 2, LOOKS = 3, TIMER_NS = 100000 };

static skua_task tasks[WORLD_TASKS];
static unsigned runs[WORLD_TASKS];
static skua_word32 met, hog_over, expired;
static int spare_threads[SPARES];
static uint32_t spares;

void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    uint64_t next = skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL);
    if (next <= now_ns)
        skuai_add_32(&expired, 1, SKUAI_ACQ_REL);
    else if (next != SKUA_NEVER)
        skuai_store_64(&of->timer_next, next, SKUAI_RELEASE);
}

int skuai_sim_thread_start(struct skuai_sim *sim, struct skuai_thread *thread, struct skuai_parker *parker)
{
    (void)sim;
    (void)thread;
    (void)parker;
    mc_fail("it has been made");
}
void skuai_guard_work_begins(struct skuai_scheduler *of) { (void)of; } /* ours does not sleep */
void skuai_trace_join(struct skuai_scheduler *of, struct skuai_worker *worker)
{
    (void)of;
    (void)worker;
}
const char *skua_strerror(int error) { return error == 0 ? "" : "an error"; }

static void spawn(unsigned i, skuai_run_fn *run)
{
    tasks[i].run = run;
    skuai_schedule_spawned(&sched, skuai_worker_self(), &tasks[i]);
}

static void count_run(struct skuai_worker *worker, const skua_task *task)
{
    runs[task - tasks]++;
    mc_assert(!worker->is_spare || skuai_load_32(&worker->spare_state, SKUAI_RELAXED) != SKUAI_SPARE_PARKED,
              "a spare works that nobody has begun");
    if (worker->is_spare)
        worker->until_check = 1; /* after each task it looks whether it is called */
}

static enum skuai_run run_met(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    skuai_add_32(&met, 1, SKUAI_ACQ_REL);
    mc_futex_wake(&met, 2);
    return SKUAI_RUN_SETTLED;
}

static void wait_for_met(uint32_t count)
{
    uint32_t seen;
    while ((seen = skuai_load_32(&met, SKUAI_ACQUIRE)) < count)
        mc_futex_wait(&met, seen);
}

static void over(void)
{
    skuai_store_32(&hog_over, 1, SKUAI_RELEASE);
    mc_futex_wake(&hog_over, 2);
}

/* Holds its worker until others have run what it leaves there. */
static enum skuai_run run_hog(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    spawn(1, run_met); /* to the slot */
    spawn(2, run_met); /* to the deque */
    wait_for_met(2);
    over();
    return SKUAI_RUN_SETTLED;
}

/* On the spare: leaves some in all its queues, and is done; the guard has it retire about now. */
static enum skuai_run run_leaver(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    spawn(1, run_met);
    spawn(2, run_met);
    tasks[3].run = tasks[4].run = run_met;
    skuai_deque_push(&worker->inbox, &tasks[3], SKUAI_RELEASE);
    skuai_deque_push(&worker->inbox, &tasks[4], SKUAI_RELEASE);
    worker->inbox_filled = true;
    over();
    return SKUAI_RUN_SETTLED;
}

/* On the spare: pushes while the worker falls asleep, and holds the spare until it is run. */
static enum skuai_run run_pusher(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    spawn(1, run_met); /* to the slot: the spare's own, after this */
    spawn(2, run_met);
    wait_for_met(1);
    over();
    return SKUAI_RUN_SETTLED;
}

/* On the spare: arms a timer. */
static enum skuai_run run_armer(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    skuai_store_64(&sched.timer_next, world_now + TIMER_NS, SKUAI_SEQ_CST); /* T1 */
    over();
    return SKUAI_RUN_SETTLED;
}

static bool something_waits(void)
{
    for (uint32_t i = 0; i < skuai_workers_all(&sched); i++)
        if (skuai_load_ptr(&sched.workers[i]->next, SKUAI_RELAXED) != NULL ||
            skuai_deque_count(&sched.workers[i]->deque) != 0 || skuai_deque_count(&sched.workers[i]->inbox) != 0)
            return true;
    return !skuai_inject_is_empty(&sched.inject);
}

/* What the guard does at a look, of which this is the half: tasks that lie somewhere while a worker sleeps are that
 * one's. */
static void look(bool injected)
{
    (void)skuai_spares_watch(&sched, world_now, injected);
    if (skuai_idle_sleeping(&sched.idle) != 0 && something_waits())
        skuai_schedule_wake_one(&sched);
}

/* `arg`: whether the injection queue has something whenever it is asked. */
static void guard(void *arg)
{
    bool injected = arg != NULL;
    for (int i = 0; i < LOOKS; i++) {
        look(injected);
        mc_yield();
    }
    while (skuai_load_32(&hog_over, SKUAI_ACQUIRE) == 0) {
        look(injected);
        mc_defer();
    }
    while (skuai_spares_are_active(&sched)) {
        look(false);
        mc_defer();
    }
}

static void make_spare(uint32_t index)
{
    struct skuai_worker *spare = world_pointers[index] = &world_workers[index].worker;
    spare->sched = &sched;
    spare->index = index;
    spare->is_spare = true;
    spare->home = world_polls;
    spare->until_check = spare->check_interval = 1;
    spare->victims = world_pointers[0]->victims;
    mc_name(&spare->spare_state, "s%u.state", index);
    mc_name(&spare->asleep, "s%u.asleep", index);
    mc_name(&spare->parker.token, "s%u.token", index);
    mc_name(&spare->next, "s%u.next", index);
    mc_name(&spare->deque.top, "s%u.top", index);
    mc_name(&spare->deque.bottom, "s%u.bottom", index);
}

static void reset(uint32_t count)
{
    world_reset(1);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    met.raw = hog_over.raw = expired.raw = 0;
    mc_name(&met, "met");
    mc_name(&hog_over, "hog_over");
    mc_name(&sched.spares.active, "active");
    mc_name(&sched.spares.made, "made");
    mc_name(&world_pointers[0]->asleep, "w0.asleep");
    for (uint32_t i = 0; i < count; i++)
        make_spare(SPARE + i);
    sched.spares.max = spares = count;
    skuai_store_32(&sched.spares.made, count, SKUAI_RELAXED);
}

static void start_all(void)
{
    world_start_workers();
    for (uint32_t i = 0; i < spares; i++) {
        spare_threads[i] = mc_thread_named("spare", skuai_worker_main, world_pointers[SPARE + i]);
        mc_allow_blocked(spare_threads[i]);
    }
}

/* As the guard has begun it. */
static void begin_spare(void)
{
    skuai_store_32(&sched.spares.active, 1, SKUAI_RELAXED);
    skuai_store_32(&world_pointers[SPARE]->spare_state, SKUAI_SPARE_ACTIVE, SKUAI_RELAXED);
}

static void check_quiet(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying, or ran twice");
    mc_assert(skuai_load_32(&sched.spares.active, SKUAI_RELAXED) == 0, "a spare is active for ever");
    for (uint32_t i = 0; i < spares; i++) {
        mc_assert(skuai_load_32(&world_pointers[SPARE + i]->spare_state, SKUAI_RELAXED) == SKUAI_SPARE_PARKED,
                  "nobody counts it, and it is not parked");
        mc_assert(mc_is_blocked(spare_threads[i]), "the spare has ended");
    }
    world_check_asleep();
}

#define SEARCH .stale = 1, .max_executions = 60000, .random = 10000

/* S1, S2, S3, S4: from what lies in the queues of who is held. */
static void outside(void *arg) { (void)arg; spawn(0, run_hog); }
static void held_setup(void)
{
    reset(1);
    start_all();
    mc_thread(outside, NULL);
    mc_thread(guard, NULL);
}
static void three_finish(void) { check_quiet(3); }
MC_TEST(held, .setup = held_setup, .finish = three_finish, SEARCH);

static enum skuai_run run_hog_with_inbox(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    tasks[1].run = run_met;
    skuai_deque_push(&worker->inbox, &tasks[1], SKUAI_RELEASE);
    worker->inbox_filled = true;
    wait_for_met(1);
    over();
    return SKUAI_RUN_SETTLED;
}
static void outside_inbox(void *arg) { (void)arg; spawn(0, run_hog_with_inbox); }
static void inbox_setup(void)
{
    reset(1);
    start_all();
    mc_thread(outside_inbox, NULL);
    mc_thread(guard, NULL);
}
static void two_finish(void) { check_quiet(2); }
MC_TEST(held_inbox, .setup = inbox_setup, .finish = two_finish, SEARCH);

/* From the injection queue. */
static enum skuai_run run_waiter(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    wait_for_met(1);
    over();
    return SKUAI_RUN_SETTLED;
}
static void outside_two(void *arg)
{
    (void)arg;
    spawn(0, run_waiter);
    spawn(1, run_met);
}
static void injected_setup(void)
{
    reset(1);
    start_all();
    mc_thread(outside_two, NULL);
    mc_thread(guard, &sched);
}
MC_TEST(injected, .setup = injected_setup, .finish = two_finish, SEARCH);

/* The worker is held, and a spare, which has the tasks. */
static enum skuai_run run_spares_hog(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    spawn(2, run_met);
    spawn(3, run_met);
    wait_for_met(2);
    over();
    return SKUAI_RUN_SETTLED;
}
static enum skuai_run run_second_hog(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    wait_for_met(2);
    return SKUAI_RUN_SETTLED;
}
static void both_setup(void)
{
    reset(2);
    begin_spare();
    tasks[0].run = run_spares_hog;
    tasks[1].run = run_second_hog;
    skuai_deque_push(&world_pointers[SPARE]->deque, &tasks[0], SKUAI_RELEASE);
    skuai_deque_push(&world_pointers[0]->deque, &tasks[1], SKUAI_RELEASE);
    start_all();
    mc_thread(guard, NULL);
}
static void four_finish(void) { check_quiet(4); }
MC_TEST(both_held, .setup = both_setup, .finish = four_finish, SEARCH);

/* S4: what it has is given away, and somebody is awake for it. */
static void on_spare(skuai_run_fn *run)
{
    reset(1);
    begin_spare();
    tasks[0].run = run;
    skuai_deque_push(&world_pointers[SPARE]->deque, &tasks[0], SKUAI_RELEASE);
    start_all();
    mc_thread(guard, NULL);
}
static void leaver_setup(void) { on_spare(run_leaver); }
static void five_finish(void) { check_quiet(5); }
MC_TEST(leaves, .setup = leaver_setup, .finish = five_finish, SEARCH);

/* In the deque alone, for which nobody was woken. */
static enum skuai_run run_leaver_in_deque(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    tasks[1].run = run_met;
    skuai_schedule_last(worker, &tasks[1]);
    over();
    return SKUAI_RUN_SETTLED;
}
static void deque_setup(void) { on_spare(run_leaver_in_deque); }
MC_TEST(leaves_deque, .setup = deque_setup, .finish = two_finish, SEARCH);

/* Likewise, without a guard that would see it. */
static void called_setup(void)
{
    reset(1);
    begin_spare();
    skuai_store_32(&world_pointers[SPARE]->spare_state, SKUAI_SPARE_RETIRING, SKUAI_RELAXED);
    world_pointers[SPARE]->until_check = 2; /* behind the first task */
    tasks[0].run = run_leaver_in_deque;
    skuai_deque_push(&world_pointers[SPARE]->deque, &tasks[0], SKUAI_RELEASE);
    start_all();
}
MC_TEST(called, .setup = called_setup, .finish = two_finish, SEARCH);

/* S6. */
static void pusher_setup(void) { on_spare(run_pusher); }
MC_TEST(pushes, .setup = pusher_setup, .finish = three_finish, SEARCH);

/* S4: nobody sleeps past the timer. */
static void armer_setup(void) { on_spare(run_armer); }
static void armer_finish(void)
{
    check_quiet(1);
    mc_assert(skuai_load_32(&expired, SKUAI_RELAXED) == 1, "all sleep, and a timer was forgotten");
}
MC_TEST(arms, .setup = armer_setup, .finish = armer_finish, SEARCH);

/* Likewise, beside a worker that is awake: nobody may be keeping the time when it retires. */
static enum skuai_run run_until_over(struct skuai_worker *worker, skua_task *task)
{
    count_run(worker, task);
    while (skuai_load_32(&hog_over, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&hog_over, 0);
    return SKUAI_RUN_SETTLED;
}
static void outside_until_over(void *arg) { (void)arg; spawn(1, run_until_over); }
static void armer_beside_setup(void)
{
    on_spare(run_armer);
    mc_thread(outside_until_over, NULL);
}
static void armer_beside_finish(void)
{
    check_quiet(2);
    mc_assert(skuai_load_32(&expired, SKUAI_RELAXED) == 1, "all sleep, and a timer was forgotten");
}
MC_TEST(arms_beside, .setup = armer_beside_setup, .finish = armer_beside_finish, SEARCH);
