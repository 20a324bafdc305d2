/* The task's state word (sched/task_word.h): wakers, runners, cancellers, who looks at one that waits, the end, the
 * handle, and the next task in the same slot. The task is in at most one queue; a wake is never lost: a run follows
 * that sees what the waker did before; a task is freed exactly once; an exact waker never meets the slot's next task.
 */
#include <string.h>

#include "model/mc.h"
#include "sched/task_word.h"

enum { ROUNDS = 3, GENERATION = 5 };

static struct slot {
    skua_word64 word;
    int body;   /* what a run works on: plain */
    int link;   /* what whoever queues the task writes: plain */
    int handle; /* what the handle's user works on: plain */
} slot;
static skua_word32 queued;    /* the only queue: 1 while the task is in it */
static skua_word32 posted[3]; /* what the wakers did before they woke */
static skua_word32 memory;    /* the slab: the slot's owner passes it on */
static uint32_t seen[3];      /* by the latest run */
static bool saw_cancel;
static unsigned runs, frees;
static unsigned yielded, found; /* by yields(), cancels_any() */

/* ---- the scheduler ---- */

static void enqueue(void)
{
    SKUAI_WRITE(slot.link, 1);
    uint32_t before = skuai_exchange_32(&queued, 1, SKUAI_RELEASE); /* a queue's push */
    mc_assert(before == 0, "the task is in two queues");
    mc_futex_wake(&queued, 1);
}

/* A wake's verdict. */
static void obey(enum skuai_task_verdict verdict)
{
    if (verdict == SKUAI_TASK_ENQUEUE)
        enqueue();
}

static uint64_t dequeue_and_run(void)
{
    while (skuai_exchange_32(&queued, 0, SKUAI_ACQUIRE) == 0) /* a queue's take */
        mc_futex_wait(&queued, 0);
    SKUAI_WRITE(slot.link, 0);
    uint64_t word = skuai_task_word_run(&slot.word);
    mc_assert((word & (SKUAI_TASK_RUNNING | SKUAI_TASK_NOTIFIED | SKUAI_TASK_ENDED)) == SKUAI_TASK_RUNNING,
              "a run begins with R and without N");
    return word;
}

