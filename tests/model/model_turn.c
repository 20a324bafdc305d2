/* An embedded worker (sched/turn.c, U1 … U5, with poll.c, idle.c, worker.c and schedule.c) in a loop that waits for a
 * descriptor and turns when it is readable: no task, event or timer is left while the loop waits, and it is not called
 * for nothing for ever. Wakes, events and hastened timers come from outside, turns end by their budget or for want of
 * tasks, and the loop may change threads.
 */
/* model-sources: sched/turn.c sched/poll.c sched/idle.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 */
#include "model/world.h"
#include "sched/turn.h"

enum { EVENT = 1, KICK = 0x100, TURNS_MAX = 40 };

/* ---- a kernel: its descriptor is readable as long as the word is not 0, or when its deadline has come ---- */

static struct skuai_poller poller;
static skua_word32 kernel;
static uint64_t deadline_ns; /* the loop's */
static unsigned sent, delivered;
static bool deaf_to_itself; /* a known-wrong way: kicks of the worker itself are lost */
static int inside;           /* plain: one at a time */

static void wait_for_events(struct skuai_poller *of, struct skuai_poll_batch *batch, uint64_t until_ns)
{
    mc_assert(of == &poller && until_ns == 0, "a turn does not wait");
    SKUAI_WRITE(inside, SKUAI_READ(inside) + 1);
    uint32_t seen = skuai_exchange_32(&kernel, 0, SKUAI_ACQ_REL);
    if (deadline_ns <= world_now)
        deadline_ns = SKUA_NEVER;
    batch->count = 0;
    for (uint32_t i = 0; i < seen % KICK; i++)
        batch->events[batch->count++] = (struct skuai_poll_event){ .token = i, .ready = 1 };
}
static void (*when_delivered)(void);
static void deliver(struct skuai_poller *of, const struct skuai_poll_batch *batch)
{
    mc_assert(of == &poller && batch->count != 0, "nothing to deliver");
    delivered += batch->count;
    if (when_delivered != NULL)
        when_delivered();
}
static void kick(struct skuai_poller *of)
{
    mc_assert(of == &poller, "no poller");
    if (deaf_to_itself && skuai_worker_self() != NULL)
        return;
    skuai_or_32(&kernel, KICK, SKUAI_ACQ_REL);
    mc_futex_wake(&kernel, 1);
}
static void set_deadline(struct skuai_poller *of, uint64_t until_ns)
{
    (void)of;
    deadline_ns = until_ns;
}
static const struct skuai_poll_hooks hooks = {
    .wait = wait_for_events, .deliver = deliver, .kick = kick, .deadline = set_deadline
};

static void sender(void *arg)
{
    (void)arg;
    sent++;
    skuai_add_32(&kernel, EVENT, SKUAI_ACQ_REL);
    mc_futex_wake(&kernel, 1);
}

/* ---- the rest of the runtime ------------------------------------------------------------------------------------ */

static skua_task tasks[WORLD_TASKS];
static unsigned runs[WORLD_TASKS], steps;
static int effect[WORLD_TASKS]; /* plain: what the waker did */
static unsigned timers_run;
static uint64_t memory_ns;      /* when unused memory is to be given back */
static unsigned given_back;

void skuai_guard_work_begins(struct skuai_scheduler *of) { (void)of; }
uint64_t skuai_guard_give_back_alone(struct skuai_scheduler *of, bool worked)
{
    (void)of;
    if (memory_ns <= world_now) {
        given_back++;
        memory_ns = SKUA_NEVER;
    }
    (void)worked;
    return memory_ns;
}

/* T2, of one timer. */
void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    uint64_t next = skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL);
    if (next <= now_ns) {
        timers_run++;
        skuai_schedule_woken(&tasks[0]);
    } else if (next != SKUA_NEVER) {
        skuai_store_64(&of->timer_next, next, SKUAI_RELEASE);
    }
}

