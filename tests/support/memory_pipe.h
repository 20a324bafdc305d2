/* A pair of streams that are connected with each other in memory: two rings of bytes, one for each way. Made with the
 * public interface only, to test it and to show how it is used: functions that never wait, and events to wait for.
 *
 *     skua_stream *ends[2];
 *     CHECK_OK(memory_pipe_make(ends, 4096));     // so many bytes fit each way
 *
 * The lock is an ordinary one, held for a copy and no call of Skua's. So events are set outside of it, and each is a
 * hint that it is worth looking again: who finds nothing resets it and looks once more, and who leaves something to be
 * found sets it.
 */
#ifndef TEST_MEMORY_PIPE_H
#define TEST_MEMORY_PIPE_H

#include <skua.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct memory_ring {
    pthread_mutex_t lock;
    char *bytes;
    size_t size;
    /* guarded by lock */
    size_t begin, used;
    bool has_ended; /* no more will be written */
    bool writer_is_closed, reader_is_closed;
    /* with locks of their own */
    skua_event readable, writable;
};

struct memory_end {
    struct memory_pipe *pipe;
    struct memory_ring *in, *out;
};

struct memory_pipe {
    struct memory_ring rings[2];
    struct memory_end ends[2];
    int holders; /* __atomic: ends that are not released */
};

/* ---- one ring, under its lock ----------------------------------------------------------------------------------- */

/* For whom it is worth trying. */
struct memory_left {
    bool to_read, to_write;
};

static inline struct memory_left memory_left_locked(const struct memory_ring *ring)
{
    bool is_over = ring->has_ended || ring->reader_is_closed;
    return (struct memory_left){ .to_read = ring->used > 0 || is_over, .to_write = ring->used < ring->size || is_over };
}

static inline size_t memory_smaller(size_t a, size_t b) { return a < b ? a : b; }

static inline size_t memory_take_locked(struct memory_ring *ring, char *to, size_t room)
{
    size_t done = 0;
    while (done < room && ring->used > 0) {
        size_t piece = memory_smaller(memory_smaller(room - done, ring->used), ring->size - ring->begin);
        memcpy(to + done, ring->bytes + ring->begin, piece);
        ring->begin = (ring->begin + piece) % ring->size;
        ring->used -= piece;
        done += piece;
    }
    return done;
}

static inline size_t memory_put_locked(struct memory_ring *ring, const char *from, size_t count)
{
    size_t done = 0;
    while (done < count && ring->used < ring->size) {
        size_t end = (ring->begin + ring->used) % ring->size;
        size_t piece = memory_smaller(memory_smaller(count - done, ring->size - ring->used), ring->size - end);
        memcpy(ring->bytes + end, from + done, piece);
        ring->used += piece;
        done += piece;
    }
    return done;
}

static inline ssize_t memory_read_once(struct memory_end *end, const struct iovec *vectors, int count,
                                       struct memory_left *left)
{
    struct memory_ring *ring = end->in;
    ssize_t n = 0;
    pthread_mutex_lock(&ring->lock);
    if (ring->reader_is_closed)
        n = -ECANCELED;
    for (int i = 0; n >= 0 && i < count; i++)
        if (vectors[i].iov_len > 0)
            n += (ssize_t)memory_take_locked(ring, vectors[i].iov_base, vectors[i].iov_len);
    if (n == 0 && !ring->has_ended)
        n = -EAGAIN;
    *left = memory_left_locked(ring);
    pthread_mutex_unlock(&ring->lock);
    return n;
}

static inline ssize_t memory_write_once(struct memory_end *end, const struct iovec *vectors, int count,
                                        struct memory_left *left)
{
    struct memory_ring *ring = end->out;
    ssize_t n = 0;
    pthread_mutex_lock(&ring->lock);
    if (ring->writer_is_closed)
        n = -ECANCELED;
    else if (ring->reader_is_closed || ring->has_ended)
        n = -EPIPE;
    for (int i = 0; n >= 0 && i < count; i++)
        if (vectors[i].iov_len > 0)
            n += (ssize_t)memory_put_locked(ring, vectors[i].iov_base, vectors[i].iov_len);
    if (n == 0)
        n = -EAGAIN;
    *left = memory_left_locked(ring);
    pthread_mutex_unlock(&ring->lock);
    return n;
}

/* ---- the stream's functions ------------------------------------------------------------------------------------- */

