/* Oneshots (sync/oneshot.c, H1 … H3): a value that was sent is received once or handed over by the close, one that was
 * not sent is still the sender's; the memory goes with the receiver's wait, or with the second end.
 */
/* model-sources: sched/op.c sync/oneshot.c */
/* model-defines: free=model_free */
#include <stdlib.h>

#include "model/waits.h"
#include "skua/oneshot.h"

static skua_oneshot oneshot;
static struct { skua_oneshot_op op; skua_op other; struct skuai_select word; } mine;
static int value, place, taken; /* what is sent, where it lies, what was received */
static int behind;              /* plain: what the value is about */
static int64_t sent, received, closed, told;
static unsigned frees;

static void reset(void)
{
    memset(&mine, 0, sizeof mine);
    skua_oneshot_init(&oneshot, &place, sizeof place);
    value = 7;
    place = taken = behind = 0;
    sent = received = closed = told = -1;
    frees = 0;
    mine.word.number = 1;
    mc_name(&oneshot.lock, "lock");
    mc_name(&oneshot.state, "state");
    mc_name(&mine.op.op.state, "op.state");
}

/* As stdlib.h declares it, by the name that the file calls. */
void model_free(void *memory)
{
    if (memory == NULL)
        return;
    mc_assert(memory == &oneshot && frees++ == 0, "freed twice");
    mc_free(&oneshot, sizeof oneshot);
}

static void sender(void *arg)
{
    (void)arg;
    SKUAI_WRITE(behind, 1);
    sent = skua_oneshot_send(&oneshot, &value);
}
static void dropper(void *arg)
{
    (void)arg;
    SKUAI_WRITE(behind, 1);
    skua_oneshot_close_sender(&oneshot);
}
static void check_received(void)
{
    mc_assert(received == -ECANCELED || SKUAI_READ(behind) == 1, "what was done before is not seen");
    mc_assert((received == 1) == (taken == 7), "a value and no value");
}
static void receiver(void *arg)
{
    mc_alloc(&mine, sizeof mine);
    received = waits_for(skua_oneshot_receive_prepare(&mine.op, &oneshot, &taken), (enum waits_how)(uintptr_t)arg);
    mc_free(&mine, sizeof mine);
    check_received();
}

/* The memory goes when 1 or 0 was got, whichever way. */
enum how { CALLS, PREPARES, STARTS, TRIES };
static void receives_and_frees(void *arg)
{
    switch ((enum how)(uintptr_t)arg) {
    case CALLS:
        received = skua_oneshot_receive(&oneshot, &taken);
        break;
    case PREPARES:
        receiver((void *)WAITS_ON);
        break;
    case STARTS:
        mc_alloc(&mine, sizeof mine);
        received = waits_started(skua_oneshot_receive_start(&mine.op, &oneshot, &taken));
        mc_free(&mine, sizeof mine);
        break;
    case TRIES:
        while ((received = skua_oneshot_try_receive(&oneshot, &taken)) == -EAGAIN)
            skuai_pause();
    }
    check_received();
    mc_free(&oneshot, sizeof oneshot);
}
static void receive_setup(void (*other)(void *), enum how how)
{
    reset();
    mc_thread(other, NULL);
    mc_thread(receives_and_frees, (void *)(uintptr_t)how);
}
static void sent_setup(void) { receive_setup(sender, CALLS); }
static void sent_op_setup(void) { receive_setup(sender, PREPARES); }
static void sent_start_setup(void) { receive_setup(sender, STARTS); }
static void sent_try_setup(void) { receive_setup(sender, TRIES); }
static void dropped_setup(void) { receive_setup(dropper, CALLS); }
static void dropped_try_setup(void) { receive_setup(dropper, TRIES); }
static void sent_finish(void) { mc_assert(sent == 0 && received == 1, "sent and not received"); }
MC_TEST(sent_and_received, .setup = sent_setup, .finish = sent_finish, .bound = MC_UNBOUNDED, .max_executions = 400000);
MC_TEST(sent_to_an_op, .setup = sent_op_setup, .finish = sent_finish, .bound = MC_UNBOUNDED, .max_executions = 400000);
MC_TEST(sent_to_a_start, .setup = sent_start_setup, .finish = sent_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);
MC_TEST(sent_and_tried, .setup = sent_try_setup, .finish = sent_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);
static void dropped_finish(void) { mc_assert(received == 0, "nothing was sent"); }
MC_TEST(dropped, .setup = dropped_setup, .finish = dropped_finish, .bound = MC_UNBOUNDED, .max_executions = 400000);

