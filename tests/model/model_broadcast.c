/* Broadcasts (sync/broadcast.c, R1 … R4): each receiver gets each value whole, once and in order, or hears how many it
 * has missed; whoever is cancelled meanwhile.
 */
/* model-sources: sched/op.c sync/broadcast.c */
/* model-defines: aligned_alloc=model_alloc free=model_free */
#include <stdlib.h>

#include "model/waits.h"
#include "skua/broadcast.h"

enum { CAPACITY = 2, MOST = 8 };

struct value {
    uint64_t number, again; /* two words, so that half of one can be seen */
};

static _Alignas(64) char memory[1024];
static skua_broadcast *broadcast;
static skua_broadcast_receiver receivers[2];
static struct { skua_broadcast_op ops[2]; struct skuai_select word; } mine[2];
static struct { uint64_t got, missed, at; int64_t end; } log_of[2];
static int behind[MOST]; /* plain: what a value is about */
static uint64_t sent;
static bool freed;

void *model_alloc(size_t alignment, size_t size)
{
    mc_assert(alignment == 64 && size <= sizeof memory, "the memory is large enough");
    memset(memory, 0, sizeof memory);
    return memory;
}
void model_free(void *block)
{
    mc_assert(block == memory && !freed, "freed twice");
    freed = true;
    mc_free(memory, sizeof memory);
}

static void reset(unsigned count)
{
    memset(mine, 0, sizeof mine);
    memset(log_of, 0, sizeof log_of);
    memset(behind, 0, sizeof behind);
    sent = 0;
    freed = false;
    mc_assert(skua_broadcast_create(&broadcast, sizeof(struct value), CAPACITY) == 0, "there is memory");
    for (unsigned i = 0; i < count; i++) {
        skua_broadcast_subscribe(broadcast, &receivers[i]);
        mine[i].word.number = i + 1;
        log_of[i].end = -1;
    }
}

static void send(uint64_t number)
{
    struct value value = { number, number };
    SKUAI_WRITE(behind[number], 1);
    if (skua_broadcast_send(broadcast, &value) == 0)
        sent++;
}
/* So many, and the end. */
static void sends(void *arg)
{
    for (uint64_t i = 1; i <= (uint64_t)(uintptr_t)arg; i++)
        send(i);
    skua_broadcast_close(broadcast);
}

static void note(unsigned i, int64_t rc, const struct value *value)
{
    if (rc == -EOVERFLOW) {
        uint64_t missed = skua_broadcast_missed(&receivers[i]);
        mc_assert(missed > 0, "nothing was missed");
        log_of[i].missed += missed;
        log_of[i].at += missed;
    } else if (rc == 1) {
        mc_assert(value->number == value->again, "half a value");
        mc_assert(value->number == ++log_of[i].at, "a value was left out, or came twice");
        mc_assert(SKUAI_READ(behind[value->number]) == 1, "what was done before is not seen");
        log_of[i].got++;
    }
    log_of[i].end = rc;
}

static int64_t receive(unsigned i, enum waits_how how)
{
    struct value value = { 0, 0 };
    mc_alloc(&mine[i], sizeof mine[i]);
    int64_t rc = waits_for(skua_broadcast_receive_prepare(&mine[i].ops[0], &receivers[i], &value), how);
    mc_free(&mine[i], sizeof mine[i]);
    note(i, rc, &value);
    return rc;
}
static void receives(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    while (receive(i, WAITS_ON) != 0)
        ;
}
static void all_accounted(unsigned i)
{
    mc_assert(log_of[i].end == 0, "the end was not told");
    mc_assert(log_of[i].got + log_of[i].missed == sent, "got and missed are not all that were sent");
}

static void one_setup(uint64_t count)
{
    reset(1);
    mc_thread(sends, (void *)(uintptr_t)count);
    mc_thread(receives, (void *)0);
}
static void all_finish(void) { all_accounted(0); }
static void keeps_up_setup(void) { one_setup(1); }
MC_TEST(one_value, .setup = keeps_up_setup, .finish = all_finish, .bound = 4, .max_executions = 300000);
static void falls_behind_setup(void) { one_setup(4); }
MC_TEST(falls_behind, .setup = falls_behind_setup, .finish = all_finish, .bound = 3, .max_executions = 150000);

