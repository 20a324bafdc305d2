/* Channels and select: ping_pong, ping_pong_1000, chan_1_1_128, chan_4_4_128, chan_4_1_unbounded, chan_foreign,
 * select_4; by futures and, as "/fiber", by fibers.
 */
#include <pthread.h>

#include "bench/cases/work.h"
#include "skua/channel.h"

static skua_channel *channel_of(size_t capacity)
{
    skua_channel *channel;
    work_must(skua_channel_create(&channel, sizeof(int64_t), capacity));
    return channel;
}

/* ---- ping-pong --------------------------------------------------------------------------------------------------- */

/* As on tokio, whose channels have no less. A send finds its receiver waiting: whether there is room is not asked. */
enum { ROOM = 1 };

struct pair {
    skua_channel *ping, *pong;
    struct count *count;
    int64_t trips;
};

static int first_player(void *arg)
{
    struct pair pair = *(struct pair *)arg;
    int64_t back;
    for (int64_t i = 0; i < pair.trips; i++) {
        work_must(skua_send(pair.ping, &i));
        work_must(skua_receive(pair.pong, &back));
        work_check("trip", back, i);
    }
    count_down(pair.count);
    return 0;
}

static int second_player(void *arg)
{
    struct pair pair = *(struct pair *)arg;
    int64_t came;
    for (int64_t i = 0; i < pair.trips; i++) {
        work_must(skua_receive(pair.ping, &came));
        work_check("trip", came, i);
        work_must(skua_send(pair.pong, &i));
    }
    count_down(pair.count);
    return 0;
}

static void open_pair(struct pair *pair, struct count *count, int64_t trips)
{
    *pair = (struct pair){ channel_of(ROOM), channel_of(ROOM), count, trips };
}

static void close_pair(const struct pair *pair)
{
    work_must(skua_channel_destroy(pair->ping));
    work_must(skua_channel_destroy(pair->pong));
}

static int start_fibers(struct pair *pair)
{
    work_must(skua_go(first_player, pair));
    return skua_go(second_player, pair);
}

static int64_t play(int (*start)(struct pair *pair), int npairs, int64_t trips)
{
    static struct pair pairs[PAIRS];
    struct count *count = work_count(2 * npairs);
    for (int i = 0; i < npairs; i++) {
        open_pair(&pairs[i], count, trips);
        work_must(start(&pairs[i]));
    }
    wait_for_zero(count);
    for (int i = 0; i < npairs; i++)
        close_pair(&pairs[i]);
    return npairs * trips;
}

struct first {
    SKUA_FRAME;
    struct {
        const struct pair *pair;
    } in;
    int64_t i, back;
    skua_channel_op op;
};
SKUA_ASYNC(first)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.pair->trips; self->i++) {
        SKUA_AWAIT(skua_send_start(&self->op, self->in.pair->ping, &self->i));
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.pair->pong, &self->back));
        work_check("trip", self->back, self->i);
    }
    count_down(self->in.pair->count);
    SKUA_END(0);
}

struct second {
    SKUA_FRAME;
    struct {
        const struct pair *pair;
    } in;
    int64_t i, came;
    skua_channel_op op;
};
SKUA_ASYNC(second)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.pair->trips; self->i++) {
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.pair->ping, &self->came));
        work_check("trip", self->came, self->i);
        SKUA_AWAIT(skua_send_start(&self->op, self->in.pair->pong, &self->i));
    }
    count_down(self->in.pair->count);
    SKUA_END(0);
}

static int start_futures(struct pair *pair)
{
    work_must(SKUA_GO(first, .pair = pair));
    return SKUA_GO(second, .pair = pair);
}

static int64_t ping_pong_fiber(void) { return play(start_fibers, 1, TRIPS); }
static int64_t ping_pong(void) { return play(start_futures, 1, TRIPS); }
static int64_t ping_pong_1000_fiber(void) { return play(start_fibers, PAIRS, PAIR_TRIPS); }
static int64_t ping_pong_1000(void) { return play(start_futures, PAIRS, PAIR_TRIPS); }

/* ---- many messages one way --------------------------------------------------------------------------------------- */

struct line {
    skua_channel *channel;
    int64_t each;       /* of each sender the numbers below this */
    int64_t sending;    /* atomic: senders that have not ended; the last one closes the channel */
    int64_t count, sum; /* atomic: what receivers have got, all of them together */
    struct count *left; /* tasks at either end */
};

