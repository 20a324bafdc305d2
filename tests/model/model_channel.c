/* Channels (sync/channel.c, H1 … H7) between senders, receivers, who closes and who cancels, alone and in selects:
 * nobody waits in vain, each value that was sent is received once, a withdrawn or losing send keeps its value.
 *
 * Each thread here waits as a task does: it looks at its op, at its cancellation, and sleeps on a word of its own,
 * which a fire wakes. It gives its op's memory back as soon as the op is over, so whatever touches it later is found.
 * Selects are as sched/select.c has them.
 */
/* model-sources: sync/channel.c sync/channel_store.c sched/op.c */
/* model-defines: malloc=model_malloc free=model_free SKUAI_CHANNEL_SEGMENT_BYTES=8 SKUAI_CHANNEL_SEGMENT_FEW=1 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/mc.h"
#include "model/mc_internal.h"
#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sync/channel.h"

enum { RING = 2 };

static struct skua_channel channels[2];
static struct store {
    struct skuai_channel_segment segment;
    uint64_t values[RING];
} stores[2];

/* What the store allocates: segments for one value. */
static struct piece {
    struct skuai_channel_segment segment;
    uint64_t value;
} pieces[3];
static unsigned taken; /* a bit for each */
static bool no_memory;

static struct waiter {
    skua_word32 woken;
    skua_word32 canceled;
} waiters[MC_THREADS];

static struct whole {
    struct skuai_select word;
    skua_channel_op arms[2];
    uint64_t values[2];
} selects[2];

static skua_channel_op ops[4];
static uint64_t values[4];
static int64_t got[4]; /* what the calls returned */

/* ---- what the library asks for ----------------------------------------------------------------------------------- */

void *malloc(size_t size)
{
    mc_assert(size == sizeof pieces[0], "not a segment for one value");
    for (unsigned i = 0; i < 3 && !no_memory; i++)
        if ((taken & 1u << i) == 0) {
            taken |= 1u << i;
            mc_alloc(&pieces[i], sizeof pieces[i]);
            memset(&pieces[i], 0xa5, sizeof pieces[i]);
            return &pieces[i];
        }
    return NULL;
}
void free(void *piece)
{
    unsigned i = (unsigned)((struct piece *)piece - pieces);
    mc_assert(i < 3 && (taken & 1u << i) != 0, "freed twice, or never allocated");
    taken &= ~(1u << i);
    mc_free(piece, sizeof pieces[0]);
}

/* ---- what the library asks of the runtime ------------------------------------------------------------------------ */

struct skuai_worker *skuai_worker_self(void) { return (struct skuai_worker *)(void *)&waiters[mc.current]; }

/* Not one on a call's stack: its memory comes back with each call. */
static bool is_static(const skua_op *op)
{
    uintptr_t at = (uintptr_t)op;
    return (at >= (uintptr_t)ops && at < (uintptr_t)(ops + 4)) ||
           (at >= (uintptr_t)selects && at < (uintptr_t)(selects + 2));
}

void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    if (!is_static(op))
        mc_alloc(op, sizeof *op);
    skuai_op_arm(op, (uintptr_t)worker);
}

static void wake(struct waiter *waiter)
{
    skuai_add_32(&waiter->woken, 1, SKUAI_RELEASE); /* as the task word does */
    mc_futex_wake(&waiter->woken, 1);
}
void skuai_sink_fire(uintptr_t sink) { wake((struct waiter *)sink); }
void *skuai_sink_hold(uintptr_t sink)
{
    (void)sink;
    return NULL;
}
void skuai_sink_unhold(void *held) { (void)held; }

static bool withdraw(skua_op *op) { return ((const struct skuai_op_kind *)op->kind)->withdraw(op); }

int64_t skua_await(skua_op *op)
{
    struct waiter *waiter = &waiters[mc.current];
    for (;;) {
        uint32_t woken = skuai_load_32(&waiter->woken, SKUAI_ACQUIRE);
        if (skuai_op_is_done(op))
            break;
        if (skuai_load_32(&waiter->canceled, SKUAI_RELAXED) != 0 && withdraw(op)) {
            skuai_op_set_done(op, -ECANCELED);
            break;
        }
        mc_futex_wait(&waiter->woken, woken);
    }
    int64_t result = SKUAI_READ(op->result);
    if (is_static(op))
        mc_free(op, sizeof(skua_channel_op));
    return result;
}
int64_t skua_await_until(skua_op *op, uint64_t instant_ns)
{
    (void)instant_ns;
    return skua_await(op);
}
skua_op *skuai_op_start(skua_op *op)
{
    ((const struct skuai_op_kind *)op->kind)->start(skuai_worker_self(), op, true);
    return op;
}
int skuai_call_begin(struct skuai_worker *worker, const char *call)
{
    (void)worker;
    (void)call;
    return 0;
}
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result)
{
    (void)worker;
    return result;
}
int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result)
{
    return skuai_call_end(worker, result);
}
/* Whether starts do without an op where they can. */
static bool starts_at_once;
bool skuai_start_may_be_done(const struct skuai_worker *worker) { (void)worker; return starts_at_once; }
/* Whether who finds the store full looks again before it waits. */
static bool lingers;
bool skuai_may_linger(const struct skuai_worker *worker) { (void)worker; return lingers; }
int skuai_misuse(const char *call, const char *what, const char *instead)
{
    (void)what;
    (void)instead;
    mc_fail(call);
}