static enum skuai_run run_plain(struct skuai_worker *worker, skua_task *task)
{
    mc_assert(skuai_worker_self() == worker, "a task runs in a turn");
    runs[task - tasks]++;
    return SKUAI_RUN_SETTLED;
}
static enum skuai_run run_woken(struct skuai_worker *worker, skua_task *task)
{
    mc_assert(SKUAI_READ(effect[task - tasks]) == 1, "what the waker did");
    return run_plain(worker, task);
}
/* More runs than a turn without a budget has. */
static enum skuai_run run_in_steps(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    skuai_task_word_run(&task->word);
    if (steps-- == 0)
        return run_plain(worker, task);
    return SKUAI_RUN_YIELDS;
}
static enum skuai_run run_arms(struct skuai_worker *worker, skua_task *task)
{
    skuai_store_64(&sched.timer_next, world_now + 100, SKUAI_SEQ_CST);
    return run_plain(worker, task);
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static uint64_t budget_ns;
static int turns_left;
static int loop_thread;

static bool turn_once(void)
{
    struct skuai_worker *worker = world_pointers[0];
    mc_assert(turns_left-- != 0, "the loop is called for nothing");
    skuai_worker_set_self(worker);
    bool has_more = skuai_turn(worker, budget_ns, 0);
    skuai_worker_set_self(NULL);
    mc_assert(!has_more || deaf_to_itself || kernel.raw != 0 || worker->away, "there is more, and nothing says so");
    return has_more;
}

/* Waits as a loop does, for the descriptor only. */
static void wait_until_readable(void)
{
    while (skuai_load_32(&kernel, SKUAI_ACQUIRE) == 0 && deadline_ns > world_now) {
        world_workers[0].rounds = world_workers[0].deferrals = 0; /* it sleeps */
        if (deadline_ns == SKUA_NEVER)
            mc_futex_wait(&kernel, 0);
        else if (!mc_futex_wait_timed(&kernel, 0))
            world_now = deadline_ns > world_now ? deadline_ns : world_now;
    }
}

static void loop(void *arg)
{
    (void)arg;
    for (;;) {
        wait_until_readable();
        (void)turn_once();
    }
}

/* Two threads that turn it one after the other (X1 of runtime/embed.c): one that comes meanwhile is refused. */
static skua_word32 turning;
static void taker(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; i > 0; i--) {
        if (skuai_exchange_32(&turning, 1, SKUAI_ACQUIRE) != 0)
            continue;
        (void)turn_once();
        skuai_store_32(&turning, 0, SKUAI_RELEASE);
    }
}

static void reset(uint64_t budget)
{
    world_reset(1);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    memset(effect, 0, sizeof effect);
    for (unsigned i = 0; i < WORLD_TASKS; i++)
        tasks[i].run = run_plain;
    poller = (struct skuai_poller){ .hooks = &hooks };
    kernel.raw = turning.raw = 0;
    deadline_ns = memory_ns = SKUA_NEVER;
    sent = delivered = timers_run = steps = given_back = 0;
    inside = 0;
    deaf_to_itself = false;
    when_delivered = NULL;
    budget_ns = budget;
    turns_left = TURNS_MAX;
    world_workers[0].victims.table.nrings = 0;
    world_pointers[0]->turn_until_ns = 1; /* embedded */
    world_pointers[0]->until_check = world_pointers[0]->check_interval = 1;
    (void)skuai_poll_begin(&sched.polls, &poller);
    mc_name(&kernel, "kernel");
    mc_name(&world_polls[0].owner, "owner");
    skuai_turn_ask(&sched); /* as skuai_embed_start() */
}
static void start_loop(void)
{
    loop_thread = mc_thread(loop, NULL);
    mc_allow_blocked(loop_thread);
}