/* What a run of the task does. */
static void body(void)
{
    SKUAI_WRITE(slot.body, SKUAI_READ(slot.body) + 1);
    for (int i = 0; i < 3; i++)
        seen[i] = skuai_load_32(&posted[i], SKUAI_RELAXED);
    saw_cancel = (skuai_load_64(&slot.word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0;
    runs++;
}

/* Runs the task whenever it is queued; stays blocked when no more wakes come. */
static void worker(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        dequeue_and_run();
        body();
        obey(skuai_task_word_pause(&slot.word));
    }
}

static void free_task(void)
{
    frees++;
    SKUAI_WRITE(slot.body, 0); /* whatever anybody did to the task is over */
    SKUAI_WRITE(slot.handle, 0);
    skuai_task_word_bury(&slot.word);
}

static void post_and(unsigned waker, enum skuai_task_verdict (*wake)(skua_word64 *word))
{
    skuai_store_32(&posted[waker], 1, SKUAI_RELAXED);
    obey(wake(&slot.word));
}
static enum skuai_task_verdict wake(skua_word64 *word) { return skuai_task_word_wake(word); }
static enum skuai_task_verdict cancel(skua_word64 *word) { return skuai_task_word_cancel(word); }
static enum skuai_task_verdict wake_exactly(skua_word64 *word)
{
    return skuai_task_word_wake_exactly(word, GENERATION);
}
static void waker_0(void *arg) { (void)arg; post_and(0, wake); }
static void waker_1(void *arg) { (void)arg; post_and(1, wake); }
static void exact_waker(void *arg) { (void)arg; post_and(1, wake_exactly); }
static void canceller(void *arg) { (void)arg; post_and(2, cancel); }

static void reset(uint64_t flags)
{
    memset(&slot, 0, sizeof slot);
    memset(posted, 0, sizeof posted);
    memset(seen, 0, sizeof seen);
    queued.raw = memory.raw = 0;
    runs = frees = yielded = found = 0;
    saw_cancel = false;
    slot.word.raw = (uint64_t)GENERATION << 32 | flags;
    queued.raw = (flags & SKUAI_TASK_RUNNING) != 0;
    mc_name(&slot.word, "word");
    mc_name(&slot.body, "body");
    mc_name(&slot.link, "link");
    mc_name(&slot.handle, "handle");
    mc_name(&queued, "queue");
    mc_name(&memory, "slab");
}

/* ---- wakes ---- */

static uint64_t word_now(void) { return skuai_load_64(&slot.word, SKUAI_RELAXED); }

static void waits_again(void)
{
    mc_assert((word_now() & 0xffffffff & ~(uint64_t)SKUAI_TASK_CANCEL) == SKUAI_TASK_ALIVE, "the task does not wait");
    mc_assert(skuai_load_32(&queued, SKUAI_RELAXED) == 0, "the task is queued for ever");
    mc_assert(runs == (unsigned)SKUAI_READ(slot.body), "two runs at once");
}

static void workers(int count)
{
    for (int i = 0; i < count; i++)
        mc_allow_blocked(mc_thread(worker, NULL));
}

static void two_wakers_setup(void)
{
    reset(SKUAI_TASK_ALIVE);
    workers(2);
    mc_thread(waker_0, NULL);
    mc_thread(waker_1, NULL);
}
static void two_wakers_finish(void)
{
    waits_again();
    mc_assert(seen[0] == 1 && seen[1] == 1, "a wake was lost: no run saw what the waker had done");
    mc_assert(runs >= 1 && runs <= 2, "more runs than wakes");
}
MC_TEST(two_wakers, .setup = two_wakers_setup, .finish = two_wakers_finish, .max_executions = 400000);

static void mixed_wakers_setup(void)
{
    reset(SKUAI_TASK_ALIVE);
    workers(1);
    mc_thread(waker_0, NULL);
    mc_thread(exact_waker, NULL);
    mc_thread(canceller, NULL);
}
static void mixed_wakers_finish(void)
{
    waits_again();
    mc_assert(seen[0] == 1 && seen[1] == 1 && seen[2] == 1, "a wake was lost: no run saw what the waker had done");
    mc_assert(saw_cancel, "the latest run did not see C");
}
MC_TEST(mixed_wakers, .setup = mixed_wakers_setup, .finish = mixed_wakers_finish, .stale = 2);

/* An exact wake, alone with a pause. */
static void exact_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    workers(2);
    mc_thread(exact_waker, NULL);
}
static void exact_finish(void)
{
    waits_again();
    mc_assert(seen[1] == 1, "a wake was lost: no run saw what the waker had done");
}
MC_TEST(exact_wake, .setup = exact_setup, .finish = exact_finish, .bound = 3);

static void cancel_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    workers(2);
    mc_thread(canceller, NULL);
}
static void cancel_finish(void)
{
    waits_again();
    mc_assert(seen[2] == 1 && saw_cancel, "a cancellation was lost");
}
MC_TEST(cancel, .setup = cancel_setup, .finish = cancel_finish, .bound = 3);

/* A new task, woken and cancelled before its first run or during it. */
static void spawned_setup(void)
{
    reset(0);
    skuai_task_word_begin(&slot.word, GENERATION, 0, false);
    queued.raw = 1;
    workers(2);
    mc_thread(exact_waker, NULL);
    mc_thread(canceller, NULL);
}
static void spawned_finish(void)
{
    waits_again();
    mc_assert(seen[1] == 1 && seen[2] == 1, "a wake was lost: no run saw what the waker had done");
    mc_assert(saw_cancel, "a cancellation was lost");
    mc_assert(runs >= 1 && runs <= 3, "more runs than wakes");
}
MC_TEST(spawned, .setup = spawned_setup, .finish = spawned_finish, .stale = 2);

/* ---- looks ---- */

