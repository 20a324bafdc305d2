/* Runtimes: a set of workers and the tasks they run. A process may have many; most have one, by skua_main().
 *
 *     static int app(void *arg) { …; return 0; }
 *     int main(void) { return skua_main(app, NULL); }
 *
 * or by hand:
 *
 *     skua_runtime *rt;
 *     int rc = skua_runtime_create(&rt, NULL);          // NULL: the defaults, and SKUA_* of the environment
 *     rc = skua_block_on(rt, app, NULL);                // from any thread
 *     rc = skua_runtime_shutdown(rt, 5 * SKUA_S, SKUA_S);
 *     skua_runtime_destroy(rt);
 *
 * Simulation: with `simulate` set (or SKUA_SIM_SEED in the environment) the workers are virtual: they run on the
 * thread that calls skua_block_on(), one step at a time, in an order and at times that the seed decides. The same
 * seed gives the same run, and an idle simulation jumps to the next timer instead of waiting.
 * That is one processor, on which computing takes no time, for finding errors. With `sim_machine`, for instance
 * "numa:8 core:64 pu:1", it is a machine with a processor for each worker, for finding out how far a program scales:
 * steals, locks and wakes take the time they take on real ones, computing what skua_sim_compute() says.
 *
 * fork: a child process has the memory of the runtime but none of its threads. In the child every call on a runtime
 * made before returns -ENOTSUP (those that give no error do nothing), except skua_runtime_destroy(), which frees the
 * memory (-EDEADLK on one of its stacks, in the child of a fiber). If a task forked, the child is outside of any task,
 * with the signal mask and the processors of who made the runtime; it must not return from the task's function. fork
 * followed by exec is always fine, also from a task; so is posix_spawn, but what it starts inherits the worker's signal
 * mask, in which asynchronous signals are blocked, unless it is told otherwise (POSIX_SPAWN_SETSIGMASK).
 */
#ifndef SKUA_RUNTIME_H
#define SKUA_RUNTIME_H

#include <stdio.h>

#include "skua/base.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

/* How much a line of the log matters. */
enum skua_log_level {
    SKUA_LOG_ERROR, /* something does not work, or is wrong in the program */
    SKUA_LOG_WARN,  /* it goes on, but not as it should */
    SKUA_LOG_INFO   /* what an operator may want to know */
};

/* Zero means the default everywhere: `skua_config config = { .workers = 4 };`.
 * The environment overrides what the defaults leave open and is overridden by what is set here. */
