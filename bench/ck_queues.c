/* Concurrency Kit's queues for many producers and many consumers, behind queues.h. Neither has batches: they push and
 * take one by one.
 *   ck_fifo   unbounded, linked; nodes lie in the items. Real use would also have to decide when a node may be used
 *             again, which is not measured: here a node is used once.
 *   ck_ring   bounded, RING_CAPACITY pointers; push fails if it is full. A producer that has its place spins until all
 *             before it have filled theirs, so one that loses its processor there stops the others for a time slice:
 *             four producers on two processors had not moved 65,536 items after half a minute.
 */
#include "bench/queues.h"

#if defined(SKUA_HAVE_CK)

#include <ck_fifo.h>
#include <ck_ring.h>
#include <stddef.h>
#include <stdlib.h>

enum { RING_CAPACITY = 4096 };

/* ---- ck_fifo_mpmc -------------------------------------------------------------------------------------------- */

#if defined(CK_F_FIFO_MPMC)
struct fifo {
    ck_fifo_mpmc_t fifo __attribute__((aligned(SKUAI_CACHE_LINE)));
    ck_fifo_mpmc_entry_t stub __attribute__((aligned(SKUAI_CACHE_LINE)));
};
_Static_assert(sizeof(ck_fifo_mpmc_entry_t) <= offsetof(skua_task, result), "a node covers the benchmark's field");

static void fifo_clear(void *queue)
{
    struct fifo *fifo = queue;
    ck_fifo_mpmc_init(&fifo->fifo, &fifo->stub);
}

static void *fifo_create(void)
{
    struct fifo *fifo = aligned_alloc(SKUAI_CACHE_LINE, sizeof *fifo);
    if (fifo != NULL)
        fifo_clear(fifo);
    return fifo;
}

static uint32_t fifo_push(void *queue, skua_task *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ck_fifo_mpmc_enqueue(&((struct fifo *)queue)->fifo, (ck_fifo_mpmc_entry_t *)(void *)&items[i], &items[i]);
    return count;
}

static uint32_t fifo_take(void *queue, skua_task **items, uint32_t max)
{
    uint32_t count = 0;
    ck_fifo_mpmc_entry_t *garbage;
    while (count < max && ck_fifo_mpmc_dequeue(&((struct fifo *)queue)->fifo, &items[count], &garbage))
        count++;
    return count;
}

static const struct bench_queue fifo_queue = {
    .runtime = "ck_fifo", .create = fifo_create, .destroy = free, .clear = fifo_clear, .push = fifo_push,
    .take = fifo_take,
};
#endif

/* ---- ck_ring ------------------------------------------------------------------------------------------------- */

struct ring {
    ck_ring_t ring __attribute__((aligned(SKUAI_CACHE_LINE)));
    ck_ring_buffer_t buffer[RING_CAPACITY] __attribute__((aligned(SKUAI_CACHE_LINE)));
};

static void ring_clear(void *queue) { ck_ring_init(&((struct ring *)queue)->ring, RING_CAPACITY); }

static void *ring_create(void)
{
    struct ring *ring = aligned_alloc(SKUAI_CACHE_LINE, sizeof *ring);
    if (ring != NULL)
        ring_clear(ring);
    return ring;
}

static uint32_t ring_push(void *queue, skua_task *items, uint32_t count)
{
    struct ring *ring = queue;
    uint32_t pushed = 0;
    while (pushed < count && ck_ring_enqueue_mpmc(&ring->ring, ring->buffer, &items[pushed]))
        pushed++;
    return pushed;
}

static uint32_t ring_take(void *queue, skua_task **items, uint32_t max)
{
    struct ring *ring = queue;
    uint32_t count = 0;
    while (count < max && ck_ring_dequeue_mpmc(&ring->ring, ring->buffer, &items[count]))
        count++;
    return count;
}

static const struct bench_queue ring_queue = {
    .runtime = "ck_ring", .producers_spin = true, .create = ring_create, .destroy = free, .clear = ring_clear,
    .push = ring_push, .take = ring_take,
};

const struct bench_queue *const bench_ck_queues[] = {
#if defined(CK_F_FIFO_MPMC)
    &fifo_queue,
#endif
    &ring_queue,
};
const uint32_t bench_ck_queue_count = sizeof bench_ck_queues / sizeof bench_ck_queues[0];

#else

const struct bench_queue *const bench_ck_queues[] = { 0 };
const uint32_t bench_ck_queue_count = 0;

#endif
