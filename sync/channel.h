/* What a channel is made of, and how values get in and out of it. Public part: skua/channel.h. Protocol: channel.c.
 *
 * Values lie in segments. A bounded channel has one, made with it, and its two cursors go round in it. An unbounded one
 * has a list of them: the putting cursor goes on to a new one at a segment's end, the taking cursor gives back what it
 * leaves behind, and one is kept in reserve, so that a channel which fills and drains allocates nothing. A cursor is a
 * pair of pointers, and only at a segment's end do the two kinds differ: no division and no multiplication per value.
 *
 * Each end has a lock and a line of memory of its own, and looks at the other end's count only when by what it last saw
 * there the store is full, or empty: so ends on two processors work side by side, and a count crosses over once for
 * many values.
 */
#ifndef SKUAI_CHANNEL_H
#define SKUAI_CHANNEL_H

#include <string.h>

#include "sched/waiters.h"
#include "skua/channel.h"

struct skuai_channel_segment {
    struct skuai_channel_segment *next; /* by who puts, before the value behind it is counted as sent */
    char *end;
    char values[];
};

/* They change under both locks. Each end is told, on its own line, what makes it look further. */
enum skuai_channel_flag {
    SKUAI_CHANNEL_CLOSED = 1,    /* senders: it is */
    SKUAI_CHANNEL_RECEIVERS = 2, /* senders: there may be receivers that wait; never clear while there are */
    SKUAI_CHANNEL_SENDERS = 4    /* receivers: likewise, senders */
};

/* Of a store of one place or none the ends cannot work side by side: then put_lock guards both. */
enum { SKUAI_CHANNEL_ONE_LOCK_MAX = 1 };

struct skua_channel {
    /* the senders' end, under put_lock */
    struct skuai_lock put_lock;
    skua_word32 put_flags;
    skua_word64 sent;       /* values put into the store, ever; also read by receivers */
    uint64_t received_seen; /* what `received` was, or more by now */
    char *put, *put_end;
    struct skuai_channel_segment *last;
    size_t value_size; /* fixed */
    size_t capacity;   /* fixed */
    /* the receivers' end, under take_lock */
    struct skuai_lock take_lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_word32 take_flags;
    skua_word64 received; /* values taken out of the store, ever; also read by senders */
    skua_word64 sent_seen;  /* what `sent` was, or more by now; also read without the lock */
    char *take, *take_end;
    struct skuai_channel_segment *first;   /* set once by the first sender, before it has sent */
    struct skuai_channel_segment *drained; /* to be freed by who has left it here, when it has unlocked */
    size_t take_size;                      /* value_size */
    /* those who wait: under both locks, put_lock first */
    skua_waiters senders __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_waiters receivers;
    uint32_t kind;      /* SKUAI_KIND_CHANNEL (sched/kind.h) */
    bool one_lock;      /* fixed. Here, because either end reads it without a lock, and little is written nearby */
    skua_wordptr spare; /* a segment in reserve, or NULL: who exchanges it has it */
};

/* ---- the locks --------------------------------------------------------------------------------------------------- */

/* Between two looks at a lock that is held. Long, because each look takes the holder's line away: undisturbed it is
 * done with a hundred values in the time that a few take otherwise, and the waiter has its turn after that. The first
 * is half a µs, where a pause takes 29 ns (sync/DESIGN.md, "Channels"). A model's pauses last until something changes.
 */
#if defined(SKUAI_MODEL)
enum { SKUAI_CHANNEL_PAUSES_MIN = 1, SKUAI_CHANNEL_PAUSES_MAX = 1 };
#else
enum { SKUAI_CHANNEL_PAUSES_MIN = 16, SKUAI_CHANNEL_PAUSES_MAX = 128 };
#endif
enum { SKUAI_CHANNEL_TURNS = 4 }; /* after so many the holder may have lost its processor */

/* No model test needs the step: as above; and that a lock is tried until it is had, all of them do. */
static __attribute__((noinline, unused)) void skuai_channel_lock_slowly(struct skuai_lock *lock)
{
    uint32_t pauses = SKUAI_CHANNEL_PAUSES_MIN, turns = 0;
    do {
        for (uint32_t i = 0; i < pauses; i++)
            skuai_pause();
        if (pauses < SKUAI_CHANNEL_PAUSES_MAX)
            pauses *= 2;
        if (++turns > SKUAI_CHANNEL_TURNS)
            skuai_lock_wait_hint();
    } while (!skuai_lock_try(lock));
}

SKUAI_INLINE void skuai_channel_lock(struct skuai_lock *lock)
{
    if (SKUAI_UNLIKELY(skuai_exchange_32(&lock->word, 1, SKUAI_ACQUIRE) != 0))
        skuai_channel_lock_slowly(lock);
}

/* What the receivers' end takes. */
SKUAI_INLINE struct skuai_lock *skuai_channel_take_lock(skua_channel *channel)
{
    return channel->one_lock ? &channel->put_lock : &channel->take_lock;
}

/* Both, put_lock first. */
SKUAI_INLINE void skuai_channel_lock_other(skua_channel *channel)
{
    if (!channel->one_lock)
        skuai_channel_lock(&channel->take_lock);
}

SKUAI_INLINE void skuai_channel_lock_both(skua_channel *channel)
{
    skuai_channel_lock(&channel->put_lock);
    skuai_channel_lock_other(channel);
}

SKUAI_INLINE void skuai_channel_unlock_both(skua_channel *channel)
{
    if (!channel->one_lock)
        skuai_lock_release(&channel->take_lock);
    skuai_lock_release(&channel->put_lock);
}

/* ---- values: bytes of any alignment and type --------------------------------------------------------------------- */