MC_TEST(dropped_and_tried, .setup = dropped_try_setup, .finish = dropped_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);

/* Cancelled, and then closed: the value is with exactly one. */
static void gives_up(void *arg)
{
    if (arg == NULL)
        receiver((void *)WAITS_OR_IS_CANCELED);
    else
        received = skua_oneshot_receive_until(&oneshot, &taken, 1);
    closed = skua_oneshot_close_receiver(&oneshot, &taken);
}
static void canceled_setup(void)
{
    reset();
    mc_thread(sender, NULL);
    mc_thread(gives_up, NULL);
}
static void canceled_finish(void)
{
    int got = (received == 1) + (closed == 1);
    mc_assert(got == (sent == 0), "sent, and not received or handed over, once");
    mc_assert(sent == 0 || sent == -EPIPE, "neither sent nor refused");
    mc_assert(got == 0 || taken == 7, "another value");
}
MC_TEST(canceled_and_closed, .setup = canceled_setup, .finish = canceled_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);

static void until_setup(void)
{
    reset();
    mc_thread(sender, NULL);
    mc_thread(gives_up, &oneshot);
}
MC_TEST(until_and_closed, .setup = until_setup, .finish = canceled_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);

/* The sender waits to hear that nobody wants it, then closes; the second end to go frees. */
static skua_op watch;
static void watches(void *arg)
{
    (void)arg;
    mc_alloc(&watch, sizeof watch);
    told = waits_for(skua_oneshot_unwanted_prepare(&watch, &oneshot), WAITS_OR_IS_CANCELED);
    mc_free(&watch, sizeof watch);
    sent = skua_oneshot_send(&oneshot, &value);
}
static void watched_finish(void)
{
    canceled_finish();
    mc_assert(told != 0 || sent == -EPIPE, "unwanted, and sent");
}
static void closes(void *arg)
{
    (void)arg;
    closed = skua_oneshot_close_receiver(&oneshot, &taken);
}
static void watched_by_close_setup(void)
{
    reset();
    memset(&watch, 0, sizeof watch);
    mc_thread(watches, NULL);
    mc_thread(closes, NULL);
}
MC_TEST(unwanted, .setup = watched_by_close_setup, .finish = watched_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);

/* By calls. */
static void watches_by_call(void *arg)
{
    (void)arg;
    told = skua_oneshot_unwanted_until(&oneshot, 1);
    if (told == -ECANCELED)
        told = skua_oneshot_unwanted(&oneshot);
    mc_assert(told == 0 && skua_oneshot_try_unwanted(&oneshot) == 0, "it was closed");
    sent = skua_oneshot_send(&oneshot, &value);
}
static void watched_by_call_setup(void)
{
    reset();
    mc_thread(watches_by_call, NULL);
    mc_thread(closes, NULL);
}
MC_TEST(unwanted_by_call, .setup = watched_by_call_setup, .finish = watched_finish, .bound = MC_UNBOUNDED,
        .max_executions = 400000);

