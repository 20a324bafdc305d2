/* Creating and destroying a runtime. The stages of its end are in shutdown.c. */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/embed.h"
#include "runtime/sigquit.h"
#include "runtime/monitor.h"
#include "runtime/workers.h"
#include "sched/overflow.h"
#include "sched/sim.h"
#include "sched/spawn.h"
#include "sched/watchdog.h"
#include "skua/trace.h"

static void default_misuse(void *context, const char *text)
{
    skuai_log(context, SKUA_LOG_ERROR, "%s", text);
    abort();
}

static void connect_config(skua_runtime *rt)
{
    struct skuai_scheduler *sched = &rt->sched;
    sched->memory = (struct skuai_memory){ rt->config.alloc, rt->config.free, rt->config.memory_context };
    sched->reporting.log = rt->config.log;
    sched->reporting.log_context = rt->config.log_context;
    sched->reporting.misuse = rt->config.on_misuse != NULL ? rt->config.on_misuse : default_misuse;
    sched->reporting.misuse_context = rt->config.on_misuse != NULL ? rt->config.misuse_context : sched;
    sched->stack_size = rt->config.stack_size;
    sched->workers_per_poller = rt->config.workers_per_poller;
}

/* A task of a bound worker may use more than its worker's processor. */
int skuai_machine_load(struct skuai_topology *topology)
{
    struct skuai_worker *self = skuai_worker_self();
    bool is_bound = self != NULL && self->sched->bind;
    if (is_bound)
        skuai_topology_unbind_self(&self->sched->topology);
    skuai_fork_hold_off();
    int rc = skuai_topology_load(topology, NULL, "");
    skuai_fork_allow();
    if (is_bound)
        skuai_topology_bind_self(&self->sched->topology, self->sched->cpu_of_worker[self->index]);
    return rc;
}

enum { SPARES_DEFAULT = 16 };

static int load_described(skua_runtime *rt)
{
    struct skuai_topology *topology = &rt->sched.topology;
    skuai_fork_hold_off();
    int rc = skuai_topology_load(topology, rt->config.sim_machine, NULL);
    skuai_fork_allow();
    if (rc < 0 || topology->why_flat == 0 || topology->why_flat == -ENOMEM)
        return rc < 0 ? rc : topology->why_flat;
    skuai_log(&rt->sched, SKUA_LOG_ERROR, "sim_machine (or SKUA_SIM_MACHINE) \"%s\": %s", rt->config.sim_machine,
              topology->why_flat == -ENOTSUP
                  ? "this needs a build with hwloc"
                  : "give a machine in hwloc's synthetic notation, as \"numa:8 core:64 pu:1\"");
    return topology->why_flat == -ENOTSUP ? -ENOTSUP : -EINVAL;
}

/* What is simulated does not depend on this machine; and for an embedded worker it is all one where it runs. */
static int load_topology(skua_runtime *rt)
{
    struct skuai_topology *topology = &rt->sched.topology;
    if (!rt->config.simulate && !rt->config.embed)
        return skuai_machine_load(topology);
    if (rt->config.sim_machine != NULL)
        return load_described(rt);
    *topology = (struct skuai_topology){ .ncpus = 1, .usable = rt->config.embed ? 1 : SKUAI_SIM_WORKERS };
    topology->cpus = calloc(1, sizeof *topology->cpus);
    return topology->cpus != NULL ? 0 : -ENOMEM;
}

static int make_sim(skua_runtime *rt)
{
    if (!rt->config.simulate)
        return 0;
    rt->sched.env.is_seeded = rt->config.sim_machine == NULL;
    struct skuai_sim_config config = { .seed = rt->config.sim_seed,
                                       .is_machine = rt->config.sim_machine != NULL,
                                       .threads_max = rt->sched.nworkers + 1, /* the guard */
                                       .trace = rt->config.sim_trace,
                                       .trace_context = rt->config.sim_trace_context };
    return skuai_sim_create(&rt->sched.env.sim, &config);
}

/* Everything but the threads. What was made is in fields that are zero before, so that free_parts() can take down any
 * prefix of it. */
static int make_parts(skua_runtime *rt)
{
    struct skuai_scheduler *sched = &rt->sched;
    int rc = skuai_fork_watch();
    if (rc < 0 || (rc = load_topology(rt)) < 0)
        return rc;
    sched->nworkers = rt->config.workers != 0 ? rt->config.workers : sched->topology.usable;
    if (sched->nworkers > SKUAI_WORKERS_MAX) {
        skuai_log(sched, SKUA_LOG_INFO, "%u processors: %d workers", sched->nworkers, SKUAI_WORKERS_MAX);
        sched->nworkers = SKUAI_WORKERS_MAX;
    }
    sched->spares.stuck_ns = rt->config.stuck_ns;
    if (!rt->config.simulate && rt->config.stuck_ns != SKUA_NEVER)
        sched->spares.max = rt->config.spare_workers != 0      ? rt->config.spare_workers
                            : sched->nworkers == 1             ? 0
                            : sched->nworkers < SPARES_DEFAULT ? sched->nworkers
                                                               : SPARES_DEFAULT;
    sched->bind = rt->config.bind && sched->topology.is_this_machine;
    sched->alive_here = skuai_fork_page_create();
    if (sched->alive_here == NULL)
        return -ENOMEM;
    if ((rc = make_sim(rt)) < 0)
        return rc;
    if ((rc = skuai_overflow_install(skuai_overflow_describe)) < 0)
        return rc;
    rt->overflow_installed = true;
    if (!rt->config.simulate && rt->config.watchdog_ns != SKUA_NEVER &&
        (rc = skuai_watchdog_create(sched, rt->config.watchdog_ns, rt->config.watchdog_signal)) < 0)
        return rc;
    return skuai_workers_create(sched);
}

