/* See faults.h. */
#define _GNU_SOURCE
#include "support/faults.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/runtime.h"
#include "sched/spawn.h"
#include "support/test.h"

enum verdict { REFUSES, GOES_ON };

static const struct {
    const char *name;
    int ways;
    enum verdict verdict;
} calls_known[] = {
#define FAULT(name, ways, verdict) { #name, ways, verdict },
#define WATCHED(name)
#define NEVER(name)
#include "support/faults.def"
#undef FAULT
#undef WATCHED
#undef NEVER
};

enum { ALWAYS_MAX = 2, KEPT_MAX = 4096 };

/* Set while the library has no thread; read by all. */
static struct {
    enum fault call;
    int way;
    uint64_t first, count; /* refuse calls first … first + count - 1; first 0: none */
    bool chance[FAULTS];
    uint64_t seed;
    uint32_t per_1024;     /* 0: not by chance */
    struct {
        enum fault call;
        int way;
    } always[ALWAYS_MAX];
    int nalways;
} plan;

static const char *const balance_names[FAULTS_BALANCES] = { "blocks of malloc's", "blocks of the application's",
                                                            "bytes of the application's", "descriptors", "threads",
                                                            "bytes mapped", "hwloc topologies" };

/* __atomic from here on */
static uint64_t seen;    /* calls of plan.call, or of all chances */
static uint64_t refused; /* of those with the verdict REFUSES */
static int64_t balances[FAULTS_BALANCES];
/* Mappings whose munmap was refused: given back after the run. */
static struct {
    void *at;
    size_t size;
} kept[KEPT_MAX];
static uint64_t nkept;

void faults_count(enum fault_balance balance, int64_t n)
{
    __atomic_fetch_add(&balances[balance], n, __ATOMIC_RELAXED);
}

void faults_keep(void *at, size_t size)
{
    uint64_t index = __atomic_fetch_add(&nkept, 1, __ATOMIC_RELAXED);
    CHECK(index < KEPT_MAX);
    kept[index].at = at;
    kept[index].size = size;
}

int faults_way(enum fault call)
{
    int way = -1;
    if (plan.per_1024 != 0 && plan.chance[call]) {
        uint64_t random = plan.seed + __atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED);
        uint64_t drawn = test_rand(&random);
        if (drawn % 1024 < plan.per_1024)
            way = (int)((drawn >> 32) % (uint64_t)calls_known[call].ways);
    } else if (plan.first != 0 && call == plan.call) {
        uint64_t at = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
        if (at >= plan.first && at - plan.first < plan.count)
            way = plan.way;
    }
    if (way >= 0 && calls_known[call].verdict == REFUSES)
        __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
    for (int i = 0; way < 0 && i < plan.nalways; i++)
        if (plan.always[i].call == call)
            way = plan.always[i].way;
    return way;
}

/* ---- running scenarios ---------------------------------------------------------------------------------------- */

static const int handled[] = { SIGSEGV, SIGBUS };

/* What a runtime changes of the process and of the thread that makes it. */
struct surroundings {
    struct sigaction actions[2];
    sigset_t mask;
};

static void look_around(struct surroundings *around)
{
    memset(around, 0, sizeof *around);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(sigaction(handled[i], NULL, &around->actions[i]), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &around->mask), 0);
}

/* The C library's own flag comes with the first action that is set. */
static bool are_same_actions(const struct sigaction *a, const struct sigaction *b)
{
    const unsigned ours = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | SA_RESETHAND;
    return a->sa_sigaction == b->sa_sigaction && ((unsigned)a->sa_flags & ours) == ((unsigned)b->sa_flags & ours);
}

/* Where the system refused to put a handler back, it could not be. */
static void compare_surroundings(const struct surroundings *before, bool handlers_stay)
{
    struct surroundings after;
    look_around(&after);
    for (int i = 0; i < 2; i++) {
        if (handlers_stay)
            CHECK_EQ(sigaction(handled[i], &before->actions[i], NULL), 0);
        else
            CHECK(are_same_actions(&before->actions[i], &after.actions[i]));
    }
    for (int number = 1; number < SIGRTMIN; number++)
        CHECK_EQ(sigismember(&before->mask, number), sigismember(&after.mask, number));
}

static void give_back_kept(void)
{
    for (uint64_t i = 0; i < nkept; i++) {
        CHECK_EQ(munmap(kept[i].at, kept[i].size), 0);
        faults_count(FAULTS_MAPPED_BYTES, -(int64_t)kept[i].size);
    }
    nkept = 0;
}

/* Returns how many calls there were that could have failed. */
static uint64_t run_once(fault_scenario *scenario, void *arg)
{
    struct surroundings before;
    look_around(&before);
    seen = refused = 0;
    scenario(arg);
    uint64_t calls = seen;
    bool handlers_stay = plan.call == FAULT_sigaction || plan.chance[FAULT_sigaction];
    faults_disarm();
    give_back_kept();
    compare_surroundings(&before, handlers_stay);
    for (int i = 0; i < FAULTS_BALANCES; i++)
        if (balances[i] != 0)
            test_fail(__FILE__, __LINE__, "%s: %lld left over", balance_names[i], (long long)balances[i]);
    return calls;
}