typedef struct skua_config {
    uint32_t workers;          /* 0: SKUA_WORKERS, else one per processor that the process may use: affinity mask and
                                  cgroup quota (every ancestor) respected. At most 1,024 */
    bool bind;                 /* bind each worker to a processor (also SKUA_BIND=1) */
    bool simulate;             /* virtual workers under sim_seed; also by SKUA_SIM_SEED */
    bool ignore_environment;   /* read no SKUA_* variable */
    bool dump_on_sigquit;      /* print a dump (skua/dump.h) to stderr at SIGQUIT, and go on; also
                                  SKUA_DUMP_ON_SIGQUIT=1. Takes a thread. Not in simulations */
    bool embed;                /* it has no thread, and runs in somebody else's loop: embed.h. Then `workers` is 0 or 1,
                                  and there are no spare workers, no `bind` and no simulation (-EINVAL) */
    uint8_t watchdog_signal;   /* for watchdog_ns. 0: SKUA_WATCHDOG_SIGNAL, else SIGURG */
    uint64_t sim_seed;         /* what a simulation's decisions are made from */
    const char *sim_machine;   /* what is simulated, in hwloc's synthetic notation; NULL: one processor. Implies
                                  `simulate`. Also by SKUA_SIM_MACHINE */
    /* bytes of a fiber's stack, 0: SKUA_STACK_SIZE, else 64 KiB (256 KiB under sanitizers) */
    size_t stack_size;
    /* Memory for what is not task memory or stacks, aligned as malloc's. Both or none; called from any thread, also on
       a fiber's stack, and must not wait in the runtime. */
    void *(*alloc)(void *context, size_t size);
    void (*free)(void *context, void *memory, size_t size);
    void *memory_context;
    /* One line of text without a newline; default: to stderr, errors and warnings only. Called as alloc is. */
    void (*log)(void *context, enum skua_log_level level, const char *text);
    void *log_context;
    /* Misuse that the runtime can see, e.g. a wait inside a future's body; `text` names the call, the task and what
       to do instead. Default: logs and aborts. If it returns, the call fails with an error. A plain thread's misuse,
       where no runtime is known, always logs and aborts. */
    void (*on_misuse)(void *context, const char *text);
    void *misuse_context;
    /* Simulation only: each decision as a line of text; the same seed gives the same bytes. */
    void (*sim_trace)(void *context, const char *line, size_t length);
    void *sim_trace_context;
    /* How many workers share a poller, that is an epoll descriptor. A worker sleeps and looks in its own first; a
       descriptor belongs to the poller of the worker on which a task first waited for it. 0: SKUA_WORKERS_PER_POLLER (a
       number, or "numa"), else one poller for all. At most 1,024, or SKUA_PER_NUMA_NODE. Simulations have none. */
    uint32_t workers_per_poller;
    /* A task that holds its worker for long, computing or blocked in a system call, keeps those behind it waiting. If
       it has for stuck_ns (0: SKUA_STUCK_MS, in which 0 means never, else 10 ms; SKUA_NEVER: never) and others wait, a
       spare worker runs them until it returns: a thread that is made when it is first needed and sleeps otherwise. So
       many at most at a time (0: SKUA_SPARE_WORKERS, else as many as workers, up to 16, and for one worker none, so
       that no two of its tasks ever run at once; at most 1,024). With more workers than processors stuck_ns counts as
       often as they share one. Fork-join does not hold a worker as long as it forks and joins: it lets tasks run.
       Simulations have none. */
    uint32_t spare_workers;
    uint64_t stuck_ns;
    const char *trace; /* a file's path, copied: traced from the beginning (skua/trace.h), written when the runtime is
                          destroyed. NULL: SKUA_TRACE, else none */
    /* Lets the runtime be looked into over a unix socket (skua/monitor.h): its absolute path, or "1" for one that
       skua-top finds by the process's number. NULL: SKUA_MONITOR (likewise, and 0 for none; what cannot be had then is
       logged and done without), else nobody listens. Simulations have none. */
    const char *monitor;
    /* Whatever holds a worker for so long (from SKUA_MS to an hour; 0: SKUA_WATCHDOG_MS, in which 0 means never, else
       never; SKUA_NEVER: never) is reported to the log, as warnings: the task's name and kind, the worker, for how
       long, and the stack of its thread at that moment, a line for each function as in dump.h; and once more when it is
       over. It is noticed up to four milliseconds late. Of fork-join computations what counts is the time between two
       looks around, so one that forks and joins does not hold its worker. At most eight reports come at once, and then
       one a second; how many were left out is said with the next. Takes a thread, and a signal, watchdog_signal, which
       that sends to the worker's: SIGURG, SIGUSR1, SIGUSR2, or a realtime one. Its handler is there as long as the
       runtime is, and passes on what is not Skua's to the one before. Calls that a handler interrupts although it says
       SA_RESTART (signal(7): nanosleep, poll, select and others that wait with a time-out) return EINTR in what is
       reported. An embedded runtime has none (-EINVAL); simulations do without. */
    uint64_t watchdog_ns;
    void *reserved[1];
} skua_config;

/* For workers_per_poller: a poller for each NUMA node. Without `bind` that is where workers would be bound to. */
#define SKUA_PER_NUMA_NODE UINT32_MAX

/* Prints what a runtime would run with that was created now with `config`, which may be NULL: for each setting a line
 * with its name, its value, and whether that is the config's, an environment variable's or the default:
 *     workers              2                            default
 *     stack_size           131072                       SKUA_STACK_SIZE
 * Threads: any. Returns: 0; -EINVAL as skua_runtime_create(); -ENOMEM; -EIO (the stream has an error). */
SKUA_API int skua_config_print(const skua_config *config, FILE *to);