static void free_parts(skua_runtime *rt)
{
    struct skuai_scheduler *sched = &rt->sched;
    skuai_sigquit_stop(rt->sigquit, skuai_fork_is_child(sched)); /* both look at all that follows */
    skua_monitor_stop(rt);
    void *blocking = skuai_load_ptr(&sched->blocking.pool, SKUAI_ACQUIRE); /* its threads end before what they wake */
    if (blocking != NULL && !skuai_fork_is_child(sched))
        sched->blocking.destroy(blocking);
    skuai_workers_destroy(sched);
    skuai_watchdog_destroy(sched);
    if (rt->trace_path != NULL)
        skuai_memory_put(sched, rt->trace_path, strlen(rt->trace_path) + 1);
    struct skuai_poller *poller = sched->polls.of != NULL ? skuai_poll_poller(sched->polls.of) : NULL;
    if (poller != NULL)
        poller->hooks->destroy(poller);
    skuai_memory_put_lines(&sched->memory, sched->polls.of, sched->polls.count * sizeof *sched->polls.of);
    skuai_embed_free(rt);
    if (rt->overflow_installed)
        skuai_overflow_uninstall();
    if (sched->env.sim != NULL)
        skuai_sim_destroy(sched->env.sim);
    if (sched->alive_here != NULL)
        skuai_fork_page_destroy(sched->alive_here);
    if (sched->topology.cpus != NULL)
        skuai_topology_unload(&sched->topology);
    struct skuai_memory memory = sched->memory;
    skuai_memory_put_lines(&memory, rt, sizeof *rt);
}

static int begin_trace(skua_runtime *rt)
{
    size_t size = strlen(rt->config.trace) + 1;
    char *path = skuai_memory_get(&rt->sched, size);
    if (path == NULL)
        return -ENOMEM;
    rt->config.trace = rt->trace_path = memcpy(path, rt->config.trace, size);
    return skua_trace_start(rt, 0);
}

static void end_trace(skua_runtime *rt)
{
    int rc = rt->trace_path != NULL && !skuai_fork_is_child(&rt->sched) ? skua_trace_write(rt, rt->trace_path) : 0;
    if (rc < 0)
        skuai_log(&rt->sched, SKUA_LOG_ERROR, "the trace could not be written to \"%s\": %s", rt->trace_path,
                  skua_strerror(rc));
}

static int create(skua_runtime **out, const skua_config *given)
{
    skua_config config;
    struct skuai_scheduler reporter = { .reporting = { .log = given != NULL ? given->log : NULL,
                                                       .log_context = given != NULL ? given->log_context : NULL } };
    *out = NULL;
    int rc = skuai_config_resolve(&config, given, &reporter);
    if (rc < 0)
        return rc;
    struct skuai_memory memory = { config.alloc, config.free, config.memory_context };
    skua_runtime *rt = skuai_memory_get_lines(&memory, sizeof *rt);
    if (rt == NULL)
        return -ENOMEM;
    rt->config = config;
    connect_config(rt);
    rc = make_parts(rt);
    if (rc == 0 && config.trace != NULL)
        rc = begin_trace(rt);
    if (rc == 0 && rt->config.dump_on_sigquit && !rt->config.simulate)
        rc = skuai_sigquit_start(rt);
    if (rc == 0)
        rc = config.embed ? skuai_embed_start(rt) : skuai_workers_start(&rt->sched);
    if (rc < 0) {
        free_parts(rt);
        return rc;
    }
    if ((rc = skuai_monitor_begin(rt, given)) < 0) {
        (void)skua_runtime_shutdown(rt, 0, 0); /* there is no task yet */
        free_parts(rt);
        return rc;
    }
    *out = rt;
    return 0;
}

int skua_runtime_create(skua_runtime **out, const skua_config *given)
{
    int cancellable = skuai_cancel_hold_off(); /* or half a runtime would be left over */
    int rc = create(out, given);
    skuai_cancel_allow(cancellable);
    return rc;
}

/* Does the caller run on a stack that goes with the runtime? */
static bool stands_on_its_stack(const struct skuai_scheduler *sched)
{
    if (sched->env.sim != NULL && skuai_sim_is_inside(sched->env.sim))
        return true;
    return skuai_stack_pool_contains(&sched->stack_pool, __builtin_frame_address(0));
}

int skua_runtime_destroy(skua_runtime *rt)
{
    if (rt == NULL)
        return 0;
    struct skuai_scheduler *sched = &rt->sched;
    if (skuai_fork_is_child(sched)) { /* it has no threads to stop, but may stand on one's stack */
        if (stands_on_its_stack(sched))
            return -EDEADLK;
    } else {
        int rc = skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER);
        if (rc == -EBUSY || rc == -EDEADLK || rc == -EPERM)
            return rc;
    }
    end_trace(rt);
    int cancellable = skuai_cancel_hold_off();
    free_parts(rt);
    skuai_cancel_allow(cancellable);
    return 0;
}

skua_runtime *skua_runtime_self(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL && worker->task != NULL ? (skua_runtime *)(void *)worker->sched : NULL;
}
