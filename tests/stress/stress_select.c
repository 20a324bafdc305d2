/* A million selects, many of them cancelled or too late, and an account of every message.
 *
 * Messages are numbers. Putters draw them one after the other and put each into one of some lanes, whichever a select
 * says; getters take them out likewise. Putters and getters are fibers, futures and plain threads; those that are tasks
 * are cancelled at any moment, and replaced; all of them give up now and then when an arm that sleeps is first, or
 * when a deadline passes. In the end every number that was drawn is either still with who drew it, whose put had no
 * effect, or was got exactly once.
 *
 * What a lane is made of is the test's: all are used by the same players.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "skua/channel.h"
#include "support/with_runtime.h"

enum { LANES = 4, PUTTERS = 6, GETTERS = 6, THREADS = 2, CANCELLERS = 2, TURNS_MAX = 40, WORKERS = 8 };
enum { SELECTS = 1000000 };

union lane_op {
    skua_op op;
    char room[192];
};

/* A lane: puts and gets are arms of selects, and what is left to do when the arm has been taken waits for nothing. */
struct lane_kind {
    const char *name;
    void (*init)(void *lane);
    void (*fini)(void *lane); /* or NULL */
    skua_op *(*prepare_put)(union lane_op *op, void *lane, int64_t *number);
    void (*put)(union lane_op *op, void *lane, int64_t number);
    skua_op *(*prepare_get)(union lane_op *op, void *lane, int64_t *number);
    void (*get)(union lane_op *op, void *lane, int64_t *number);
    int64_t (*left)(void *lane, int64_t *number); /* takes one that is left: 1, or 0: there is none */
};

enum fate { NOT_DRAWN, KEPT, PUT };

struct account {
    const struct lane_kind *kind;
    char lanes[LANES][512] __attribute__((aligned(64)));
    int64_t numbers; /* how many there may be */
    int64_t drawn, selects, puts, gets, cancelled, late, slept; /* __atomic */
    unsigned char *fates, *got;                              /* by number; got is __atomic */
    skua_waker wakers[PUTTERS + GETTERS];                    /* guarded by lock */
    pthread_mutex_t lock;
    int done; /* __atomic: 1: no more puts; 2: no more gets */
};

static void count(int64_t *counter) { __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED); }
static int stage(struct account *all) { return __atomic_load_n(&all->done, __ATOMIC_ACQUIRE); }

static void *lane(struct account *all, uint32_t i) { return all->lanes[i]; }

/* ---- players ----------------------------------------------------------------------------------------------------- */

/* What one player needs from one turn to the next. A putter that ends with a number in hand keeps it. */
struct player {
    struct account *all;
    uint64_t random;
    bool puts;
    int64_t number; /* in hand: to be put, or got; -1: none */
    union lane_op ops[LANES];
    skua_sleep_op nap;
    skua_op *arms[LANES + 1];
    uint32_t first;
};

static uint32_t draw(struct player *player, uint32_t below) { return (uint32_t)(test_rand(&player->random) % below); }

/* False: there is nothing more to do. */
static bool begin_turn(struct player *player)
{
    struct account *all = player->all;
    if (stage(all) >= (player->puts ? 1 : 2))
        return false;
    if (player->puts && player->number < 0) {
        player->number = __atomic_fetch_add(&all->drawn, 1, __ATOMIC_RELAXED);
        if (player->number >= all->numbers) {
            player->number = -1;
            return false;
        }
        all->fates[player->number] = KEPT;
    }
    return true;
}

/* Arms of all lanes, from any on, and a sleep, which is short for one in four. */
static skua_op *const *prepare(struct player *player)
{
    struct account *all = player->all;
    player->first = draw(player, LANES);
    for (uint32_t i = 0; i < LANES; i++) {
        void *at = lane(all, (player->first + i) % LANES);
        player->arms[i] = player->puts ? all->kind->prepare_put(&player->ops[i], at, &player->number)
                                       : all->kind->prepare_get(&player->ops[i], at, &player->number);
    }
    player->arms[LANES] = skua_sleep_prepare(&player->nap, draw(player, 4) == 0 ? draw(player, 20000) : 2 * SKUA_MS);
    return player->arms;
}

