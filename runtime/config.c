/* Configuration: what the caller set, then SKUA_* of the environment, then defaults. */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/monitor.h"
#include "sched/interrupt.h"

#define STACK_SIZE_MIN ((size_t)16 * 1024)
#define STACK_SIZE_MAX ((size_t)8 * 1024 * 1024)
enum {
    STUCK_MS_MAX = 3600000,
    WATCHDOG_MS_MAX = 3600000,
    STUCK_MS = 10 /* long beside what a task should take, short beside what people notice; Go preempts after as much */
};

/* A whole number with an optional K, M or G. */
static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = *end == 'K' || *end == 'k'   ? 10
                     : *end == 'M' || *end == 'm' ? 20
                     : *end == 'G' || *end == 'g' ? 30
                                                  : 0;
    if (shift != 0)
        end++;
    if (*end != '\0' || (shift != 0 && number > UINT64_MAX >> shift))
        return false;
    *value = (uint64_t)number << shift;
    return true;
}

/* Reads one variable. 1: set; 0: not there; -EINVAL: out of range, logged. */
static int from_environment(const char *name, uint64_t low, uint64_t high, uint64_t *value,
                            struct skuai_scheduler *reporter)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0')
        return 0;
    if (parse_number(text, value) && *value >= low && *value <= high)
        return 1;
    skuai_log(reporter, SKUA_LOG_ERROR, "%s=\"%s\" in the environment: give a whole number from %llu to %llu", name,
              text, (unsigned long long)low, (unsigned long long)high);
    return -EINVAL;
}

static int check_monitor(const char *text, const char *name, struct skuai_scheduler *reporter)
{
    int rc = strcmp(text, "1") != 0 ? skuai_monitor_check_path(text) : 0;
    if (rc < 0)
        skuai_log(reporter, SKUA_LOG_ERROR, "%s is \"%.128s\": give 1, or an absolute path of at most %d bytes", name,
                  text, (int)SKUAI_MONITOR_PATH_MAX);
    return rc < 0 ? -EINVAL : 0;
}

static int sharing_from_environment(skua_config *config, struct skuai_scheduler *reporter)
{
    static const char name[] = "SKUA_WORKERS_PER_POLLER";
    const char *text = getenv(name);
    uint64_t value;
    if (text == NULL || *text == '\0')
        return 0;
    if (strcmp(text, "numa") == 0) {
        config->workers_per_poller = SKUA_PER_NUMA_NODE;
    } else if (parse_number(text, &value) && value <= SKUAI_WORKERS_MAX) {
        config->workers_per_poller = (uint32_t)value;
    } else {
        skuai_log(reporter, SKUA_LOG_ERROR, "%s=\"%s\" in the environment: give a whole number from 0 to %d, or numa",
                  name, text, SKUAI_WORKERS_MAX);
        return -EINVAL;
    }
    return 0;
}

static int monitor_from_environment(skua_config *config, struct skuai_scheduler *reporter)
{
    const char *text = getenv("SKUA_MONITOR");
    if (text == NULL || *text == '\0' || strcmp(text, "0") == 0)
        return 0;
    config->monitor = text;
    return check_monitor(text, "SKUA_MONITOR", reporter);
}

static int watchdog_from_environment(skua_config *config, struct skuai_scheduler *reporter)
{
    uint64_t value;
    int found;
    if (config->watchdog_ns == 0) {
        if ((found = from_environment("SKUA_WATCHDOG_MS", 0, WATCHDOG_MS_MAX, &value, reporter)) < 0)
            return found;
        if (found)
            config->watchdog_ns = value == 0 ? SKUA_NEVER : value * SKUA_MS;
    }
    if (config->watchdog_signal == 0) {
        if ((found = from_environment("SKUA_WATCHDOG_SIGNAL", 1, 64, &value, reporter)) < 0)
            return found;
        if (found)
            config->watchdog_signal = (uint8_t)value;
    }
    return 0;
}

