/* The parts of skua-bench-work, the driver for this project's own runtime and for the floors (bench/README.md says what
 * each benchmark is). main.c runs a benchmark and prints what it cost; the other files hold the work.
 */
#ifndef SKUA_BENCH_WORK_H
#define SKUA_BENCH_WORK_H

#include <skua.h>

#include "bench/cases/forkjoin.h"
#include "bench/cases/measure.h"

/* The sizes, the same on every runtime: peers/go/main.go and peers/tokio/src/main.rs repeat them. */
enum {
    SPAWNS = 1000000,
    AWAITS = 1000000,
    LINKS = 1000000,
    FIBERS = 100000,
    YIELDERS = 1000,
    YIELDS = 2000,
    TURNS = 1000000, /* of two who yield to each other */
    TRIPS = 200000,
    SLEEPERS = 100000,
    SLEEP_MS = 10,
    SWITCHES = 20000000,
    PARKED = 1000000
};

/* Of channels, locks and groups: peers/go/sync.go and peers/tokio/src/sync.rs repeat them. */
enum {
    PAIRS = 1000,
    PAIR_TRIPS = 500,
    CAPACITY = 128,
    SENDERS = 4,
    MESSAGES = 2000000,
    SELECTED = 1000000,
    FOREIGN = 500000,
    ONESHOTS = 500000,
    LOCKERS = 100,
    LOCKS = 10000,
    PERMITS = 10,
    ACQUIRES = 2000,
    UNCONTENDED = 10000000,
    LISTENERS = 64,
    BROADCASTS = 100 /* rounds of CAPACITY */
};

/* Of timers, datagrams and streams: the peers repeat those that they need. */
enum {
    TIMERS = 1000000,
    TIMERS_MS = 1000,
    TIMERS_TOGETHER_MS = 3000, /* by then all are asleep on every runtime */
    NAPS = 1000,
    ARMED = 1000,
    ARM_ROUNDS = 200,
    UDP_SIZE = 64,
    UDP_BATCH = 32,
    UDP_ROUNDS = 2000,
    PIECE = 65536,
    PIECES = 8192
};

/* One benchmark: an iteration, which returns how many operations it was. In a fiber; of the floors: on a thread. */
struct work {
    const char *name;
    int64_t (*iterate)(void);
};

/* Each ends with a NULL name. */
extern const struct work work_of_spawn[], work_of_yield[], work_of_wake[], work_of_switch[];
extern const struct work work_of_group[], work_of_channel[], work_of_lock[], work_of_signal[];
extern const struct work work_of_timers[], work_of_streams[];
extern const struct work work_of_floor[], work_of_floor_streams[];

/* Whole measurements, in a fiber (bare ones: on a thread); they print their figures themselves. */
struct measurement {
    const char *name;
    void (*measure)(void);
};
extern const struct measurement work_of_memory[], work_of_timing[], work_of_bare_timing[];

/* Resident memory of the process. */
double work_rss_bytes(void);

/* Sends back what comes, until killed. In a fiber: with futures or fibers, and ten thousand far timers; bare: one
 * thread. */
void serve(bool fibers, bool timers);
void serve_bare(bool http);
/* Becomes the example server for what is named so, `http` or `kv`, on a port that is free. */
void serve_example(const char *name, const char *workers);

/* In a fiber: spawns n futures that count, and waits for all. Returns n. */
int64_t work_spawn_counted(int64_t n);

/* The fork-join benchmarks, in a fiber; and those of its members that are parallel algorithms. */
extern const struct forkjoin forkjoin_on_skua;
void work_loop(const struct fine *fine, size_t count);
int64_t work_reduce_int64(const int64_t *values, size_t count);
double work_reduce_double(const double *values, size_t count);
void work_sort(uint64_t *values, size_t count);

/* In a fiber: fork-join and tasks that sleep, beside each other. */
void mixed_measure(enum forkjoin_effort effort);
void mixed_measure_hogs(enum forkjoin_effort effort);

/* On a machine that is simulated, with so many workers. */
void scaling_measure(struct forkjoin_call *call);

void work_must(int rc);

/* Kernel wake-ups that the runtime of the calling task has sent so far; 0 outside of one. */
double work_wakes(void);

/* ---- waiting for many ---------------------------------------------------------------------------------------- */

/* Never freed, so that whoever reaches zero may still read it. Made by work_count(), in the fiber that will wait. */
struct count {
    int64_t left;
    skua_waker done;
};

struct count *work_count(int64_t left);

static inline void count_down(struct count *count)
{
    if (__atomic_sub_fetch(&count->left, 1, __ATOMIC_ACQ_REL) == 0)
        skua_wake(count->done);
}

static inline void wait_for_zero(struct count *count)
{
    while (__atomic_load_n(&count->left, __ATOMIC_ACQUIRE) > 0)
        skua_park();
    work_check("tasks left", count->left, 0);
}

#endif
