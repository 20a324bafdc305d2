/* What a channel is made of, and how values get in and out of it. Public part: skua/channel.h. Protocol: channel.c.
 *
 * Values lie in segments. A bounded channel has one, made with it, and its two cursors go round in it. An unbounded one
 * has a list of them: the putting cursor goes on to a new one at a segment's end, the taking cursor gives back what it
 * leaves behind, and one is kept in reserve, so that a channel which fills and drains allocates nothing. A cursor is a
 * pair of pointers, and only at a segment's end do the two kinds differ: no division and no multiplication per value.
 */
#ifndef SKUAI_CHANNEL_H
#define SKUAI_CHANNEL_H

#include <string.h>

#include "sched/waiters.h"
#include "skua/channel.h"

struct skuai_channel_segment {
    struct skuai_channel_segment *next;
    char *end;
    char values[];
};

enum skuai_channel_flag {
    SKUAI_CHANNEL_CLOSED = 1,
    SKUAI_CHANNEL_SENDERS = 2,  /* there may be some in `senders`: never clear while there are */
    SKUAI_CHANNEL_RECEIVERS = 4 /* likewise */
};

struct skua_channel {
    /* All that a call needs which need not wait, on one line: who has the lock's line has the rest. */
    struct skuai_lock lock;
    skua_word32 flags;  /* this and what follows guarded by the lock, but for what is fixed */
    skua_word64 length; /* these two also read without the lock, by those who only ask */
    char *put, *put_end;
    char *take, *take_end;
    size_t value_size; /* fixed */
    size_t capacity;   /* fixed */
    /* for those who wait */
    skua_waiters senders __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_waiters receivers;
    /* at the ends of segments */
    struct skuai_channel_segment *first, *last;
    struct skuai_channel_segment *spare; /* or NULL */
    struct skuai_channel_segment *drained; /* to be freed by who has left it here, when it has unlocked */
};

/* ---- values: bytes of any alignment and type ------------------------------------------------------------------- */

typedef uint64_t __attribute__((may_alias, aligned(1))) skuai_any64;
typedef uint32_t __attribute__((may_alias, aligned(1))) skuai_any32;

SKUAI_INLINE void skuai_channel_copy(void *to, const void *from, size_t size)
{
    if (SKUAI_LIKELY(size == 8)) {
        SKUAI_WRITE(*(skuai_any64 *)to, SKUAI_READ(*(const skuai_any64 *)from));
    } else if (size == 16) {
        SKUAI_WRITE(*(skuai_any64 *)to, SKUAI_READ(*(const skuai_any64 *)from));
        SKUAI_WRITE(*((skuai_any64 *)to + 1), SKUAI_READ(*((const skuai_any64 *)from + 1)));
    } else if (size == 4) {
        SKUAI_WRITE(*(skuai_any32 *)to, SKUAI_READ(*(const skuai_any32 *)from));
    } else if (size != 0) {
        memcpy(to, from, size);
    }
}

/* Of a sender's or receiver's op. */
SKUAI_INLINE void *skuai_channel_value_of(const skua_op *op)
{
    return ((const skua_channel_op *)(const void *)op)->value;
}

/* ---- the store, under the lock --------------------------------------------------------------------------------- */

/* channel_store.c: the cursor has come to the end of its segment. Putting: false if there is no memory in reserve. */
bool skuai_channel_next_put(skua_channel *channel);
void skuai_channel_next_take(skua_channel *channel);
/* Without the lock: has one in reserve. 0 or -ENOMEM. */
int skuai_channel_grow(skua_channel *channel);
void skuai_channel_free_segments(struct skuai_channel_segment *first);

/* No order anywhere: they change under the lock; who reads them without gets no value with them. */
SKUAI_INLINE bool skuai_channel_has(const skua_channel *channel, uint32_t flags)
{
    return (skuai_load_32(&channel->flags, SKUAI_RELAXED) & flags) != 0;
}
SKUAI_INLINE void skuai_channel_flag(skua_channel *channel, uint32_t set, uint32_t clear)
{
    skuai_store_32(&channel->flags, (skuai_load_32(&channel->flags, SKUAI_RELAXED) | set) & ~clear, SKUAI_RELAXED);
}
SKUAI_INLINE uint64_t skuai_channel_length(const skua_channel *channel)
{
    return skuai_load_64(&channel->length, SKUAI_RELAXED);
}
SKUAI_INLINE void skuai_channel_set_length(skua_channel *channel, uint64_t length)
{
    skuai_store_64(&channel->length, length, SKUAI_RELAXED); /* as above */
}

/* That the next put finds a place; whether it may is not asked here. */
SKUAI_INLINE bool skuai_channel_has_place(skua_channel *channel)
{
    return SKUAI_LIKELY(SKUAI_READ(channel->put) != channel->put_end) || skuai_channel_next_put(channel);
}

/* There is a place. */
SKUAI_INLINE void skuai_channel_put(skua_channel *channel, const void *value)
{
    size_t size = channel->value_size;
    skuai_channel_copy(channel->put, value, size);
    SKUAI_WRITE(channel->put, channel->put + size);
    skuai_channel_set_length(channel, skuai_channel_length(channel) + 1);
}

/* There is a value. */
SKUAI_INLINE void skuai_channel_take(skua_channel *channel, void *value)
{
    size_t size = channel->value_size;
    if (SKUAI_UNLIKELY(SKUAI_READ(channel->take) == channel->take_end))
        skuai_channel_next_take(channel);
    skuai_channel_copy(value, channel->take, size);
    SKUAI_WRITE(channel->take, channel->take + size);
    skuai_channel_set_length(channel, skuai_channel_length(channel) - 1);
}

/* Leaves the lock, after having taken: frees what that has drained. */
SKUAI_INLINE void skuai_channel_unlock_taken(skua_channel *channel)
{
    struct skuai_channel_segment *drained = channel->drained;
    if (SKUAI_UNLIKELY(drained != NULL))
        channel->drained = NULL;
    skuai_lock_release(&channel->lock);
    if (SKUAI_UNLIKELY(drained != NULL))
        skuai_channel_free_segments(drained);
}

#endif