static int read_environment(skua_config *config, struct skuai_scheduler *reporter)
{
    uint64_t value;
    int found;
    if (config->workers == 0 && !config->embed) {
        if ((found = from_environment("SKUA_WORKERS", 1, SKUAI_WORKERS_MAX, &value, reporter)) < 0)
            return found;
        if (found)
            config->workers = (uint32_t)value;
    }
    if (config->stack_size == 0) {
        if ((found = from_environment("SKUA_STACK_SIZE", STACK_SIZE_MIN, STACK_SIZE_MAX, &value, reporter)) < 0)
            return found;
        if (found)
            config->stack_size = (size_t)value;
    }
    if (!config->bind && !config->embed) {
        if ((found = from_environment("SKUA_BIND", 0, 1, &value, reporter)) < 0)
            return found;
        config->bind = found && value == 1;
    }
    if (!config->dump_on_sigquit) {
        if ((found = from_environment("SKUA_DUMP_ON_SIGQUIT", 0, 1, &value, reporter)) < 0)
            return found;
        config->dump_on_sigquit = found && value == 1;
    }
    if (!config->simulate) {
        if ((found = from_environment("SKUA_SIM_SEED", 0, UINT64_MAX, &value, reporter)) < 0)
            return found;
        if (found) {
            config->simulate = true;
            config->sim_seed = value;
        }
    }
    if (config->workers_per_poller == 0 && (found = sharing_from_environment(config, reporter)) < 0)
        return found;
    if (config->spare_workers == 0 && !config->embed) {
        if ((found = from_environment("SKUA_SPARE_WORKERS", 1, SKUAI_WORKERS_MAX, &value, reporter)) < 0)
            return found;
        if (found)
            config->spare_workers = (uint32_t)value;
    }
    if (config->stuck_ns == 0 && !config->embed) {
        if ((found = from_environment("SKUA_STUCK_MS", 0, STUCK_MS_MAX, &value, reporter)) < 0)
            return found;
        if (found)
            config->stuck_ns = value == 0 ? SKUA_NEVER : value * SKUA_MS;
    }
    if (!config->embed && (found = watchdog_from_environment(config, reporter)) < 0)
        return found;
    const char *trace = getenv("SKUA_TRACE");
    if (config->trace == NULL && trace != NULL && *trace != '\0')
        config->trace = trace;
    if (config->monitor == NULL && (found = monitor_from_environment(config, reporter)) < 0)
        return found;
    const char *machine = getenv("SKUA_SIM_MACHINE");
    if (config->sim_machine == NULL && machine != NULL && *machine != '\0')
        config->sim_machine = machine;
    return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE_DEFAULT ((size_t)256 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_SIZE_DEFAULT ((size_t)256 * 1024)
#endif
#endif
#ifndef STACK_SIZE_DEFAULT
#define STACK_SIZE_DEFAULT ((size_t)64 * 1024)
#endif

static int check_embedding(skua_config *config, struct skuai_scheduler *reporter)
{
    const char *why = config->simulate      ? "is not for simulations (simulate, sim_machine, SKUA_SIM_SEED, "
                                              "SKUA_SIM_MACHINE): what runs in others' loops cannot be simulated"
                      : config->workers > 1 ? "has one worker, the thread that turns it: leave `workers` 0"
                      : config->bind        ? "leaves its thread where it is: leave `bind` false"
                      : config->spare_workers != 0 || (config->stuck_ns != 0 && config->stuck_ns != SKUA_NEVER)
                          ? "has no spare workers: leave `spare_workers` and `stuck_ns` 0"
                      : config->watchdog_ns != 0 && config->watchdog_ns != SKUA_NEVER
                          ? "has no thread that could watch: leave `watchdog_ns` 0"
                          : NULL;
    if (config->embed && why != NULL) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.embed %s", why);
        return -EINVAL;
    }
    if (config->embed) {
        config->workers = 1;
        config->stuck_ns = SKUA_NEVER; /* there is no guard to see it */
    }
    return 0;
}

static int check_watchdog(skua_config *config, struct skuai_scheduler *reporter)
{
    if (config->watchdog_ns == 0)
        config->watchdog_ns = SKUA_NEVER;
    if (config->watchdog_signal == 0)
        config->watchdog_signal = (uint8_t)skuai_interrupt_default();
    if (config->watchdog_ns != SKUA_NEVER &&
        (config->watchdog_ns < SKUA_MS || config->watchdog_ns > WATCHDOG_MS_MAX * SKUA_MS)) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.watchdog_ns is %llu: give a millisecond to an hour, "
                                            "or SKUA_NEVER", (unsigned long long)config->watchdog_ns);
        return -EINVAL;
    }
    if (!skuai_interrupt_may_use(config->watchdog_signal)) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.watchdog_signal (or SKUA_WATCHDOG_SIGNAL) is %d: give SIGURG, "
                                            "SIGUSR1, SIGUSR2, or a realtime signal", config->watchdog_signal);
        return -EINVAL;
    }
    return 0;
}

int skuai_config_resolve(skua_config *resolved, const skua_config *given, struct skuai_scheduler *reporter)
{
    *resolved = given != NULL ? *given : (skua_config){ .workers = 0 };
    if ((resolved->alloc == NULL) != (resolved->free == NULL)) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config: alloc and free go together");
        return -EINVAL;
    }
    if (!resolved->ignore_environment) {
        int rc = read_environment(resolved, reporter);
        if (rc < 0)
            return rc;
    }
    if (resolved->sim_machine != NULL)
        resolved->simulate = true;
    int rc = check_embedding(resolved, reporter);
    if (rc < 0)
        return rc;
    if (resolved->stack_size == 0)
        resolved->stack_size = STACK_SIZE_DEFAULT;
    if (resolved->stack_size < STACK_SIZE_MIN || resolved->stack_size > STACK_SIZE_MAX) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.stack_size is %zu: give 16 KiB to 8 MiB",
                  resolved->stack_size);
        return -EINVAL;
    }
    if (resolved->workers > SKUAI_WORKERS_MAX) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.workers is %u: give at most %d", resolved->workers,
                  SKUAI_WORKERS_MAX);
        return -EINVAL;
    }
    if (resolved->spare_workers > SKUAI_WORKERS_MAX) {
        skuai_log(reporter, SKUA_LOG_ERROR, "skua_config.spare_workers is %u: give at most %d", resolved->spare_workers,
                  SKUAI_WORKERS_MAX);
        return -EINVAL;
    }
    if (resolved->stuck_ns == 0)
        resolved->stuck_ns = STUCK_MS * SKUA_MS;
    if ((rc = check_watchdog(resolved, reporter)) < 0)
        return rc;
    if (resolved->workers_per_poller > SKUAI_WORKERS_MAX && resolved->workers_per_poller != SKUA_PER_NUMA_NODE) {
        skuai_log(reporter, SKUA_LOG_ERROR,
                  "skua_config.workers_per_poller is %u: give at most %d, or SKUA_PER_NUMA_NODE",
                  resolved->workers_per_poller, SKUAI_WORKERS_MAX);
        return -EINVAL;
    }
    return given != NULL && given->monitor != NULL ? check_monitor(given->monitor, "skua_config.monitor", reporter) : 0;
}
