/* Cancel everywhere: channels. Every message is received once, or still with its sender, or still in the channel. */
#include "support/cancel_everywhere.h"

#include "skua/channel.h"

enum { CHANNELS = 2, WAYS = 4, EACH = 3, MESSAGES = WAYS * EACH };

struct channels {
    size_t capacity;
    bool is_closed; /* the channels, before the receivers are ended */
    skua_channel *channels[CHANNELS];
    unsigned char sent[MESSAGES], received[MESSAGES];
};

struct party {
    struct channels *all;
    int way; /* also which messages are its */
};

static void note_sent(struct channels *all, int message) { CHECK_EQ(all->sent[message]++, 0); }
static void note_received(struct channels *all, int message)
{
    CHECK(message >= 0 && message < MESSAGES);
    CHECK_EQ(all->received[message]++, 0);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int sends(void *arg)
{
    struct party *party = arg;
    for (int i = 0; i < EACH; i++) {
        int message = party->way * EACH + i, rc;
        rc = skua_send(party->all->channels[i % CHANNELS], &message);
        if (rc < 0)
            return rc;
        note_sent(party->all, message);
    }
    return 0;
}

static int sends_many(void *arg)
{
    struct party *party = arg;
    int messages[EACH];
    for (int i = 0; i < EACH; i++)
        messages[i] = party->way * EACH + i;
    int64_t sent = skua_send_many(party->all->channels[0], messages, EACH);
    for (int i = 0; i < sent; i++)
        note_sent(party->all, messages[i]);
    return 0;
}

/* Wherever there is room; and not for ever. */
static int sends_by_select(void *arg)
{
    struct party *party = arg;
    for (int i = 0; i < EACH; i++) {
        skua_channel_op ops[CHANNELS];
        skua_sleep_op nap;
        int message = party->way * EACH + i;
        int64_t arm = SKUA_SELECT(skua_send_prepare(&ops[0], party->all->channels[0], &message),
                                  skua_send_prepare(&ops[1], party->all->channels[1], &message),
                                  skua_sleep_prepare(&nap, 20 * SKUA_US));
        if (arm < 0)
            return (int)arm;
        if (arm < CHANNELS && ops[arm].result == 0)
            note_sent(party->all, message);
    }
    return 0;
}

struct sender {
    SKUA_FRAME;
    struct {
        struct party *party;
    } in;
    skua_channel_op op;
    int i, message;
};
SKUA_ASYNC(sender)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < EACH; self->i++) {
        self->message = self->in.party->way * EACH + self->i;
        SKUA_AWAIT(skua_send_start(&self->op, self->in.party->all->channels[self->i % CHANNELS], &self->message));
        if (self->op.result < 0)
            break;
        note_sent(self->in.party->all, self->message);
    }
    SKUA_END(0);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static int receives(void *arg)
{
    struct party *party = arg;
    int message, rc;
    SKUA_RECEIVE_EACH(rc, party->all->channels[party->way % CHANNELS], &message)
        note_received(party->all, message);
    return rc;
}

static int receives_many(void *arg)
{
    struct party *party = arg;
    int messages[2];
    int64_t count;
    while ((count = skua_receive_many(party->all->channels[party->way % CHANNELS], messages, 2)) > 0)
        for (int i = 0; i < count; i++)
            note_received(party->all, messages[i]);
    return 0;
}

static int receives_by_select(void *arg)
{
    struct party *party = arg;
    skua_channel_op ops[CHANNELS];
    int messages[CHANNELS] = { -1, -1 };
    bool is_open[CHANNELS] = { true, true };
    while (is_open[0] || is_open[1]) {
        skua_op *arms[CHANNELS];
        int which[CHANNELS], count = 0;
        for (int i = 0; i < CHANNELS; i++)
            if (is_open[i]) {
                arms[count] = skua_receive_prepare(&ops[i], party->all->channels[i], &messages[i]);
                which[count++] = i;
            }
        int64_t arm = skua_select_until(arms, (size_t)count, skua_after(15 * SKUA_US));
        if (arm == -ETIMEDOUT)
            continue;
        if (arm < 0)
            return (int)arm;
        int i = which[arm];
        if (ops[i].result == 1)
            note_received(party->all, messages[i]);
        else
            is_open[i] = false;
    }
    return 0;
}

struct receiver {
    SKUA_FRAME;
    struct {
        struct party *party;
    } in;
    skua_channel_op op;
    int message;
};
SKUA_ASYNC(receiver)
{
    SKUA_BEGIN(self);
    do {
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.party->all->channels[1], &self->message));
        if (self->op.result == 1)
            note_received(self->in.party->all, self->message);
    } while (self->op.result == 1);
    SKUA_END(self->op.result);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static int exchange(void *arg)
{
    static skua_fiber_fn *const senders[] = { sends, sends_many, sends_by_select };
    static skua_fiber_fn *const receivers[] = { receives, receives_many, receives_by_select };
    struct channels *all = arg;
    struct party parties[WAYS];
    skua_task *tasks[2 * WAYS];
    memset(all->sent, 0, sizeof all->sent);
    memset(all->received, 0, sizeof all->received);
    for (int i = 0; i < CHANNELS; i++)
        CHECK_OK(skua_channel_create(&all->channels[i], sizeof(int), all->capacity));
    for (int i = 0; i < WAYS; i++)
        parties[i] = (struct party){ all, i };
    for (int i = 0; i < WAYS - 1; i++) {
        CHECK_OK(skua_spawn(&tasks[i], senders[i], &parties[i]));
        CHECK_OK(skua_spawn(&tasks[WAYS + i], receivers[i], &parties[i]));
    }
    CHECK_OK(SKUA_SPAWN(&tasks[WAYS - 1], sender, .party = &parties[WAYS - 1]));
    CHECK_OK(SKUA_SPAWN(&tasks[2 * WAYS - 1], receiver, .party = &parties[WAYS - 1]));
    (void)skua_sleep(60 * SKUA_US);
    for (int i = 0; i < WAYS; i++)
        end_task(tasks[i]);
    for (int i = 0; i < CHANNELS && all->is_closed; i++)
        skua_channel_close(all->channels[i]);
    for (int i = WAYS; i < 2 * WAYS; i++)
        all->is_closed ? end_or_join(tasks[i]) : end_task(tasks[i]);
    return 0;
}

static void check_exchange(void *arg)
{
    struct channels *all = arg;
    for (int i = 0; i < CHANNELS; i++) {
        int message, rc;
        size_t length = skua_channel_length(all->channels[i]), taken = 0;
        for (; (rc = skua_try_receive(all->channels[i], &message)) == 1; taken++)
            note_received(all, message);
        CHECK_EQ(rc, all->is_closed ? 0 : -EAGAIN);
        CHECK_EQ(taken, length);
        CHECK_OK(skua_channel_destroy(all->channels[i]));
    }
    for (int i = 0; i < MESSAGES; i++)
        CHECK_EQ(all->received[i], all->sent[i]);
}

static void exchange_everywhere(size_t capacity)
{
    struct channels all = { .capacity = capacity };
    cancel_everywhere(exchange, check_exchange, &all);
    all.is_closed = true;
    cancel_everywhere(exchange, check_exchange, &all);
}

TEST(rendezvous) { exchange_everywhere(0); }
TEST(one_place) { exchange_everywhere(1); }
TEST(some_places) { exchange_everywhere(3); }
TEST(unbounded) { exchange_everywhere(SKUA_UNBOUNDED); }