/* In one thread: who may not wait, and what comes too often. */
static void one_at_each_end(void *arg)
{
    (void)arg;
    static skua_oneshot_op second;
    mc_assert(skua_oneshot_try_unwanted(&oneshot) == -EAGAIN, "it is wanted");
    skua_op *first = skuai_op_start(skua_oneshot_receive_prepare(&mine.op, &oneshot, &taken));
    mc_assert(waits_for(skua_oneshot_receive_prepare(&second, &oneshot, &place), WAITS_ON) == -EBUSY, "one waits");
    skua_op *watching = skua_oneshot_unwanted_start(&watch, &oneshot);
    mc_assert(waits_for(skua_oneshot_unwanted_prepare(&second.op, &oneshot), WAITS_ON) == -EBUSY, "one waits here too");
    mc_assert(waits_interrupt(watching, -ECANCELED), "it is wanted still");
    sender(NULL);
    mc_assert(sent == 0 && skuai_op_is_done(first) && taken == 7, "not received");
    mc_assert(skua_oneshot_send(&oneshot, &value) == -EPERM && waits_misused == 1, "sent twice");
    skua_oneshot_close_sender(&oneshot);
    mc_assert(waits_misused == 2, "closed after that");
}
static void ends_setup(void)
{
    reset();
    memset(&watch, 0, sizeof watch);
    waits_misused = 0;
    mc_thread(one_at_each_end, NULL);
}
MC_TEST(one_waits_at_each_end, .setup = ends_setup);

static void closes_twice(void *arg)
{
    (void)arg;
    mc_assert(skua_oneshot_close_receiver(&oneshot, &taken) == 0 && skua_oneshot_try_unwanted(&oneshot) == 0, "closed");
    mc_assert(skua_oneshot_close_receiver(&oneshot, &taken) == 0 && waits_misused == 1, "closed twice");
    skua_oneshot_close_sender(&oneshot);
    mc_assert(waits_misused == 1, "the sender's is the other end");
}
static void closed_twice_setup(void)
{
    reset();
    oneshot.on_heap = 1;
    waits_misused = 0;
    mc_thread(closes_twice, NULL);
}
static void closed_twice_finish(void) { mc_assert(frees == 1, "not freed"); }
MC_TEST(closed_twice, .setup = closed_twice_setup, .finish = closed_twice_finish);

/* On the heap, with the same ends. */
static void heap_setup(void)
{
    canceled_setup();
    oneshot.on_heap = 1;
}
static void heap_finish(void)
{
    canceled_finish();
    mc_assert(frees == 1, "not freed");
}
MC_TEST(heap, .setup = heap_setup, .finish = heap_finish, .bound = 5, .max_executions = 400000);
static void heap_watched_setup(void)
{
    watched_by_close_setup();
    oneshot.on_heap = 1;
}
static void heap_watched_finish(void)
{
    watched_finish();
    mc_assert(frees == 1, "not freed");
}
MC_TEST(heap_unwanted, .setup = heap_watched_setup, .finish = heap_watched_finish, .bound = 5,
        .max_executions = 400000);

/* An arm of a select whose other arm is another oneshot: the value stays if the arm does not take effect. */
static skua_oneshot other;
static int other_place, other_taken;
static void selects(void *arg)
{
    (void)arg;
    static skua_oneshot_op second;
    mc_alloc(&mine, sizeof mine);
    mc_alloc(&second, sizeof second);
    skua_op *arms[] = { skua_oneshot_receive_prepare(&mine.op, &oneshot, &taken),
                        skua_oneshot_receive_prepare(&second, &other, &other_taken) };
    received = waits_select(&mine.word, arms, 2, WAITS_OR_IS_CANCELED);
    mc_free(&mine, sizeof mine);
    mc_free(&second, sizeof second);
}
static void other_sender(void *arg)
{
    (void)arg;
    int seven = 7;
    told = skua_oneshot_send(&other, &seven);
}
static void arms_setup(void)
{
    reset();
    skua_oneshot_init(&other, &other_place, sizeof other_place);
    other_place = other_taken = 0;
    mc_thread(selects, NULL);
    mc_thread(sender, NULL);
    mc_thread(other_sender, NULL);
}
static void arms_finish(void)
{
    mc_assert(sent == 0 && told == 0, "both were sent");
    mc_assert((taken == 7) == (received == 0) && (other_taken == 7) == (received == 1), "not exactly one arm's value");
    mc_assert(skua_oneshot_close_receiver(&oneshot, &taken) == (received != 0), "a value was lost, or doubled");
    mc_assert(skua_oneshot_close_receiver(&other, &other_taken) == (received != 1), "a value was lost, or doubled");
}
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 2, .max_executions = 300000);