typedef uint64_t __attribute__((may_alias, aligned(1))) skuai_any64;
typedef uint32_t __attribute__((may_alias, aligned(1))) skuai_any32;

/* No model test needs the step: their values have 8 bytes, and need that one. */
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

/* ---- the senders' end of the store, under put_lock --------------------------------------------------------------- */

/* channel_store.c: the cursor has come to the end of its segment. False: there is no memory in reserve. */
bool skuai_channel_next_put(skua_channel *channel);
/* Without a lock: has some in reserve. 0 or -ENOMEM. */
int skuai_channel_grow(skua_channel *channel);

/* Whether there is room for a value. */
SKUAI_INLINE bool skuai_channel_has_room(skua_channel *channel)
{
    uint64_t sent = skuai_load_64(&channel->sent, SKUAI_RELAXED); /* the lock orders it */
    if (SKUAI_LIKELY(sent - SKUAI_READ(channel->received_seen) < channel->capacity))
        return true; /* no model test needs the sequence: it spares a look */
    /* Acquire: pairs with take's release: the receiver has read what we are going to write over. */
    SKUAI_WRITE(channel->received_seen, skuai_load_64(&channel->received, SKUAI_ACQUIRE));
    return sent - channel->received_seen < channel->capacity;
}

/* Whether the memory for it is at hand. */
SKUAI_INLINE bool skuai_channel_has_place(skua_channel *channel)
{
    return SKUAI_LIKELY(SKUAI_READ(channel->put) != channel->put_end) || skuai_channel_next_put(channel);
}

/* Into `run` places, there being room and memory. */
SKUAI_INLINE void skuai_channel_count_sent(skua_channel *channel, size_t bytes, uint64_t run)
{
    SKUAI_WRITE(channel->put, channel->put + bytes);
    /* Release: pairs with the acquire in has_value(): the values, and the segment they are in. */
    skuai_store_64(&channel->sent, skuai_load_64(&channel->sent, SKUAI_RELAXED) + run, SKUAI_RELEASE);
}

SKUAI_INLINE void skuai_channel_put(skua_channel *channel, const void *value)
{
    size_t size = channel->value_size;
    skuai_channel_copy(channel->put, value, size);
    skuai_channel_count_sent(channel, size, 1);
}

/* ---- the receivers' end, under take_lock ------------------------------------------------------------------------- */

void skuai_channel_next_take(skua_channel *channel);
void skuai_channel_free_segments(struct skuai_channel_segment *first);

SKUAI_INLINE bool skuai_channel_has_value(skua_channel *channel)
{
    uint64_t received = skuai_load_64(&channel->received, SKUAI_RELAXED); /* the lock orders it */
    /* Relaxed, here and below: the lock orders it. */
    if (SKUAI_LIKELY(received < skuai_load_64(&channel->sent_seen, SKUAI_RELAXED)))
        return true; /* no model test needs the sequence: it spares a look */
    /* Acquire: pairs with count_sent()'s release. */
    uint64_t sent = skuai_load_64(&channel->sent, SKUAI_ACQUIRE);
    /* No model test needs the step: it spares looks. */
    skuai_store_64(&channel->sent_seen, sent, SKUAI_RELAXED);
    return received < sent;
}

/* There is a value: the cursor is at it. */
SKUAI_INLINE void skuai_channel_go_to_value(skua_channel *channel)
{
    if (SKUAI_UNLIKELY(SKUAI_READ(channel->take) == channel->take_end))
        skuai_channel_next_take(channel);
}

SKUAI_INLINE void skuai_channel_count_received(skua_channel *channel, size_t bytes, uint64_t run)
{
    SKUAI_WRITE(channel->take, channel->take + bytes);
    /* Release: pairs with the acquire in has_room(): we have read the values. */
    skuai_store_64(&channel->received, skuai_load_64(&channel->received, SKUAI_RELAXED) + run, SKUAI_RELEASE);
}

SKUAI_INLINE void skuai_channel_take(skua_channel *channel, void *value)
{
    size_t size = channel->take_size;
    skuai_channel_go_to_value(channel);
    skuai_channel_copy(value, channel->take, size);
    skuai_channel_count_received(channel, size, 1);
}

/* Leaves the lock, and frees what was drained under it. The lock may be all there is left of the channel. */
SKUAI_INLINE struct skuai_channel_segment *skuai_channel_take_drained(skua_channel *channel)
{
    struct skuai_channel_segment *drained = channel->drained;
    if (SKUAI_UNLIKELY(drained != NULL))
        channel->drained = NULL;
    return drained;
}

SKUAI_INLINE void skuai_channel_free_drained(struct skuai_channel_segment *drained)
{
    if (SKUAI_UNLIKELY(drained != NULL))
        skuai_channel_free_segments(drained);
}

/* Both locks: how many are stored. */
SKUAI_INLINE uint64_t skuai_channel_length(const skua_channel *channel)
{
    return skuai_load_64(&channel->sent, SKUAI_RELAXED) - skuai_load_64(&channel->received, SKUAI_RELAXED);
}

/* ---- the flags: under both locks; each read under its end's ------------------------------------------------------ */

/* No order anywhere: the locks order them; who reads them without gets nothing with them. */
SKUAI_INLINE bool skuai_channel_has(const skua_word32 *flags, uint32_t any)
{
    return (skuai_load_32(flags, SKUAI_RELAXED) & any) != 0;
}
SKUAI_INLINE void skuai_channel_flag(skua_word32 *flags, uint32_t set, uint32_t clear)
{
    skuai_store_32(flags, (skuai_load_32(flags, SKUAI_RELAXED) | set) & ~clear, SKUAI_RELAXED);
}

#endif