static void end_sending(struct line *line)
{
    if (__atomic_sub_fetch(&line->sending, 1, __ATOMIC_ACQ_REL) == 0)
        skua_channel_close(line->channel);
    count_down(line->left);
}

static void end_receiving(struct line *line, int64_t count, int64_t sum)
{
    __atomic_add_fetch(&line->count, count, __ATOMIC_RELAXED);
    __atomic_add_fetch(&line->sum, sum, __ATOMIC_RELAXED);
    count_down(line->left);
}

static int sender(void *arg)
{
    struct line *line = arg;
    skua_channel *channel = line->channel;
    int64_t each = line->each;
    for (int64_t i = 0; i < each; i++)
        work_must(skua_send(channel, &i));
    end_sending(line);
    return 0;
}

static int receiver(void *arg)
{
    struct line *line = arg;
    skua_channel *channel = line->channel;
    int64_t value, count = 0, sum = 0;
    int rc;
    SKUA_RECEIVE_EACH(rc, channel, &value) {
        count++;
        sum += value;
    }
    work_must(rc);
    end_receiving(line, count, sum);
    return 0;
}

struct sending {
    SKUA_FRAME;
    struct {
        struct line *line;
    } in;
    int64_t i;
    skua_channel_op op;
};
SKUA_ASYNC(sending)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.line->each; self->i++) {
        SKUA_AWAIT(skua_send_start(&self->op, self->in.line->channel, &self->i));
        work_must((int)self->op.result);
    }
    end_sending(self->in.line);
    SKUA_END(0);
}

struct receiving {
    SKUA_FRAME;
    struct {
        struct line *line;
    } in;
    int64_t value, count, sum;
    skua_channel_op op;
};
SKUA_ASYNC(receiving)
{
    SKUA_BEGIN(self);
    self->count = self->sum = 0;
    for (;;) {
        SKUA_AWAIT(skua_receive_start(&self->op, self->in.line->channel, &self->value));
        if (self->op.result != 1)
            break;
        self->count++;
        self->sum += self->value;
    }
    work_must((int)self->op.result);
    end_receiving(self->in.line, self->count, self->sum);
    SKUA_END(0);
}

static void open_line(struct line *line, size_t capacity, int senders, int64_t messages, struct count *left)
{
    *line = (struct line){
        .channel = channel_of(capacity), .each = messages / senders, .sending = senders, .left = left
    };
}

/* What has come is all that was sent. */
static int64_t check_line(const struct line *line, int senders)
{
    wait_for_zero(line->left);
    work_check("messages", line->count, senders * line->each);
    work_check("sum of messages", line->sum, senders * (line->each * (line->each - 1) / 2));
    return senders * line->each;
}

static void start_line_fibers(struct line *line, int senders, int receivers)
{
    for (int i = 0; i < senders; i++)
        work_must(skua_go(sender, line));
    for (int i = 0; i < receivers; i++)
        work_must(skua_go(receiver, line));
}

static void start_line_futures(struct line *line, int senders, int receivers)
{
    for (int i = 0; i < senders; i++)
        work_must(SKUA_GO(sending, .line = line));
    for (int i = 0; i < receivers; i++)
        work_must(SKUA_GO(receiving, .line = line));
}

typedef void start_line_fn(struct line *line, int senders, int receivers);

static int64_t transfer(start_line_fn *start, size_t capacity, int senders, int receivers)
{
    struct line line;
    open_line(&line, capacity, senders, MESSAGES, work_count(senders + receivers));
    start(&line, senders, receivers);
    int64_t ops = check_line(&line, senders);
    work_must(skua_channel_destroy(line.channel));
    return ops;
}

static int64_t chan_1_1_128(void) { return transfer(start_line_futures, CAPACITY, 1, 1); }
static int64_t chan_1_1_128_fiber(void) { return transfer(start_line_fibers, CAPACITY, 1, 1); }
static int64_t chan_4_4_128(void) { return transfer(start_line_futures, CAPACITY, SENDERS, SENDERS); }
static int64_t chan_4_4_128_fiber(void) { return transfer(start_line_fibers, CAPACITY, SENDERS, SENDERS); }
static int64_t chan_4_1_unbounded(void) { return transfer(start_line_futures, SKUA_UNBOUNDED, SENDERS, 1); }
static int64_t chan_4_1_unbounded_fiber(void) { return transfer(start_line_fibers, SKUA_UNBOUNDED, SENDERS, 1); }

static void *foreign_sender(void *line)
{
    sender(line);
    return NULL;
}