/* Reads what a task that waits has left. */
static void looker(void *arg)
{
    uint64_t before;
    (void)arg;
    if (!skuai_task_word_hold(&slot.word, &before))
        return;
    mc_assert((before & (SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | SKUAI_TASK_ENDED)) == SKUAI_TASK_ALIVE,
              "who holds a task that does not wait");
    (void)SKUAI_READ(slot.body);
    obey(skuai_task_word_pause(&slot.word));
}

/* What waits, and nobody else knows, can be held; and what does not cannot. */
static void looks_alone(void *arg)
{
    uint64_t before = 0;
    (void)arg;
    mc_assert(skuai_task_word_hold(&slot.word, &before), "a task that waits is not held");
    mc_assert(before == word_now() - SKUAI_TASK_RUNNING, "what its word was");
    mc_assert(!skuai_task_word_hold(&slot.word, &before) && before == word_now(), "a task that is held is held again");
    obey(skuai_task_word_pause(&slot.word));
}
static void looks_alone_setup(void)
{
    reset(SKUAI_TASK_ALIVE);
    mc_thread(looks_alone, NULL);
}
MC_TEST(looks_alone, .setup = looks_alone_setup, .finish = waits_again, .bound = MC_UNBOUNDED);

static void looked_at_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    workers(2);
    mc_thread(waker_0, NULL);
    mc_thread(looker, NULL);
}
static void looked_at_finish(void)
{
    waits_again();
    mc_assert(seen[0] == 1, "a wake was lost: no run saw what the waker had done");
    mc_assert(runs >= 1 && runs <= 2, "more runs than wakes");
}
MC_TEST(looked_at, .setup = looked_at_setup, .finish = looked_at_finish, .bound = 3);

static void two_lookers_setup(void)
{
    reset(SKUAI_TASK_ALIVE);
    workers(1);
    mc_thread(exact_waker, NULL);
    mc_thread(looker, NULL);
    mc_thread(looker, NULL);
}
static void two_lookers_finish(void)
{
    waits_again();
    mc_assert(seen[1] == 1 && runs == 1, "a wake is one run");
}
MC_TEST(two_lookers, .setup = two_lookers_setup, .finish = two_lookers_finish, .bound = 3);

/* ---- runs that do not simply pause ---- */

static void yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        dequeue_and_run();
        body();
        if (yielded++ == 0) {
            enqueue(); /* with R */
        } else {
            obey(skuai_task_word_pause(&slot.word));
        }
    }
}
static void requeue_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    mc_allow_blocked(mc_thread(yields, NULL));
    mc_allow_blocked(mc_thread(yields, NULL));
    mc_thread(waker_0, NULL);
}
static void requeue_finish(void)
{
    waits_again();
    mc_assert(seen[0] == 1, "a wake was lost: no run saw what the waker had done");
    mc_assert(runs == 2 || runs == 3, "a task that yields runs again, and once more for a wake at most");
}
MC_TEST(requeue, .setup = requeue_setup, .finish = requeue_finish, .bound = 3, .max_executions = 300000);

/* ---- the end ---- */

static void ends(void *arg)
{
    (void)arg;
    dequeue_and_run();
    body();
    if (skuai_task_word_end(&slot.word) == SKUAI_TASK_FREE)
        free_task();
}

static void releases(void *arg)
{
    (void)arg;
    SKUAI_WRITE(slot.handle, 1);
    if (skuai_task_word_release(&slot.word) == SKUAI_TASK_FREE)
        free_task();
}

/* The handle's user cancels, then lets go. */
static void cancels_and_releases(void *arg)
{
    canceller(arg);
    releases(arg);
}

static void freed_once(void)
{
    mc_assert(frees == 1, "the task was not freed exactly once");
    mc_assert(skuai_task_generation(word_now()) == GENERATION + 1, "the dead slot's generation");
    mc_assert(!(word_now() & SKUAI_TASK_ALIVE), "the slot lives");
    mc_assert(skuai_load_32(&queued, SKUAI_RELAXED) == 0, "a dead task is queued");
}

static void end_and_release_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(cancels_and_releases, NULL);
}
MC_TEST(end_and_release, .setup = end_and_release_setup, .finish = freed_once, .bound = MC_UNBOUNDED);

