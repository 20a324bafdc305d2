/* Futures: the macros and the frame engine. */
#include <errno.h>

#include "support/with_runtime.h"

struct nap {
    SKUA_FRAME;
    struct {
        uint64_t pause_ns;
        int rounds;
    } in;
    skua_sleep_op sleep;
    int round;
    int failed;
};
SKUA_ASYNC(nap)
{
    SKUA_BEGIN(self);
    self->failed = 0;
    for (self->round = 0; self->round < self->in.rounds; self->round++) {
        SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
        if (self->sleep.result < 0)
            SKUA_RETURN(self->sleep.result);
        SKUA_YIELD();
    }
    SKUA_END(self->round);
}

static int plain(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(SKUA_SPAWN(&task, nap, .pause_ns = 1000, .rounds = 3));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 3);
    struct nap inside;
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&inside, nap, .pause_ns = 5, .rounds = 7)), 7);
    CHECK_OK(SKUA_SPAWN(&task, nap, .pause_ns = SKUA_NEVER, .rounds = 1));
    skua_yield();
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(SKUA_GO(nap, .pause_ns = 10, .rounds = 2));
    return 0;
}
TEST(spawn_await_cancel) { run_everywhere(plain, NULL); }

/* A chain of frames, each with its child inside, by hand three deep and then recursively through memory. */
struct deep {
    SKUA_FRAME;
    struct {
        int depth;
        struct deep *frames; /* one per level */
    } in;
    skua_sleep_op sleep;
    int twice;
};
SKUA_ASYNC(deep)
{
    SKUA_BEGIN(self);
    if (self->in.depth == 0) {
        for (self->twice = 0; self->twice < 20; self->twice++)
            SKUA_AWAIT(skua_sleep_start(&self->sleep, 100)); /* resumes here directly, not through the chain */
        SKUA_RETURN(1);
    }
    SKUA_AWAIT(SKUA_FUTURE(self->in.frames, deep, .depth = self->in.depth - 1, .frames = self->in.frames + 1));
    SKUA_END(SKUA_RESULT(self->in.frames) + 1);
}

static int chain(void *arg)
{
    (void)arg;
    enum { DEPTH = 200 }; /* some 220 bytes of stack each, by clang without optimisation */
    static _Thread_local char unused;
    (void)unused;
    struct deep *frames = malloc((DEPTH + 1) * sizeof *frames);
    CHECK(frames != NULL);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&frames[0], deep, .depth = DEPTH - 1, .frames = &frames[1])), DEPTH);
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(SKUA_SPAWN(&task, deep, .depth = DEPTH - 1, .frames = frames));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, DEPTH);
    free(frames);
    return 0;
}
TEST(deep_chains) { run_everywhere(chain, NULL); }

struct big {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    char buffer[100000];
    int i;
};
SKUA_ASYNC(big)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < (int)sizeof self->buffer; self->i += 4096) {
        self->buffer[self->i] = (char)self->i;
        SKUA_YIELD();
    }
    SKUA_END(sizeof self->buffer);
}

static int large(void *arg)
{
    (void)arg;
    skua_task *task[10];
    int64_t result = 0;
    for (int i = 0; i < 10; i++)
        CHECK_OK(SKUA_SPAWN(&task[i], big));
    for (int i = 0; i < 10; i++) {
        CHECK_OK(skua_join(task[i], &result));
        CHECK_EQ(result, 100000);
    }
    return 0;
}
TEST(large_frames) { run_everywhere(large, NULL); }

static int fiber_child(void *arg)
{
    skua_sleep(50);
    return *(int *)arg;
}

struct joiner {
    SKUA_FRAME;
    struct {
        skua_task *task;
    } in;
    skua_join_op join;
};
SKUA_ASYNC(joiner)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_join_start(&self->join, self->in.task));
    if (self->join.result < 0) {
        skua_cancel(self->in.task);
        skua_detach(self->in.task);
        SKUA_RETURN(self->join.result);
    }
    SKUA_END(self->join.value);
}

