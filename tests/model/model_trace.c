/* A trace's ring (sched/trace.c, V1, V2): who copies it while it is written has whole records only, in order, the
 * newest that were counted when he began, and none twice.
 */
/* model-sources: sched/trace.c */
#include <string.h>

#include "model/mc.h"
#include "sched/trace.h"

enum { CAPACITY = 4, RECORDS = 7 };

static struct {
    struct skuai_trace_ring ring;
    skua_word64 words[CAPACITY * SKUAI_TRACE_WORDS];
} memory;
static uint64_t copied[CAPACITY][SKUAI_TRACE_WORDS];
static uint64_t first, count; /* records before the copy; copied */

void skuai_trace_test_write(struct skuai_trace_ring *ring, const uint64_t record[SKUAI_TRACE_WORDS]);

static void write_one(uint64_t number)
{
    const uint64_t record[SKUAI_TRACE_WORDS] = { number, number + 100, number + 200, number + 300 };
    skuai_trace_test_write(&memory.ring, record);
}

static void owner(void *arg)
{
    (void)arg;
    for (uint64_t i = first; i < RECORDS; i++)
        write_one(i);
}

static void reader(void *arg)
{
    (void)arg;
    count = skuai_trace_copy(&memory.ring, copied);
}

static void check(void)
{
    mc_assert(count <= CAPACITY, "more than there is room for");
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < SKUAI_TRACE_WORDS; k++)
            mc_assert(copied[i][k] == copied[0][0] + i + 100 * k, "a record of two, or one left out");
}

static void with(uint64_t before)
{
    memset(&memory, 0, sizeof memory);
    memory.ring.capacity = CAPACITY;
    first = count = 0;
    for (uint64_t i = 0; i < before; i++)
        write_one(i);
    first = before;
    mc_name(&memory.ring.written, "written");
    mc_thread(owner, NULL);
    mc_thread(reader, NULL);
}

static void empty_setup(void) { with(0); }
MC_TEST(from_empty, .setup = empty_setup, .finish = check, .max_executions = 200000);

static void full_setup(void) { with(CAPACITY); }
static void full_check(void)
{
    check();
    if (count != 0)
        mc_assert(copied[count - 1][0] >= CAPACITY - 1, "what had been counted before is not there");
}
MC_TEST(from_full, .setup = full_setup, .finish = full_check, .max_executions = 200000);

/* Nobody writes: all but the oldest, in whose place the next one would be. */
static void still_setup(void)
{
    with(RECORDS);
}
static void still_check(void)
{
    check();
    mc_assert(count == CAPACITY - 1 && copied[0][0] == RECORDS - CAPACITY + 1, "the newest are not there");
}
MC_TEST(still, .setup = still_setup, .finish = still_check);