/* ---- users ------------------------------------------------------------------------------------------------------- */

/* Thread `i` uses ops[i], values[i] and got[i]. */
static unsigned me(void) { return (unsigned)mc.current - 1; }

static int64_t await_started(skua_op *op)
{
    mc_assert(!skuai_start_is_done(op) || starts_at_once, "a start did without an op, and might not");
    return skua_await(op);
}

static int64_t send_value(uint64_t value)
{
    SKUAI_WRITE(values[me()], value);
    mc_alloc(&ops[me()], sizeof ops[0]);
    return await_started(skua_send_start(&ops[me()], &channels[0], &values[me()]));
}

static int64_t receive_value(uint64_t *value)
{
    mc_alloc(&ops[me()], sizeof ops[0]);
    int64_t rc = await_started(skua_receive_start(&ops[me()], &channels[0], &values[me()]));
    if (rc == 1)
        *value = SKUAI_READ(values[me()]);
    return rc;
}

static unsigned seen; /* a bit for each value received */

static void note(uint64_t value)
{
    mc_assert(value < 8 && (seen & 1u << value) == 0, "received twice, or never sent");
    seen |= 1u << value;
}

static void sends_one(void *arg) { got[me()] = send_value((uint64_t)(uintptr_t)arg); }
static void sends_two(void *arg)
{
    for (uintptr_t i = 0; i < 2; i++)
        got[me()] = send_value((uint64_t)(uintptr_t)arg + i);
}

static void receives_one(void *arg)
{
    uint64_t value = 0;
    (void)arg;
    got[me()] = receive_value(&value);
    if (got[me()] == 1)
        note(value);
}
static void receives_two(void *arg)
{
    uint64_t before = 0, value = 0;
    for (uint64_t i = 0; i < 2; i++) {
        got[me()] = receive_value(&value);
        mc_assert(got[me()] == 1, "a value was lost");
        mc_assert(arg == NULL || i == 0 || value > before, "out of order");
        note(before = value);
    }
}
static void receives_all(void *arg)
{
    uint64_t value = 0;
    (void)arg;
    while ((got[me()] = receive_value(&value)) == 1)
        note(value);
}

