/* The memory of channels. See channel.h. */
#include <errno.h>
#include <stdlib.h>

#include "sched/kind.h"
#include "sched/scheduler.h"
#include "sync/channel.h"

typedef struct skuai_channel_segment segment;

/* Untuned: an allocation for each 126 pointers; what a drained channel keeps is 1 or 2 KiB. */
#if !defined(SKUAI_CHANNEL_SEGMENT_BYTES)
#define SKUAI_CHANNEL_SEGMENT_BYTES 1008
#define SKUAI_CHANNEL_SEGMENT_FEW 4 /* values at least, up to a page each */
#endif
enum { PAGE = 4096 };

static size_t values_in_segment(size_t value_size)
{
    if (value_size > PAGE)
        return 1;
    size_t fit = SKUAI_CHANNEL_SEGMENT_BYTES / value_size;
    return fit < SKUAI_CHANNEL_SEGMENT_FEW ? SKUAI_CHANNEL_SEGMENT_FEW : fit;
}

static segment *segment_create(size_t value_size, size_t count)
{
    size_t bytes;
    if (__builtin_mul_overflow(value_size, count, &bytes) || bytes > SIZE_MAX - sizeof(segment))
        return NULL;
    segment *made = malloc(sizeof *made + bytes);
    if (made != NULL) {
        SKUAI_WRITE(made->next, NULL);
        SKUAI_WRITE(made->end, made->values + bytes);
    }
    return made;
}

void skuai_channel_free_segments(segment *first)
{
    for (segment *each = first, *next; each != NULL; each = next) {
        next = each->next;
        free(each);
    }
}

static bool is_unbounded(const skua_channel *channel) { return channel->capacity == SKUA_UNBOUNDED; }

bool skuai_channel_next_put(skua_channel *channel)
{
    if (!is_unbounded(channel)) {
        SKUAI_WRITE(channel->put, channel->last->values);
        return true;
    }
    /* Acquire: pairs with the release of who left it there: a receiver has read the values that lay in it. */
    segment *next = skuai_exchange_ptr(&channel->spare, NULL, SKUAI_ACQUIRE);
    if (next == NULL)
        return false;
    if (channel->last == NULL)
        SKUAI_WRITE(channel->first, next); /* no receiver looks before there is a value */
    else
        SKUAI_WRITE(channel->last->next, next);
    channel->last = next;
    SKUAI_WRITE(channel->put, next->values);
    channel->put_end = SKUAI_READ(next->end);
    return true;
}

static void leave_segment(skua_channel *channel)
{
    segment *left = channel->first;
    SKUAI_WRITE(channel->first, left->next);
    SKUAI_WRITE(left->next, NULL);
    /* Release: as above. Acquire: what was there is freed by us. */
    segment *before = skuai_exchange_ptr(&channel->spare, left, SKUAI_ACQ_REL);
    if (before != NULL) {
        SKUAI_WRITE(before->next, channel->drained);
        channel->drained = before;
    }
}

void skuai_channel_next_take(skua_channel *channel)
{
    segment *first = SKUAI_READ(channel->first);
    if (channel->take_end != NULL && SKUAI_READ(first->next) != NULL) {
        leave_segment(channel); /* an unbounded one's */
        first = SKUAI_READ(channel->first);
    }
    SKUAI_WRITE(channel->take, first->values);
    channel->take_end = SKUAI_READ(first->end);
}

int skuai_channel_grow(skua_channel *channel)
{
    segment *made = segment_create(channel->value_size, values_in_segment(channel->value_size));
    if (made == NULL)
        return -ENOMEM;
    void *expected = NULL;
    /* Release: its header. */
    if (!skuai_cas_ptr(&channel->spare, &expected, made, SKUAI_RELEASE))
        free(made); /* another sender has grown it, or a receiver has left one */
    return 0;
}

/* Values of no bytes: the cursors do not move and never meet an end. */
static void have_no_bytes(skua_channel *channel)
{
    channel->put = channel->take = (char *)channel;
    channel->put_end = channel->take_end = channel->put + 1;
}

static bool have_ring(skua_channel *channel)
{
    segment *ring = segment_create(channel->value_size, channel->capacity);
    if (ring == NULL)
        return false;
    channel->first = channel->last = ring;
    channel->put = channel->take = ring->values;
    channel->put_end = channel->take_end = ring->end;
    return true;
}

/* No model test runs this: theirs are static. */
int skua_channel_create(skua_channel **channel, size_t value_size, size_t capacity)
{
    skua_channel *made = aligned_alloc(SKUAI_CACHE_LINE, sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    *made = (skua_channel){ .value_size = value_size, .take_size = value_size, .capacity = capacity };
    made->kind = SKUAI_KIND_CHANNEL;
    made->one_lock = capacity <= SKUAI_CHANNEL_ONE_LOCK_MAX;
    if (value_size == 0) {
        have_no_bytes(made);
    } else if (capacity != 0 && !is_unbounded(made) && !have_ring(made)) {
        free(made);
        return -ENOMEM;
    }
    *channel = made;
    return 0;
}

/* The locks are waited for: a call that has taken effect may be about to leave them (H7 in channel.c). No model
 * test runs this: as above; those of H7 take the locks themselves. */
int skua_channel_destroy(skua_channel *channel)
{
    if (channel == NULL)
        return 0;
    if (!skuai_kind_check(&channel->kind, SKUAI_KIND_CHANNEL, "skua_channel_destroy"))
        return -EPERM;
    skuai_channel_lock_both(channel);
    bool used = channel->senders.first != NULL || channel->receivers.first != NULL;
    skuai_channel_unlock_both(channel);
    if (used) {
        skuai_misuse("skua_channel_destroy", "was given a channel that somebody waits in",
                     "close it, and wait for those who use it");
        return -EBUSY;
    }
    skuai_channel_free_segments(channel->first); /* a ring's has no next */
    skuai_channel_free_segments(skuai_load_ptr(&channel->spare, SKUAI_RELAXED)); /* nobody else is here */
    skuai_kind_end(&channel->kind);
    free(channel);
    return 0;
}

/* No model test runs this: it tells, no more. */
bool skua_channel_is_closed(const skua_channel *channel)
{
    return skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED);
}

/* The counts are not read at one moment, and may be old: an estimate, as any answer is when it arrives. Who loses the
 * processor between the two may find more sent than was ever there at a time. No model test runs this: as above. */
size_t skua_channel_length(const skua_channel *channel)
{
    uint64_t received = skuai_load_64(&channel->received, SKUAI_RELAXED);
    uint64_t sent = skuai_load_64(&channel->sent, SKUAI_RELAXED);
    uint64_t length = sent > received ? sent - received : 0;
    return length < channel->capacity ? (size_t)length : channel->capacity;
}

size_t skua_channel_capacity(const skua_channel *channel) { return channel->capacity; }
size_t skua_channel_value_size(const skua_channel *channel) { return channel->value_size; }
