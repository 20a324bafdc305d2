/* Flows of control: switching, migration, what a switch keeps, and how call stacks end. */
#define _GNU_SOURCE
#include "sched/context.h"

#include <alloca.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/test.h"

#if defined(__GLIBC__)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#else
#define HAVE_BACKTRACE 0
#endif

enum { STACK_BYTES = 1 << 18 };

struct flow {
    struct skuai_context ctx;
    struct skuai_context *back;
    char *stack;
    uint64_t runs;
    uint64_t sum;
    struct flow *peer;
};

static void flow_make(struct flow *flow, struct skuai_context *back, skuai_context_entry *entry)
{
    flow->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(flow->stack != MAP_FAILED);
    flow->back = back;
    skuai_context_make(&flow->ctx, flow->stack, STACK_BYTES, entry, flow);
}

static void flow_free(struct flow *flow)
{
    skuai_context_fini(&flow->ctx);
#if SKUAI_ASAN
    __asan_unpoison_memory_region(flow->stack, STACK_BYTES); /* the frames that the exit left */
#endif
    CHECK_EQ(munmap(flow->stack, STACK_BYTES), 0);
}

/* ---- switching ------------------------------------------------------------------------------------------------ */

static void counting(void *arg)
{
    struct flow *flow = arg;
    uint64_t local = 0; /* lives across switches in a callee-saved register or on the flow's stack */
    while (flow->runs > 0) {
        local += flow->runs--;
        skuai_context_switch(&flow->ctx, flow->back);
    }
    flow->sum = local;
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(many_flows_keep_their_locals)
{
    enum { FLOWS = 50, ROUNDS = 400 };
    static struct flow flows[FLOWS];
    struct skuai_context self;
    skuai_context_init_thread(&self);
    for (int i = 0; i < FLOWS; i++) {
        flow_make(&flows[i], &self, counting);
        flows[i].runs = ROUNDS;
    }
    for (int round = 0; round <= ROUNDS; round++)
        for (int i = 0; i < FLOWS; i++)
            skuai_context_switch(&self, &flows[i].ctx);
    for (int i = 0; i < FLOWS; i++) {
        CHECK_EQ(flows[i].sum, ROUNDS * (ROUNDS + 1) / 2);
        flow_free(&flows[i]);
    }
    skuai_context_fini(&self);
}

static void ping(void *arg)
{
    struct flow *flow = arg;
    while (flow->runs-- > 0)
        skuai_context_switch(&flow->ctx, &flow->peer->ctx);
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(flows_switch_to_each_other)
{
    struct flow a = { .runs = test_scaled(20000) }, b = { .runs = a.runs + 1 };
    struct skuai_context self;
    skuai_context_init_thread(&self);
    flow_make(&a, &self, ping);
    flow_make(&b, &self, ping);
    a.peer = &b;
    b.peer = &a;
    skuai_context_switch(&self, &a.ctx);
    CHECK_EQ(a.runs, UINT64_MAX);
    CHECK_EQ(b.runs, 1); /* b is suspended in its last but one round, for ever */
    flow_free(&a);
    flow_free(&b);
    skuai_context_fini(&self);
}

#if SKUAI_ASAN
TEST(own_stack_is_found)
{
    struct skuai_context self;
    skuai_context_init_thread(&self);
    if (self.tools.asan.stack_low == NULL)
        TEST_SKIP("this system does not tell");
    CHECK((uintptr_t)__builtin_frame_address(0) - (uintptr_t)self.tools.asan.stack_low < self.tools.asan.stack_size);
    skuai_context_fini(&self);
}
#endif

/* ---- migration ------------------------------------------------------------------------------------------------ */

struct relay {
    struct flow flow;
    struct skuai_context *current; /* of the thread that resumes the flow; handed over by the barrier */
    pthread_barrier_t barrier;
    int rounds;
    uint64_t seen; /* written by the flow, on either thread */
};

static void relayed(void *arg)
{
    struct flow *flow = arg;
    struct relay *relay = (struct relay *)(void *)((char *)flow - offsetof(struct relay, flow));
    for (int i = 0; i < 2 * relay->rounds; i++) {
        relay->seen = relay->seen * 3 + 1;
        skuai_context_switch(&flow->ctx, relay->current);
    }
    skuai_context_exit(&flow->ctx, relay->current);
}

static void *relay_thread(void *arg)
{
    struct relay *relay = arg;
    struct skuai_context self;
    skuai_context_init_thread(&self);
    for (int i = 0; i < relay->rounds; i++) {
        pthread_barrier_wait(&relay->barrier);
        relay->current = &self;
        skuai_context_switch(&self, &relay->flow.ctx);
        pthread_barrier_wait(&relay->barrier);
    }
    skuai_context_fini(&self);
    return NULL;
}

TEST(a_flow_migrates_between_threads)
{
    struct relay relay = { .rounds = (int)test_scaled(400) };
    struct skuai_context self;
    pthread_t thread;
    uint64_t expected = 0;
    skuai_context_init_thread(&self);
    CHECK_EQ(pthread_barrier_init(&relay.barrier, NULL, 2), 0);
    flow_make(&relay.flow, NULL, relayed);
    CHECK_EQ(pthread_create(&thread, NULL, relay_thread, &relay), 0);
    for (int i = 0; i < relay.rounds; i++) {
        relay.current = &self;
        skuai_context_switch(&self, &relay.flow.ctx);
        pthread_barrier_wait(&relay.barrier); /* its turn */
        pthread_barrier_wait(&relay.barrier); /* ours */
    }
    relay.current = &self;
    skuai_context_switch(&self, &relay.flow.ctx);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2 * relay.rounds; i++)
        expected = expected * 3 + 1;
    CHECK_EQ(relay.seen, expected);
    flow_free(&relay.flow);
    pthread_barrier_destroy(&relay.barrier);
    skuai_context_fini(&self);
}

/* ---- what a switch keeps -------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static uint32_t get_modes(void)
{
    uint32_t sse;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0" : "=m"(sse));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (sse & 0xffc0) | (uint32_t)x87 << 16;
}

static void set_rounding(unsigned mode) /* 0: nearest ... 3: to zero */
{
    uint32_t sse = 0x1f80 | mode << 13;
    uint16_t x87 = (uint16_t)(0x037f | mode << 10);
    __asm__ volatile("ldmxcsr %0" ::"m"(sse));
    __asm__ volatile("fldcw %0" ::"m"(x87));
}
static const uint32_t initial_modes = 0x1f80 | 0x037f << 16;
#elif defined(__aarch64__)
static uint32_t get_modes(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (uint32_t)fpcr;
}

static void set_rounding(unsigned mode)
{
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)mode << 22));
}
static const uint32_t initial_modes = 0;
#else
static unsigned get_modes(void) { return 0; }
static void set_rounding(unsigned mode) { (void)mode; }
static const uint32_t initial_modes = 0;
#endif