/* By whichever call, to the end, and then it goes. */
enum how { CALLS, STARTS, TRIES, UNTIL };
static int64_t receive_by(enum how how, struct value *value)
{
    int64_t rc;
    switch (how) {
    case CALLS:
        return skua_broadcast_receive(&receivers[0], value);
    case UNTIL: /* once, as its op lies on the stack */
        if (log_of[0].end == -1)
            return skua_broadcast_receive_until(&receivers[0], value, 1);
        /* fall through */
    case STARTS:
        mc_alloc(&mine[0], sizeof mine[0]);
        rc = waits_started(skua_broadcast_receive_start(&mine[0].ops[0], &receivers[0], value));
        mc_free(&mine[0], sizeof mine[0]);
        return rc;
    case TRIES:
        while ((rc = skua_broadcast_try_receive(&receivers[0], value)) == -EAGAIN)
            skuai_pause();
        return rc;
    }
    mc_fail("no such call");
}
static void receives_by(void *arg)
{
    do {
        struct value value = { 0, 0 };
        int64_t rc = receive_by((enum how)(uintptr_t)arg, &value);
        note(0, rc, &value);
    } while (log_of[0].end != 0);
    skua_broadcast_unsubscribe(&receivers[0]);
    mc_assert(skua_broadcast_destroy(broadcast) == 0, "nobody is subscribed");
}
static void call_setup(enum how how)
{
    reset(1);
    mc_thread(sends, (void *)1);
    mc_thread(receives_by, (void *)(uintptr_t)how);
}
static void calls_setup(void) { call_setup(CALLS); }
static void starts_setup(void) { call_setup(STARTS); }
static void tries_setup(void) { call_setup(TRIES); }
static void until_setup(void) { call_setup(UNTIL); }
MC_TEST(by_calls, .setup = calls_setup, .finish = all_finish, .bound = 3, .stale = 2, .max_executions = 150000);
MC_TEST(by_starts, .setup = starts_setup, .finish = all_finish, .bound = 3, .stale = 2, .max_executions = 150000);
MC_TEST(by_tries, .setup = tries_setup, .finish = all_finish, .bound = 3, .stale = 2, .max_executions = 150000);
MC_TEST(by_waits_until, .setup = until_setup, .finish = all_finish, .bound = 3, .stale = 2, .max_executions = 150000);

/* What one thread can see. */
static void sees_numbers(void *arg)
{
    (void)arg;
    struct value values[2] = { { 0, 0 }, { 0, 0 } };
    mc_assert(skua_broadcast_receivers(broadcast) == 1 && skua_broadcast_pending(&receivers[0]) == 0, "nothing yet");
    mc_assert(skua_broadcast_try_receive_many(&receivers[0], values, 0) == -EINVAL, "no room");
    mc_assert(skua_broadcast_receive_many(&receivers[0], values, 0) == -EINVAL, "no room");
    mc_assert(skua_broadcast_try_receive(&receivers[0], values) == -EAGAIN, "nothing yet");
    send(1);
    send(2);
    mc_assert(skua_broadcast_pending(&receivers[0]) == 2, "two");
    mc_assert(skua_broadcast_receive_many(&receivers[0], values, 2) == 2 && values[1].number == 2, "both at once");
    skua_broadcast_subscribe(broadcast, &receivers[1]);
    mc_assert(skua_broadcast_receivers(broadcast) == 2 && skua_broadcast_pending(&receivers[1]) == 0, "from now on");
    skua_broadcast_unsubscribe(&receivers[0]);
    mc_assert(skua_broadcast_destroy(broadcast) == -EBUSY && waits_misused == 1 && !freed, "somebody is subscribed");
    skua_broadcast_close(broadcast);
    mc_assert(skua_broadcast_send(broadcast, values) == -EPIPE, "closed");
    mc_assert(skua_broadcast_try_receive(&receivers[1], values) == 0, "the end");
    skua_broadcast_unsubscribe(&receivers[1]);
    mc_assert(skua_broadcast_destroy(broadcast) == 0, "nobody is subscribed");
}
static void numbers_setup(void)
{
    reset(1);
    waits_misused = 0;
    mc_thread(sees_numbers, NULL);
}
static void freed_finish(void) { mc_assert(freed, "it was not freed"); }
MC_TEST(numbers, .setup = numbers_setup, .finish = freed_finish);

/* Without waiting: whatever is read is whole. */
static void reads(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct value value = { 0, 0 };
        note(0, skua_broadcast_try_receive(&receivers[0], &value), &value);
    }
}
static void read_setup(void)
{
    reset(1);
    mc_thread(sends, (void *)4);
    mc_thread(reads, NULL);
}
MC_TEST(read_while_written, .setup = read_setup, .bound = 3, .max_executions = 150000);