/* Creates a runtime and starts its workers (a simulation starts none). `config` may be NULL.
 * Threads: any. Returns: 0; -ENOMEM; -EAGAIN (a thread could not be started); -EINVAL (a value out of range, in the
 * config or the environment: logged by name); for dump_on_sigquit also -EMFILE, -ENFILE, -ENOSPC (64 watches of signals
 * are open in the process), logged; -EMFILE, -ENFILE (of an embedded one: no descriptor is left). On error nothing is
 * left over and *runtime is NULL. */
SKUA_API SKUA_NODISCARD int skua_runtime_create(skua_runtime **runtime, const skua_config *config);

/* Runs a function as a fiber of the runtime and waits for it.
 * Threads: any outside the runtime (blocked; in a simulation it runs the workers, and of an embedded runtime the
 *   embedding thread runs the tasks); in a fiber of any runtime (suspended). Inside a future's body: misuse.
 * Cancel: if the caller is a task and is cancelled, or a deadline around the call passes, the function's task is
 *   cancelled too, and still waited for; the result is what the function makes of that.
 * Returns: fn's result, or -ENOMEM, -ESHUTDOWN, -EINVAL as of skua_spawn(); in a simulation -EDEADLK if every task
 *   waits and nothing can wake one (logged), and -EPERM on a thread that did not create it. A task of a
 *   simulation that blocks on another runtime gets -EPERM, too: what it does must not depend on other threads. */
SKUA_API int64_t skua_block_on(skua_runtime *runtime, skua_fiber_fn *fn, void *arg);

/* Ends a runtime in stages, each logged if it takes effect:
 *   1 refuse   spawning from outside fails with -ESHUTDOWN; tasks may still spawn
 *   2 drain    waits up to drain_ns for all tasks to end by themselves
 *   3 cancel   cancels every task, refuses all spawning, waits up to cancel_ns for them to end
 *   4 report   logs each task that is still there: its name, what it waits in, its state
 *   5 stop     stops and joins the workers
 * Times: 0 skips the wait of its stage; SKUA_NEVER waits for ever.
 * Threads: one, outside the runtime's workers (-EDEADLK in one of its tasks). Again: returns as before. A task of
 *   another runtime blocks its worker by it: if a task of this one needs that worker, neither comes to an end; a plain
 *   thread is the safe place. A simulation is ended by the thread that created it (-EPERM). An embedded
 *   runtime is ended by a plain thread (-EPERM), while no other thread turns it (-EBUSY): its tasks run in here, and
 *   one that neither waits nor returns keeps the caller.
 * Returns: 0; -ETIMEDOUT: tasks were left, and their memory stays until skua_runtime_destroy(); who joins one of them,
 * or waits in skua_block_on(), gets -ESHUTDOWN. A task that never
 * waits and never returns cannot be stopped: then stage 5 is not done, -EBUSY is returned, and it may be called
 * again. */
SKUA_API int skua_runtime_shutdown(skua_runtime *runtime, uint64_t drain_ns, uint64_t cancel_ns);

/* Frees a runtime; shuts it down first (drain SKUA_NEVER) if that was not done. Tasks that a timed-out shutdown left
 * are abandoned: the op that each awaits is withdrawn, their stacks are freed without unwinding. (Ops that such a task
 * has started and not come to await yet must not outlive it: end them otherwise.) After -EBUSY the runtime is not
 * freed: this returns -EBUSY. Threads: one, outside the runtime. NULL is fine. No waker of its tasks may be used any
 * more. */
SKUA_API int skua_runtime_destroy(skua_runtime *runtime);

/* The runtime of the calling task, NULL outside of one. */
SKUA_API skua_runtime *skua_runtime_self(void);

/* Creates a runtime from the environment, runs fn as a fiber in it, shuts it down (drain SKUA_NEVER).
 * Unlike in Go, detached tasks that still run keep the process alive.
 * Returns: a result to return from main: fn's if it lies within 0 to 255, else 1, with the error text logged. */
SKUA_API int skua_main(skua_fiber_fn *fn, void *arg);

/* How far a steal went: the nearest thing that the processors of the thief and of its victim share, by what hwloc knows
 * of the machine. These are where the runtime has put its workers; without `bind` the kernel may run them elsewhere.
 * Without hwloc each processor is a core of its own, and they share all else. */