static int64_t from_foreign(start_line_fn *start)
{
    struct line line;
    pthread_t thread;
    open_line(&line, CAPACITY, 1, FOREIGN, work_count(2));
    if (pthread_create(&thread, NULL, foreign_sender, &line) != 0)
        work_die("chan_foreign", "no thread");
    start(&line, 0, 1);
    int64_t ops = check_line(&line, 1);
    pthread_join(thread, NULL);
    work_must(skua_channel_destroy(line.channel));
    return ops;
}

static int64_t chan_foreign(void) { return from_foreign(start_line_futures); }
static int64_t chan_foreign_fiber(void) { return from_foreign(start_line_fibers); }

/* ---- select ------------------------------------------------------------------------------------------------------ */

struct four {
    struct line lines[4];
    struct count *left;
    int64_t sum;
};

static int selector(void *arg)
{
    struct four *four = arg;
    skua_channel_op ops[4];
    int64_t values[4], sum = 0;
    for (int i = 0; i < 4; i++)
        skua_receive_prepare(&ops[i], four->lines[i].channel, &values[i]);
    for (int n = 0; n < SELECTED; n++) {
        int64_t arm = SKUA_SELECT(&ops[0].op, &ops[1].op, &ops[2].op, &ops[3].op);
        work_must((int)arm);
        work_check("received", ops[arm].result, 1);
        sum += values[arm];
    }
    four->sum = sum;
    count_down(four->left);
    return 0;
}

struct selecting {
    SKUA_FRAME;
    struct {
        struct four *four;
    } in;
    skua_op *arms[4];
    skua_channel_op ops[4];
    int64_t values[4], sum;
    int n;
    skua_selection selection;
};
SKUA_ASYNC(selecting)
{
    SKUA_BEGIN(self);
    for (int i = 0; i < 4; i++)
        self->arms[i] = skua_receive_prepare(&self->ops[i], self->in.four->lines[i].channel, &self->values[i]);
    self->sum = 0;
    for (self->n = 0; self->n < SELECTED; self->n++) {
        SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 4));
        work_must((int)SKUA_RESULT(&self->selection));
        work_check("received", self->ops[SKUA_RESULT(&self->selection)].result, 1);
        self->sum += self->values[SKUA_RESULT(&self->selection)];
    }
    self->in.four->sum = self->sum;
    count_down(self->in.four->left);
    SKUA_END(0);
}

/* The channels stay open, as an end is something to receive as well. */
static void open_four(struct four *four)
{
    *four = (struct four){ .left = work_count(5) };
    for (int i = 0; i < 4; i++) {
        open_line(&four->lines[i], CAPACITY, 1, SELECTED / 4, four->left);
        four->lines[i].sending++;
    }
}

static int64_t check_four(struct four *four)
{
    int64_t each = SELECTED / 4;
    wait_for_zero(four->left);
    work_check("sum of messages", four->sum, 4 * (each * (each - 1) / 2));
    for (int i = 0; i < 4; i++) {
        work_check("messages left", (int64_t)skua_channel_length(four->lines[i].channel), 0);
        work_must(skua_channel_destroy(four->lines[i].channel));
    }
    return SELECTED;
}

static int64_t select_4_fiber(void)
{
    struct four four;
    open_four(&four);
    for (int i = 0; i < 4; i++)
        work_must(skua_go(sender, &four.lines[i]));
    work_must(skua_go(selector, &four));
    return check_four(&four);
}

static int64_t select_4(void)
{
    struct four four;
    open_four(&four);
    for (int i = 0; i < 4; i++)
        work_must(SKUA_GO(sending, .line = &four.lines[i]));
    work_must(SKUA_GO(selecting, .four = &four));
    return check_four(&four);
}

const struct work work_of_channel[] = {
    { "ping_pong", ping_pong },
    { "ping_pong/fiber", ping_pong_fiber },
    { "ping_pong_1000", ping_pong_1000 },
    { "ping_pong_1000/fiber", ping_pong_1000_fiber },
    { "chan_1_1_128", chan_1_1_128 },
    { "chan_1_1_128/fiber", chan_1_1_128_fiber },
    { "chan_4_4_128", chan_4_4_128 },
    { "chan_4_4_128/fiber", chan_4_4_128_fiber },
    { "chan_4_1_unbounded", chan_4_1_unbounded },
    { "chan_4_1_unbounded/fiber", chan_4_1_unbounded_fiber },
    { "chan_foreign", chan_foreign },
    { "chan_foreign/fiber", chan_foreign_fiber },
    { "select_4", select_4 },
    { "select_4/fiber", select_4_fiber },
    { NULL, NULL },
};