static void tries_to_send(void *arg)
{
    SKUAI_WRITE(values[me()], (uint64_t)(uintptr_t)arg);
    got[me()] = skua_try_send(&channels[0], &values[me()]);
}
static void tries_to_receive(void *arg)
{
    (void)arg;
    got[me()] = skua_try_receive(&channels[0], &values[me()]);
    if (got[me()] == 1)
        note(SKUAI_READ(values[me()]));
}
static void closes(void *arg)
{
    (void)arg;
    skua_channel_close(&channels[0]);
}
static void cancels(void *arg)
{
    struct waiter *waiter = &waiters[(uintptr_t)arg];
    skuai_store_32(&waiter->canceled, 1, SKUAI_RELAXED);
    wake(waiter);
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

/* Whether a store of one place has one lock, as in the library, or two, as larger ones. */
static bool has_one_lock;

static void reset(size_t capacity)
{
    memset(channels, 0, sizeof channels);
    memset(stores, 0, sizeof stores);
    memset(pieces, 0, sizeof pieces);
    taken = 0;
    no_memory = starts_at_once = lingers = false;
    memset(waiters, 0, sizeof waiters);
    memset(selects, 0, sizeof selects);
    memset(ops, 0, sizeof ops);
    memset(values, 0, sizeof values);
    memset(got, 0, sizeof got);
    seen = 0;
    for (int i = 0; i < 2; i++) {
        struct skua_channel *channel = &channels[i];
        channel->capacity = capacity;
        channel->value_size = channel->take_size = sizeof(uint64_t);
        channel->one_lock = capacity == 0 || has_one_lock;
        stores[i].segment.end = (char *)&stores[i].values[capacity < RING ? capacity : RING];
        if (capacity != 0 && capacity != SKUA_UNBOUNDED) {
            channel->first = channel->last = &stores[i].segment;
            channel->put = channel->take = stores[i].segment.values;
            channel->put_end = channel->take_end = stores[i].segment.end;
        }
        mc_name(&channel->put_lock.word, "put lock %d", i);
        mc_name(&channel->take_lock.word, "take lock %d", i);
        mc_name(&channel->put_flags, "put flags %d", i);
        mc_name(&channel->take_flags, "take flags %d", i);
        mc_name(&channel->sent, "sent %d", i);
        mc_name(&channel->received, "received %d", i);
        mc_name(&channel->spare, "spare %d", i);
        mc_name(&channel->put, "put %d", i);
        mc_name(&channel->take, "take %d", i);
        mc_name(&selects[i].word.decided, "select %d", i);
    }
    for (int i = 0; i < 4; i++) {
        mc_name(&ops[i].op.state, "op %d", i);
        mc_name(&values[i], "value %d", i);
        mc_name(&waiters[i + 1].woken, "woken %d", i);
    }
}

static void run_two(size_t capacity, void (*a)(void *), void *a_arg, void (*b)(void *), void *b_arg)
{
    reset(capacity);
    mc_thread(a, a_arg);
    mc_thread(b, b_arg);
}
static void run_three(size_t capacity, void (*a)(void *), void *a_arg, void (*b)(void *), void *b_arg,
                      void (*c)(void *), void *c_arg)
{
    run_two(capacity, a, a_arg, b, b_arg);
    mc_thread(c, c_arg);
}

static void *arg_of(uintptr_t value) { return (void *)value; }

static unsigned stored(const skua_channel *channel) { return (unsigned)(channel->sent.raw - channel->received.raw); }

/* A value that lies in the store, which has one place, from the start. */
static void fill(skua_channel *channel, uint64_t value)
{
    stores[channel - channels].values[0] = value;
    channel->sent.raw = 1;
    channel->put = channel->put_end;
}

static void check_empty(void)
{
    for (int i = 0; i < 2; i++) {
        mc_assert(channels[i].senders.first == NULL && channels[i].receivers.first == NULL, "somebody is linked");
        mc_assert(channels[i].put_lock.word.raw == 0 && channels[i].take_lock.word.raw == 0, "a lock is held");
        mc_assert(channels[i].drained == NULL, "not freed");
    }
}

/* ---- one sender, one receiver ------------------------------------------------------------------------------------ */

static void two_values(void)
{
    check_empty();
    mc_assert(seen == 6, "not what was sent");
    mc_assert(stored(&channels[0]) == 0, "something is left");
}
static void rendezvous_setup(void) { run_two(0, sends_two, arg_of(1), receives_two, arg_of(1)); }
static void capacity_one_setup(void) { run_two(1, sends_two, arg_of(1), receives_two, arg_of(1)); }
static void capacity_two_setup(void) { run_two(2, sends_two, arg_of(1), receives_two, arg_of(1)); }
MC_TEST(rendezvous, .setup = rendezvous_setup, .finish = two_values, .stale = 2);
MC_TEST(capacity_one, .setup = capacity_one_setup, .finish = two_values, .stale = 2, .max_executions = 100000);

static void with_one_lock(void (*setup)(void))
{
    has_one_lock = true;
    setup();
    has_one_lock = false;
}
/* The second send is over when the first value has been received, and not only when somebody wants the second. */
static void refilled_finish(void)
{
    check_empty();
    mc_assert(seen == 2, "not what was sent first");
    mc_assert(stored(&channels[0]) == 1, "the sender's value has not come into the store");
}
static void refilled_setup(void) { run_two(1, sends_two, arg_of(1), receives_one, NULL); }
static void refilled_locked_setup(void) { with_one_lock(refilled_setup); }
MC_TEST(refilled, .setup = refilled_setup, .finish = refilled_finish, .stale = 1, .max_executions = 100000);
MC_TEST(refilled_locked, .setup = refilled_locked_setup, .finish = refilled_finish, .stale = 1,
        .max_executions = 100000);

/* One value lies in a store of two places. Another one comes before that is taken, so it is never empty, and a try
 * finds something. */
static void sends_and_receives(void *arg)
{
    sends_one(arg);
    receives_one(NULL);
}
static void never_empty_setup(void)
{
    run_two(2, sends_and_receives, arg_of(2), tries_to_receive, NULL);
    stores[0].values[0] = 1;
    channels[0].sent.raw = 1;
    channels[0].put = (char *)&stores[0].values[1];
}
static void never_empty_finish(void)
{
    check_empty();
    mc_assert(seen == 6, "a try has found nothing where there was something");
}
MC_TEST(never_empty, .setup = never_empty_setup, .finish = never_empty_finish, .stale = 2);

/* A try sees the end that its own thread has made. */
static void closes_and_tries(void *arg)
{
    closes(arg);
    tries_to_receive(arg);
    mc_assert(got[me()] == 0, "a try of what is closed does not say so");
}
static void closed_try_setup(void) { run_two(1, closes_and_tries, NULL, tries_to_receive, NULL); }
MC_TEST(closed_try, .setup = closed_try_setup, .finish = check_empty);

static void capacity_one_locked_setup(void) { with_one_lock(capacity_one_setup); }
MC_TEST(capacity_one_locked, .setup = capacity_one_locked_setup, .finish = two_values, .stale = 2,
        .max_executions = 100000);
MC_TEST(capacity_two, .setup = capacity_two_setup, .finish = two_values, .stale = 2);

/* The same by the calls that make no op unless they must; once each, as such an op lies on the stack. */
static void calls_send(void *arg)
{
    SKUAI_WRITE(values[me()], (uint64_t)(uintptr_t)arg);
    got[me()] = skua_send(&channels[0], &values[me()]);
}
static void calls_receive(void *arg)
{
    (void)arg;
    got[me()] = skua_receive(&channels[0], &values[me()]);
    if (got[me()] == 1)
        note(SKUAI_READ(values[me()]));
}
static void calls_rendezvous_setup(void) { run_three(0, calls_send, arg_of(1), calls_receive, NULL, closes, NULL); }
static void calls_full_setup(void)
{
    run_three(1, calls_send, arg_of(1), calls_receive, NULL, closes, NULL);
    fill(&channels[0], 2);
}
static void calls_finish(void)
{
    check_empty();
    unsigned sent = (got[0] == 0 ? 2u : 0) | (unsigned)channels[0].capacity << 2;
    if (stored(&channels[0]) != 0)
        note(stores[0].values[0]);
    mc_assert(got[0] == 0 || got[0] == -EPIPE, "neither sent nor refused");
    mc_assert(got[1] == 1 || (got[1] == 0 && sent == 0), "neither received nor the end");
    mc_assert(seen == sent, "sent and lost, or refused and received");
}
MC_TEST(calls_rendezvous, .setup = calls_rendezvous_setup, .finish = calls_finish, .stale = 1,
        .max_executions = 100000);
MC_TEST(calls_full, .setup = calls_full_setup, .finish = calls_finish, .stale = 1, .max_executions = 100000);

/* And by starts. */
static void at_once(void (*setup)(void))
{
    setup();
    starts_at_once = true;
}
static void started_rendezvous_setup(void) { at_once(rendezvous_setup); }
static void started_one_place_setup(void) { at_once(capacity_one_setup); }
static void started_locked_setup(void) { at_once(capacity_one_locked_setup); }
MC_TEST(started_rendezvous, .setup = started_rendezvous_setup, .finish = two_values, .stale = 2);
MC_TEST(started_one_place, .setup = started_one_place_setup, .finish = two_values, .stale = 2,
        .max_executions = 100000);
MC_TEST(started_locked, .setup = started_locked_setup, .finish = two_values, .stale = 2, .max_executions = 100000);

/* And with a second look at a store that is full. */
static void lingering(void (*setup)(void))
{
    setup();
    lingers = true;
}
static void lingering_setup(void) { lingering(started_one_place_setup); }
static void lingering_locked_setup(void) { lingering(started_locked_setup); }
static void lingering_full_setup(void) { lingering(calls_full_setup); }
MC_TEST(lingering, .setup = lingering_setup, .finish = two_values, .stale = 1, .max_executions = 50000);
MC_TEST(lingering_locked, .setup = lingering_locked_setup, .finish = two_values, .stale = 1, .max_executions = 50000);
MC_TEST(lingering_full, .setup = lingering_full_setup, .finish = calls_finish, .stale = 1, .max_executions = 50000);

/* Unbounded, a segment for each value: senders allocate, the receiver leaves one in reserve and frees the others. */
static void sends_at_once(void *arg)
{
    for (uintptr_t i = 0; i < 2; i++) {
        tries_to_send(arg_of((uintptr_t)arg + i));
        mc_assert(got[me()] == 0, "not sent");
    }
}
static void unbounded_finish(void)
{
    unsigned kept = 0;
    check_empty();
    mc_assert(seen == 6, "not what was sent");
    for (unsigned i = 0; i < 3; i++)
        kept += taken >> i & 1u;
    mc_assert(kept <= 2, "more is kept than the last segment and one in reserve");
}
static void unbounded_setup(void) { run_two(SKUA_UNBOUNDED, sends_at_once, arg_of(1), receives_two, arg_of(1)); }
MC_TEST(unbounded, .setup = unbounded_setup, .finish = unbounded_finish, .stale = 2, .max_executions = 100000);

static void started_unbounded(void) { run_two(SKUA_UNBOUNDED, sends_two, arg_of(1), receives_two, arg_of(1)); }
static void started_unbounded_setup(void) { at_once(started_unbounded); }
MC_TEST(started_unbounded, .setup = started_unbounded_setup, .finish = unbounded_finish, .stale = 1,
        .max_executions = 50000);

static void two_grow_setup(void)
{
    run_three(SKUA_UNBOUNDED, tries_to_send, arg_of(1), tries_to_send, arg_of(2), receives_two, NULL);
}
MC_TEST(two_senders_grow_it, .setup = two_grow_setup, .finish = unbounded_finish, .stale = 1,
        .max_executions = 100000);

/* A segment for one value, into which the next value goes. */
static void begin_with_a_segment(void)
{
    taken = 1;
    channels[0].first = channels[0].last = &pieces[0].segment;
    channels[0].put = channels[0].take = (char *)&pieces[0].value;
    channels[0].put_end = channels[0].take_end = pieces[0].segment.end = (char *)(&pieces[0].value + 1);
}

/* Three values and one segment in reserve: the third value may go to where the receiver has read the first one. */
static void sends_three_at_once(void *arg)
{
    (void)arg;
    for (uintptr_t i = 0; i < 3; i++)
        tries_to_send(arg_of(i));
}
static void receives_three(void *arg)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < 3; i++) {
        got[me()] = receive_value(&value);
        mc_assert(got[me()] == 1, "a value was lost");
        mc_assert(arg == NULL || value == i, "out of order");
        note(value);
    }
}
static void reused_setup(void)
{
    run_two(SKUA_UNBOUNDED, sends_three_at_once, NULL, receives_three, arg_of(1));
    begin_with_a_segment();
    taken = 3;
    channels[0].spare.raw = &pieces[1];
    pieces[1].segment.end = (char *)(&pieces[1].value + 1);
}
static void three_values(void)
{
    check_empty();
    mc_assert(seen == 7, "not what was sent");
}
MC_TEST(segments_are_used_again, .setup = reused_setup, .finish = three_values, .stale = 2,
        .max_executions = 100000);