enum skua_distance {
    SKUA_DISTANCE_CORE,    /* hardware threads of one core, or workers that share a processor */
    SKUA_DISTANCE_L2,      /* an L2 cache */
    SKUA_DISTANCE_L3,      /* an L3 cache */
    SKUA_DISTANCE_NUMA,    /* a NUMA node */
    SKUA_DISTANCE_PACKAGE, /* a package */
    SKUA_DISTANCE_MACHINE, /* nothing of these */
    SKUA_DISTANCE_SPARE,   /* not known: the thief or the victim is a spare worker, which has no place */
    SKUA_DISTANCES         /* how many there are */
};

/* How long after their deadlines timers were noticed: longer than the one before, if there is one, and not longer than
 * this. They are never early. */
enum skua_late {
    SKUA_LATE_100US, /* 100 microseconds */
    SKUA_LATE_1MS,   /* a millisecond */
    SKUA_LATE_10MS,  /* 10 milliseconds */
    SKUA_LATE_100MS, /* 100 milliseconds */
    SKUA_LATE_1S,    /* a second */
    SKUA_LATE_MORE,  /* any time */
    SKUA_LATES       /* how many there are */
};

/* Counters since the start, summed over the workers; each is exact once the runtime is idle. */
typedef struct skua_stats {
    uint32_t workers;     /* that it was made with */
    uint32_t pollers;     /* that the workers share, once a descriptor has been waited for */
    uint64_t live;        /* tasks that have not ended */
    uint64_t spawned;     /* tasks */
    uint64_t polls;       /* runs of a task */
    uint64_t steals;      /* successful ones */
    uint64_t stolen;      /* tasks that they moved */
    uint64_t overflows;   /* batches moved from a full deque to the injection queue */
    uint64_t injected;    /* tasks taken from the injection queue */
    uint64_t parks;       /* times a worker slept */
    uint64_t wakes;       /* kernel wake-ups sent to workers */
    uint64_t timers;      /* timers expired, by whomever */
    uint64_t task_bytes;  /* task memory mapped */
    uint64_t stacks;      /* fiber stacks in use or kept warm */
    uint64_t steal_attempts; /* looks into another worker's queues */
    /* What descriptors had to say, by who noticed it: */
    uint64_t events_looked;  /* a worker between two tasks, or before it searched for work */
    uint64_t events_slept;   /* a worker that slept in the poller, and was woken by it */
    uint64_t events_guard;   /* the guard, because no worker had looked for half a millisecond */
    uint64_t timers_guard;   /* of the timers: those that the guard expired, because no worker had in time */
    uint64_t stuck;          /* runs of a task that held a worker for stuck_ns (skua_config) */
    uint64_t spares_begun;   /* times that a spare worker began to stand in for one */
    uint64_t steals_at[SKUA_DISTANCES]; /* steals, by enum skua_distance */
    /* Of a poller one thread at a time borrows: */
    uint64_t poller_looks;       /* times that a worker looked into one */
    uint64_t poller_parks;       /* of the parks that are over: those in a poller */
    uint64_t poller_looks_guard; /* times that the guard looked into one */
    uint64_t timers_late[SKUA_LATES]; /* timers expired, by enum skua_late */
    uint64_t timers_late_ns;     /* their lateness, summed */
    uint64_t timers_late_max_ns; /* and the greatest */
    /* Blocking calls (skua/blocking.h), files and names of hosts included: */
    uint32_t blocking_threads;    /* that there are now */
    uint32_t blocking_idle;       /* of these: those that wait for a call */
    uint64_t blocking_queued;     /* calls that no thread has begun */
    uint64_t blocking_queued_max; /* the most that there were */
    uint64_t blocking_calls;      /* calls begun */
    /* Times that the processors were found crowded, so that fewer workers than there are serve descriptors for a while:
       those that they serve, or others, run on the same processors, and more workers would only be in their way. */
    uint64_t crowds;
    uint64_t failed;      /* tasks without a handle that have ended with an error other than -ECANCELED */
    uint64_t reserved[6];
} skua_stats;

/* Reads the counters. Threads: any. Blocks: never. */
SKUA_API void skua_runtime_stats(skua_runtime *runtime, skua_stats *stats);

