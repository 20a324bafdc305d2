/* What a configuration comes to: each setting once, with its value and who has said so. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/with_runtime.h"

static const char *const variables[] = { "SKUA_WORKERS",  "SKUA_BIND",        "SKUA_STACK_SIZE",
                                         "SKUA_SIM_SEED", "SKUA_SIM_MACHINE", "SKUA_WORKERS_PER_POLLER",
                                         "SKUA_STUCK_MS", "SKUA_SPARE_WORKERS", "SKUA_TRACE",
                                         "SKUA_DUMP_ON_SIGQUIT", "SKUA_MONITOR", "SKUA_WATCHDOG_MS",
                                         "SKUA_WATCHDOG_SIGNAL" };

static void forget_environment(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
}

static char *print(const skua_config *config, int rc)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    CHECK(to != NULL);
    CHECK_EQ(skua_config_print(config, to), rc);
    CHECK_EQ(fclose(to), 0);
    return text;
}

/* That the setting has a line, and one only, with this value and source. */
static void check_line(const char *text, const char *name, const char *value, const char *source)
{
    char begin[64], expected[160], line[160];
    snprintf(begin, sizeof begin, "%-20s ", name);
    const char *at = strstr(text, begin);
    CHECK(at != NULL);
    CHECK(strstr(at + 1, begin) == NULL);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    snprintf(expected, sizeof expected, "%-20s %-28s %s", name, value, source);
    CHECK_STR(line, expected);
}

TEST(defaults)
{
    forget_environment();
    char *text = print(NULL, 0);
    skua_runtime *rt;
    skua_stats stats;
    char workers[16];
    CHECK_OK(skua_runtime_create(&rt, NULL));
    skua_runtime_stats(rt, &stats);
    CHECK_OK(skua_runtime_destroy(rt));
    snprintf(workers, sizeof workers, "%u", stats.workers);
    check_line(text, "workers", workers, "default"); /* as many as there are then */
    check_line(text, "bind", "no", "default");
    check_line(text, "workers_per_poller", "all", "default");
    check_line(text, "dump_on_sigquit", "no", "default");
    check_line(text, "simulate", "no", "default");
    check_line(text, "stuck_ns", "10000000 ns", "default");
    check_line(text, "spare_workers", "as workers, to 16; of one: 0", "default");
    check_line(text, "watchdog_ns", "never", "default");
    check_line(text, "watchdog_signal", "none", "default");
    check_line(text, "trace", "none", "default");
    check_line(text, "monitor", "no", "default");
    check_line(text, "alloc, free", "malloc's", "default");
    check_line(text, "on_misuse", "logs and aborts", "default");
    free(text);
}

TEST(the_environment)
{
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    forget_environment();
    setenv("SKUA_WORKERS", "3", 1);
    setenv("SKUA_STACK_SIZE", "128K", 1);
    setenv("SKUA_BIND", "1", 1);
    setenv("SKUA_WORKERS_PER_POLLER", "numa", 1);
    setenv("SKUA_DUMP_ON_SIGQUIT", "1", 1);
    setenv("SKUA_WATCHDOG_MS", "50", 1);
    char *text = print(NULL, 0);
    check_line(text, "watchdog_ns", "50000000 ns", "SKUA_WATCHDOG_MS");
    check_line(text, "watchdog_signal", "23", "default");
    free(text);
    setenv("SKUA_SIM_SEED", "7", 1);
    text = print(NULL, 0);
    check_line(text, "watchdog_ns", "never", "SKUA_WATCHDOG_MS"); /* a simulation */
    check_line(text, "workers", "3", "SKUA_WORKERS");
    check_line(text, "stack_size", "131072", "SKUA_STACK_SIZE");
    check_line(text, "bind", "yes", "SKUA_BIND");
    check_line(text, "workers_per_poller", "those of a NUMA node", "SKUA_WORKERS_PER_POLLER");
    check_line(text, "dump_on_sigquit", "yes", "SKUA_DUMP_ON_SIGQUIT");
    check_line(text, "simulate", "seed 7", "SKUA_SIM_SEED");
    check_line(text, "sim_machine", "one processor", "default");
    free(text);
    unsetenv("SKUA_SIM_SEED");
    text = print(&(skua_config){ .embed = true }, 0); /* has one worker, wherever it is */
    check_line(text, "embed", "yes", "skua_config");
    check_line(text, "workers", "1", "skua_config");
    check_line(text, "bind", "no", "default");
    free(text);
    setenv("SKUA_SIM_SEED", "7", 1);
    text = print(&(skua_config){ .ignore_environment = true }, 0);
    check_line(text, "embed", "no", "default");
    check_line(text, "stack_size", strstr(text, "262144") != NULL ? "262144" : "65536", "default");
    check_line(text, "bind", "no", "default");
    check_line(text, "simulate", "no", "default");
    free(text);
    forget_environment();
}

static void log_nothing(void *context, enum skua_log_level level, const char *text)
{
    (void)level;
    (void)text;
    ++*(int *)context;
}

TEST(the_config)
{
    test_allow_heap_growth(4096);
    forget_environment();
    setenv("SKUA_WORKERS", "3", 1);
    int lines = 0;
    skua_config config = { .workers = 5, .stack_size = 1 << 20, .sim_machine = "numa:2 core:2 pu:1", .log = log_nothing,
                           .log_context = &lines };
    char *text = print(&config, 0);
    check_line(text, "workers", "5", "skua_config");
    check_line(text, "stack_size", "1048576", "skua_config");
    check_line(text, "sim_machine", "numa:2 core:2 pu:1", "skua_config");
    check_line(text, "log", "the program's", "skua_config");
    check_line(text, "monitor", "no", "default"); /* a simulation */
    free(text);
    text = print(&(skua_config){ .monitor = "/run/app/skua.sock" }, 0);
    check_line(text, "monitor", "/run/app/skua.sock", "skua_config");
    free(text);
    setenv("SKUA_MONITOR", "1", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    char where[64];
    snprintf(where, sizeof where, "/run/user/7/skua/%ld.sock", (long)getpid());
    text = print(NULL, 0);
    check_line(text, "monitor", where, "SKUA_MONITOR");
    free(text);
    CHECK_EQ(lines, 0);
    config.stack_size = 1;
    text = print(&config, -EINVAL); /* and says so as creating does */
    CHECK_EQ(lines, 1);
    free(text);
    forget_environment();
}
