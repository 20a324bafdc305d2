/* Channels, many values in one call (sync/channel_batch.c): against others that do so, that wait one by one, that close
 * or that are cancelled, each value that was sent is received once and in order, and nobody waits in vain.
 */
/* model-sources: sync/channel_batch.c sync/channel.c sync/channel_store.c sched/op.c */
/* model-defines: SKUAI_MODEL_FRESH=1 malloc=get free=drop SKUAI_CHANNEL_SEGMENT_BYTES=8 SKUAI_CHANNEL_SEGMENT_FEW=1 */
#include <stdlib.h>

#include "model/waits.h"
#include "skua/scope.h"
#include "sync/channel.h"

enum { RING = 2, MOST = 4, PIECES = 4 };

static struct skua_channel channel;
static struct {
    struct skuai_channel_segment segment;
    uint64_t values[RING];
} store;
static struct piece {
    struct skuai_channel_segment segment;
    uint64_t value;
} pieces[PIECES]; /* of an unbounded one */
static unsigned taken, may_take, freed_pieces;

static uint64_t sent[MOST] = { 1, 2, 3, 4 }, received[MC_THREADS][MOST];
static enum waits_how hows[MC_THREADS];
static int64_t got[MC_THREADS];
static unsigned seen; /* a bit for each value received */
static uint64_t last;
static bool in_order;

/* ---- what the library asks for ---- */

void *malloc(size_t size)
{
    mc_assert(size == sizeof pieces[0] && taken < PIECES, "not a segment for one value");
    if (taken == may_take)
        return NULL;
    struct piece *piece = &pieces[taken++]; /* once each */
    memset(piece, 0xa5, sizeof *piece);
    return piece;
}
void free(void *piece)
{
    mc_free(piece, sizeof pieces[0]);
    freed_pieces++;
}

int64_t skua_await(skua_op *op)
{
    int64_t result = waits_await(op, hows[mc.current]);
    mc_free(op, sizeof *op);
    return result;
}
int64_t skua_await_until(skua_op *op, uint64_t instant_ns)
{
    (void)instant_ns;
    return skua_await(op);
}
bool skuai_may_linger(const struct skuai_worker *worker) { (void)worker; return false; }
int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result) { return skuai_call_end(worker, result); }

/* ---- users ---- */

static void note(uint64_t value)
{
    mc_assert(value >= 1 && value <= MOST && (seen & 1u << value) == 0, "received twice, or never sent");
    mc_assert(!in_order || value > last, "out of order");
    seen |= 1u << value;
    last = value;
}
static unsigned first_bits(int64_t count) { return ((1u << count) - 1) << 1; }

static void sends_many(void *arg) { got[mc.current] = skua_send_many(&channel, sent, (size_t)(uintptr_t)arg); }
static void sends_one(void *arg) { got[mc.current] = skua_send(&channel, &sent[(uintptr_t)arg - 1]); }

static int64_t receive_up_to(size_t max)
{
    uint64_t *values = received[mc.current];
    int64_t n = skua_receive_many(&channel, values, max);
    mc_assert(n <= (int64_t)max, "more than there is room for");
    for (int64_t i = 0; i < n; i++)
        note(SKUAI_READ(values[i]));
    return n;
}
static void receives_many(void *arg)
{
    size_t all = (size_t)(uintptr_t)arg, rest = all;
    while (rest != 0) {
        int64_t n = receive_up_to(rest);
        mc_assert(n > 0, "a value was lost");
        rest -= (size_t)n;
    }
    got[mc.current] = (int64_t)all;
}
static void receives_one(void *arg)
{
    (void)arg;
    got[mc.current] = skua_receive(&channel, &received[mc.current][0]);
    if (got[mc.current] == 1)
        note(SKUAI_READ(received[mc.current][0]));
}
static void receives_all(void *arg)
{
    int64_t n;
    while ((n = receive_up_to((size_t)(uintptr_t)arg)) > 0)
        ;
    mc_assert(n == 0, "the end was not told");
}
static void closes(void *arg)
{
    (void)arg;
    skua_channel_close(&channel);
}

