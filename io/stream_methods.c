/* Made streams: an object, its functions, and who is in them.
 *
 *   M1 hold     a call counts itself into `users` as long as it lasts, its waits included; so does the stream itself as
 *               long as it is open
 *   M2 close    sets CLOSED, so that no call begins any more and none that is under way tries again, then asks the
 *               object to end their waits, and counts the stream itself out
 *   M3 release  by the last one out, who knows that nobody comes in any more: the object is given back, and the handle
 *               freed
 * stream.c goes through its loops with skuai_made_try() and the object's own op in place of V1 and V2.
 */
#include "skua/stream_methods.h"

#include <errno.h>
#include <stdlib.h>

#include "io/stream.h"
#include "sched/wait.h"

struct made {
    struct skuai_source source;         /* first: see stream.h. Never changes */
    const skua_stream_methods *methods; /* fixed */
    void *object;                       /* fixed */
    skua_word32 users;                  /* any thread: how many, and CLOSED */
};
#define CLOSED SKUAI_SOURCE_CLOSED

static struct made *made_of(const skua_stream *stream) { return (struct made *)(uintptr_t)stream; }

int skua_stream_make(skua_stream **stream, const skua_stream_methods *methods, void *object)
{
    struct made *made = aligned_alloc(SKUAI_CACHE_LINE, sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    *made = (struct made){ .methods = methods, .object = object, .users = { 1 } };
    made->source.users = (skua_word32){ SKUAI_SOURCE_CLOSED | SKUAI_STREAM_MADE };
    made->source.fd = -EBADF; /* what skua_stream_fd() says */
    *stream = (skua_stream *)(void *)made;
    return 0;
}

void *skua_stream_object(const skua_stream *stream, const skua_stream_methods *methods)
{
    return skuai_stream_is_made(stream) && made_of(stream)->methods == methods ? made_of(stream)->object : NULL;
}

/* ---- M1 to M3 --------------------------------------------------------------------------------------------------- */

bool skuai_made_hold(skua_stream *stream)
{
    struct made *made = made_of(stream);
    uint32_t seen = skuai_load_32(&made->users, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (seen & CLOSED)
            return false;
    } while (!skuai_cas_32(&made->users, &seen, seen + 1, SKUAI_RELAXED)); /* a count: who calls has the stream */
    return true;
}

void skuai_made_unhold(skua_stream *stream)
{
    struct made *made = made_of(stream);
    /* Release: what was done with the object comes before its end. Acquire: for who ends it. */
    if (skuai_sub_32(&made->users, 1, SKUAI_ACQ_REL) != (CLOSED | 1))
        return;
    if (made->methods->release != NULL)
        made->methods->release(made->object);
    free(made);
}

void skuai_made_close(skua_stream *stream)
{
    struct made *made = made_of(stream);
    /* Relaxed: what it is to be seen with, the end of waits, comes by the object's own means. */
    if (SKUAI_UNLIKELY(skuai_or_32(&made->users, CLOSED, SKUAI_RELAXED) & CLOSED)) { /* others are in it still */
        (void)skuai_misuse("skua_stream_close", "was given what is closed already",
                           "close once, by whoever is the owner");
        return;
    }
    if (made->methods->close != NULL)
        made->methods->close(made->object);
    skuai_made_unhold(stream);
}

/* ---- calls of its functions ------------------------------------------------------------------------------------- */

typedef ssize_t moving_fn(void *object, const struct iovec *vectors, int count);
typedef skua_op *preparing_fn(skua_op *op, void *object);

static preparing_fn *preparing_of(const struct made *made, enum skuai_direction direction)
{
    return direction == SKUAI_READING ? made->methods->readable_prepare : made->methods->writable_prepare;
}

/* Functions of others are not believed: who is told of more than he has asked for reads what is not his. */
static ssize_t checked(ssize_t n, enum skuai_direction direction, size_t size, bool has_op)
{
    if (n == -EAGAIN)
        return has_op ? n : -EIO;
    return n > (ssize_t)size || (n == 0 && direction == SKUAI_WRITING) ? -EIO : n;
}

ssize_t skuai_made_try(skua_stream *stream, enum skuai_direction direction, const struct iovec *vectors, int count,
                       size_t size, bool may_wait)
{
    struct made *made = made_of(stream);
    moving_fn *move = direction == SKUAI_READING ? made->methods->read : made->methods->write;
    bool has_op = preparing_of(made, direction) != NULL;
    if (move == NULL)
        return -EBADF;
    if (!has_op && !may_wait)
        return -ENOTSUP;
    if (skuai_load_32(&made->users, SKUAI_RELAXED) & CLOSED) /* M2; the object knows it for sure */
        return -ECANCELED;
    return checked(move(made->object, vectors, count), direction, size, has_op);
}

int skuai_made_shutdown_write(skua_stream *stream)
{
    const struct made *made = made_of(stream);
    return made->methods->shutdown_write != NULL ? made->methods->shutdown_write(made->object) : -ENOTSUP;
}

/* ---- waits ------------------------------------------------------------------------------------------------------ */

/* An op of a stream that cannot be waited for. */
static void start_refused(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    (void)worker;
    (void)may_wait;
    if (skuai_op_claim_own(op))
        skuai_op_set_done(op, -ENOTSUP);
}
static const struct skuai_op_kind refused_kind = { .name = "skua_stream", .start = start_refused };

skua_op *skuai_made_wait_prepare(skua_op *op, skua_stream *stream, enum skuai_direction direction)
{
    const struct made *made = made_of(stream);
    preparing_fn *prepare = preparing_of(made, direction);
    return prepare != NULL ? prepare(op, made->object) : skuai_op_prepare(op, &refused_kind, NULL);
}