static inline void memory_tell(struct memory_ring *ring, struct memory_left left)
{
    if (left.to_read)
        skua_event_set(&ring->readable);
    if (left.to_write)
        skua_event_set(&ring->writable);
}

static inline ssize_t memory_read(void *object, const struct iovec *vectors, int count)
{
    struct memory_end *end = object;
    struct memory_left left;
    ssize_t n = memory_read_once(end, vectors, count, &left);
    if (n == -EAGAIN) {
        skua_event_reset(&end->in->readable);
        n = memory_read_once(end, vectors, count, &left);
    }
    memory_tell(end->in, left);
    return n;
}

static inline ssize_t memory_write(void *object, const struct iovec *vectors, int count)
{
    struct memory_end *end = object;
    struct memory_left left;
    ssize_t n = memory_write_once(end, vectors, count, &left);
    if (n == -EAGAIN) {
        skua_event_reset(&end->out->writable);
        n = memory_write_once(end, vectors, count, &left);
    }
    memory_tell(end->out, left);
    return n;
}

static inline skua_op *memory_readable_prepare(skua_op *op, void *object)
{
    return skua_event_wait_prepare(op, &((struct memory_end *)object)->in->readable);
}
static inline skua_op *memory_writable_prepare(skua_op *op, void *object)
{
    return skua_event_wait_prepare(op, &((struct memory_end *)object)->out->writable);
}

static inline void memory_end_ring(struct memory_ring *ring, bool *flag)
{
    pthread_mutex_lock(&ring->lock);
    *flag = true;
    ring->has_ended = ring->has_ended || ring->writer_is_closed;
    struct memory_left left = memory_left_locked(ring);
    pthread_mutex_unlock(&ring->lock);
    memory_tell(ring, left);
}

static inline int memory_shutdown_write(void *object)
{
    struct memory_ring *out = ((struct memory_end *)object)->out;
    memory_end_ring(out, &out->has_ended);
    return 0;
}

static inline void memory_close(void *object)
{
    struct memory_end *end = object;
    memory_end_ring(end->in, &end->in->reader_is_closed);
    memory_end_ring(end->out, &end->out->writer_is_closed);
}

static inline void memory_pipe_unhold(struct memory_pipe *pipe, int count)
{
    if (__atomic_sub_fetch(&pipe->holders, count, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < 2; i++) {
        pthread_mutex_destroy(&pipe->rings[i].lock);
        free(pipe->rings[i].bytes);
    }
    free(pipe);
}
static inline void memory_release(void *object) { memory_pipe_unhold(((struct memory_end *)object)->pipe, 1); }

static const skua_stream_methods memory_methods = {
    .read = memory_read,
    .write = memory_write,
    .readable_prepare = memory_readable_prepare,
    .writable_prepare = memory_writable_prepare,
    .shutdown_write = memory_shutdown_write,
    .close = memory_close,
    .release = memory_release,
};

/* ---- making it -------------------------------------------------------------------------------------------------- */

static inline bool memory_ring_init(struct memory_ring *ring, size_t size)
{
    pthread_mutex_init(&ring->lock, NULL);
    skua_event_init(&ring->readable, SKUA_EVENT_MANUAL);
    skua_event_init(&ring->writable, SKUA_EVENT_MANUAL);
    ring->size = size;
    ring->bytes = malloc(size);
    return ring->bytes != NULL;
}

/* Returns 0 or -ENOMEM. */
static inline int memory_pipe_make(skua_stream *streams[2], size_t size)
{
    struct memory_pipe *pipe = calloc(1, sizeof *pipe);
    if (pipe == NULL)
        return -ENOMEM;
    pipe->holders = 2;
    bool is_complete = memory_ring_init(&pipe->rings[0], size);
    is_complete = memory_ring_init(&pipe->rings[1], size) && is_complete;
    for (int i = 0; i < 2; i++)
        pipe->ends[i] = (struct memory_end){ .pipe = pipe, .in = &pipe->rings[i], .out = &pipe->rings[1 - i] };
    int rc = is_complete ? skua_stream_make(&streams[0], &memory_methods, &pipe->ends[0]) : -ENOMEM;
    if (rc < 0) {
        memory_pipe_unhold(pipe, 2);
        return rc;
    }
    rc = skua_stream_make(&streams[1], &memory_methods, &pipe->ends[1]);
    if (rc < 0) {
        memory_pipe_unhold(pipe, 1);
        skua_stream_close(streams[0]);
    }
    return rc;
}

#endif
