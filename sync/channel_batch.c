/* Channels: many values in one call. Protocol: channel.c.
 *
 * What is there, or fits, is moved in pieces: a piece is one hold of the locks, short enough for a spin lock, and wakes
 * whom it has completed after it. A call that must wait does so for a single value, like any other.
 */
#include <errno.h>

#include "sched/wait.h"
#include "sync/channel.h"

enum {
    PIECE_VALUES = 64, /* untuned */
    PIECE_BYTES = 4096 /* untuned; about as long as that takes */
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t piece_of(const skua_channel *channel, size_t count)
{
    size_t size = channel->value_size;
    size_t most = size <= PIECE_BYTES / PIECE_VALUES ? PIECE_VALUES : size >= PIECE_BYTES ? 1 : PIECE_BYTES / size;
    return least(count, most);
}

/* Of values without bytes there need be no array: then any address does. */
static char *value_at(const skua_channel *channel, const void *values, size_t index)
{
    size_t size = channel->value_size;
    return size == 0 ? (char *)(uintptr_t)channel : (char *)(uintptr_t)values + index * size;
}

/* H6 for many: the oldest that waits, or NULL. */
static skua_op *claim_oldest(skua_waiters *waiters, skua_word32 *flags, uint32_t flag)
{
    if (!skuai_channel_has(flags, flag))
        return NULL;
    skua_op *op = skuai_waiters_claim(waiters);
    if (op == NULL)
        skuai_channel_flag(flags, 0, flag); /* no model test needs the step: a flag too many costs a look each time */
    return op;
}

static skua_op *claim_sender(skua_channel *channel)
{
    return claim_oldest(&channel->senders, &channel->take_flags, SKUAI_CHANNEL_SENDERS);
}

static skua_op *claim_receiver(skua_channel *channel)
{
    return claim_oldest(&channel->receivers, &channel->put_flags, SKUAI_CHANNEL_RECEIVERS);
}

/* How many lie one after the other from here to there. */
static size_t run_length(const skua_channel *channel, const char *from, const char *end, size_t most)
{
    return channel->value_size == 0 ? most : least(most, (size_t)(end - from) / channel->value_size);
}

/* H1, of up to `count`, under both locks. */
static size_t send_piece(skua_channel *channel, const char *values, size_t count, struct skuai_fires *fires)
{
    size_t size = channel->value_size, sent = 0;
    skua_op *receiver;
    while (sent < count && (receiver = claim_receiver(channel)) != NULL) {
        skuai_channel_copy(skuai_channel_value_of(receiver), values + sent++ * size, size);
        skuai_fires_add(fires, receiver, 1);
    }
    while (sent < count && skuai_channel_has_room(channel) && skuai_channel_has_place(channel)) {
        size_t room = channel->capacity - (size_t)skuai_channel_length(channel);
        size_t run = run_length(channel, channel->put, channel->put_end, least(count - sent, room));
        memcpy(channel->put, values + sent * size, run * size);
        skuai_channel_count_sent(channel, run * size, run);
        sent += run;
    }
    return sent;
}

/* H2: the places that were taken from are the waiting senders'. */
static void refill_all(skua_channel *channel, struct skuai_fires *fires)
{
    skua_op *sender;
    while (skuai_channel_has_room(channel) && (sender = claim_sender(channel)) != NULL) {
        (void)skuai_channel_has_place(channel); /* an unbounded one has no waiting senders */
        skuai_channel_put(channel, skuai_channel_value_of(sender));
        skuai_fires_add(fires, sender, 0);
    }
}

/* H2, of up to `max`, under both locks. */
static size_t receive_piece(skua_channel *channel, char *values, size_t max, struct skuai_fires *fires)
{
    size_t size = channel->value_size, got = 0;
    skua_op *sender;
    while (got < max && skuai_channel_has_value(channel)) {
        skuai_channel_go_to_value(channel);
        size_t most = least(max - got, (size_t)skuai_channel_length(channel));
        size_t run = run_length(channel, channel->take, channel->take_end, most);
        memcpy(values + got * size, channel->take, run * size);
        skuai_channel_count_received(channel, run * size, run);
        got += run;
        refill_all(channel, fires);
    }
    while (got < max && (sender = claim_sender(channel)) != NULL) {
        skuai_channel_copy(values + got++ * size, skuai_channel_value_of(sender), size);
        skuai_fires_add(fires, sender, 0);
    }
    return got;
}

/* One hold of the locks: how many, or -EPIPE, -EAGAIN or -ENOMEM. */
static int64_t try_send_piece(skua_channel *channel, const char *values, size_t count)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    size_t sent = 0;
    skuai_channel_lock_both(channel);
    bool closed = skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED);
    if (!closed)
        sent = send_piece(channel, values, count, &fires);
    bool full = !skuai_channel_has_room(channel);
    skuai_channel_unlock_both(channel);
    skuai_fires_finish(&fires);
    if (sent != 0)
        return (int64_t)sent;
    if (closed)
        return -EPIPE;
    return full ? -EAGAIN : skuai_channel_grow(channel);
}

int64_t skua_try_send_many(skua_channel *channel, const void *values, size_t count)
{
    size_t sent = 0;
    while (sent < count) {
        int64_t n = try_send_piece(channel, value_at(channel, values, sent), piece_of(channel, count - sent));
        if (n < 0)
            return sent != 0 ? (int64_t)sent : n;
        sent += (size_t)n;
    }
    return (int64_t)sent;
}

int64_t skua_send_many(skua_channel *channel, const void *values, size_t count)
{
    int64_t rc = skuai_call_begin(skuai_worker_self(), "skua_send_many");
    size_t sent = 0;
    while (rc >= 0 && sent < count) {
        const char *rest = value_at(channel, values, sent);
        rc = skua_try_send_many(channel, rest, count - sent);
        if (rc > 0)
            sent += (size_t)rc;
        else if (rc == -EAGAIN && (rc = skua_send(channel, rest)) == 0)
            sent++;
    }
    if (rc < 0 && sent == 0)
        return rc;
    return skuai_call_end(skuai_worker_self(), (int64_t)sent);
}

/* One hold of the locks: how many, or 0, the end, or -EAGAIN. */
static int64_t try_receive_piece(skua_channel *channel, char *values, size_t max)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_channel_lock_both(channel);
    size_t got = receive_piece(channel, values, max, &fires);
    bool closed = skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED);
    struct skuai_channel_segment *drained = skuai_channel_take_drained(channel);
    skuai_channel_unlock_both(channel);
    skuai_channel_free_drained(drained);
    skuai_fires_finish(&fires);
    return got != 0 || closed ? (int64_t)got : -EAGAIN;
}

int64_t skua_try_receive_many(skua_channel *channel, void *values, size_t max)
{
    size_t got = 0;
    while (got < max) {
        int64_t n = try_receive_piece(channel, value_at(channel, values, got), piece_of(channel, max - got));
        if (n <= 0)
            return got != 0 ? (int64_t)got : n;
        got += (size_t)n;
    }
    return (int64_t)got;
}

int64_t skua_receive_many(skua_channel *channel, void *values, size_t max)
{
    int64_t got = skuai_call_begin(skuai_worker_self(), "skua_receive_many");
    if (got < 0)
        return got;
    got = skua_try_receive_many(channel, values, max);
    if (got == -EAGAIN && (got = skua_receive(channel, values)) == 1) {
        int64_t more = skua_try_receive_many(channel, value_at(channel, values, 1), max - 1);
        return more > 0 ? 1 + more : 1;
    }
    return skuai_call_end(skuai_worker_self(), got);
}