struct rounding {
    struct flow flow;
    unsigned mode;
    uint32_t first, later;
};

static void rounds_its_way(void *arg)
{
    struct rounding *self = (struct rounding *)(void *)((char *)arg - offsetof(struct rounding, flow));
    self->first = get_modes();
    set_rounding(self->mode);
    uint32_t mine = get_modes();
    for (int i = 0; i < 100; i++) {
        skuai_context_switch(&self->flow.ctx, self->flow.back);
        CHECK_EQ(get_modes(), mine);
    }
    self->later = mine;
    skuai_context_exit(&self->flow.ctx, self->flow.back);
}

TEST(floating_point_modes_are_each_flows_own)
{
    struct rounding flows[4];
    struct skuai_context self;
    skuai_context_init_thread(&self);
    set_rounding(3);
    uint32_t mine = get_modes();
    for (unsigned i = 0; i < 4; i++) {
        flows[i].mode = i;
        flow_make(&flows[i].flow, &self, rounds_its_way);
    }
    for (int round = 0; round <= 100; round++)
        for (int i = 0; i < 4; i++) {
            skuai_context_switch(&self, &flows[i].flow.ctx);
            CHECK_EQ(get_modes(), mine);
        }
    set_rounding(0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(flows[i].first, initial_modes); /* not its maker's */
        for (int j = 0; j < i; j++)
            CHECK(initial_modes == 0 || flows[i].later != flows[j].later);
        flow_free(&flows[i].flow);
    }
    skuai_context_fini(&self);
}