/* Several at once. */
static void reads_many(void *arg)
{
    (void)arg;
    struct value values[2] = { { 0, 0 }, { 0, 0 } };
    int64_t rc = skua_broadcast_try_receive_many(&receivers[0], values, 2);
    for (int64_t i = 0; i < rc; i++)
        note(0, 1, &values[i]);
    if (rc < 0)
        note(0, rc, NULL);
}
static void many_setup(void)
{
    reset(1);
    send(1);
    send(2);
    mc_thread(reads_many, NULL);
    mc_thread(sends, (void *)0);
}
static void sends_on(void *arg)
{
    (void)arg;
    send(3);
    send(4);
}
static void many_written_setup(void)
{
    reset(1);
    send(1);
    send(2);
    mc_thread(reads_many, NULL);
    mc_thread(sends_on, NULL);
}
static void many_finish(void) { mc_assert(log_of[0].got == 2, "two were there"); }
MC_TEST(many, .setup = many_setup, .finish = many_finish, .bound = 4);
MC_TEST(many_while_written, .setup = many_written_setup, .bound = 4, .max_executions = 400000);

/* Two senders: one order, and both receivers see it. */
static void sends_one(void *arg) { send((uint64_t)(uintptr_t)arg); }
static uint64_t seen[2];
static void sees_one(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    struct value value = { 0, 0 };
    mc_alloc(&mine[i], sizeof mine[i]);
    mc_assert(waits_for(skua_broadcast_receive_prepare(&mine[i].ops[0], &receivers[i], &value), WAITS_ON) == 1, "one");
    mc_free(&mine[i], sizeof mine[i]);
    mc_assert(value.number == value.again, "half a value");
    seen[i] = value.number;
}
static void two_setup(void)
{
    reset(2);
    seen[0] = seen[1] = 0;
    mc_thread(sends_one, (void *)1);
    mc_thread(sends_one, (void *)2);
    mc_thread(sees_one, (void *)0);
    mc_thread(sees_one, (void *)1);
}
static void two_finish(void) { mc_assert(seen[0] == seen[1] && seen[0] != 0, "two orders"); }
MC_TEST(two_senders, .setup = two_setup, .finish = two_finish, .stale = 1, .max_executions = 300000);

/* A wait that is cancelled has taken nothing. */
static void gives_up(void *arg)
{
    (void)arg;
    (void)receive(0, WAITS_OR_IS_CANCELED);
    receives((void *)0);
}
static void canceled_setup(void)
{
    reset(1);
    mc_thread(sends, (void *)2);
    mc_thread(gives_up, NULL);
}
MC_TEST(canceled, .setup = canceled_setup, .finish = all_finish, .bound = 3, .max_executions = 150000);

/* Two arms on one place in the sequence: one takes effect, and the other has taken nothing. */
static void selects(void *arg)
{
    (void)arg;
    struct value values[2] = { { 0, 0 }, { 0, 0 } };
    mc_alloc(&mine[0], sizeof mine[0]);
    mc_alloc(&mine[1], sizeof mine[1]);
    skua_op *arms[] = { skua_broadcast_receive_prepare(&mine[0].ops[0], &receivers[0], &values[0]),
                        skua_broadcast_receive_prepare(&mine[0].ops[1], &receivers[1], &values[1]) };
    int64_t arm = waits_select(&mine[0].word, arms, 2, WAITS_OR_IS_CANCELED);
    mc_assert((values[0].number == 1) == (arm == 0) && (values[1].number == 1) == (arm == 1), "not one arm's value");
    mc_assert(receivers[0].next == (arm == 0) && receivers[1].next == (arm == 1), "another arm has gone on");
    mc_free(&mine[0], sizeof mine[0]);
    mc_free(&mine[1], sizeof mine[1]);
}
static void arms_setup(void)
{
    reset(2);
    mc_thread(selects, NULL);
    mc_thread(sends_one, (void *)1);
}
MC_TEST(arms, .setup = arms_setup, .bound = 4, .max_executions = 300000);

/* Who has got the end may destroy it. */
static void receives_and_destroys(void *arg)
{
    receives(arg);
    skua_broadcast_unsubscribe(&receivers[0]);
    mc_assert(skua_broadcast_destroy(broadcast) == 0, "nobody is subscribed");
}
static void destroy_setup(void)
{
    reset(1);
    mc_thread(sends, (void *)1);
    mc_thread(receives_and_destroys, (void *)0);
}
static void destroy_finish(void) { mc_assert(freed, "it was not freed"); }
MC_TEST(destroyed, .setup = destroy_setup, .finish = destroy_finish, .bound = 3, .max_executions = 300000);