static void end_and_wakes_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(releases, NULL);
    mc_thread(waker_0, NULL);
    mc_thread(exact_waker, NULL);
}
MC_TEST(end_and_wakes, .setup = end_and_wakes_setup, .finish = freed_once, .max_executions = 200000);

static void detached_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    mc_thread(ends, NULL);
    mc_thread(waker_0, NULL);
}
MC_TEST(detached, .setup = detached_setup, .finish = freed_once, .bound = MC_UNBOUNDED);

/* It is looked at when it is woken to its end. */
static void looked_at_to_the_end_setup(void)
{
    reset(SKUAI_TASK_ALIVE);
    mc_thread(ends, NULL);
    mc_thread(waker_0, NULL);
    mc_thread(looker, NULL);
}
MC_TEST(looked_at_to_the_end, .setup = looked_at_to_the_end_setup, .finish = freed_once, .bound = MC_UNBOUNDED);

/* ---- the next task in the slot ---- */

static void ends_and_passes_on(void *arg)
{
    ends(arg);
    skuai_store_32(&memory, 1, SKUAI_RELEASE);
    mc_futex_wake(&memory, 2);
}

/* Spawns the next one, tells its waker, and runs it: it ends when it sees what its waker, 0, has done. */
static void reuses(void *arg)
{
    (void)arg;
    while (skuai_load_32(&memory, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&memory, 0);
    uint32_t generation = skuai_task_generation(skuai_load_64(&slot.word, SKUAI_RELAXED)); /* the slot is ours */
    mc_assert(generation == GENERATION + 1, "the slot's next generation");
    runs = 0;
    SKUAI_WRITE(slot.body, 0);
    skuai_task_word_begin(&slot.word, generation, 0, false);
    enqueue();
    skuai_store_32(&memory, 2, SKUAI_RELEASE);
    mc_futex_wake(&memory, 2);
    for (;;) {
        dequeue_and_run();
        body();
        if (seen[0] == 1)
            break;
        obey(skuai_task_word_pause(&slot.word));
    }
    mc_assert(skuai_task_word_end(&slot.word) == SKUAI_TASK_FREE, "nobody has a handle");
    free_task();
}

static void second_waker(void *arg)
{
    (void)arg;
    for (uint32_t stage; (stage = skuai_load_32(&memory, SKUAI_ACQUIRE)) != 2;)
        mc_futex_wait(&memory, stage);
    skuai_store_32(&posted[0], 1, SKUAI_RELAXED);
    obey(skuai_task_word_wake_exactly(&slot.word, GENERATION + 1));
}

/* Internal wakes of the first task that arrive late: a run too many of the second, and no harm. */
static void late_waker(void *arg)
{
    (void)arg;
    obey(skuai_task_word_wake(&slot.word));
}

/* The first task's exact waker never wakes the second, which nobody wakes here. */
static void exact_waker_and_reuse_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    mc_thread(ends_and_passes_on, NULL);
    mc_allow_blocked(mc_thread(reuses, NULL));
    mc_thread(exact_waker, NULL);
}
static void exact_waker_and_reuse_finish(void)
{
    mc_assert(frees == 1 && mc_is_blocked(2), "nobody has woken the second task");
    mc_assert(runs == 1 && !(word_now() & SKUAI_TASK_NOTIFIED), "an old exact waker has woken the slot's next task");
}
MC_TEST(exact_waker_and_reuse, .setup = exact_waker_and_reuse_setup, .finish = exact_waker_and_reuse_finish,
        .stale = 2);

static void late_waker_and_reuse_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    mc_thread(ends_and_passes_on, NULL);
    mc_thread(reuses, NULL);
    mc_thread(late_waker, NULL);
    mc_thread(second_waker, NULL);
}
static void late_waker_and_reuse_finish(void)
{
    mc_assert(frees == 2 && !(word_now() & SKUAI_TASK_ALIVE), "both tasks were freed, once each");
    mc_assert(skuai_task_generation(word_now()) == GENERATION + 2, "the dead slot's generation");
    mc_assert(runs <= 3, "more runs than wakes");
}
MC_TEST(late_waker_and_reuse, .setup = late_waker_and_reuse_setup, .finish = late_waker_and_reuse_finish, .stale = 1,
        .max_executions = 300000, .random = 20000);

