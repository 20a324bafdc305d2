/* Channels, by the books: whatever is cancelled, late, closed or selected otherwise meanwhile, each value that was sent
 * is received exactly once and no other is, and nobody receives one sender's values out of order.
 *
 * A sender numbers its values and goes on to the next number only when told that the last one was sent. So what is in
 * the books at the end is, for each sender, 0 … sent - 1, once each.
 */
#include "skua/channel.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/with_runtime.h"

enum { SENDERS = 6, RECEIVERS = 5, MOST = 4000 };

struct message {
    uint32_t sender, number;
    uint64_t check;
};

struct books {
    skua_channel *channel;
    uint64_t seed;
    uint32_t rounds;
    uint32_t sent[SENDERS];
    uint8_t seen[SENDERS][MOST]; /* __atomic */
};

struct party {
    struct books *books;
    uint32_t id;
};

static struct message message_of(uint32_t sender, uint32_t number)
{
    return (struct message){ sender, number, ((uint64_t)sender << 32 | number) * UINT64_C(0x9e3779b97f4a7c15) };
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int64_t send_in_some_way(skua_channel *channel, uint32_t sender, uint32_t number, uint64_t *random)
{
    struct message message = message_of(sender, number), two[2];
    skua_channel_op op;
    skua_sleep_op nap;
    int64_t rc;
    switch (test_rand(random) % 6) {
    case 0:
        return skua_try_send(channel, &message);
    case 1:
        return skua_send_until(channel, &message, skua_after(test_rand(random) % 3000));
    case 2:
        two[0] = message;
        two[1] = message_of(sender, number + 1);
        rc = skua_send_many(channel, two, 2);
        return rc > 0 ? rc - 1 : rc;
    case 3:
        rc = SKUA_SELECT(skua_send_prepare(&op, channel, &message),
                         skua_sleep_prepare(&nap, test_rand(random) % 3000));
        return rc == 0 ? op.result : rc < 0 ? rc : -EAGAIN;
    case 4: {
        SKUA_DEADLINE(test_rand(random) % 3000);
        return skua_await(skua_send_start(&op, channel, &message));
    }
    default:
        return skua_send(channel, &message);
    }
}

/* Until enough are sent, or it is closed. Cancelled, it goes on: who was cancelled once cannot wait any more. */
static int sends(void *arg)
{
    struct party *party = arg;
    struct books *books = party->books;
    uint64_t random = books->seed + party->id;
    uint32_t number = 0;
    while (number < books->rounds) {
        int64_t rc = send_in_some_way(books->channel, party->id, number, &random);
        if (rc >= 0)
            number += 1 + (uint32_t)rc;
        else if (rc == -EAGAIN)
            skua_yield();
        else if (rc != -ETIMEDOUT)
            break;
    }
    books->sent[party->id] = number;
    return 0;
}

static void *sends_in_thread(void *arg)
{
    sends(arg);
    return NULL;
}

struct sends_future {
    SKUA_FRAME;
    struct {
        struct party *party;
    } in;
    skua_channel_op op;
    struct message message;
};
SKUA_ASYNC(sends_future)
{
    SKUA_BEGIN(self);
    self->message.number = 0;
    while (self->message.number < self->in.party->books->rounds) {
        self->message = message_of(self->in.party->id, self->message.number);
        SKUA_AWAIT(skua_send_start(&self->op, self->in.party->books->channel, &self->message));
        if (self->op.result < 0)
            break;
        self->message.number++;
    }
    self->in.party->books->sent[self->in.party->id] = self->message.number;
    SKUA_END(0);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static int64_t receive_in_some_way(skua_channel *channel, struct message *messages, uint64_t *random)
{
    skua_channel_op op;
    skua_sleep_op nap;
    int64_t rc;
    switch (test_rand(random) % 6) {
    case 0:
        return skua_try_receive(channel, messages);
    case 1:
        return skua_receive_until(channel, messages, skua_after(test_rand(random) % 3000));
    case 2:
        return skua_receive_many(channel, messages, 1 + test_rand(random) % 4);
    case 3:
        rc = SKUA_SELECT(skua_receive_prepare(&op, channel, messages),
                         skua_sleep_prepare(&nap, test_rand(random) % 3000));
        return rc == 0 ? op.result : rc < 0 ? rc : -EAGAIN;
    case 4: {
        SKUA_DEADLINE(test_rand(random) % 3000);
        return skua_await(skua_receive_start(&op, channel, messages));
    }
    default:
        return skua_receive(channel, messages);
    }
}

static void enter(struct books *books, const struct message *message, int64_t *last)
{
    CHECK(message->sender < SENDERS && message->number < MOST);
    CHECK_EQ(message->check, message_of(message->sender, message->number).check);
    CHECK(message->number > last[message->sender]);
    last[message->sender] = message->number;
    CHECK_EQ(__atomic_add_fetch(&books->seen[message->sender][message->number], 1, __ATOMIC_RELAXED), 1);
}

/* Until the end, or until it is cancelled. */
static int receives(void *arg)
{
    struct party *party = arg;
    struct books *books = party->books;
    uint64_t random = books->seed + 1000 + party->id;
    struct message messages[4];
    int64_t last[SENDERS], rc;
    memset(last, -1, sizeof last);
    do {
        rc = receive_in_some_way(books->channel, messages, &random);
        for (int64_t i = 0; i < rc; i++)
            enter(books, &messages[i], last);
        if (rc == -EAGAIN)
            skua_yield();
    } while (rc > 0 || rc == -EAGAIN || rc == -ETIMEDOUT);
    CHECK(rc == 0 || rc == -ECANCELED);
    return 0;
}

static void *receives_in_thread(void *arg)
{
    receives(arg);
    return NULL;
}

struct receives_future {
    SKUA_FRAME;
    struct {
        struct party *party;
    } in;
    skua_channel_op op;
    struct message message;
    int64_t last[SENDERS];
};
SKUA_ASYNC(receives_future)
{
    SKUA_BEGIN(self);
    memset(self->last, -1, sizeof self->last);
    for (;;) {
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.party->books->channel, &self->message));
        if (self->op.result != 1)
            break;
        enter(self->in.party->books, &self->message, self->last);
    }
    SKUA_END(0);
}

