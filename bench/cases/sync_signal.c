/* Oneshots and broadcasts: oneshot, broadcast_1_64; with futures and, as "/fiber", with fibers. */
#include <stdlib.h>

#include "bench/cases/work.h"
#include "skua/broadcast.h"
#include "skua/oneshot.h"

/* ---- oneshot ----------------------------------------------------------------------------------------------------- */

struct reply {
    skua_oneshot oneshot;
    int64_t place, value;
};

static int replier(void *arg)
{
    struct reply *reply = arg;
    int64_t value = reply->value;
    work_must(skua_oneshot_send(&reply->oneshot, &value));
    return 0;
}

struct replying {
    SKUA_FRAME;
    struct {
        skua_oneshot *oneshot;
        int64_t value;
    } in;
};
SKUA_ASYNC(replying)
{
    SKUA_BEGIN(self);
    work_must(skua_oneshot_send(self->in.oneshot, &self->in.value));
    SKUA_END(0);
}

/* In the memory of who waits: nothing is allocated. */
static void open_reply(struct reply *reply, int i)
{
    reply->value = i & 1;
    skua_oneshot_init(&reply->oneshot, &reply->place, sizeof reply->place);
}

static int64_t await_reply(struct reply *reply)
{
    int64_t got = 0;
    work_check("received", skua_oneshot_receive(&reply->oneshot, &got), 1);
    return got;
}

static int64_t oneshot(void)
{
    struct reply reply;
    int64_t sum = 0;
    for (int i = 0; i < ONESHOTS; i++) {
        open_reply(&reply, i);
        work_must(SKUA_GO(replying, .oneshot = &reply.oneshot, .value = reply.value));
        sum += await_reply(&reply);
    }
    work_check("results", sum, ONESHOTS / 2);
    return ONESHOTS;
}

static int64_t oneshot_fiber(void)
{
    struct reply reply;
    int64_t sum = 0;
    for (int i = 0; i < ONESHOTS; i++) {
        open_reply(&reply, i);
        work_must(skua_go(replier, &reply));
        sum += await_reply(&reply);
    }
    work_check("results", sum, ONESHOTS / 2);
    return ONESHOTS;
}

/* ---- broadcast --------------------------------------------------------------------------------------------------- */

struct station {
    skua_broadcast *news;
    struct count *round, *left;
    int64_t count, sum; /* atomic: what all have got together */
};

struct listener {
    struct station *station;
    skua_broadcast_receiver receiver;
};

/* A value is in: tells the sender at the end of a round. */
static void heard(struct station *station, int64_t count)
{
    if (count % CAPACITY == 0)
        count_down(station->round);
}

static void end_listening(struct listener *listener, int64_t count, int64_t sum)
{
    struct station *station = listener->station;
    skua_broadcast_unsubscribe(&listener->receiver);
    __atomic_add_fetch(&station->count, count, __ATOMIC_RELAXED);
    __atomic_add_fetch(&station->sum, sum, __ATOMIC_RELAXED);
    count_down(station->left);
}

static int hear_all(void *arg)
{
    struct listener *self = arg;
    int64_t value, count = 0, sum = 0;
    int rc;
    while ((rc = skua_broadcast_receive(&self->receiver, &value)) == 1) {
        sum += value;
        heard(self->station, ++count);
    }
    work_must(rc);
    end_listening(self, count, sum);
    return 0;
}

struct listening {
    SKUA_FRAME;
    struct {
        struct listener *listener;
    } in;
    int64_t value, count, sum;
    skua_broadcast_op op;
};
SKUA_ASYNC(listening)
{
    SKUA_BEGIN(self);
    self->count = self->sum = 0;
    for (;;) {
        SKUA_AWAIT(skua_broadcast_receive_start(&self->op, &self->in.listener->receiver, &self->value));
        if (self->op.result != 1)
            break;
        self->sum += self->value;
        heard(self->in.listener->station, ++self->count);
    }
    work_must((int)self->op.result);
    end_listening(self->in.listener, self->count, self->sum);
    SKUA_END(0);
}

/* After each round of as many as are kept everybody is waited for, so that nobody misses any. */
static void send_news(struct station *station)
{
    for (int64_t i = 0; i < (int64_t)BROADCASTS * CAPACITY; i++) {
        work_must(skua_broadcast_send(station->news, &i));
        if ((i + 1) % CAPACITY == 0) {
            wait_for_zero(station->round);
            __atomic_store_n(&station->round->left, LISTENERS, __ATOMIC_RELAXED); /* published with the next value */
        }
    }
    skua_broadcast_close(station->news);
}

static int start_listener(struct listener *listener) { return SKUA_GO(listening, .listener = listener); }
static int start_listener_fiber(struct listener *listener) { return skua_go(hear_all, listener); }

static int64_t broadcast_with(int (*start)(struct listener *listener))
{
    struct listener *listeners = work_memory(LISTENERS * sizeof *listeners);
    struct station station = { .round = work_count(LISTENERS), .left = work_count(LISTENERS) };
    int64_t each = (int64_t)BROADCASTS * CAPACITY;
    work_must(skua_broadcast_create(&station.news, sizeof(int64_t), CAPACITY));
    for (int i = 0; i < LISTENERS; i++) {
        listeners[i].station = &station;
        skua_broadcast_subscribe(station.news, &listeners[i].receiver);
        work_must(start(&listeners[i]));
    }
    send_news(&station);
    wait_for_zero(station.left);
    work_check("values", station.count, LISTENERS * each);
    work_check("sum of values", station.sum, LISTENERS * (each * (each - 1) / 2));
    work_must(skua_broadcast_destroy(station.news));
    free(listeners);
    return LISTENERS * each;
}

static int64_t broadcast_1_64(void) { return broadcast_with(start_listener); }
static int64_t broadcast_1_64_fiber(void) { return broadcast_with(start_listener_fiber); }

const struct work work_of_signal[] = {
    { "oneshot", oneshot },
    { "oneshot/fiber", oneshot_fiber },
    { "broadcast_1_64", broadcast_1_64 },
    { "broadcast_1_64/fiber", broadcast_1_64_fiber },
    { NULL, NULL },
};