/* True: it goes on. */
static bool conclude(struct player *player, int64_t arm)
{
    struct account *all = player->all;
    count(&all->selects);
    if (arm == LANES || arm == -ETIMEDOUT) {
        count(arm == LANES ? &all->slept : &all->late);
        return true;
    }
    if (arm == -ECANCELED) {
        count(&all->cancelled);
        return false;
    }
    CHECK(arm >= 0 && arm < LANES);
    void *at = lane(all, (player->first + (uint32_t)arm) % LANES);
    if (player->puts) {
        int64_t number = player->number;
        player->number = -1;
        all->fates[number] = PUT;
        all->kind->put(&player->ops[arm], at, number);
        count(&all->puts);
    } else {
        all->kind->get(&player->ops[arm], at, &player->number);
        CHECK(player->number >= 0 && player->number < all->numbers);
        CHECK_EQ(__atomic_fetch_add(&all->got[player->number], 1, __ATOMIC_RELAXED), 0);
        player->number = -1;
        count(&all->gets);
    }
    return true;
}

static int64_t select_once(struct player *player)
{
    skua_op *const *arms = prepare(player);
    switch (draw(player, 8)) {
    case 0:
        return skua_select_until(arms, LANES + 1, skua_after(draw(player, 30000)));
    case 1:
        return skua_select_biased(arms, LANES + 1);
    default:
        return skua_select(arms, LANES + 1);
    }
}

static int plays(void *arg)
{
    struct player *player = arg;
    for (int turn = 0; turn < TURNS_MAX && begin_turn(player); turn++)
        if (!conclude(player, select_once(player)))
            break;
    return 0;
}

struct future_player {
    SKUA_FRAME;
    struct {
        struct player *player;
    } in;
    skua_selection selection;
    int turn;
};
SKUA_ASYNC(future_player)
{
    SKUA_BEGIN(self);
    for (self->turn = 0; self->turn < TURNS_MAX && begin_turn(self->in.player); self->turn++) {
        SKUA_AWAIT(skua_select_start(&self->selection, prepare(self->in.player), LANES + 1));
        if (!conclude(self->in.player, SKUA_RESULT(&self->selection)))
            break;
    }
    SKUA_END(0);
}

static void *plays_as_thread(void *arg)
{
    struct player *player = arg;
    while (begin_turn(player))
        CHECK(conclude(player, select_once(player)));
    return NULL;
}

/* ---- who keeps it going ------------------------------------------------------------------------------------------ */

struct seat {
    struct account *all;
    uint32_t index;
    uint64_t seed;
};

static void set_waker(struct account *all, uint32_t index, skua_waker waker)
{
    pthread_mutex_lock(&all->lock);
    all->wakers[index] = waker;
    pthread_mutex_unlock(&all->lock);
}

/* One task after the other, each for some turns, until there is nothing more to do. A number in hand is passed on. */
static int sits(void *arg)
{
    struct seat *seat = arg;
    struct account *all = seat->all;
    struct player *player = calloc(1, sizeof *player);
    CHECK(player != NULL);
    *player = (struct player){ .all = all, .random = seat->seed, .puts = seat->index < PUTTERS, .number = -1 };
    while (begin_turn(player)) {
        skua_task *task;
        if (draw(player, 2) == 0)
            CHECK_OK(skua_spawn(&task, plays, player));
        else
            CHECK_OK(SKUA_SPAWN(&task, future_player, .player = player));
        set_waker(all, seat->index, skua_task_waker(task));
        CHECK_OK(skua_join(task, NULL));
    }
    free(player);
    return 0;
}

static int cancels(void *arg)
{
    struct seat *seat = arg;
    uint64_t random = seat->seed;
    while (stage(seat->all) < 2) {
        pthread_mutex_lock(&seat->all->lock);
        skua_waker waker = seat->all->wakers[test_rand(&random) % (PUTTERS + GETTERS)];
        pthread_mutex_unlock(&seat->all->lock);
        skua_waker_cancel(waker);
        skua_sleep(test_rand(&random) % 20000);
    }
    return 0;
}

