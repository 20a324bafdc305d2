/* The model checker's inside, shared by its four files:
 *   mc_memory.c   the memory model: histories and views
 *   mc_plain.c    races on plain data, freed memory
 *   mc_sched.c    threads, the choices and their trail
 *   mc.c          search modes, failures, the command line
 * Everything runs on one OS thread, so there is one state and it is a plain global.
 */
#ifndef SKUA_MODEL_MC_INTERNAL_H
#define SKUA_MODEL_MC_INTERNAL_H

#include <string.h>

#include "model/mc.h"

enum {
    MC_MAIN = 0,        /* the thread that runs setup and finish */
    MC_THREADS = 7,     /* with it */
    MC_CLOCKS = 8,      /* a vector's width */
    MC_LOCATIONS = 72,  /* atomic words */
    MC_PLAINS = 128,    /* addresses of plain data */
    MC_HISTORY = 128,   /* stores to one atomic word */
    MC_RANGES = 32,     /* mc_alloc, mc_free */
    MC_BUCKETS = 512,   /* of the table of addresses; a power of two, well above all addresses together */
    MC_TRAIL = 16384,
    MC_CHANGES = 3,     /* of priority, in the priority mode */
    MC_NAMES = 256
};

/* What a thread knows: of each atomic word a position in its history (nothing older can be read), and of each thread
 * how many of its steps happen before. */
struct mc_view {
    uint8_t seen[MC_LOCATIONS];
    uint16_t clock[MC_CLOCKS];
};

struct mc_message {
    uint64_t value;
    struct mc_view view; /* what an acquire of this value learns */
    uint8_t writer;
    bool is_rmw;         /* reads from its predecessor: nothing comes between */
};

/* The moment before which nobody may touch a piece of memory: its mc_alloc. */
struct mc_birth {
    uint16_t clock;
    uint8_t thread;
};

struct mc_location {
    const void *address;
    unsigned size;
    unsigned count;  /* of history; 0: not touched since mc_alloc */
    bool dead;
    struct mc_birth birth;
    uint16_t last[MC_CLOCKS]; /* each thread's last access */
    struct mc_message history[MC_HISTORY]; /* in modification order */
};

struct mc_plain {
    const void *address;
    unsigned size;
    bool dead;
    uint8_t writer;
    uint16_t written;
    uint16_t read[MC_CLOCKS];
};

struct mc_range {
    uintptr_t first, end;
    bool dead;
    struct mc_birth birth;
};

enum mc_state { MC_UNUSED, MC_READY, MC_WAITING, MC_WAITING_TIMED, MC_ENDED };

struct mc_thread {
    const char *name;
    void (*fn)(void *);
    void *arg;
    enum mc_state state;
    const void *waits_for;
    bool timed_out;
    bool allow_blocked;
    int priority;
    struct mc_view now;      /* what it knows */
    struct mc_view acquire;  /* what it would know after an acquire fence */
    struct mc_view release;  /* what it knew at its last release fence */
    uint8_t floor[MC_LOCATIONS]; /* reads only: stores that have become visible by time passing */
};

enum mc_mode { MC_DEPTH_FIRST, MC_RANDOM, MC_PRIORITIES, MC_REPLAY };

struct mc_choice {
    uint8_t choice, width; /* width 0: not known (a trail given by hand) */
};

struct mc_checker {
    /* the search */
    const struct mc_test *test;
    enum mc_mode mode;
    uint64_t random;
    struct mc_choice trail[MC_TRAIL];
    unsigned trail_length;
    int bound;
    int stale_bound;
    unsigned max_steps;
    bool cut;                /* a bound left something unexplored */
    unsigned longest;        /* steps of the longest execution so far: where priorities change */
    bool logging;
    unsigned log_gap_first, log_gap_end; /* these steps of a long execution are not logged */
    bool log_gap_told;

    /* the execution */
    unsigned at;             /* in the trail */
    unsigned steps;
    int preemptions;
    int stale_loads;
    unsigned idle_rounds;    /* all paused, since the last store */
    unsigned current;
    unsigned threads;
    unsigned ready, paused, deferred; /* sets of threads, disjoint */
    bool finishing;
    unsigned changes[MC_CHANGES];
    const char *where;
    char failure[256];
    struct mc_thread thread[MC_THREADS];

    /* memory */
    uint8_t bucket[MC_BUCKETS]; /* 0, location + 1, or MC_LOCATIONS + plain + 1 */
    unsigned locations, plains, ranges, names;
    struct mc_view order;    /* seen[] only: what the seq_cst order has reached */
    struct mc_location location[MC_LOCATIONS];
    struct mc_plain plain[MC_PLAINS];
    struct mc_range range[MC_RANGES];
    struct { const void *address; char text[32]; } name[MC_NAMES];
};
_Static_assert(MC_LOCATIONS + MC_PLAINS < 255 && MC_HISTORY <= 256 && MC_THREADS <= MC_CLOCKS, "they fit their types");

extern struct mc_checker mc;

static inline struct mc_thread *mc_me(void) { return &mc.thread[mc.current]; }

/* mc_sched.c */
void mc_step(const char *where);  /* before each step of a thread: others may come first */
void mc_tick(const char *where);  /* a step that needs no scheduling point */
void mc_stored(void);             /* something changed: who paused may look again */
unsigned mc_choose_as(unsigned n, unsigned choice); /* a choice the mode has made already */
void mc_execute(void);            /* one execution; failure[0] tells */
_Noreturn void mc_abandon(void);  /* the current execution ends here */
uint32_t mc_random(uint32_t n);

/* mc_memory.c */
void mc_memory_reset(void);
void mc_join(struct mc_view *into, const struct mc_view *from);
/* The kernel's look at a futex word: the newest value, and later loads by this thread are not older. */
uint64_t mc_look(const void *address, unsigned size, const char *where);

/* mc_plain.c */
uint8_t *mc_bucket_of(const void *address);
const struct mc_range *mc_range_of(const void *address);
bool mc_happens_before_me(unsigned thread, uint16_t clock);
_Noreturn void mc_use_after_free(const void *address, const char *where);

/* mc.c */
void mc_log(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *mc_name_of(const void *address);

#endif
