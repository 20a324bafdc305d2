/* Linearizability of what is shared, by histories of many short rounds: some fibers, and some plain threads, use one
 * object at the same time, and what each call saw and when is checked (support/linearize.h). On real workers, more than
 * there are processors; and under seeds, where the same search goes over other interleavings.
 *
 * Waits have deadlines and so never last; one that timed out has had no effect and is forgotten.
 */
#include <errno.h>
#include <pthread.h>

#include "skua/channel.h"
#include "skua/mutex.h"
#include "skua/semaphore.h"
#include "support/linearize.h"
#include "support/with_runtime.h"

enum { FIBERS = 4, THREADS = 2, OPS = 8, WORKERS = 8 };

struct object {
    const struct lin_spec *spec;
    const void *params;
    void (*reset)(void *at);
    /* One call and what it saw. */
    void (*act)(struct lin_history *history, void *at, uint32_t who, uint64_t *random);
    void (*leave)(struct lin_history *history, void *at, uint32_t who); /* at a player's end; or NULL */
    void *at;
};

struct round {
    const struct object *object;
    struct lin_history history;
    int players; /* __atomic: who have come */
};

struct player {
    struct round *round;
    uint32_t who;
    uint64_t random;
};

static int plays(void *arg)
{
    struct player *player = arg;
    const struct object *object = player->round->object;
    for (int i = 0; i < OPS; i++)
        object->act(&player->round->history, object->at, player->who, &player->random);
    if (object->leave != NULL)
        object->leave(&player->round->history, object->at, player->who);
    return 0;
}

/* They meet first: what takes long is to begin. */
static void *plays_as_thread(void *arg)
{
    struct player *player = arg;
    __atomic_add_fetch(&player->round->players, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&player->round->players, __ATOMIC_ACQUIRE) <= THREADS)
        skua_yield();
    plays(player);
    return NULL;
}

static void begin_round(struct round *round, const struct object *object, struct player *players, uint32_t count,
                        uint64_t seed)
{
    lin_clear(&round->history);
    round->object = object;
    round->players = 0;
    object->reset(object->at);
    for (uint32_t i = 0; i < count; i++)
        players[i] = (struct player){ round, i, seed * 1000 + i };
}

static void end_round(struct round *round)
{
    lin_must_hold(round->object->spec, round->object->params, &round->history);
}

struct rounds {
    const struct object *object;
    uint64_t seed, count;
    uint32_t threads;
};

/* Fibers, and threads if this is no simulation. */
static int play_rounds(void *arg)
{
    const struct rounds *rounds = arg;
    struct round *round = calloc(1, sizeof *round);
    CHECK(round != NULL);
    for (uint64_t i = 0; i < rounds->count; i++) {
        struct player players[FIBERS + THREADS];
        skua_task *tasks[FIBERS];
        pthread_t threads[THREADS];
        begin_round(round, rounds->object, players, FIBERS + THREADS, rounds->seed + i);
        for (uint32_t t = 0; t < rounds->threads; t++)
            CHECK_EQ(pthread_create(&threads[t], NULL, plays_as_thread, &players[FIBERS + t]), 0);
        while (rounds->threads != 0 && __atomic_load_n(&round->players, __ATOMIC_ACQUIRE) < (int)rounds->threads)
            skua_yield();
        for (uint32_t f = 0; f < FIBERS; f++)
            CHECK_OK(skua_spawn(&tasks[f], plays, &players[f]));
        __atomic_add_fetch(&round->players, 1, __ATOMIC_ACQ_REL);
        for (uint32_t f = 0; f < FIBERS; f++)
            CHECK_OK(skua_join(tasks[f], NULL));
        for (uint32_t t = 0; t < rounds->threads; t++)
            CHECK_EQ(pthread_join(threads[t], NULL), 0);
        end_round(round);
    }
    free(round);
    return 0;
}

static void play(const struct object *object)
{
    struct rounds real = { object, test_seed(), test_scaled(5000), 0 };
    CHECK_EQ(run_on(WORKERS, play_rounds, &real), 0);
    real.count = test_scaled(300);
    real.threads = THREADS;
    CHECK_EQ(run_on(2, play_rounds, &real), 0);
    uint64_t end = test_seed() + test_scaled_seeds(400);
    for (uint64_t seed = test_seed(); seed < end; seed++) {
        struct rounds simulated = { object, seed, 3, 0 };
        CHECK_EQ(run_seeded(seed, 1 + (uint32_t)(seed % 6), play_rounds, &simulated), 0);
    }
}