/* Nothing is left, and the worker counts as asleep. */
static void check_away(void)
{
    mc_assert(mc_is_blocked(loop_thread), "the loop has ended");
    mc_assert(world_pointers[0]->away, "the loop waits, and the worker counts as awake");
    mc_assert(skuai_load_64(&sched.idle.counts, SKUAI_RELAXED) == 1 && sched.idle.depth == 1,
              "the loop waits, and the set says otherwise");
    mc_assert(skuai_load_32(&world_polls[0].owner, SKUAI_RELAXED) == SKUAI_POLL_BLOCKED,
              "the loop waits, and the worker has left the poller");
    mc_assert(delivered == sent && kernel.raw == 0, "the loop waits, and an event was left unseen");
    mc_assert(!skuai_worker_has_work(world_pointers[0]), "the loop waits, and there is work");
}
static void check_ran(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        mc_assert(runs[i] == 1, "the loop waits, and a task was left lying");
    check_away();
}

#define SEARCH .bound = 3, .stale = 1, .max_executions = 100000, .random = 10000

/* ---- U2, U3: tasks from outside, and events ---------------------------------------------------------------------- */

static void waker(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    SKUAI_WRITE(effect[i], 1);
    tasks[i].run = run_woken;
    skuai_schedule_woken(&tasks[i]);
}
static void two_wakers_setup(void)
{
    reset(SKUA_NEVER);
    start_loop();
    mc_thread(waker, (void *)0);
    mc_thread(waker, (void *)1);
}
static void two_finish(void) { check_ran(0, 2); }
MC_TEST(two_wakers, .setup = two_wakers_setup, .finish = two_finish, SEARCH);

static void wakes_twice(void *arg)
{
    waker(arg);
    waker((void *)((uintptr_t)arg + 1));
}
static void again_setup(void)
{
    reset(SKUA_NEVER);
    start_loop();
    mc_thread(wakes_twice, (void *)0);
}
MC_TEST(one_waker_twice, .setup = again_setup, .finish = two_finish, .bound = 5, .max_executions = 200000);

static void wake_and_event_setup(void)
{
    reset(SKUA_NEVER);
    start_loop();
    mc_thread(waker, (void *)0);
    mc_thread(sender, NULL);
}
static void one_finish(void) { check_ran(0, 1); }
MC_TEST(a_waker_and_an_event, .setup = wake_and_event_setup, .finish = one_finish, SEARCH);

/* A token that is nobody's: skuai_schedule_wake_all(). */
static void gives_tokens(void *arg)
{
    (void)arg;
    skuai_schedule_wake_all(&sched);
}
static void tokens_setup(void)
{
    reset(SKUA_NEVER);
    start_loop();
    mc_thread(gives_tokens, NULL);
    mc_thread(waker, (void *)0);
}
MC_TEST(tokens, .setup = tokens_setup, .finish = one_finish, SEARCH);

/* What events wake lies in the worker's own queues, its next-slot too. */
static void wakes_two(void)
{
    skuai_schedule_woken(&tasks[0]);
    skuai_schedule_woken(&tasks[1]);
}
static void events_setup(void)
{
    reset(0);
    when_delivered = wakes_two;
    start_loop();
    mc_thread(sender, NULL);
}
MC_TEST(events_wake, .setup = events_setup, .finish = two_finish, .bound = 4, .max_executions = 100000);

/* ---- U4: turns that end by their budget -------------------------------------------------------------------------- */

static void begin_steps(void)
{
    steps = 6;
    tasks[2].run = run_in_steps;
    skuai_task_word_begin(&tasks[2].word, 1, 0, false);
    skuai_schedule_spawned(&sched, NULL, &tasks[2]);
}
static void budget_setup(void)
{
    reset(0);
    begin_steps();
    start_loop();
    mc_thread(waker, (void *)0);
}
static void budget_finish(void)
{
    mc_assert(runs[2] == 1, "the loop waits, and a task was left lying");
    check_ran(0, 1);
}
MC_TEST(budget, .setup = budget_setup, .finish = budget_finish, SEARCH);