/* What a worker does at the moment. */
enum skua_worker_state {
    SKUA_WORKER_ASLEEP, /* it waits for work, an event or a timer; or it is a spare that is not needed */
    SKUA_WORKER_AWAKE   /* it runs a task, or looks for one */
};

/* One worker's counters since the start. skua_stats has their sums, and what is nobody's in particular. */
typedef struct skua_worker_stats {
    uint32_t index;       /* as given */
    bool is_spare;        /* it stands in for workers that a task holds (skua_config.stuck_ns) */
    uint8_t state;        /* enum skua_worker_state */
    uint16_t reserved16;
    uint64_t cpu_ns;      /* processor time of its thread; 0 if it has none any more, or none of its own (simulations,
                             embedded runtimes) */
    uint64_t queued;      /* tasks that are ready in its queues, about */
    uint64_t spawned;     /* tasks, by the tasks that it ran */
    uint64_t polls;       /* runs of a task */
    uint64_t steals;      /* successful ones */
    uint64_t stolen;      /* tasks that they moved */
    uint64_t steal_attempts; /* looks into another worker's queues */
    uint64_t overflows;   /* batches moved from its full deque to the injection queue */
    uint64_t injected;    /* tasks taken from the injection queue */
    uint64_t parks;       /* times it slept */
    uint64_t wakes;       /* kernel wake-ups that it sent to others */
    uint64_t timers;      /* timers that it has expired */
    uint64_t events_looked; /* events that it noticed between two tasks, or before it searched for work */
    uint64_t events_slept;  /* events that woke it */
    uint64_t steals_at[SKUA_DISTANCES]; /* steals, by enum skua_distance */
    uint64_t poller_looks;  /* times that it looked into a poller */
    uint64_t poller_parks;  /* of the parks that are over: those in a poller */
    uint64_t timers_late[SKUA_LATES]; /* timers that it has expired, by enum skua_late */
    uint64_t timers_late_ns;     /* their lateness, summed */
    uint64_t timers_late_max_ns; /* and the greatest */
    uint64_t reserved[8]; /* 0; later counters take their place */
} skua_worker_stats;

/* Reads a worker's counters. The regular workers are 0 to skua_stats.workers - 1; behind them are the spare ones, as
 * they are made, so a loop goes on until there is none:
 *     for (uint32_t i = 0; skua_runtime_worker_stats(rt, i, &worker) == 0; i++)
 * Threads: any. Blocks: never. Returns: 0; -EINVAL: there is no such worker. */
SKUA_API int skua_runtime_worker_stats(skua_runtime *runtime, uint32_t index, skua_worker_stats *stats);

/* The counters in Prometheus' text format, for a page that a server of yours answers (Content-Type: text/plain;
 * version=0.0.4): `# HELP`, `# TYPE` and `skua_NAME{labels} VALUE` for each. `labels`: `runtime="io"`, or NULL. Steals
 * have a label `distance` besides; the lateness of timers is a histogram, in seconds. Cut to size - 1 bytes and
 * terminated; 8 KiB and the labels 50 times are enough.
 * Threads: any. Returns: the whole length. */
SKUA_API int skua_stats_prometheus(const skua_stats *stats, const char *labels, char *text, size_t size);

/* The same of a runtime as it is now, and behind it the counters of each worker: `skua_worker_NAME{worker="w0"} VALUE`;
 * spare workers are s0 and so on. 12 KiB and 3 KiB for each worker are enough, and the labels 50 times and 32 times for
 * each worker.
 * Threads: any. Blocks: never. Returns: the whole length, as skua_stats_prometheus(); -ENOMEM; -ENOTSUP (a
 * fork's child). */
SKUA_API int skua_runtime_prometheus(skua_runtime *runtime, const char *labels, char *text, size_t size);

/* A pseudo-random number: from the runtime's seed in a simulation, else seeded by the kernel. Not for secrets.
 * Threads: any. */
SKUA_API uint64_t skua_random(void);

/* In a simulation, inside a task: it computes for so long, while the workers of a simulated machine go on, and those of
 * one processor stand still. Elsewhere: nothing. Threads: any. */
SKUA_API void skua_sim_compute(uint64_t ns);

SKUA_END_DECLS

#endif