/* How long to wait at most. */
static uint64_t soon(uint64_t *random) { return skua_after(test_rand(random) % (20 * SKUA_US)); }

/* A call's end, if it may have had no effect. */
static void end_or_forget(struct lin_history *history, struct lin_op *op, int64_t result)
{
    lin_end(history, op, result);
    if (result == -ETIMEDOUT || result == -ECANCELED)
        lin_forget(op);
}

/* ---- automatic events -------------------------------------------------------------------------------------------- */

static void event_reset(void *at) { skua_event_init(at, SKUA_EVENT_AUTO); }

static void event_act(struct lin_history *history, void *at, uint32_t who, uint64_t *random)
{
    static const uint32_t whats[] = { LIN_SET, LIN_SET, LIN_WAIT, LIN_WAIT, LIN_WAIT, LIN_RESET };
    uint32_t draw = (uint32_t)(test_rand(random) % 6);
    struct lin_op *op = lin_begin(history, who, whats[draw], 0);
    switch (draw) {
    case 0:
    case 1:
        skua_event_set(at);
        lin_end(history, op, 0);
        break;
    case 2:
        lin_end(history, op, skua_event_try_wait(at));
        break;
    case 5:
        lin_end(history, op, skua_event_reset(at));
        break;
    default:
        end_or_forget(history, op, skua_event_wait_until(at, soon(random)));
        break;
    }
}