/* Both senders may have grown it when the receiver leaves a segment: it finds one in reserve, and frees that. */
static void left_setup(void)
{
    run_three(SKUA_UNBOUNDED, tries_to_send, arg_of(1), tries_to_send, arg_of(2), receives_three, NULL);
    begin_with_a_segment();
    pieces[0].value = 0;
    channels[0].sent.raw = 1;
    channels[0].put = channels[0].put_end;
}
MC_TEST(segments_are_left_and_freed, .setup = left_setup, .finish = three_values, .stale = 2,
        .max_executions = 100000);

/* The sender keeps its value; one that waits gets none. */
static void no_memory_setup(void)
{
    run_three(SKUA_UNBOUNDED, tries_to_send, arg_of(1), receives_one, NULL, cancels, arg_of(2));
    no_memory = true;
}
static void no_memory_finish(void)
{
    check_empty();
    mc_assert(got[0] == (seen == 2 ? 0 : -ENOMEM), "sent and lost, or refused and received");
    mc_assert(got[1] == (seen == 2 ? 1 : -ECANCELED), "told wrong");
}
MC_TEST(no_memory_to_grow, .setup = no_memory_setup, .finish = no_memory_finish, .stale = 2,
        .max_executions = 100000);

/* ---- more than one at an end ------------------------------------------------------------------------------------- */