/* A future awaits a fiber that awaits a future. */
static int mixed(void *arg)
{
    (void)arg;
    int n = 11;
    skua_task *fiber, *future;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&fiber, fiber_child, &n));
    CHECK_OK(SKUA_SPAWN(&future, joiner, .task = fiber));
    CHECK_OK(skua_join(future, &result));
    CHECK_EQ(result, 11);
    CHECK_OK(SKUA_SPAWN(&fiber, nap, .pause_ns = SKUA_NEVER, .rounds = 1));
    CHECK_OK(SKUA_SPAWN(&future, joiner, .task = fiber));
    skua_yield();
    skua_cancel(future);
    CHECK_OK(skua_join(future, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(futures_and_fibers_await_each_other) { run_everywhere(mixed, NULL); }

struct parker {
    SKUA_FRAME;
    struct {
        int *go;
        skua_waker *waker;
    } in;
    int wakes;
};
SKUA_ASYNC(parker)
{
    SKUA_BEGIN(self);
    *self->in.waker = skua_waker_self();
    __atomic_store_n(self->in.go, 1, __ATOMIC_RELEASE);
    self->wakes = 0;
    while (__atomic_load_n(self->in.go, __ATOMIC_ACQUIRE) != 2 && !skua_interrupted()) {
        SKUA_PARK();
        self->wakes++;
    }
    SKUA_END(skua_interrupted() ? -ECANCELED : 0);
}

static int parking(void *arg)
{
    (void)arg;
    for (int round = 0; round < 2; round++) {
        int go = 0;
        skua_waker waker;
        skua_task *task;
        int64_t result = 1;
        CHECK_OK(SKUA_SPAWN(&task, parker, .go = &go, .waker = &waker));
        while (__atomic_load_n(&go, __ATOMIC_ACQUIRE) == 0)
            skua_yield();
        if (round == 0) {
            __atomic_store_n(&go, 2, __ATOMIC_RELEASE);
            skua_wake(waker);
        } else {
            skua_cancel(task);
        }
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, round == 0 ? 0 : -ECANCELED);
    }
    return 0;
}
TEST(park_in_a_future) { run_everywhere(parking, NULL); }

struct shielding {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_scope shield;
    skua_sleep_op sleep;
};
SKUA_ASYNC(shielding)
{
    SKUA_BEGIN(self);
    skua_shield_enter(&self->shield);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 1000));
    CHECK_EQ(self->sleep.result, 0);
    skua_scope_leave(&self->shield);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 1000));
    SKUA_END(self->sleep.result);
}