/* ---- setting up ---- */

static void reset(size_t capacity, bool one_lock)
{
    memset(&channel, 0, sizeof channel);
    memset(&store, 0, sizeof store);
    memset(received, 0, sizeof received);
    memset(hows, 0, sizeof hows);
    memset(got, 0, sizeof got);
    taken = freed_pieces = seen = 0;
    may_take = PIECES;
    last = 0;
    in_order = true;
    waits_misused = 0;
    channel.capacity = capacity;
    channel.value_size = channel.take_size = sizeof(uint64_t);
    channel.one_lock = capacity == 0 || one_lock;
    if (capacity != 0 && capacity != SKUA_UNBOUNDED) {
        store.segment.end = (char *)&store.values[capacity];
        channel.first = channel.last = &store.segment;
        channel.put = channel.take = store.segment.values;
        channel.put_end = channel.take_end = store.segment.end;
    }
    mc_name(&channel.put_lock.word, "put lock");
    mc_name(&channel.take_lock.word, "take lock");
    mc_name(&channel.put_flags, "put flags");
    mc_name(&channel.take_flags, "take flags");
    mc_name(&channel.sent, "sent");
    mc_name(&channel.received, "received");
}
static unsigned stored(void) { return (unsigned)(channel.sent.raw - channel.received.raw); }
static void *number(uintptr_t value) { return (void *)value; }

static void check_empty(void)
{
    mc_assert(channel.senders.first == NULL && channel.receivers.first == NULL, "somebody is linked");
    mc_assert(channel.put_lock.word.raw == 0 && channel.take_lock.word.raw == 0, "a lock is held");
    mc_assert(stored() == 0, "something is left");
}

/* ---- many at one end, or at both ---- */

static void three_finish(void)
{
    check_empty();
    mc_assert(seen == first_bits(3), "not what was sent");
}
static void both(size_t capacity, bool one_lock)
{
    reset(capacity, one_lock);
    mc_thread(sends_many, number(3));
    mc_thread(receives_many, number(3));
}
static void both_rendezvous_setup(void) { both(0, true); }
static void both_ring_setup(void) { both(RING, false); }
static void both_unbounded_setup(void) { both(SKUA_UNBOUNDED, false); }
MC_TEST(both_rendezvous, .setup = both_rendezvous_setup, .finish = three_finish, .stale = 1, .max_executions = 60000);
MC_TEST(both_ring, .setup = both_ring_setup, .finish = three_finish, .stale = 1, .max_executions = 60000);
MC_TEST(both_unbounded, .setup = both_unbounded_setup, .finish = three_finish, .stale = 1, .max_executions = 60000);

/* Two who wait for one each are served by one call. */
static void two_receivers(size_t capacity)
{
    reset(capacity, false);
    in_order = false;
    mc_thread(sends_many, number(2));
    mc_thread(receives_one, NULL);
    mc_thread(receives_one, NULL);
}
static void two_finish(void)
{
    check_empty();
    mc_assert(seen == first_bits(2), "not what was sent");
}
static void two_receivers_rendezvous_setup(void) { two_receivers(0); }
static void two_receivers_one_place_setup(void) { two_receivers(1); }
MC_TEST(two_receivers_rendezvous, .setup = two_receivers_rendezvous_setup, .finish = two_finish, .stale = 1,
        .max_executions = 60000);
MC_TEST(two_receivers_one_place, .setup = two_receivers_one_place_setup, .finish = two_finish, .stale = 1,
        .max_executions = 60000);