void faults_arm(enum fault call, int way, uint64_t first, uint64_t count)
{
    plan.call = call;
    plan.way = way;
    plan.first = first;
    plan.count = count;
    seen = refused = 0;
}

void faults_disarm(void)
{
    plan.first = 0;
    plan.per_1024 = 0;
    memset(plan.chance, 0, sizeof plan.chance);
}

void faults_always(enum fault call, int way)
{
    CHECK(plan.nalways < ALWAYS_MAX);
    plan.always[plan.nalways].call = call;
    plan.always[plan.nalways++].way = way;
}

void faults_always_none(void) { plan.nalways = 0; }

bool faults_is_armed(enum fault call, int way) { return plan.first != 0 && plan.call == call && plan.way == way; }

static void count_slot(void *context, skua_task *task)
{
    (void)task;
    ++*(uint64_t *)context;
}

uint64_t faults_slots_held(skua_runtime *rt)
{
    uint64_t held = 0;
    skuai_scheduler_each_task(&rt->sched, count_slot, &held);
    return held;
}

bool faults_may_refuse(void) { return __atomic_load_n(&refused, __ATOMIC_RELAXED) != 0; }

bool faults_done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (!faults_may_refuse() || (rc != -ENOMEM && rc != -EAGAIN && rc != -EINVAL && rc != -EPERM))
        test_fail(__FILE__, __LINE__, "%s (%lld), %s", skua_strerror((int)rc), (long long)rc,
                  faults_may_refuse() ? "which is no consequence of the fault" : "though nothing was refused");
    return false;
}

/* A run as a seed, in decimal: 1, the call, the way, whether it is a burst, k. */
enum { K_MAX = 1000000 };
static uint64_t run_seed(enum fault call, int way, bool burst, uint64_t k)
{
    return ((uint64_t)(100 + call) * 100 + (uint64_t)way * 10 + burst) * K_MAX + k;
}

static bool is_run_seed(uint64_t seed) { return seed >= (uint64_t)10000 * K_MAX; }

static uint64_t run_planned(enum fault call, int way, bool burst, uint64_t k, fault_scenario *scenario, void *arg)
{
    test_at_seed(run_seed(call, way, burst, k));
    faults_arm(call, way, k, burst ? FAULTS_BURST : 1);
    uint64_t calls = run_once(scenario, arg);
    test_at_no_seed();
    return calls;
}

/* Every k up to some dozens, fewer where a run costs ten times as much; what makes more calls than that makes the same
 * ones again. */
static uint64_t run_all_k(enum fault call, int way, bool burst, fault_scenario *scenario, void *arg)
{
    const uint64_t each = test_under_tsan() || test_under_valgrind() || test_under_emulator() ? 8 : 64;
    uint64_t runs = 0;
    for (uint64_t k = 1; k < K_MAX; k += k < each ? 1 : k / 4) {
        runs++;
        if (run_planned(call, way, burst, k, scenario, arg) < k)
            break;
    }
    return runs;
}

static bool is_asked_for(enum fault call, const enum fault *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (calls[i] == call)
            return true;
    return false;
}

void faults_each(const enum fault *calls, size_t count, fault_scenario *scenario, void *arg)
{
    uint64_t seed = test_seed();
    if (is_run_seed(seed)) {
        enum fault call = (enum fault)(seed / K_MAX / 100 - 100);
        if (is_asked_for(call, calls, count))
            run_planned(call, (int)(seed / K_MAX / 10 % 10), seed / K_MAX % 10 != 0, seed % K_MAX, scenario, arg);
        return;
    }
    plan.first = 0;
    run_once(scenario, arg); /* what it is without faults; and libc makes what it makes once */
    for (size_t i = 0; i < count; i++) {
        uint64_t runs = 0;
        for (int way = 0; way < calls_known[calls[i]].ways; way++)
            for (int burst = 0; burst < 2; burst++)
                runs += run_all_k(calls[i], way, burst, scenario, arg);
        printf("  %-36s %5llu runs\n", calls_known[calls[i]].name, (unsigned long long)runs);
    }
}

void faults_by_chance(const enum fault *calls, size_t count, uint64_t seed, uint32_t per_1024, fault_scenario *scenario,
                      void *arg)
{
    test_at_seed(seed);
    for (size_t i = 0; i < count; i++)
        plan.chance[calls[i]] = true;
    plan.seed = seed << 20;
    plan.per_1024 = per_1024;
    run_once(scenario, arg);
    test_at_no_seed();
}

static void log_nowhere(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    (void)level;
    CHECK(text[0] != '\0');
}

skua_config faults_config(uint32_t workers, bool own_memory)
{
    skua_config config = { .workers = workers, .ignore_environment = true, .log = log_nowhere,
                           .workers_per_poller = test_workers_per_poller() };
    if (own_memory) {
        config.alloc = fault_application_alloc;
        config.free = fault_application_free;
    }
    return config;
}
