/* What a configuration comes to, for people. */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/monitor.h"

enum { VALUE_MAX = 96 };

/* Who has said so. `variable`: NULL if there is none for it, or if it does not count. */
static const char *source(bool is_given, const char *variable)
{
    return is_given ? "skua_config" : variable != NULL ? variable : "default";
}

static void print_line(FILE *to, const char *name, const char *value, const char *from)
{
    fprintf(to, "%-20s %-28s %s\n", name, value, from);
}

/* The variable's name if it is set and read. */
static const char *variable_in_use(const skua_config *given, const char *variable)
{
    const char *text = getenv(variable);
    return !given->ignore_environment && text != NULL && *text != '\0' ? variable : NULL;
}

/* Of what an embedded runtime has no choice in. */
static const char *variable_if_free(const skua_config *given, const char *variable)
{
    return given->embed ? NULL : variable_in_use(given, variable);
}

static int print_workers(FILE *to, const skua_config *resolved, const char *from)
{
    char value[VALUE_MAX];
    uint32_t workers = resolved->workers;
    if (workers == 0 && resolved->sim_machine != NULL) {
        print_line(to, "workers", "one per simulated processor", from);
        return 0;
    }
    if (workers == 0 && resolved->simulate) {
        workers = SKUAI_SIM_WORKERS;
    } else if (workers == 0) {
        struct skuai_topology topology;
        int rc = skuai_machine_load(&topology);
        if (rc < 0)
            return rc;
        workers = topology.usable < SKUAI_WORKERS_MAX ? topology.usable : SKUAI_WORKERS_MAX;
        skuai_topology_unload(&topology);
    }
    snprintf(value, sizeof value, "%" PRIu32, workers);
    print_line(to, "workers", value, from);
    return 0;
}

static void print_sharing(FILE *to, const skua_config *resolved, const char *from)
{
    char value[VALUE_MAX];
    snprintf(value, sizeof value, "%" PRIu32, resolved->workers_per_poller);
    print_line(to, "workers_per_poller",
               resolved->workers_per_poller == 0                    ? "all"
               : resolved->workers_per_poller == SKUA_PER_NUMA_NODE ? "those of a NUMA node"
                                                                    : value,
               from);
}

static void print_spares(FILE *to, const skua_config *given, const skua_config *resolved)
{
    char value[VALUE_MAX];
    bool are_used = !resolved->simulate && resolved->stuck_ns != SKUA_NEVER;
    snprintf(value, sizeof value, "%" PRIu64 " ns", resolved->stuck_ns);
    print_line(to, "stuck_ns", are_used ? value : "never",
               source(given->stuck_ns != 0, variable_if_free(given, "SKUA_STUCK_MS")));
    snprintf(value, sizeof value, "%" PRIu32, resolved->spare_workers);
    print_line(to, "spare_workers",
               !are_used                      ? "none"
               : resolved->spare_workers == 0 ? "as workers, to 16; of one: 0"
                                              : value,
               source(given->spare_workers != 0, variable_if_free(given, "SKUA_SPARE_WORKERS")));
}

static void print_watchdog(FILE *to, const skua_config *given, const skua_config *resolved)
{
    char value[VALUE_MAX];
    bool is_used = !resolved->simulate && resolved->watchdog_ns != SKUA_NEVER;
    snprintf(value, sizeof value, "%" PRIu64 " ns", resolved->watchdog_ns);
    print_line(to, "watchdog_ns", is_used ? value : "never",
               source(given->watchdog_ns != 0, variable_if_free(given, "SKUA_WATCHDOG_MS")));
    snprintf(value, sizeof value, "%d", resolved->watchdog_signal);
    print_line(to, "watchdog_signal", is_used ? value : "none",
               source(given->watchdog_signal != 0, variable_if_free(given, "SKUA_WATCHDOG_SIGNAL")));
}

static void print_monitor(FILE *to, const skua_config *given, const skua_config *resolved)
{
    char path[SKUAI_MONITOR_PATH_MAX + 1];
    const char *value = resolved->simulate ? NULL : resolved->monitor;
    if (value != NULL && strcmp(value, "1") == 0)
        value = skuai_monitor_default(path, 0, 0) || skuai_monitor_default(path, 1, 0) ? path : "by its number";
    print_line(to, "monitor", value != NULL ? value : "no",
               source(given->monitor != NULL, variable_in_use(given, "SKUA_MONITOR")));
}

static void print_simulation(FILE *to, const skua_config *given, const skua_config *resolved)
{
    char value[VALUE_MAX];
    if (!resolved->simulate) {
        print_line(to, "simulate", "no", source(false, NULL));
        return;
    }
    snprintf(value, sizeof value, "seed %" PRIu64, resolved->sim_seed);
    print_line(to, "simulate", value, source(given->simulate, variable_in_use(given, "SKUA_SIM_SEED")));
    print_line(to, "sim_machine", resolved->sim_machine != NULL ? resolved->sim_machine : "one processor",
               source(given->sim_machine != NULL, variable_in_use(given, "SKUA_SIM_MACHINE")));
}

int skua_config_print(const skua_config *config, FILE *to)
{
    const skua_config none = { .workers = 0 }, *given = config != NULL ? config : &none;
    struct skuai_scheduler reporter = { .reporting = { .log = given->log, .log_context = given->log_context } };
    skua_config resolved;
    char value[VALUE_MAX];
    int rc = skuai_config_resolve(&resolved, given, &reporter);
    if (rc == 0)
        rc = print_workers(to, &resolved, source(given->workers != 0 || given->embed,
                                                 variable_if_free(given, "SKUA_WORKERS")));
    if (rc < 0)
        return rc;
    print_line(to, "embed", resolved.embed ? "yes" : "no", source(given->embed, NULL));
    print_line(to, "bind", resolved.bind ? "yes" : "no", source(given->bind, variable_if_free(given, "SKUA_BIND")));
    snprintf(value, sizeof value, "%zu", resolved.stack_size);
    print_line(to, "stack_size", value, source(given->stack_size != 0, variable_in_use(given, "SKUA_STACK_SIZE")));
    print_sharing(to, &resolved,
                  source(given->workers_per_poller != 0, variable_in_use(given, "SKUA_WORKERS_PER_POLLER")));
    print_spares(to, given, &resolved);
    print_watchdog(to, given, &resolved);
    print_simulation(to, given, &resolved);
    print_line(to, "trace", resolved.trace != NULL ? resolved.trace : "none",
               source(given->trace != NULL, variable_in_use(given, "SKUA_TRACE")));
    print_line(to, "dump_on_sigquit", resolved.dump_on_sigquit ? "yes" : "no",
               source(given->dump_on_sigquit, variable_in_use(given, "SKUA_DUMP_ON_SIGQUIT")));
    print_monitor(to, given, &resolved);
    print_line(to, "ignore_environment", resolved.ignore_environment ? "yes" : "no",
               source(given->ignore_environment, NULL));
    print_line(to, "alloc, free", resolved.alloc != NULL ? "the program's" : "malloc's",
               source(resolved.alloc != NULL, NULL));
    print_line(to, "log", resolved.log != NULL ? "the program's" : "errors and warnings, stderr",
               source(resolved.log != NULL, NULL));
    print_line(to, "on_misuse", resolved.on_misuse != NULL ? "the program's" : "logs and aborts",
               source(resolved.on_misuse != NULL, NULL));
    return ferror(to) ? -EIO : 0;
}
