/* What a configuration comes to, for people. */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { VALUE_MAX = 96 };

static bool in_environment(const skua_config *given, const char *variable)
{
    const char *text = getenv(variable);
    return (given == NULL || !given->ignore_environment) && text != NULL && *text != '\0';
}

/* A line: the setting, its value, and who has said so. */
static void print_line(FILE *to, const char *name, const char *value, bool is_given, bool is_in_environment,
                       const char *variable)
{
    fprintf(to, "%-20s %-28s %s\n", name, value,
            is_given              ? "skua_config"
            : is_in_environment   ? variable
            : variable[0] != '\0' ? "default"
                                  : "");
}

static int print_workers(FILE *to, const skua_config *resolved, bool is_given, bool is_in_environment)
{
    char value[VALUE_MAX];
    uint32_t workers = resolved->workers;
    if (workers == 0 && resolved->simulate && resolved->sim_machine == NULL) {
        workers = SKUAI_SIM_WORKERS;
    } else if (workers == 0 && resolved->simulate) {
        print_line(to, "workers", "one per simulated processor", false, false, "SKUA_WORKERS");
        return 0;
    } else if (workers == 0) {
        struct skuai_topology topology;
        int rc = skuai_machine_load(&topology);
        if (rc < 0)
            return rc;
        workers = topology.usable < SKUAI_WORKERS_MAX ? topology.usable : SKUAI_WORKERS_MAX;
        skuai_topology_unload(&topology);
    }
    snprintf(value, sizeof value, "%" PRIu32, workers);
    print_line(to, "workers", value, is_given, is_in_environment, "SKUA_WORKERS");
    return 0;
}

static void print_sharing(FILE *to, const skua_config *resolved, bool is_given)
{
    char value[VALUE_MAX];
    if (resolved->workers_per_poller == 0)
        snprintf(value, sizeof value, "all");
    else if (resolved->workers_per_poller == SKUA_PER_NUMA_NODE)
        snprintf(value, sizeof value, "those of a NUMA node");
    else
        snprintf(value, sizeof value, "%" PRIu32, resolved->workers_per_poller);
    print_line(to, "workers_per_poller", value, is_given, !is_given && resolved->workers_per_poller != 0,
               "SKUA_WORKERS_PER_POLLER");
}

static void print_simulation(FILE *to, const skua_config *given, const skua_config *resolved)
{
    char value[VALUE_MAX];
    bool seed_is_given = given->simulate, machine_is_given = given->sim_machine != NULL;
    if (!resolved->simulate) {
        print_line(to, "simulate", "no", false, false, "SKUA_SIM_SEED");
        return;
    }
    snprintf(value, sizeof value, "seed %" PRIu64, resolved->sim_seed);
    print_line(to, "simulate", value, seed_is_given, !seed_is_given && in_environment(given, "SKUA_SIM_SEED"),
               "SKUA_SIM_SEED");
    snprintf(value, sizeof value, "%s", resolved->sim_machine != NULL ? resolved->sim_machine : "one processor");
    print_line(to, "sim_machine", value, machine_is_given, !machine_is_given && resolved->sim_machine != NULL,
               "SKUA_SIM_MACHINE");
}

int skua_config_print(const skua_config *config, FILE *to)
{
    const skua_config none = { .workers = 0 }, *given = config != NULL ? config : &none;
    struct skuai_scheduler reporter = { .reporting = { .log = given->log, .log_context = given->log_context } };
    skua_config resolved;
    char value[VALUE_MAX];
    int rc = skuai_config_resolve(&resolved, given, &reporter);
    if (rc == 0)
        rc = print_workers(to, &resolved, given->workers != 0, in_environment(given, "SKUA_WORKERS"));
    if (rc < 0)
        return rc;
    print_line(to, "bind", resolved.bind ? "yes" : "no", given->bind, in_environment(given, "SKUA_BIND"), "SKUA_BIND");
    snprintf(value, sizeof value, "%zu", resolved.stack_size);
    print_line(to, "stack_size", value, given->stack_size != 0, in_environment(given, "SKUA_STACK_SIZE"),
               "SKUA_STACK_SIZE");
    print_sharing(to, &resolved, given->workers_per_poller != 0);
    print_simulation(to, given, &resolved);
    print_line(to, "ignore_environment", resolved.ignore_environment ? "yes" : "no", given->ignore_environment, false,
               given->ignore_environment ? "" : "default");
    print_line(to, "alloc, free", resolved.alloc != NULL ? "the program's" : "malloc's", resolved.alloc != NULL, false,
               "default");
    print_line(to, "log", resolved.log != NULL ? "the program's" : "errors and warnings, stderr", resolved.log != NULL,
               false, "default");
    print_line(to, "on_misuse", resolved.on_misuse != NULL ? "the program's" : "logs and aborts",
               resolved.on_misuse != NULL, false, "default");
    return ferror(to) ? -EIO : 0;
}
