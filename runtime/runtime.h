/* A runtime: a scheduler and how it was configured. */
#ifndef SKUAI_RUNTIME_H
#define SKUAI_RUNTIME_H

#include "sched/overflow.h"
#include "sched/scheduler.h"
#include "skua/runtime.h"

enum {
    SKUAI_WORKERS_MAX = 1024,
    SKUAI_SIM_WORKERS = 4 /* a simulation's default: must not depend on the machine */
};

struct skuai_sigquit;
struct skuai_monitor;

/* Of an embedded runtime: embed.c. */
struct skuai_embedding {
    skua_word32 turning;  /* 1: a thread has entered */
    skua_word64 embedder; /* the thread that has entered last */
    struct skuai_overflow_stack signal_stack; /* who has entered */
};

struct skua_runtime {
    struct skuai_scheduler sched; /* first: a runtime's address is its scheduler's (sched/spawn.c) */
    skua_config config;           /* with defaults and environment filled in */
    struct skuai_sigquit *sigquit; /* or NULL */
    struct skuai_embedding embedding;
    struct skuai_monitor *monitor; /* or NULL; of who may start and stop it */
    bool overflow_installed;
    bool was_shut_down;
    char *trace_path;             /* written at the end, or NULL */
    int shutdown_result;          /* of the shutdown that reached its end */
};

/* config.c: fills in what is left open. Returns 0 or -EINVAL, logged by the name of the setting. */
int skuai_config_resolve(skua_config *resolved, const skua_config *given, struct skuai_scheduler *reporter);

/* runtime.c: the processors that the calling thread may use, as workers would. Returns 0 or -ENOMEM. */
int skuai_machine_load(struct skuai_topology *topology);

/* fork.c: a word that a forked child finds zeroed. */
skua_word32 *skuai_fork_page_create(void);
void skuai_fork_page_destroy(skua_word32 *word);
/* From now on a fork's child is no worker. Once per process, again is fine. Returns 0 or -ENOMEM. */
int skuai_fork_watch(void);
/* Around the use of libraries that have locks of their own. */
void skuai_fork_hold_off(void);
void skuai_fork_allow(void);
bool skuai_fork_is_child(const struct skuai_scheduler *sched);

/* overflow_report.c: a skuai_overflow_describe_fn */
int skuai_overflow_describe(const void *fault_address, char *text, size_t size);

#endif
