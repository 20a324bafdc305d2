/* A worker (sched/worker.c) whose timers wake more tasks at once than its next-slot and its deque hold, while a thief
 * takes from both: each task runs once. What the worker fetches must find room in the deque.
 */
/* model-sources: sched/idle.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c */
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
