/* The last words about an overflown stack, written to an stderr that interrupts, takes a byte at a time, or is broken:
 * said whole where it can be said, and the process ends in any case. */
#include "support/faults.h"
#include "support/test.h"

struct last_words {
    int way;
    uint64_t count;
};

static volatile int deepest = 1 << 30;

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char room[512];
    room[0] = (char)depth;
    return depth >= deepest ? 0 : recurse(depth + 1) + room[0];
}

static int greedy(void *arg)
{
    (void)arg;
    CHECK_OK(skua_self_set_name("greedy"));
    return recurse(0);
}

static void overflow(void *arg)
{
    const struct last_words *words = arg;
    skua_config config = faults_config(1, true);
    skua_runtime *rt;
    faults_arm(FAULT_write, words->way, 1, words->count); /* nobody else writes */
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_block_on(rt, greedy, arg);
}

TEST(interrupted)
{
    struct last_words words = { 0, 5 };
    test_expect_abort(overflow, &words, "fiber \"greedy\" overflowed its stack of ");
}

TEST(a_byte_at_a_time)
{
    struct last_words words = { 2, FAULTS_BURST };
    test_expect_abort(overflow, &words, " bytes; raise skua_config.stack_size or the spawn attribute\n");
}

TEST(nowhere_to_say_it)
{
    struct last_words words = { 1, FAULTS_BURST };
    test_expect_abort(overflow, &words, "");
}