/* ---- the books --------------------------------------------------------------------------------------------------- */

/* What nobody has received lies in the channel. */
static void balance(struct books *books)
{
    struct party last_one = { books, RECEIVERS };
    skua_channel_close(books->channel);
    receives(&last_one);
    CHECK_EQ(skua_channel_length(books->channel), 0);
    for (uint32_t sender = 0; sender < SENDERS; sender++)
        for (uint32_t number = 0; number < MOST; number++)
            CHECK_EQ(books->seen[sender][number], number < books->sent[sender] ? 1 : 0);
    CHECK_OK(skua_channel_destroy(books->channel));
}

static struct books *open_books(size_t capacity, uint32_t rounds, uint64_t seed)
{
    struct books *books = calloc(1, sizeof *books);
    CHECK(books != NULL);
    books->seed = seed;
    books->rounds = rounds < MOST - 1 ? rounds : MOST - 2;
    CHECK_OK(skua_channel_create(&books->channel, sizeof(struct message), capacity));
    return books;
}

static const size_t capacities[] = { 0, 1, 5, 64, SKUA_UNBOUNDED };
enum { CAPACITIES = sizeof capacities / sizeof capacities[0] };

enum disturbance { NONE, CLOSES, CANCELS, DISTURBANCES };

static void disturb(struct books *books, enum disturbance what, skua_task **senders, skua_task **receivers)
{
    uint64_t random = books->seed + 77;
    for (uint64_t i = test_rand(&random) % 60; i > 0; i--)
        skua_yield();
    if (what == CLOSES)
        skua_channel_close(books->channel);
    for (int i = 0; what == CANCELS && i < 3; i++) { /* not all receivers: somebody must go on */
        skua_cancel(senders[test_rand(&random) % SENDERS]);
        skua_cancel(receivers[test_rand(&random) % 3]);
        skua_yield();
    }
}