static void two_senders(size_t capacity)
{
    reset(capacity, false);
    in_order = false;
    mc_thread(sends_one, number(1));
    mc_thread(sends_one, number(2));
    mc_thread(receives_many, number(2));
}
static void two_senders_rendezvous_setup(void) { two_senders(0); }
static void two_senders_one_place_setup(void) { two_senders(1); }
MC_TEST(two_senders_rendezvous, .setup = two_senders_rendezvous_setup, .finish = two_finish, .stale = 1,
        .max_executions = 60000);
MC_TEST(two_senders_one_place, .setup = two_senders_one_place_setup, .finish = two_finish, .stale = 1,
        .max_executions = 60000);

/* ---- ends ---- */

/* What was sent is received, and no more. */
static void ended_finish(void)
{
    check_empty();
    mc_assert(got[1] > 0 || got[1] == -EPIPE || got[1] == -ECANCELED, "neither sent nor refused");
    mc_assert(seen == first_bits(got[1] > 0 ? got[1] : 0), "sent and lost, or refused and received");
}
static void closed(size_t capacity)
{
    reset(capacity, false);
    mc_thread(sends_many, number(2));
    mc_thread(receives_all, number(2));
    mc_thread(closes, NULL);
}
static void closed_rendezvous_setup(void) { closed(0); }
static void closed_one_place_setup(void) { closed(1); }
MC_TEST(closed_rendezvous, .setup = closed_rendezvous_setup, .finish = ended_finish, .stale = 1,
        .max_executions = 60000);
MC_TEST(closed_one_place, .setup = closed_one_place_setup, .finish = ended_finish, .stale = 1,
        .max_executions = 60000);

static void sends_and_closes(void *arg)
{
    sends_many(arg);
    closes(NULL);
}
static void canceled_setup(void)
{
    reset(1, false);
    mc_thread(sends_and_closes, number(3));
    mc_thread(receives_all, number(2));
    hows[1] = WAITS_OR_IS_CANCELED;
}
MC_TEST(canceled, .setup = canceled_setup, .finish = ended_finish, .stale = 1, .max_executions = 60000);

/* Whoever has got the last value may destroy it, as skua_channel_destroy() does. */
static void receives_and_frees(void *arg)
{
    receives_many(arg);
    skuai_channel_lock_both(&channel);
    skuai_channel_unlock_both(&channel);
    mc_free(&channel, sizeof channel);
}
static void freed(size_t capacity)
{
    reset(capacity, false);
    mc_thread(sends_many, number(2));
    mc_thread(receives_and_frees, number(2));
}
static void freed_finish(void) { mc_assert(seen == first_bits(2), "a value was lost"); }
static void freed_rendezvous_setup(void) { freed(0); }
static void freed_ring_setup(void) { freed(RING); }
MC_TEST(freed_rendezvous, .setup = freed_rendezvous_setup, .finish = freed_finish, .stale = 1,
        .max_executions = 60000);
MC_TEST(freed_ring, .setup = freed_ring_setup, .finish = freed_finish, .stale = 1, .max_executions = 60000);

/* ---- what one thread can see ---- */

static skua_channel_op ops[2];
static uint64_t waiting[2];
static skua_op *waits_to_send(int i, uint64_t value)
{
    waiting[i] = value;
    skua_op *op = skuai_op_start(skua_send_prepare(&ops[i], &channel, &waiting[i]));
    mc_assert(!skuai_op_is_done(op), "it is full");
    return op;
}
static skua_op *waits_to_receive(int i)
{
    skua_op *op = skuai_op_start(skua_receive_prepare(&ops[i], &channel, &waiting[i]));
    mc_assert(!skuai_op_is_done(op), "it is empty");
    return op;
}