static void check_account(struct account *all)
{
    int64_t fates[3] = { 0, 0, 0 }, number, left = 0;
    for (uint32_t i = 0; i < LANES; i++)
        for (; all->kind->left(lane(all, i), &number) == 1; left++)
            CHECK_EQ(all->got[number]++, 0);
    for (int64_t i = 0; i < all->numbers; i++) {
        fates[all->fates[i]]++;
        CHECK_EQ(all->got[i], all->fates[i] == PUT);
    }
    CHECK_EQ(fates[PUT], all->puts);
    CHECK_EQ(all->puts, all->gets + left);
}

static void join_all(skua_task *tasks[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
}

static void finish(struct account *all, skua_task *getters[GETTERS])
{
    while (__atomic_load_n(&all->gets, __ATOMIC_ACQUIRE) < __atomic_load_n(&all->puts, __ATOMIC_ACQUIRE))
        skua_sleep(100000);
    __atomic_store_n(&all->done, 2, __ATOMIC_RELEASE);
    join_all(getters, GETTERS);
}

static int stress(void *arg)
{
    struct account *all = arg;
    struct seat seats[PUTTERS + GETTERS + CANCELLERS];
    skua_task *tasks[PUTTERS + GETTERS + CANCELLERS];
    for (uint32_t i = 0; i < PUTTERS + GETTERS + CANCELLERS; i++) {
        seats[i] = (struct seat){ all, i, test_seed() * 1000 + i };
        CHECK_OK(skua_spawn(&tasks[i], i < PUTTERS + GETTERS ? sits : cancels, &seats[i]));
    }
    join_all(tasks, PUTTERS);
    __atomic_store_n(&all->done, 1, __ATOMIC_RELEASE);
    finish(all, tasks + PUTTERS);
    join_all(tasks + PUTTERS + GETTERS, CANCELLERS);
    return 0;
}

static struct account *account_create(const struct lane_kind *kind, int64_t numbers)
{
    struct account *all = aligned_alloc(64, sizeof *all);
    CHECK(all != NULL);
    *all = (struct account){ .kind = kind, .numbers = numbers, .lock = PTHREAD_MUTEX_INITIALIZER };
    all->fates = calloc((size_t)numbers, 1);
    all->got = calloc((size_t)numbers, 1);
    CHECK(all->fates != NULL && all->got != NULL);
    for (uint32_t i = 0; i < LANES; i++)
        kind->init(lane(all, i));
    return all;
}

static void account_destroy(struct account *all)
{
    for (uint32_t i = 0; i < LANES && all->kind->fini != NULL; i++)
        all->kind->fini(lane(all, i));
    free(all->fates);
    free(all->got);
    free(all);
}

/* Plain threads beside it, unless it is a simulation. */
struct helpers {
    pthread_t threads[2 * THREADS];
    struct player players[2 * THREADS];
};

static void start_helpers(struct helpers *helpers, struct account *all)
{
    for (uint32_t i = 0; i < 2 * THREADS; i++) {
        helpers->players[i] = (struct player){ .all = all, .random = test_seed() * 77 + i, .puts = i < THREADS,
                                               .number = -1 };
        CHECK_EQ(pthread_create(&helpers->threads[i], NULL, plays_as_thread, &helpers->players[i]), 0);
    }
}

static void join_helpers(struct helpers *helpers)
{
    for (uint32_t i = 0; i < 2 * THREADS; i++)
        CHECK_EQ(pthread_join(helpers->threads[i], NULL), 0);
}

static void stress_for_real(const struct lane_kind *kind)
{
    struct account *all = account_create(kind, (int64_t)test_scaled(SELECTS / 2));
    struct helpers *helpers = calloc(1, sizeof *helpers);
    CHECK(helpers != NULL);
    start_helpers(helpers, all);
    CHECK_EQ(run_on(WORKERS, stress, all), 0);
    join_helpers(helpers);
    check_account(all);
    printf("  %s: %lld selects; %lld messages; %lld cancelled, %lld too late, %lld slept\n", kind->name,
           (long long)all->selects, (long long)all->puts, (long long)all->cancelled, (long long)all->late,
           (long long)all->slept);
    free(helpers);
    account_destroy(all);
}

static void stress_simulated(const struct lane_kind *kind)
{
    uint64_t end = test_seed() + test_scaled(60);
    for (uint64_t seed = test_seed(); seed < end; seed++) {
        struct account *all = account_create(kind, 100);
        CHECK_EQ(run_seeded(seed, 1 + (uint32_t)(seed % 6), stress, all), 0);
        check_account(all);
        account_destroy(all);
    }
}

/* ---- boxes of one message, made of two events -------------------------------------------------------------------- */

struct box {
    skua_event empty, full; /* one of them is set, or somebody has the box in hand */
    int64_t number;
};

static void box_init(void *lane)
{
    struct box *box = lane;
    skua_event_init(&box->empty, SKUA_EVENT_AUTO);
    skua_event_init(&box->full, SKUA_EVENT_AUTO);
    skua_event_set(&box->empty);
}

static skua_op *box_prepare_put(union lane_op *op, void *lane, int64_t *number)
{
    (void)number;
    return skua_event_wait_prepare(&op->op, &((struct box *)lane)->empty);
}

static void box_put(union lane_op *op, void *lane, int64_t number)
{
    struct box *box = lane;
    CHECK_EQ(op->op.result, 0);
    box->number = number;
    skua_event_set(&box->full);
}

static skua_op *box_prepare_get(union lane_op *op, void *lane, int64_t *number)
{
    (void)number;
    return skua_event_wait_prepare(&op->op, &((struct box *)lane)->full);
}

static void box_get(union lane_op *op, void *lane, int64_t *number)
{
    struct box *box = lane;
    CHECK_EQ(op->op.result, 0);
    *number = box->number;
    skua_event_set(&box->empty);
}

static int64_t box_left(void *lane, int64_t *number)
{
    struct box *box = lane;
    CHECK(box->empty.waiters.first == NULL && box->full.waiters.first == NULL);
    if (!skua_event_reset(&box->full))
        return 0;
    *number = box->number;
    skua_event_set(&box->empty);
    return 1;
}

static const struct lane_kind boxes = { "boxes",         box_init, NULL, box_prepare_put, box_put,
                                        box_prepare_get, box_get,  box_left };

TEST(boxes_on_real_workers) { stress_for_real(&boxes); }
TEST(boxes_under_seeds) { stress_simulated(&boxes); }

/* ---- channels ---------------------------------------------------------------------------------------------------- */

static void channel_init(void *lane, size_t capacity)
{
    CHECK_OK(skua_channel_create(lane, sizeof(int64_t), capacity));
}
static void rendezvous_init(void *lane) { channel_init(lane, 0); }
static void small_init(void *lane) { channel_init(lane, 2); }
static void unbounded_init(void *lane) { channel_init(lane, SKUA_UNBOUNDED); }
static void channel_fini(void *lane) { CHECK_OK(skua_channel_destroy(*(skua_channel **)lane)); }

static skua_op *channel_prepare_put(union lane_op *op, void *lane, int64_t *number)
{
    return skua_send_prepare((skua_channel_op *)op, *(skua_channel **)lane, number);
}

static void channel_put(union lane_op *op, void *lane, int64_t number)
{
    (void)lane;
    (void)number;
    CHECK_EQ(op->op.result, 0);
}

static skua_op *channel_prepare_get(union lane_op *op, void *lane, int64_t *number)
{
    return skua_receive_prepare((skua_channel_op *)op, *(skua_channel **)lane, number);
}

static void channel_get(union lane_op *op, void *lane, int64_t *number)
{
    (void)lane;
    (void)number;
    CHECK_EQ(op->op.result, 1);
}

static int64_t channel_left(void *lane, int64_t *number)
{
    return skua_try_receive(*(skua_channel **)lane, number) == 1;
}

#define CHANNELS(name, init)                                                                                     \
    { name, init, channel_fini, channel_prepare_put, channel_put, channel_prepare_get, channel_get, channel_left }

static const struct lane_kind channels[] = { CHANNELS("rendezvous", rendezvous_init),
                                             CHANNELS("channels of two", small_init),
                                             CHANNELS("unbounded channels", unbounded_init) };

TEST(channels_on_real_workers)
{
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++)
        stress_for_real(&channels[i]);
}

TEST(channels_under_seeds)
{
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++)
        stress_simulated(&channels[i]);
}