static void two_senders(size_t capacity)
{
    run_three(capacity, sends_one, arg_of(1), sends_one, arg_of(2), receives_two, NULL);
}
static void two_senders_rendezvous_setup(void) { two_senders(0); }
static void two_senders_one_place_setup(void) { two_senders(1); }
static void two_receivers_setup(void) { run_three(1, sends_two, arg_of(1), receives_one, NULL, receives_one, NULL); }
static void two_receivers_rendezvous_setup(void)
{
    run_three(0, sends_two, arg_of(1), receives_one, NULL, receives_one, NULL);
}
MC_TEST(two_senders_rendezvous, .setup = two_senders_rendezvous_setup, .finish = two_values, .stale = 1,
        .max_executions = 100000);
MC_TEST(two_senders_one_place, .setup = two_senders_one_place_setup, .finish = two_values, .stale = 1,
        .max_executions = 100000);
MC_TEST(two_receivers, .setup = two_receivers_setup, .finish = two_values, .stale = 1, .max_executions = 100000);
static void two_receivers_locked_setup(void) { with_one_lock(two_receivers_setup); }
MC_TEST(two_receivers_locked, .setup = two_receivers_locked_setup, .finish = two_values, .stale = 1,
        .max_executions = 100000);
MC_TEST(two_receivers_rendezvous, .setup = two_receivers_rendezvous_setup, .finish = two_values, .stale = 1,
        .max_executions = 100000);

/* ---- closing ----------------------------------------------------------------------------------------------------- */

