/* Runtimes of a shared object that comes and goes (support/plugin.c): made by its constructor, ended by its destructor.
 * After it is gone there is no thread, descriptor, handler or byte of it (and see support/test.h). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

struct plugin {
    void *handle;
    int64_t (*work)(int n);
    int (*fd)(void);
    int (*turn)(void);
    int (*ask)(int n, int *answer);
    int (*end)(void);
};

/* A test begins. */
#define NEEDS_LOADING()                                                            \
    do {                                                                           \
        if (test_under_emulator())                                                 \
            TEST_SKIP("what is emulated is a static program, which loads nothing"); \
    } while (0)

static void look_up(struct plugin *plugin, const char *name, void *function)
{
    void *found = dlsym(plugin->handle, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

static struct plugin load(const char *path)
{
    struct plugin plugin = { .handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) };
    if (plugin.handle == NULL)
        test_fail(__FILE__, __LINE__, "%s", dlerror());
    look_up(&plugin, "plugin_work", &plugin.work);
    look_up(&plugin, "plugin_fd", &plugin.fd);
    look_up(&plugin, "plugin_turn", &plugin.turn);
    look_up(&plugin, "plugin_ask", &plugin.ask);
    look_up(&plugin, "plugin_end", &plugin.end);
    return plugin;
}

static bool is_loaded(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (handle != NULL)
        CHECK_EQ(dlclose(handle), 0);
    return handle != NULL;
}

static void use(const struct plugin *plugin)
{
    int answer = 0;
    CHECK_EQ(plugin->work(20), 20);
    CHECK_OK(plugin->ask(21, &answer));
    struct pollfd watched = { .fd = plugin->fd(), .events = POLLIN };
    while (answer == 0) {
        CHECK_EQ(poll(&watched, 1, 20000), 1);
        CHECK(plugin->turn() >= 0);
    }
    CHECK_EQ(answer, 42);
}

TEST(once)
{
    NEEDS_LOADING();
    test_allow_heap_growth(1 << 16); /* hwloc, libc and the loader keep what they make at their first use */
    struct plugin plugin = load(PLUGIN_PATH);
    use(&plugin);
    CHECK_EQ(dlclose(plugin.handle), 0);
}

TEST(it_comes_and_goes)
{
    NEEDS_LOADING();
    struct sigaction before, after;
    test_allow_heap_growth(4096); /* the loader's, and no more for more rounds: 20 bytes of ours each would show */
    CHECK_EQ(sigaction(SIGSEGV, NULL, &before), 0);
    for (uint64_t i = test_scaled(200); i > 0; i--) {
        struct plugin plugin = load(PLUGIN_PATH);
        CHECK(is_loaded(PLUGIN_PATH));
        if (i % 3 != 0)
            use(&plugin);
        CHECK_EQ(dlclose(plugin.handle), 0);
        CHECK(!is_loaded(PLUGIN_PATH));
    }
    CHECK_EQ(sigaction(SIGSEGV, NULL, &after), 0);
    CHECK(before.sa_handler == after.sa_handler && before.sa_flags == after.sa_flags);
}

/* Whichever thread: the loader's lock is held meanwhile. ThreadSanitizer does not see it, and is given another one. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static void hold_loader(bool held)
{
    if (test_under_tsan())
        CHECK_EQ((held ? pthread_mutex_lock : pthread_mutex_unlock)(&loading), 0);
}

static void *comes_and_goes(void *arg)
{
    (void)arg;
    for (uint64_t i = test_scaled(8); i > 0; i--) {
        hold_loader(true);
        struct plugin plugin = load(PLUGIN_PATH);
        hold_loader(false);
        CHECK_EQ(plugin.work(5), 5);
        hold_loader(true);
        CHECK_EQ(dlclose(plugin.handle), 0);
        hold_loader(false);
    }
    return NULL;
}

TEST(by_several_threads)
{
    NEEDS_LOADING();
    test_allow_heap_growth(4096); /* likewise */
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, comes_and_goes, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(!is_loaded(PLUGIN_PATH));
}

/* What it had registered for forks is gone with it. */
TEST(a_fork_afterwards)
{
    NEEDS_LOADING();
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer does not follow a fork of a process with threads");
    test_allow_heap_growth(4096); /* likewise */
    struct plugin plugin = load(PLUGIN_PATH);
    use(&plugin);
    pid_t child = fork(); /* while it is there: the child cannot use what it made, and may leave */
    if (child == 0)
        _exit(plugin.work(1) == -ENOTSUP && plugin.turn() == -ENOTSUP ? 0 : 1);
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(dlclose(plugin.handle), 0);
    child = fork();
    if (child == 0)
        _exit(0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

/* A library that cannot be sure of being ended in time is linked with -z nodelete: then dlclose() leaves its code where
 * it is, and its runtimes live on. */
TEST(closed_while_a_runtime_lives)
{
    NEEDS_LOADING();
    test_allow_heap_growth(1 << 16); /* it stays loaded */
    struct plugin plugin = load(PLUGIN_THAT_STAYS_PATH);
    use(&plugin);
    CHECK_EQ(dlclose(plugin.handle), 0);
    use(&plugin);
    CHECK_OK(plugin.end());
    CHECK(is_loaded(PLUGIN_THAT_STAYS_PATH));
}