TEST(automatic_events)
{
    skua_event event;
    play(&(struct object){ .spec = &lin_auto_event, .reset = event_reset, .act = event_act, .at = &event });
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

struct channel_at {
    skua_channel *channel;
    size_t capacity;
    int next; /* __atomic: values are all different */
};

static void channel_reset(void *at)
{
    struct channel_at *channel = at;
    CHECK_OK(skua_channel_destroy(channel->channel));
    CHECK_OK(skua_channel_create(&channel->channel, sizeof(int), channel->capacity));
    channel->next = 0;
}

static void channel_send(struct lin_history *history, struct channel_at *at, uint32_t who, uint64_t *random)
{
    int value = __atomic_fetch_add(&at->next, 1, __ATOMIC_RELAXED);
    bool waits = test_rand(random) % 2;
    struct lin_op *op = lin_begin(history, who, LIN_SEND, value);
    end_or_forget(history, op, waits ? skua_send_until(at->channel, &value, soon(random))
                                     : skua_try_send(at->channel, &value));
}

static int64_t receive_somehow(skua_channel *channel, int *value, uint64_t *random)
{
    skua_channel_op op;
    skua_sleep_op nap;
    int64_t arm;
    switch (test_rand(random) % 3) {
    case 0:
        return skua_try_receive(channel, value);
    case 1:
        return skua_receive_until(channel, value, soon(random));
    default:
        arm = SKUA_SELECT(skua_receive_prepare(&op, channel, value), skua_sleep_until_prepare(&nap, soon(random)));
        return arm == 0 ? op.result : -ETIMEDOUT;
    }
}

static void channel_act(struct lin_history *history, void *at, uint32_t who, uint64_t *random)
{
    struct channel_at *channel = at;
    uint64_t draw = test_rand(random) % 40;
    int value;
    if (draw == 0) {
        struct lin_op *op = lin_begin(history, who, LIN_CLOSE, 0);
        skua_channel_close(channel->channel);
        lin_end(history, op, 0);
    } else if (draw % 2 == 0) {
        channel_send(history, channel, who, random);
    } else {
        struct lin_op *op = lin_begin(history, who, LIN_RECEIVE, 0);
        int64_t rc = receive_somehow(channel->channel, &value, random);
        end_or_forget(history, op, rc == 1 ? value : rc == 0 ? -EPIPE : rc);
    }
}

static void play_channel(uint32_t capacity)
{
    struct channel_at at = { .capacity = capacity };
    struct lin_channel params = { capacity };
    play(&(struct object){ .spec = &lin_channel, .params = &params, .reset = channel_reset, .act = channel_act,
                           .at = &at });
    CHECK_OK(skua_channel_destroy(at.channel));
}

TEST(rendezvous_channels) { play_channel(0); }
TEST(channels_of_one) { play_channel(1); }
TEST(channels_of_three) { play_channel(3); }

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

struct counted_mutex {
    skua_mutex mutex;
    uint64_t came, went; /* __atomic: who was about to wait for it, and is past that */
};

static void mutex_reset(void *at)
{
    struct counted_mutex *counted = at;
    skua_mutex_fini(&counted->mutex);
    skua_mutex_init(&counted->mutex);
}

static int lock_counted(struct counted_mutex *counted, uint64_t until_ns)
{
    __atomic_fetch_add(&counted->came, 1, __ATOMIC_SEQ_CST);
    int rc = skua_mutex_lock_until(&counted->mutex, until_ns);
    __atomic_fetch_add(&counted->went, 1, __ATOMIC_SEQ_CST);
    return rc;
}

/* A try that fails says that somebody holds it, unless others were waiting: then it may be on its way to one of them.
 */
static int try_counted(struct counted_mutex *counted, bool *says)
{
    uint64_t went = __atomic_load_n(&counted->went, __ATOMIC_SEQ_CST);
    int rc = skua_mutex_try_lock(&counted->mutex);
    *says = rc == 0 || went == __atomic_load_n(&counted->came, __ATOMIC_SEQ_CST);
    return rc;
}

static void mutex_act(struct lin_history *history, void *at, uint32_t who, uint64_t *random)
{
    struct counted_mutex *counted = at;
    bool waits = test_rand(random) % 3 != 0, says = true;
    struct lin_op *op = lin_begin(history, who, LIN_LOCK, 0);
    int rc = waits ? lock_counted(counted, soon(random)) : try_counted(counted, &says);
    end_or_forget(history, op, says ? rc : -ECANCELED);
    if (rc != 0)
        return;
    if (test_rand(random) % 4 == 0)
        skua_yield();
    op = lin_begin(history, who, LIN_UNLOCK, 0);
    skua_mutex_unlock(&counted->mutex);
    lin_end(history, op, 0);
}

TEST(mutexes)
{
    struct counted_mutex counted = { .mutex = SKUA_MUTEX_INIT };
    play(&(struct object){ .spec = &lin_mutex, .reset = mutex_reset, .act = mutex_act, .at = &counted });
}

/* ---- semaphores -------------------------------------------------------------------------------------------------- */

enum { PERMITS = 3 };

static void semaphore_reset(void *at) { skua_semaphore_init(at, PERMITS); }

static void semaphore_act(struct lin_history *history, void *at, uint32_t who, uint64_t *random)
{
    skua_semaphore *semaphore = at;
    bool waits = test_rand(random) % 3 != 0;
    uint64_t permits = 1 + test_rand(random) % PERMITS;
    struct lin_op *op = lin_begin(history, who, LIN_ACQUIRE, (int64_t)permits);
    int rc = waits ? skua_semaphore_acquire_until(semaphore, permits, soon(random))
                   : skua_semaphore_try_acquire(semaphore, permits);
    end_or_forget(history, op, rc);
    if (rc != 0)
        return;
    if (test_rand(random) % 4 == 0)
        skua_yield();
    op = lin_begin(history, who, LIN_RELEASE, (int64_t)permits);
    skua_semaphore_release(semaphore, permits);
    lin_end(history, op, 0);
}

TEST(semaphores)
{
    skua_semaphore semaphore;
    struct lin_semaphore params = { PERMITS, true };
    play(&(struct object){ .spec = &lin_semaphore, .params = &params, .reset = semaphore_reset, .act = semaphore_act,
                           .at = &semaphore });
}

/* ---- something that is wrong ------------------------------------------------------------------------------------- */

struct bad_mutex {
    int is_held; /* __atomic */
};

static void bad_reset(void *at) { *(struct bad_mutex *)at = (struct bad_mutex){ 0 }; }

/* Looks, and then takes it. */
static void bad_act(struct lin_history *history, void *at, uint32_t who, uint64_t *random)
{
    struct bad_mutex *mutex = at;
    struct lin_op *op = lin_begin(history, who, LIN_LOCK, 0);
    bool is_held = __atomic_load_n(&mutex->is_held, __ATOMIC_SEQ_CST);
    skua_yield();
    if (!is_held)
        __atomic_store_n(&mutex->is_held, 1, __ATOMIC_SEQ_CST);
    lin_end(history, op, is_held ? -EAGAIN : 0);
    if (is_held)
        return;
    if (test_rand(random) % 2)
        skua_yield();
    op = lin_begin(history, who, LIN_UNLOCK, 0);
    __atomic_store_n(&mutex->is_held, 0, __ATOMIC_SEQ_CST);
    lin_end(history, op, 0);
}

static void play_badly(void *arg)
{
    struct bad_mutex mutex;
    (void)arg;
    play(&(struct object){ .spec = &lin_mutex, .reset = bad_reset, .act = bad_act, .at = &mutex });
}

TEST(a_mutex_that_is_none_is_seen)
{
    test_expect_abort(play_badly, NULL, "this history of a mutex is not linearizable");
}