/* A send that has taken effect is received; one that has not, is not. */
static void closed_finish(void)
{
    check_empty();
    mc_assert(got[0] == 0 || got[0] == -EPIPE, "neither sent nor refused");
    mc_assert(got[1] == 0, "the receiver did not get the end");
    mc_assert((seen == 2) == (got[0] == 0), "sent and lost, or refused and received");
}
static void close_rendezvous_setup(void) { run_three(0, sends_one, arg_of(1), receives_all, NULL, closes, NULL); }
static void close_capacity_one_setup(void) { run_three(1, sends_one, arg_of(1), receives_all, NULL, closes, NULL); }
MC_TEST(close_rendezvous, .setup = close_rendezvous_setup, .finish = closed_finish, .stale = 1,
        .max_executions = 100000);
MC_TEST(close_capacity_one, .setup = close_capacity_one_setup, .finish = closed_finish, .stale = 1,
        .max_executions = 100000);
static void close_capacity_one_locked_setup(void) { with_one_lock(close_capacity_one_setup); }
MC_TEST(close_capacity_one_locked, .setup = close_capacity_one_locked_setup, .finish = closed_finish, .stale = 1,
        .max_executions = 100000);

/* The store is full and a sender waits: it is refused, or there was room in time. */
static void close_full_setup(void)
{
    run_three(1, sends_one, arg_of(1), tries_to_receive, NULL, closes, NULL);
    fill(&channels[0], 2);
}
static void close_full_finish(void)
{
    check_empty();
    mc_assert(got[1] == 1 && seen == 4, "the oldest value comes first");
    mc_assert(stored(&channels[0]) == (got[0] == 0 ? 1 : 0), "sent and lost, or refused and stored");
}
MC_TEST(close_full, .setup = close_full_setup, .finish = close_full_finish, .stale = 2, .max_executions = 100000);

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void cancel_sender_setup(void)
{
    run_three(0, sends_one, arg_of(1), tries_to_receive, NULL, cancels, arg_of(1));
}
static void cancel_sender_finish(void)
{
    check_empty();
    mc_assert(got[0] == 0 || got[0] == -ECANCELED, "neither sent nor cancelled");
    mc_assert((got[1] == 1) == (got[0] == 0), "sent and lost, or cancelled and received");
}
MC_TEST(cancel_sender, .setup = cancel_sender_setup, .finish = cancel_sender_finish, .stale = 2,
        .max_executions = 100000);

static void cancel_receiver(size_t capacity)
{
    run_three(capacity, receives_one, NULL, tries_to_send, arg_of(1), cancels, arg_of(1));
}
static void cancel_receiver_setup(void) { cancel_receiver(0); }
static void cancel_receiver_one_place_setup(void) { cancel_receiver(1); }
static void cancel_receiver_finish(void)
{
    check_empty();
    mc_assert(got[0] == 1 || got[0] == -ECANCELED, "neither received nor cancelled");
    bool kept = stored(&channels[0]) == 1;
    mc_assert((got[1] == 0) == (got[0] == 1 || kept), "sent and lost, or not sent and received");
    mc_assert(!kept || seen == 0, "received and stored");
}
MC_TEST(cancel_receiver, .setup = cancel_receiver_setup, .finish = cancel_receiver_finish, .stale = 2,
        .max_executions = 100000);
MC_TEST(cancel_receiver_one_place, .setup = cancel_receiver_one_place_setup, .finish = cancel_receiver_finish,
        .stale = 2, .max_executions = 100000);

/* One who waits is cancelled: the next in line is served all the same. */
static void cancel_one_of_two_setup(void)
{
    run_three(0, receives_all, NULL, sends_one, arg_of(1), cancels, arg_of(1));
    mc_thread(closes, NULL);
}
static void cancel_one_of_two_finish(void)
{
    check_empty();
    mc_assert((seen == 2) == (got[1] == 0), "sent and lost, or refused and received");
}
MC_TEST(cancel_and_close, .setup = cancel_one_of_two_setup, .finish = cancel_one_of_two_finish, .stale = 1,
        .max_executions = 100000);

/* ---- selects ----------------------------------------------------------------------------------------------------- */

