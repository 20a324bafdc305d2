/* A worker (sched/worker.c) whose timers wake more tasks at once than its next-slot and its deque hold, while a thief
 * takes from both: each task runs once. What the worker fetches must find room in the deque. And tasks that end, with
 * somebody who waits for all of them (runtime/shutdown.c, stage 2).
 */
/* model-sources: sched/idle.c sched/poll.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 */
#include "model/world.h"

enum { WAVE = 8 };

static skua_task tasks[WAVE];
static unsigned runs[WAVE];

void skuai_guard_work_begins(struct skuai_scheduler *of) { (void)of; }

static enum skuai_run run_plain(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    mc_assert(runs[task - tasks]++ == 0, "a task ran twice");
    return SKUAI_RUN_SETTLED;
}

/* T2, with a wave of timers that have come. */
void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    uint64_t next = skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL);
    if (next <= now_ns) {
        for (unsigned i = 0; i < WAVE; i++) {
            tasks[i].run = run_plain;
            skuai_schedule_woken(&tasks[i]);
        }
    } else if (next != SKUA_NEVER) {
        skuai_store_64(&of->timer_next, next, SKUAI_RELEASE);
    }
}

static void wave_setup(void)
{
    world_reset(2);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    skuai_store_64(&sched.timer_next, world_now, SKUAI_RELAXED);
    world_start_workers();
}
static void wave_finish(void)
{
    for (unsigned i = 0; i < WAVE; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    world_check_asleep();
}
MC_TEST(wave, .setup = wave_setup, .finish = wave_finish, .stale = 1, .max_executions = 60000, .random = 20000);

/* ---- ends ---- */

static unsigned steps[WAVE], ended;
static int effect[WAVE]; /* plain: what each task did */

static enum skuai_run run_ends(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    unsigned i = (unsigned)(task - tasks);
    skuai_task_word_run(&task->word);
    SKUAI_WRITE(effect[i], 1);
    ended++;
    return SKUAI_RUN_ENDED;
}
/* Yields, waits for what has happened already, and ends. */
static enum skuai_run run_in_steps(struct skuai_worker *worker, skua_task *task)
{
    switch (steps[task - tasks]++) {
    case 0:
        skuai_task_word_run(&task->word);
        return SKUAI_RUN_YIELDS;
    case 1:
        skuai_task_word_run(&task->word);
        skuai_task_wake(task);
        return SKUAI_RUN_WAITS;
    default:
        return run_ends(worker, task);
    }
}
static void begin(unsigned i, skuai_run_fn *run)
{
    tasks[i].run = run;
    skuai_task_word_begin(&tasks[i].word, 1, 0, false);
    skuai_schedule_spawned(&sched, skuai_worker_self(), &tasks[i]);
}
/* Its spawn counts before its end does. */
static enum skuai_run run_spawns_and_ends(struct skuai_worker *worker, skua_task *task)
{
    skuai_count(&worker->counters.spawned, 1);
    begin(1, run_in_steps);
    return run_ends(worker, task);
}

/* As wait_drained(). */
static void drainer(void *arg)
{
    (void)arg;
    skuai_store_32(&sched.drain, 1, SKUAI_RELAXED);
    skuai_fence(SKUAI_SEQ_CST);
    if (skuai_scheduler_live(&sched) != 0)
        while (skuai_load_32(&sched.drain, SKUAI_ACQUIRE) != 2)
            mc_yield();
    mc_assert(ended == 2 && world_locals == 1, "drained, and a task lives");
    mc_assert(SKUAI_READ(effect[0]) == 1 && SKUAI_READ(effect[1]) == 1, "what the tasks did");
}
static void drain_setup(void)
{
    world_reset(2);
    memset(tasks, 0, sizeof tasks);
    memset(steps, 0, sizeof steps);
    memset(effect, 0, sizeof effect);
    ended = 0;
    sched.spawned_outside.raw = 1;
    tasks[1].more.raw = tasks; /* it has locals */
    mc_name(&sched.drain, "drain");
    for (unsigned i = 0; i < 2; i++) {
        mc_name(&world_pointers[i]->counters.ended, "w%u.ended", i);
        mc_name(&world_pointers[i]->counters.spawned, "w%u.spawned", i);
        mc_name(&effect[i], "effect %u", i);
    }
    begin(0, run_spawns_and_ends);
    world_start_workers();
    mc_thread(drainer, NULL);
}
static void drain_finish(void)
{
    mc_assert(world_frees == 2, "the tasks were freed once each");
    world_check_asleep();
}
MC_TEST(drain, .setup = drain_setup, .finish = drain_finish, .stale = 1, .max_executions = 40000, .random = 10000);

/* ---- wakes: from outside, and into a next-slot from which a thief takes ---- */

static skua_word32 come;

static enum skuai_run run_waits(struct skuai_worker *worker, skua_task *task)
{
    skuai_task_word_run(&task->word);
    if (skuai_load_32(&come, SKUAI_ACQUIRE) == 0)
        return SKUAI_RUN_WAITS;
    mc_assert(SKUAI_READ(effect[0]) == 1, "what the waker did");
    task->run = run_plain; /* and not again */
    (void)worker;
    ended++;
    return SKUAI_RUN_SETTLED;
}
static void come_and_wake(void *arg)
{
    (void)arg;
    SKUAI_WRITE(effect[0], 1);
    skuai_store_32(&come, 1, SKUAI_RELEASE);
    skuai_task_wake(&tasks[1]);
}
/* Wakes two, whose content it has written just now. */
static enum skuai_run run_wakes(struct skuai_worker *worker, skua_task *task)
{
    for (unsigned i = 1; i < 3; i++) {
        SKUAI_WRITE(effect[i], 1);
        skuai_schedule_woken(&tasks[i]);
    }
    return run_plain(worker, task);
}
static enum skuai_run run_woken(struct skuai_worker *worker, skua_task *task)
{
    mc_assert(SKUAI_READ(effect[task - tasks]) == 1, "what the waker did");
    return run_plain(worker, task);
}
static void wakes_reset(void)
{
    world_reset(2);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    memset(effect, 0, sizeof effect);
    ended = 0;
    come.raw = 0;
}

static void outside_setup(void)
{
    wakes_reset();
    begin(1, run_waits);
    world_start_workers();
    mc_thread(come_and_wake, NULL);
}
static void outside_finish(void)
{
    mc_assert(ended == 1, "all sleep, and a task that was woken has not run");
    world_check_asleep();
}
MC_TEST(outside, .setup = outside_setup, .finish = outside_finish, .stale = 1, .max_executions = 40000,
        .random = 10000);

static void slot_setup(void)
{
    wakes_reset();
    tasks[0].run = run_wakes;
    tasks[1].run = tasks[2].run = run_woken;
    skuai_deque_push(&world_pointers[0]->deque, &tasks[0], SKUAI_RELEASE);
    world_start_workers();
}
static void slot_finish(void)
{
    for (unsigned i = 0; i < 3; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    world_check_asleep();
}
MC_TEST(slot, .setup = slot_setup, .finish = slot_finish, .stale = 1, .max_executions = 40000, .random = 10000);

/* ---- looks: what waits elsewhere comes in while the own deque is never empty ---- */

static skua_task yielder;
static unsigned yields;

static enum skuai_run run_yields(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    (void)task;
    if (runs[WAVE - 1] != 0)
        return SKUAI_RUN_SETTLED;
    mc_assert(++yields < 100, "a task starves");
    return SKUAI_RUN_YIELDS;
}
static void looks_reset(uint32_t nworkers)
{
    world_reset(nworkers);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    yields = 0;
    memset(&yielder, 0, sizeof yielder);
    yielder.run = run_yields;
    for (unsigned i = 0; i < WAVE; i++)
        tasks[i].run = run_plain;
    for (uint32_t i = 0; i < nworkers; i++)
        world_pointers[i]->until_check = world_pointers[i]->check_interval = 1;
}
static void inject(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        skuai_inject_push(&sched.inject, &tasks[i], &tasks[i], 1);
}
static void inject_more(void *arg)
{
    (void)arg;
    inject(5, WAVE);
    skuai_schedule_wake_one(&sched);
}

static void look_injected_setup(void)
{
    looks_reset(1);
    skuai_deque_push(&world_pointers[0]->deque, &yielder, SKUAI_RELEASE);
    inject(WAVE - 1, WAVE);
    world_start_workers();
}
static void look_hurried_setup(void)
{
    look_injected_setup();
    world_pointers[0]->until_check = world_pointers[0]->check_interval = 1u << 30;
    sched.hurry.raw = 1;
}
static void look_injected_finish(void)
{
    mc_assert(skuai_load_32(&sched.hurry, SKUAI_RELAXED) == 0, "each run looks around from now on");
    mc_assert(runs[WAVE - 1] == 1, "an injected task was left lying");
    world_check_asleep();
}
MC_TEST(look_injected, .setup = look_injected_setup, .finish = look_injected_finish);
MC_TEST(look_hurried, .setup = look_hurried_setup, .finish = look_injected_finish);

static void look_timers_setup(void)
{
    looks_reset(1);
    skuai_store_64(&sched.timer_next, world_now, SKUAI_RELAXED);
    skuai_deque_push(&world_pointers[0]->deque, &yielder, SKUAI_RELEASE);
    world_start_workers();
}
MC_TEST(look_timers, .setup = look_timers_setup, .finish = wave_finish);

/* What wakes itself again and again goes to the next-slot each time, and yet lets the deque have its turns. */
static enum skuai_run run_wakes_itself(struct skuai_worker *worker, skua_task *task)
{
    if (run_yields(worker, task) == SKUAI_RUN_YIELDS)
        skuai_schedule_woken(task);
    else
        ended++;
    return SKUAI_RUN_SETTLED;
}
static void streak_setup(void)
{
    looks_reset(1);
    ended = 0;
    yielder.run = run_wakes_itself;
    skuai_deque_push(&world_pointers[0]->deque, &yielder, SKUAI_RELEASE);
    skuai_deque_push(&world_pointers[0]->deque, &tasks[WAVE - 1], SKUAI_RELEASE);
    world_start_workers();
}
static void streak_finish(void)
{
    mc_assert(runs[WAVE - 1] == 1 && ended == 1, "a task was left lying");
    world_check_asleep();
}
MC_TEST(streak, .setup = streak_setup, .finish = streak_finish);

/* The second look finds the inbox half full, and more in the injection queue than it still holds. */
static void look_again_setup(void)
{
    looks_reset(1);
    skuai_deque_push(&world_pointers[0]->deque, &tasks[0], SKUAI_RELEASE);
    skuai_deque_push(&world_pointers[0]->deque, &tasks[1], SKUAI_RELEASE);
    inject(2, 5);
    world_start_workers();
    mc_thread(inject_more, NULL);
}
MC_TEST(look_again, .setup = look_again_setup, .finish = wave_finish, .stale = 1);