static void trade(size_t capacity, enum disturbance what, uint64_t seed)
{
    struct books *books = open_books(capacity, (uint32_t)test_scaled(60), seed);
    struct party parties[SENDERS > RECEIVERS ? SENDERS : RECEIVERS];
    skua_task *senders[SENDERS], *receivers[RECEIVERS];
    for (uint32_t i = 0; i < SENDERS; i++)
        parties[i] = (struct party){ books, i };
    for (uint32_t i = 0; i < SENDERS; i++) {
        if (i % 3 == 2)
            CHECK_OK(SKUA_SPAWN(&senders[i], sends_future, .party = &parties[i]));
        else
            CHECK_OK(skua_spawn(&senders[i], sends, &parties[i]));
        if (i >= RECEIVERS)
            continue;
        if (i % 3 == 1)
            CHECK_OK(SKUA_SPAWN(&receivers[i], receives_future, .party = &parties[i]));
        else
            CHECK_OK(skua_spawn(&receivers[i], receives, &parties[i]));
    }
    disturb(books, what, senders, receivers);
    for (int i = 0; i < SENDERS; i++)
        CHECK_OK(skua_join(senders[i], NULL));
    skua_channel_close(books->channel);
    for (int i = 0; i < RECEIVERS; i++)
        CHECK_OK(skua_join(receivers[i], NULL));
    balance(books);
    free(books);
}

static int trades(void *arg)
{
    (void)arg;
    uint64_t random = test_seed() ^ (uint64_t)skua_now();
    for (int c = 0; c < CAPACITIES; c++)
        for (enum disturbance what = NONE; what < DISTURBANCES; what++)
            trade(capacities[c], what, test_rand(&random));
    return 0;
}
TEST(tasks_trade) { run_everywhere(trades, NULL); }

/* ---- with threads outside the runtime ---------------------------------------------------------------------------- */

static int fibers_among_threads(void *arg)
{
    struct party *parties = arg;
    skua_task *senders[3], *receivers[2];
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&senders[i], sends, &parties[i]));
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn(&receivers[i], receives, &parties[i]));
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(senders[i], NULL));
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(receivers[i], NULL));
    return 0;
}

struct runs_fibers {
    struct party *parties;
    uint32_t workers;
};
static void *runs_fibers(void *arg)
{
    struct runs_fibers *runs = arg;
    CHECK_EQ(run_on(runs->workers, fibers_among_threads, runs->parties), 0);
    return NULL;
}

TEST(threads_and_tasks_trade)
{
    test_allow_heap_growth(4096); /* libc keeps what it makes for the second thread that allocates at once */
    for (int c = 0; c < CAPACITIES; c++) {
        struct books *books = open_books(capacities[c], (uint32_t)test_scaled(1000), test_seed() + (uint64_t)c);
        struct party parties[SENDERS];
        struct runs_fibers runs = { parties, 1 + (uint32_t)c };
        pthread_t senders[3], receivers[2], runtime;
        for (uint32_t i = 0; i < SENDERS; i++)
            parties[i] = (struct party){ books, i };
        CHECK_EQ(pthread_create(&runtime, NULL, runs_fibers, &runs), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_create(&senders[i], NULL, sends_in_thread, &parties[3 + i]), 0);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(pthread_create(&receivers[i], NULL, receives_in_thread, &parties[2 + i]), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_join(senders[i], NULL), 0);
        if (c % 2) /* the fibers' senders may be under way */
            skua_channel_close(books->channel);
        else
            while (skua_channel_length(books->channel) > 5)
                skua_yield();
        skua_channel_close(books->channel);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(pthread_join(receivers[i], NULL), 0);
        CHECK_EQ(pthread_join(runtime, NULL), 0);
        balance(books);
        free(books);
    }
}