/* As sched/select.c. Returns the arm, or -ECANCELED. */
static int64_t select_two(struct whole *whole)
{
    struct waiter *waiter = &waiters[mc.current];
    int64_t winner = -1;
    int started = 0;
    skuai_store_32(&whole->word.decided, SKUAI_SELECT_OPEN, SKUAI_RELAXED);
    for (; started < 2 && skuai_select_decided(&whole->word) < 0; started++) {
        skua_op *op = &whole->arms[started].op;
        op->select = &whole->word;
        op->arm = (uint32_t)started;
        skuai_op_start(op);
    }
    for (;;) {
        uint32_t woken = skuai_load_32(&waiter->woken, SKUAI_ACQUIRE);
        if ((winner = skuai_select_decided(&whole->word)) >= 0)
            break;
        if (skuai_load_32(&waiter->canceled, SKUAI_RELAXED) != 0 && skuai_select_close(&whole->word))
            break;
        mc_futex_wait(&waiter->woken, woken);
    }
    for (int i = 0; i < started; i++) {
        skua_op *op = &whole->arms[i].op;
        if (i != winner && skuai_op_state(op) != SKUAI_OP_LOST)
            while (!withdraw(op))
                skuai_pause();
    }
    while (winner >= 0 && !skuai_op_is_done(&whole->arms[winner].op))
        skuai_pause();
    if (winner >= 0)
        got[me()] = SKUAI_READ(whole->arms[winner].op.result);
    mc_free(whole->arms, sizeof whole->arms);
    mc_free(&whole->word, sizeof whole->word);
    return winner >= 0 ? winner : -ECANCELED;
}

static int64_t chosen[2]; /* the selects' arms */

/* Sends 1 on one channel or receives on the other. `crossed`: the arms' order of starting is the other select's. */
static void selects_ends(struct whole *whole, int send_on, bool receive_first)
{
    int send = receive_first ? 1 : 0, receive = 1 - send;
    SKUAI_WRITE(whole->values[send], 1);
    skua_send_prepare(&whole->arms[send], &channels[send_on], &whole->values[send]);
    skua_receive_prepare(&whole->arms[receive], &channels[1 - send_on], &whole->values[receive]);
    whole->word.number = (uint64_t)(whole - selects);
    int64_t arm = select_two(whole);
    chosen[whole - selects] = arm < 0 ? arm : arm == send ? 's' : 'r';
    if (arm == receive && got[me()] == 1)
        note(SKUAI_READ(whole->values[receive]));
}

/* 0 sends to 1 on channel 0 or receives from it on channel 1. */
static void selects_0(void *arg) { selects_ends(&selects[0], 0, arg != NULL); }
static void selects_1(void *arg) { selects_ends(&selects[1], 1, arg != NULL); }

static void meet_finish(void)
{
    check_empty();
    mc_assert(seen == 2, "the value was not received");
    mc_assert((chosen[0] == 's' && chosen[1] == 'r') || (chosen[0] == 'r' && chosen[1] == 's'), "half a pair");
    mc_assert(got[0] == (chosen[0] == 's' ? 0 : 1) && got[1] == (chosen[1] == 's' ? 0 : 1), "told wrong");
}
static void meet_setup(void) { run_two(0, selects_0, NULL, selects_1, NULL); }
static void meet_crossed_setup(void) { run_two(0, selects_0, NULL, selects_1, arg_of(1)); }
MC_TEST(selects_meet, .setup = meet_setup, .finish = meet_finish, .stale = 2);
MC_TEST(selects_meet_crossed, .setup = meet_crossed_setup, .finish = meet_finish, .stale = 2);

/* Both may put into a store, or take what the other has put. */
static void places_finish(void)
{
    check_empty();
    unsigned sent = (chosen[0] == 's' ? 1u : 0u) + (chosen[1] == 's' ? 1u : 0u);
    mc_assert(stored(&channels[0]) + stored(&channels[1]) + (seen == 2 ? 1 : 0) == sent, "sent and lost");
}
static void places_setup(void) { run_two(1, selects_0, NULL, selects_1, NULL); }
static void places_crossed_setup(void) { run_two(1, selects_0, arg_of(1), selects_1, arg_of(1)); }
MC_TEST(selects_with_places, .setup = places_setup, .finish = places_finish, .stale = 2);
MC_TEST(selects_with_places_receiving, .setup = places_crossed_setup, .finish = places_finish, .stale = 2);

/* A select at both ends against somebody who comes to one of them, and somebody who ends the waiting. */
static void select_and_sender_setup(void)
{
    run_three(0, selects_0, NULL, selects_1, arg_of(1), cancels, arg_of(1));
}
static void select_and_cancel_finish(void)
{
    check_empty();
    mc_assert(chosen[0] == -ECANCELED ? seen == 0 : seen == 2, "cancelled and sent or received, or lost");
}
static void cancel_both_setup(void)
{
    select_and_sender_setup();
    mc_thread(cancels, arg_of(2));
}
MC_TEST(cancelled_selects, .setup = cancel_both_setup, .finish = select_and_cancel_finish, .stale = 1,
        .max_executions = 100000);