static void budget_event_setup(void)
{
    budget_setup();
    mc_thread(sender, NULL);
}
MC_TEST(budget_and_an_event, .setup = budget_event_setup, .finish = budget_finish, .stale = 1, .max_executions = 60000,
        .random = 10000);

/* What is left when the time is over lies in the next-slot alone: each wakes the other. */
static enum skuai_run run_wakes_other(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    if (steps-- == 0) {
        steps = 0;
        return run_plain(worker, task);
    }
    skuai_schedule_woken(&tasks[task == &tasks[1] ? 2 : 1]);
    return SKUAI_RUN_SETTLED;
}
static void slot_setup(void)
{
    reset(0);
    steps = 8;
    tasks[1].run = tasks[2].run = run_wakes_other;
    skuai_schedule_spawned(&sched, NULL, &tasks[1]);
    start_loop(); /* and nobody wakes it */
}
static void slot_finish(void)
{
    mc_assert(runs[1] + runs[2] == 1, "the loop waits, and a task was left lying");
    check_away();
}
MC_TEST(budget_and_the_slot, .setup = slot_setup, .finish = slot_finish, .bound = MC_UNBOUNDED);

/* If the worker did not kick itself the loop would wait for ever. */
static void deaf_setup(void)
{
    budget_setup();
    deaf_to_itself = true;
}
MC_TEST_MUST_FAIL(work_left_without_a_kick, "the loop waits", .setup = deaf_setup, .finish = budget_finish, SEARCH);

/* ---- timers and memory ------------------------------------------------------------------------------------------- */

static void timer_setup(void)
{
    reset(SKUA_NEVER);
    tasks[1].run = run_arms;
    skuai_schedule_spawned(&sched, NULL, &tasks[1]);
    start_loop();
    mc_thread(waker, (void *)2);
}
static void timer_finish(void)
{
    mc_assert(timers_run == 1, "the loop waits, and a timer has not ended");
    check_ran(0, 3);
}
MC_TEST(timer, .setup = timer_setup, .finish = timer_finish, SEARCH);

/* As skuai_sleep_hasten(), by another thread: the deadline that was set is too late. */
static void hastens(void *arg)
{
    (void)arg;
    skuai_store_64(&sched.timer_next, world_now, SKUAI_SEQ_CST);
    skuai_schedule_wake_one(&sched);
}
static void hastened_setup(void)
{
    reset(SKUA_NEVER);
    start_loop();
    mc_thread(hastens, NULL);
}
static void hastened_finish(void)
{
    mc_assert(timers_run == 1, "the loop waits, and a timer has not ended");
    check_ran(0, 1);
}
MC_TEST(a_hastened_timer, .setup = hastened_setup, .finish = hastened_finish, .bound = 4, .max_executions = 100000);

static void memory_setup(void)
{
    reset(SKUA_NEVER);
    memory_ns = world_now + 50;
    start_loop();
}
static void memory_finish(void)
{
    mc_assert(given_back == 1, "the loop waits, and memory was not given back");
    check_away();
}
MC_TEST(memory, .setup = memory_setup, .finish = memory_finish, .bound = MC_UNBOUNDED);

/* ---- one thread after another ------------------------------------------------------------------------------------ */

static void threads_setup(void)
{
    reset(SKUA_NEVER);
    mc_thread(taker, (void *)2);
    mc_thread(taker, (void *)2);
    mc_thread(waker, (void *)0);
}
static void threads_finish(void)
{
    if (runs[0] == 0) { /* the waker came last: then the descriptor says so */
        mc_assert(kernel.raw != 0, "a task was left lying, and the descriptor is not readable");
        (void)turn_once();
    }
    mc_assert(runs[0] == 1, "a task was left lying");
    mc_assert(world_pointers[0]->away, "nothing is ready, and the worker counts as awake");
}
MC_TEST(one_thread_after_another, .setup = threads_setup, .finish = threads_finish, SEARCH);