/* ---- cancelling whatever a slot holds ---- */

static void cancels_any(void *arg)
{
    (void)arg;
    enum skuai_task_verdict verdict = SKUAI_TASK_NOTHING;
    skuai_store_32(&posted[2], 1, SKUAI_RELAXED);
    if (skuai_task_word_cancel_any(&slot.word, &verdict)) {
        found++;
        obey(verdict);
    } else {
        mc_assert(verdict == SKUAI_TASK_NOTHING, "a verdict about no task");
    }
}

static void cancel_any_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    workers(2);
    mc_thread(cancels_any, NULL);
}
static void cancel_any_finish(void)
{
    waits_again();
    mc_assert(found == 1, "a living task was overlooked");
    mc_assert(seen[2] == 1 && saw_cancel, "a cancellation was lost");
}
MC_TEST(cancel_any, .setup = cancel_any_setup, .finish = cancel_any_finish, .bound = 3);

/* Against the end of one task: what was cancelled is reported, and a dead slot left alone. A task in its last moment
 * may be reported, too. */
static bool alive_was_canceled;
static void ends_and_looks(void *arg)
{
    (void)arg;
    dequeue_and_run();
    uint64_t flags = skuai_load_64(&slot.word, SKUAI_RELAXED);
    mc_assert(skuai_task_word_end(&slot.word) == SKUAI_TASK_FREE, "nobody has a handle");
    alive_was_canceled = (word_now() & SKUAI_TASK_CANCEL) != 0;
    mc_assert(alive_was_canceled || !(flags & SKUAI_TASK_CANCEL), "C is never cleared");
    free_task();
    mc_assert((word_now() & 0xffffffff) == 0, "a dead slot was touched");
}
static void cancel_any_and_end_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    alive_was_canceled = false;
    mc_thread(ends_and_looks, NULL);
    mc_thread(cancels_any, NULL);
}
static void cancel_any_and_end_finish(void)
{
    freed_once();
    mc_assert(found == 1 || !alive_was_canceled, "cancelled, and not said so");
    mc_assert((word_now() & 0xffffffff) == 0, "a dead slot was touched");
}
MC_TEST(cancel_any_and_end, .setup = cancel_any_and_end_setup, .finish = cancel_any_and_end_finish,
        .bound = MC_UNBOUNDED);

/* ---- known wrong ---- */

/* A wake that skips the exchange when it reads N: store buffering against the run that takes N away. */
static enum skuai_task_verdict wake_if_needed(skua_word64 *word)
{
    if (skuai_load_64(word, SKUAI_ACQUIRE) & SKUAI_TASK_NOTIFIED)
        return SKUAI_TASK_NOTHING;
    return skuai_task_word_wake(word);
}
static void lazy_waker(void *arg) { (void)arg; post_and(0, wake_if_needed); }
static void lazy_wake_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    workers(1);
    mc_thread(lazy_waker, NULL);
    mc_thread(waker_1, NULL); /* sets N */
}
static void lazy_wake_finish(void) { mc_assert(seen[0] == 1, "a wake was lost"); }
MC_TEST_MUST_FAIL(wake_that_skips, "a wake was lost", .setup = lazy_wake_setup, .finish = lazy_wake_finish);

/* A pause in two steps: the wake between them is lost. */
static void forgetful_worker(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        dequeue_and_run();
        body();
        uint64_t word = skuai_load_64(&slot.word, SKUAI_ACQUIRE);
        skuai_and_64(&slot.word, ~(uint64_t)SKUAI_TASK_RUNNING, SKUAI_ACQ_REL);
        if (word & SKUAI_TASK_NOTIFIED)
            enqueue();
    }
}
static void forgetful_setup(void)
{
    reset(SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING);
    mc_allow_blocked(mc_thread(forgetful_worker, NULL));
    mc_thread(waker_0, NULL);
}
MC_TEST_MUST_FAIL(pause_in_two_steps, "a wake was lost", .setup = forgetful_setup, .finish = lazy_wake_finish);