/* A select whose arms are both on one channel, at its two ends: they do not meet, whoever comes is met once. */
static void selects_itself(void *arg)
{
    struct whole *whole = &selects[0];
    (void)arg;
    SKUAI_WRITE(whole->values[0], 1);
    skua_send_prepare(&whole->arms[0], &channels[0], &whole->values[0]);
    skua_receive_prepare(&whole->arms[1], &channels[0], &whole->values[1]);
    chosen[0] = select_two(whole);
    if (chosen[0] == 1 && got[me()] == 1)
        note(SKUAI_READ(whole->values[1]));
}
static void itself_finish(void)
{
    check_empty();
    mc_assert(chosen[0] == 0 ? got[1] == 1 && seen == 2 : chosen[0] == 1 && got[2] == 0 && seen == 4, "not met once");
}
static void itself_setup(void)
{
    run_three(0, selects_itself, NULL, tries_to_receive, NULL, tries_to_send, arg_of(2));
    mc_thread(closes, NULL);
}
static void itself_or_closed_finish(void)
{
    check_empty();
    bool closed = chosen[0] >= 0 && got[0] == (chosen[0] == 0 ? -EPIPE : 0) && !(chosen[0] == 0 && got[1] == 1);
    mc_assert(closed || (chosen[0] == 0 && got[0] == 0 && got[1] == 1 && seen == 2) ||
                  (chosen[0] == 1 && got[0] == 1 && got[2] == 0 && seen == 4),
              "not met once");
}
MC_TEST(select_at_both_ends, .setup = itself_setup, .finish = itself_or_closed_finish, .stale = 1,
        .max_executions = 100000);
static void itself_and_receiver_setup(void) { run_two(0, selects_itself, NULL, receives_one, NULL); }
MC_TEST(select_at_both_ends_met, .setup = itself_and_receiver_setup, .finish = itself_finish, .stale = 2);

/* ---- the end of a channel (H7) ----------------------------------------------------------------------------------- */

/* Whoever has got the last value of the last sender may destroy it. As skua_channel_destroy(). */
static void frees(void)
{
    skuai_channel_lock_both(&channels[0]);
    skuai_channel_unlock_both(&channels[0]);
    mc_free(&channels[0], sizeof channels[0]);
}
static void receives_and_frees(void *arg)
{
    receives_one(arg);
    mc_assert(got[me()] == 1, "a value was lost");
    frees();
}
static void sends_and_frees(void *arg)
{
    sends_one(arg);
    frees();
}
static void freed_finish(void) { mc_assert(seen == 2, "a value was lost"); }
static void freed_by_receiver_setup(void) { run_two(0, sends_one, arg_of(1), receives_and_frees, NULL); }
static void freed_by_receiver_stored_setup(void) { run_two(1, sends_one, arg_of(1), receives_and_frees, NULL); }
static void freed_by_sender_setup(void) { run_two(0, sends_and_frees, arg_of(1), receives_one, NULL); }
MC_TEST(freed_by_receiver, .setup = freed_by_receiver_setup, .finish = freed_finish, .bound = 3);
MC_TEST(freed_by_receiver_stored, .setup = freed_by_receiver_stored_setup, .finish = freed_finish,
        .bound = 3);
static void freed_by_receiver_locked_setup(void) { with_one_lock(freed_by_receiver_stored_setup); }
MC_TEST(freed_by_receiver_locked, .setup = freed_by_receiver_locked_setup, .finish = freed_finish,
        .bound = 3);
MC_TEST(freed_by_sender, .setup = freed_by_sender_setup, .finish = freed_finish, .bound = 3);

/* Known wrong: claimed without the lock, so that a withdrawal can come between. */
static void claims_late(void *arg)
{
    (void)arg;
    skuai_lock_acquire(&channels[0].put_lock);
    skua_op *op = SKUAI_READ(channels[0].receivers.first);
    if (op != NULL)
        skuai_waiters_remove(&channels[0].receivers, op);
    skuai_lock_release(&channels[0].put_lock);
    if (op == NULL || !skuai_op_claim(op))
        return;
    SKUAI_WRITE(*(uint64_t *)skuai_channel_value_of(op), 1);
    skuai_op_finish(op, 1);
}
static void claims_late_setup(void) { run_three(0, receives_one, NULL, claims_late, NULL, cancels, arg_of(1)); }
MC_TEST_MUST_FAIL(claim_without_the_lock, "race on", .setup = claims_late_setup);

/* Known wrong: the flag is not set by who is linked, so that nobody looks for it. */
static void receives_unflagged(void *arg)
{
    (void)arg;
    mc_alloc(&ops[me()], sizeof ops[0]);
    skua_op *op = skua_receive_prepare(&ops[me()], &channels[0], &values[me()]);
    skuai_lock_acquire(&channels[0].put_lock);
    skuai_op_arm_here(skuai_worker_self(), op);
    skuai_waiters_append(&channels[0].receivers, op);
    skuai_lock_release(&channels[0].put_lock);
    got[me()] = skua_await(op);
}
static void unflagged_setup(void) { run_two(1, receives_unflagged, NULL, sends_one, arg_of(1)); }
MC_TEST_MUST_FAIL(linked_without_its_flag, "deadlock", .setup = unflagged_setup);