static int shields(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(SKUA_SPAWN(&task, shielding));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(shield_in_a_future) { run_everywhere(shields, NULL); }

static int waits_in_a_future(void *arg)
{
    (void)arg;
    return 0;
}
struct wrong {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(wrong)
{
    SKUA_BEGIN(self);
    SKUA_END(skua_sleep(SKUA_S));
}
static int runs_wrong(void *arg)
{
    struct wrong wrong;
    (void)arg;
    skua_self_set_name("culprit");
    return (int)skua_await_future(SKUA_FUTURE(&wrong, wrong));
}
static void misuse(void *arg)
{
    (void)arg;
    run_on(1, runs_wrong, NULL);
}
static void note_misuse(void *context, const char *text)
{
    (void)text;
    ++*(int *)context;
}
TEST(waiting_in_a_future_is_misuse)
{
    int misuses = 0;
    skua_config config = { .workers = 1, .on_misuse = note_misuse, .misuse_context = &misuses };
    CHECK_EQ(run_in(config, runs_wrong, NULL), -EPERM);
    CHECK_EQ(misuses, 1);
    CHECK_EQ(run_in(config, waits_in_a_future, NULL), 0);
    test_expect_abort(misuse, NULL, "culprit): use SKUA_AWAIT with skua_sleep_start()");
}

/* An op that was prepared is for a select. */
struct unstarted {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op nap;
};
SKUA_ASYNC(unstarted)
{
    SKUA_BEGIN(self);
    CHECK_EQ(skua_await(skua_sleep_prepare(&self->nap, SKUA_MS)), -EPERM); /* and that is not how futures wait */
    SKUA_AWAIT(skua_sleep_prepare(&self->nap, SKUA_MS));
    SKUA_END(self->nap.result);
}
static int awaits_unstarted(void *arg)
{
    struct unstarted unstarted;
    skua_sleep_op nap;
    (void)arg;
    CHECK_EQ(skua_await(skua_sleep_prepare(&nap, SKUA_MS)), -EPERM);
    return (int)skua_await_future(SKUA_FUTURE(&unstarted, unstarted));
}
static void awaits_in_a_thread(void *arg)
{
    skua_sleep_op nap;
    (void)arg;
    skua_await(skua_sleep_prepare(&nap, SKUA_MS));
}
TEST(awaiting_what_was_not_started_is_misuse)
{
    int misuses = 0;
    skua_config config = { .workers = 1, .on_misuse = note_misuse, .misuse_context = &misuses };
    CHECK_EQ(run_in(config, awaits_unstarted, NULL), -EPERM);
    CHECK_EQ(misuses, 3);
    test_expect_abort(awaits_in_a_thread, NULL,
                      "skua_sleep was awaited without having been started: start it with skua_sleep_start()");
}

/* ---- poll functions written by hand -------------------------------------------------------------------------- */

struct by_hand {
    skua_frame frame;
    int64_t polls_wanted;
    int64_t polls;
    bool sleeping;
    skua_sleep_op sleep;
};

/* Wakes itself a few times, then waits for an op. */
static enum skua_poll by_hand_poll(skua_frame *frame)
{
    struct by_hand *self = (struct by_hand *)(void *)frame;
    if (self->polls++ < self->polls_wanted) {
        skua_wake(skua_waker_self());
        return SKUA_PENDING;
    }
    if (!self->sleeping) {
        self->sleeping = true;
        skua_sleep_start(&self->sleep, 1000);
    }
    if (!skua_op_is_done(&self->sleep.op))
        return SKUA_PENDING;
    frame->result = self->sleep.result == 0 ? self->polls_wanted : self->sleep.result;
    return SKUA_DONE;
}

static skua_frame *by_hand(struct by_hand *self, int64_t polls_wanted)
{
    *self = (struct by_hand){ .polls_wanted = polls_wanted };
    return skua_frame_init(&self->frame, by_hand_poll);
}

struct awaits_by_hand {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    struct by_hand child;
};
SKUA_ASYNC(awaits_by_hand)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(by_hand(&self->child, 3));
    SKUA_END(self->child.frame.result);
}

static int hand_written(void *arg)
{
    struct by_hand futures[3];
    skua_child kids[3];
    skua_task *task, *other;
    int64_t result = 0;
    const int64_t in[3] = { 5, 0, 0 }; /* polls_wanted, polls, sleeping */
    (void)arg;
    CHECK_OK(SKUA_SPAWN(&other, awaits_by_hand)); /* another leaf on the same worker */
    CHECK_OK(skua_spawn_frame(&task, NULL, by_hand_poll, sizeof(struct by_hand), offsetof(struct by_hand, polls_wanted),
                              in, sizeof in));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 5);
    CHECK_OK(skua_join(other, &result));
    CHECK_EQ(result, 3);
    CHECK_EQ(skua_await_frame(by_hand(&futures[0], 2)), 2);
    for (int i = 0; i < 3; i++)
        skua_child_frame(&kids[i], by_hand(&futures[i], i));
    CHECK_EQ(skua_all_settled(kids, 3), 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kids[i].result, i);
    CHECK_EQ(skua_spawn_frame(NULL, NULL, by_hand_poll, sizeof(struct by_hand), 8, in, sizeof in), -EINVAL);
    return 0;
}
TEST(poll_functions_by_hand) { run_everywhere(hand_written, NULL); }