/* Who waits is served in the same call, in his turn, whether what he asked for lay in the store or not. */
static void serves_who_waits(void *arg)
{
    (void)arg;
    uint64_t *values = received[0];
    skua_op *one = waits_to_receive(0), *two = waits_to_receive(1);
    mc_assert(skua_try_send_many(&channel, sent, 4) == (int64_t)channel.capacity + 2, "to both and into the store");
    mc_assert(skuai_op_is_done(one) && skuai_op_is_done(two), "who waits is told");
    mc_assert(waiting[0] == 1 && waiting[1] == 2 && one->result == 1 && two->result == 1, "in his turn");
    mc_assert(skua_try_send_many(&channel, sent, 1) == -EAGAIN, "it is full");
    one = waits_to_send(0, 3 + channel.capacity);
    two = waits_to_send(1, 4 + channel.capacity);
    int64_t all = (int64_t)channel.capacity + 2;
    mc_assert(skua_try_receive_many(&channel, values, 1) == 1 && values[0] == 3, "the oldest");
    mc_assert(skuai_op_is_done(one) && one->result == 0 && !skuai_op_is_done(two), "his value has its place");
    mc_assert(stored() == channel.capacity, "his value has its place");
    mc_assert(skua_try_receive_many(&channel, values, 4) == all - 1, "all");
    for (int64_t i = 0; i < all - 1; i++)
        mc_assert(values[i] == (uint64_t)(4 + i), "in order");
    mc_assert(skuai_op_is_done(two) && two->result == 0, "who waits is told");
    mc_assert(skua_try_receive_many(&channel, values, 4) == -EAGAIN, "it is empty");
    one = waits_to_receive(0);
    mc_assert(skua_try_send(&channel, &sent[1]) == 0 && waiting[0] == 2, "flags say so again");
    skua_channel_close(&channel);
    mc_assert(skua_try_send_many(&channel, sent, 2) == -EPIPE, "closed");
    mc_assert(skua_try_receive_many(&channel, values, 4) == 0, "the end");
    check_empty();
}
static void serves_setup(void)
{
    reset(RING, false);
    mc_thread(serves_who_waits, NULL);
}
static void serves_rendezvous_setup(void)
{
    reset(0, true);
    mc_thread(serves_who_waits, NULL);
}
MC_TEST(serves, .setup = serves_setup);
MC_TEST(serves_rendezvous, .setup = serves_rendezvous_setup);

/* As skua_channel_destroy(): each segment goes once. */
static void destroys(void)
{
    check_empty();
    skuai_channel_free_segments(channel.first);
    skuai_channel_free_segments(channel.spare.raw);
    mc_assert(freed_pieces == taken, "a segment was lost");
}

/* Of an unbounded one as many as there is memory for. */
static void runs_out(void *arg)
{
    (void)arg;
    uint64_t *values = received[0];
    may_take = 2;
    mc_assert(skua_try_send_many(&channel, sent, 4) == 2, "what there is memory for");
    mc_assert(skua_send_many(&channel, sent, 1) == -ENOMEM, "no more");
    mc_assert(skua_receive_many(&channel, values, 4) == 2 && values[0] == 1 && values[1] == 2, "in order");
    mc_assert(skua_try_send_many(&channel, sent, 4) == 1, "what was left in reserve");
    mc_assert(skua_try_receive_many(&channel, values, 4) == 1 && values[0] == 1, "in order");
    destroys();
}

/* More than one segment is drained by one call. */
static void drains(void *arg)
{
    (void)arg;
    uint64_t *values = received[0];
    mc_assert(skua_try_send_many(&channel, sent, 4) == 4, "there is memory");
    mc_assert(skua_try_receive_many(&channel, values, 4) == 4 && values[3] == 4, "all");
    mc_assert(taken == 4 && freed_pieces == 2, "the last and one in reserve are kept");
    destroys();
}
static void runs_out_setup(void)
{
    reset(SKUA_UNBOUNDED, false);
    mc_thread(runs_out, NULL);
}
static void drains_setup(void)
{
    reset(SKUA_UNBOUNDED, false);
    mc_thread(drains, NULL);
}
MC_TEST(runs_out_of_memory, .setup = runs_out_setup);
MC_TEST(drained, .setup = drains_setup);