#if defined(__aarch64__)
static void spoils_vectors(void *arg)
{
    struct flow *flow = arg;
    for (int i = 0; i < 3; i++) {
        __asm__ volatile("movi v8.2d, #0\n movi v9.2d, #0\n movi v12.2d, #0\n movi v15.2d, #0"
                         ::: "v8", "v9", "v12", "v15");
        skuai_context_switch(&flow->ctx, flow->back);
    }
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(callee_saved_vector_registers_survive)
{
    struct flow flow = { .runs = 0 };
    struct skuai_context self;
    skuai_context_init_thread(&self);
    flow_make(&flow, &self, spoils_vectors);
    for (int i = 0; i < 4; i++) {
        register double d8 __asm__("d8") = 8.5, d9 __asm__("d9") = 9.5;
        register double d12 __asm__("d12") = 12.5, d15 __asm__("d15") = 15.5;
        __asm__ volatile("" : "+w"(d8), "+w"(d9), "+w"(d12), "+w"(d15));
        skuai_context_switch(&self, &flow.ctx);
        __asm__ volatile("" : "+w"(d8), "+w"(d9), "+w"(d12), "+w"(d15));
        CHECK(d8 == 8.5 && d9 == 9.5 && d12 == 12.5 && d15 == 15.5);
    }
    flow_free(&flow);
    skuai_context_fini(&self);
}
#endif

/* ---- call stacks ---------------------------------------------------------------------------------------------- */

/* Deep enough that most of the stack is used, with a switch at the bottom. */
__attribute__((noinline)) static uint64_t dive(struct flow *flow, char *floor, uint64_t depth)
{
    volatile char frame[256];
    frame[depth % sizeof frame] = (char)depth;
    if ((char *)__builtin_frame_address(0) < floor) {
        skuai_context_switch(&flow->ctx, flow->back);
        return depth;
    }
    uint64_t deepest = dive(flow, floor, depth + 1);
    CHECK_EQ(frame[depth % sizeof frame], (char)depth);
    return deepest;
}

static void diving(void *arg)
{
    struct flow *flow = arg;
    flow->sum = dive(flow, flow->stack + STACK_BYTES / 8, 1);
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(deep_recursion_with_a_switch_at_the_bottom)
{
    struct flow flow = { .sum = 0 };
    struct skuai_context self;
    skuai_context_init_thread(&self);
    flow_make(&flow, &self, diving);
    skuai_context_switch(&self, &flow.ctx);
    CHECK_EQ(flow.sum, 0);
    skuai_context_switch(&self, &flow.ctx);
    CHECK(flow.sum > 50);
    flow_free(&flow);
    skuai_context_fini(&self);
}

/* Ends with a thousand calls still open. No assembly in it, or AddressSanitizer would give it no fake stack. */
__attribute__((noinline)) static int leave_from_below(struct flow *flow, int depth)
{
    volatile char frame[16];
    int below = 0;
    frame[depth % 16] = 1;
    if (depth > 0)
        below = leave_from_below(flow, depth - 1);
    else if (flow->back != NULL)
        skuai_context_exit(&flow->ctx, flow->back);
    return below + frame[depth % 16];
}

static void leaving(void *arg)
{
    CHECK_EQ(leave_from_below(arg, 1000), 0); /* not reached */
}

static long address_space_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm != NULL && fscanf(statm, "%ld", &pages) != 1)
        pages = 0;
    if (statm != NULL)
        fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* What tools keep for a flow goes with it: ThreadSanitizer's call stack would overflow, and AddressSanitizer would leak
 * the fake stacks, 3 MB each where it looks for use after return. */
TEST(flows_that_end_deep_in_calls)
{
    enum { FLOWS = 200, LEAK_KIB = 100 << 10 };
    struct skuai_context self;
    long before = 0;
    skuai_context_init_thread(&self);
    for (int i = 0; i < FLOWS; i++) {
        struct flow flow = { .sum = 0 };
        flow_make(&flow, &self, leaving);
        skuai_context_switch(&self, &flow.ctx);
        flow_free(&flow);
        if (i == 10)
            before = address_space_kib();
    }
    CHECK(address_space_kib() - before < LEAK_KIB);
    skuai_context_fini(&self);
}

static void allocating(void *arg)
{
    struct flow *flow = arg;
    size_t size = STACK_BYTES / 2;
    volatile char *block = alloca(size);
    memset((char *)block, 0x5a, size);
    skuai_context_switch(&flow->ctx, flow->back);
    for (size_t i = 0; i < size; i++)
        CHECK_EQ(block[i], 0x5a);
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(big_alloca)
{
    struct flow flow = { .sum = 0 };
    struct skuai_context self;
    skuai_context_init_thread(&self);
    flow_make(&flow, &self, allocating);
    skuai_context_switch(&self, &flow.ctx);
    skuai_context_switch(&self, &flow.ctx);
    flow_free(&flow);
    skuai_context_fini(&self);
}

#if HAVE_BACKTRACE
enum { FRAMES = 64 };

__attribute__((noinline)) static int trace_here(void)
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);
    __asm__ volatile("" ::: "memory"); /* not a tail call */
    return n;
}

static void tracing(void *arg)
{
    struct flow *flow = arg;
    flow->sum = (uint64_t)trace_here();
    skuai_context_switch(&flow->ctx, flow->back);
    flow->sum = (uint64_t)trace_here();
    skuai_context_exit(&flow->ctx, flow->back);
}

TEST(a_backtrace_ends_at_the_flows_first_frame)
{
    test_allow_heap_growth(1 << 20); /* the unwinder is loaded at its first use and stays */
    struct flow flow = { .sum = 0 };
    struct skuai_context self;
    skuai_context_init_thread(&self);
    flow_make(&flow, &self, tracing);
    for (int i = 0; i < 2; i++) {
        skuai_context_switch(&self, &flow.ctx);
        CHECK(flow.sum >= 2 && flow.sum <= 10);
    }
    flow_free(&flow);
    skuai_context_fini(&self);
}
#endif
