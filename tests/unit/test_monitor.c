/* Looking into a live runtime: who is answered, with what, whatever the workers and the other clients do; who is not;
 * and that nothing is left of it at the end. Nothing here counts time, but for the idle thread's none.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { CLIENTS_MAX = 16, ANSWER_MAX = 1 << 16 };

/* ---- a folder of the test's own, and a runtime that is looked into ----------------------------------------------- */

static char folder[64], path[96];

struct lines {
    pthread_mutex_t lock; /* the monitor's thread says something, too */
    char last[512];
};

static struct counted_memory memory;
static struct lines lines = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep(void *context, enum skua_log_level level, const char *text)
{
    struct lines *to = context;
    if (level == SKUA_LOG_INFO)
        return;
    pthread_mutex_lock(&to->lock);
    snprintf(to->last, sizeof to->last, "%s", text);
    pthread_mutex_unlock(&to->lock);
}

static bool last_line_has(const char *needle)
{
    pthread_mutex_lock(&lines.lock);
    bool has = strstr(lines.last, needle) != NULL;
    pthread_mutex_unlock(&lines.lock);
    return has;
}

static void make_folder(void)
{
    memory = (struct counted_memory){ 0, 0 };
    lines.last[0] = '\0';
    snprintf(folder, sizeof folder, "/tmp/skua-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/here.sock", folder);
}

static bool exists(const char *name)
{
    struct stat info;
    return lstat(name, &info) == 0;
}

static void remove_folder(void)
{
    CHECK(!exists(path));
    CHECK_EQ(rmdir(folder), 0); /* it is empty */
}

static skua_config config_of(uint32_t workers)
{
    return (skua_config){ .workers = workers, .ignore_environment = true, .alloc = counted_alloc, .free = counted_free,
                          .memory_context = &memory, .log = keep, .log_context = &lines,
                          .stuck_ns = SKUA_NEVER /* no more workers than these, however busy the machine is */ };
}

static skua_runtime *begin(uint32_t workers)
{
    skua_runtime *rt;
    skua_config config = config_of(workers);
    make_folder();
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_monitor_start(rt, path));
    return rt;
}

static void end(skua_runtime *rt)
{
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
    CHECK_EQ(memory.bytes, 0);
    remove_folder();
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static int try_connect(const char *where)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", where);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

/* "": the end. */
static void hear(int fd, char *line, size_t size)
{
    size_t length = 0;
    for (;;) {
        char byte;
        ssize_t n = read(fd, &byte, 1);
        if (n == 0 || (n < 0 && errno == ECONNRESET) || (n == 1 && byte == '\n'))
            break;
        CHECK_EQ(n, 1);
        CHECK(length + 1 < size);
        line[length++] = byte;
    }
    line[length] = '\0';
}

static void check_line(int fd, const char *expected)
{
    char line[1024];
    hear(fd, line, sizeof line);
    CHECK_STR(line, expected);
}

static void check_ended(int fd)
{
    check_line(fd, "");
    CHECK_EQ(close(fd), 0);
}

static void check_greeting(int fd)
{
    char expected[96];
    snprintf(expected, sizeof expected, "skua-monitor 1 version=%s pid=%ld", skua_version(), (long)getpid());
    check_line(fd, expected);
}

static int enter(const char *where)
{
    int fd = try_connect(where);
    CHECK_OK(fd);
    check_greeting(fd);
    return fd;
}

static void ask(int fd, const char *request)
{
    CHECK_EQ(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

/* The lines of an answer up to `end`, into text. */
static void read_answer(int fd, char *text)
{
    size_t length = 0;
    for (;;) {
        CHECK(length + 1024 < ANSWER_MAX);
        hear(fd, text + length, 1024);
        if (strcmp(text + length, "end") == 0)
            break;
        CHECK(text[length] != '\0');
        length += strlen(text + length);
        text[length++] = '\n';
    }
    text[length] = '\0';
}

static const char *answer_of(int fd)
{
    static char text[ANSWER_MAX];
    ask(fd, "stats\n");
    read_answer(fd, text);
    return text;
}

/* The number behind ` name=` of the first line that begins so. */
static uint64_t value_in(const char *text, const char *begin, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, " %s=", name);
    const char *line = strstr(text, begin);
    CHECK(line != NULL);
    const char *at = strstr(line, key), *line_end = strchr(line, '\n');
    CHECK(at != NULL && at < line_end);
    return strtoull(at + strlen(key), NULL, 10);
}

static int count_of(const char *text, const char *needle)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, needle)) != NULL; at += strlen(needle))
        count++;
    return count;
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

static int returns(void *arg)
{
    (void)arg;
    return 0;
}

static int spawns(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        skua_task *task;
        CHECK_OK(skua_spawn(&task, returns, NULL));
        CHECK_OK(skua_join(task, NULL));
    }
    return 0;
}

TEST(the_answer_has_the_counters)
{
    skua_runtime *rt = begin(2);
    CHECK_EQ(skua_block_on(rt, spawns, NULL), 0);
    int fd = enter(path);
    const char *text = answer_of(fd);
    skua_stats stats;
    uint64_t runs = 0;
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(strncmp(text, "runtime now_ns=", 15), 0);
    CHECK_EQ(value_in(text, "runtime ", "workers"), 2);
    CHECK_EQ(value_in(text, "runtime ", "tasks_spawned"), 11);
    CHECK_EQ(value_in(text, "runtime ", "tasks_live"), 0);
    CHECK_EQ(value_in(text, "runtime ", "task_runs"), stats.polls);
    CHECK_EQ(value_in(text, "pools ", "spares_max"), 0);
    CHECK_EQ(value_in(text, "runtime ", "blocking_threads"), 0);
    CHECK_EQ(value_in(text, "runtime ", "steals"), stats.steals);
    CHECK_EQ(value_in(text, "runtime ", "steals_spare"), 0);
    CHECK_EQ(value_in(text, "runtime ", "timers_late_more"), 0);
    CHECK_EQ(value_in(text, "worker index=1 kind=regular ", "timer_lateness_max_ns"), 0);
    CHECK_EQ(count_of(text, "worker index="), 2);
    runs += value_in(text, "worker index=0 kind=regular ", "task_runs");
    runs += value_in(text, "worker index=1 kind=regular ", "task_runs");
    CHECK_EQ(runs, stats.polls);
    CHECK(value_in(text, "runtime ", "now_ns") <= skua_now());
    CHECK_EQ(close(fd), 0);
    end(rt);
}

static int64_t blocks(void *arg)
{
    (void)arg;
    return 0;
}

static int calls_blocking(void *arg)
{
    (void)arg;
    return (int)skua_blocking(blocks, NULL);
}

TEST(threads_for_blocking_calls_are_counted)
{
    skua_runtime *rt = begin(1);
    CHECK_EQ(skua_block_on(rt, calls_blocking, NULL), 0);
    int fd = enter(path);
    while (value_in(answer_of(fd), "runtime ", "blocking_idle") == 0) /* it is on its way there */
        ;
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "blocking_threads"), 1);
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "blocking_calls"), 1);
    CHECK_EQ(close(fd), 0);
    end(rt);
}

/* ---- many, slow and strange clients ------------------------------------------------------------------------------ */

TEST(so_many_clients_and_no_more)
{
    skua_runtime *rt = begin(1);
    int fds[CLIENTS_MAX];
    char line[256];
    for (int i = 0; i < CLIENTS_MAX; i++)
        fds[i] = enter(path);
    int late = try_connect(path);
    CHECK_OK(late);
    check_line(late, "error too many clients");
    check_ended(late);
    for (int i = 0; i < CLIENTS_MAX; i++)
        CHECK_EQ(count_of(answer_of(fds[i]), "worker index="), 1);
    CHECK_EQ(close(fds[3]), 0);
    do { /* until it has noticed */
        CHECK_OK(fds[3] = try_connect(path));
        hear(fds[3], line, sizeof line);
        if (strncmp(line, "skua-monitor", 12) != 0)
            CHECK_EQ(close(fds[3]), 0);
    } while (strncmp(line, "skua-monitor", 12) != 0);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        CHECK_EQ(count_of(answer_of(fds[i]), "worker index="), 1);
        CHECK_EQ(close(fds[i]), 0);
    }
    end(rt);
}

/* Sends requests until no more fit anywhere. Returns how many. */
static int ask_without_reading(int fd)
{
    int count = 0;
    for (;;) {
        ssize_t n = send(fd, "stats\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            break;
        CHECK_EQ(n, 6);
        count++;
    }
    CHECK_EQ(errno, EAGAIN);
    return count;
}

TEST(who_does_not_read_is_not_waited_for)
{
    static char text[ANSWER_MAX];
    skua_runtime *rt = begin(8);
    int slow = enter(path), gone = enter(path), other = enter(path);
    int small = 4096;
    CHECK_EQ(setsockopt(slow, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    int count = ask_without_reading(slow);
    ask_without_reading(gone);
    CHECK_EQ(close(gone), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(count_of(answer_of(other), "worker index="), 8);
    count += ask_without_reading(slow);
    CHECK_EQ(shutdown(slow, SHUT_WR), 0);
    for (int i = 0; i < count; i++) {
        read_answer(slow, text);
        CHECK_EQ(count_of(text, "worker index="), 8);
    }
    check_ended(slow);
    CHECK_EQ(close(other), 0);
    end(rt);
}

TEST(what_is_no_request)
{
    skua_runtime *rt = begin(1);
    static const char unknown[] = "error unknown request; there is: stats";
    static char text[ANSWER_MAX];
    char many[4096];
    int fd = enter(path);
    ask(fd, "\nSTATS\n stats\nstats \n");
    CHECK_EQ(send(fd, "st\0ats\n", 7, MSG_NOSIGNAL), 7);
    ask(fd, "sta");
    for (int i = 0; i < 5; i++)
        check_line(fd, unknown);
    ask(fd, "ts\n");
    read_answer(fd, text);
    CHECK_EQ(count_of(text, "worker index="), 1);
    CHECK_EQ(close(fd), 0);

    fd = enter(path); /* too long, by one byte and by many */
    memset(many, 'x', sizeof many);
    CHECK_EQ(send(fd, many, 63, MSG_NOSIGNAL), 63);
    ask(fd, "\n");
    check_line(fd, unknown);
    CHECK_EQ(send(fd, many, 64, MSG_NOSIGNAL), 64);
    check_line(fd, "error the request is too long");
    check_ended(fd);
    fd = enter(path);
    CHECK_EQ(send(fd, many, sizeof many, MSG_NOSIGNAL), sizeof many);
    check_line(fd, "error the request is too long");
    check_ended(fd);

    uint64_t random = test_seed();
    for (uint64_t round = test_scaled(20); round > 0; round--) {
        fd = enter(path);
        for (size_t i = 0; i < sizeof many; i++)
            many[i] = (char)(test_rand(&random) % (round % 2 == 0 ? 256 : 16));
        (void)!send(fd, many, 1 + test_rand(&random) % sizeof many, MSG_NOSIGNAL);
        CHECK_EQ(close(fd), 0);
    }
    fd = enter(path); /* as carriage returns come from some terminals; and the end right behind the request */
    ask(fd, "stats\r\nstats\nsta");
    CHECK_EQ(shutdown(fd, SHUT_WR), 0);
    read_answer(fd, text);
    read_answer(fd, text);
    check_ended(fd);
    end(rt);
}

/* ---- whatever the runtime does ----------------------------------------------------------------------------------- */

struct hog {
    int *stop;
    int *begun; /* __atomic */
};

static int holds(void *arg)
{
    struct hog *hog = arg;
    __atomic_fetch_add(hog->begun, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(hog->stop, __ATOMIC_ACQUIRE))
        ;
    return 0;
}

TEST(it_answers_while_tasks_hold_all_workers)
{
    skua_runtime *rt;
    skua_task *hogs[2];
    int stop = 0, begun = 0;
    struct hog hog = { &stop, &begun };
    skua_config config = config_of(2);
    make_folder();
    CHECK_OK(skua_runtime_create(&rt, &config)); /* no worker is there to stand in */
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn_with(&hogs[i], &(skua_spawn_attr){ .runtime = rt }, holds, &hog));
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < 2)
        ;
    CHECK_OK(skua_monitor_start(rt, path)); /* also then */
    int fd = enter(path);
    uint64_t cpu_ns = value_in(answer_of(fd), "worker index=0 kind=regular state=awake ", "cpu_ns");
    while (value_in(answer_of(fd), "worker index=0 kind=regular state=awake ", "cpu_ns") == cpu_ns)
        ; /* it computes */
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "tasks_live"), 2);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -EBUSY);
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "tasks_live"), 2); /* and while it cannot be ended */
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(hogs[i], NULL));
    CHECK_OK(skua_runtime_destroy(rt));
    check_ended(fd);
    CHECK_EQ(memory.blocks, 0);
    remove_folder();
}

TEST(spare_workers_are_told_of)
{
    skua_runtime *rt;
    skua_task *task;
    int stop = 0, begun = 0;
    struct hog hog = { &stop, &begun };
    skua_config config = config_of(1);
    config.spare_workers = 1;
    config.stuck_ns = SKUA_MS;
    make_folder();
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_monitor_start(rt, path));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, holds, &hog));
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) == 0)
        ;
    CHECK_EQ(skua_block_on(rt, returns, NULL), 0); /* by the spare one */
    int fd = enter(path);
    const char *text = answer_of(fd);
    CHECK_EQ(count_of(text, "worker index="), 2);
    CHECK_EQ(value_in(text, "pools ", "spares_made"), 1);
    CHECK(value_in(text, "runtime ", "spares_begun") >= 1);
    CHECK(value_in(text, "worker index=1 kind=spare ", "task_runs") >= 1);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(close(fd), 0);
    end(rt);
}

TEST(stopping_while_somebody_looks)
{
    skua_runtime *rt = begin(1);
    char where[128];
    int first = enter(path), second = enter(path);
    CHECK_EQ(skua_monitor_path(rt, where, sizeof where), strlen(path));
    CHECK_STR(where, path);
    ask_without_reading(second);
    CHECK_EQ(skua_monitor_start(rt, path), -EBUSY);
    skua_monitor_stop(rt);
    check_ended(first);
    CHECK_EQ(close(second), 0);
    CHECK(!exists(path));
    CHECK_EQ(try_connect(path), -ENOENT);
    CHECK_EQ(skua_monitor_path(rt, where, sizeof where), -ENOENT);
    skua_monitor_stop(rt); /* again: nothing */
    for (uint64_t i = test_scaled(20); i > 0; i--) {
        CHECK_OK(skua_monitor_start(rt, path));
        first = enter(path);
        if (i % 2 == 0)
            ask(first, "stats\n");
        skua_monitor_stop(rt);
        CHECK_EQ(close(first), 0);
    }
    CHECK_OK(skua_monitor_start(rt, path));
    first = enter(path);
    end(rt); /* which does it, too */
    check_ended(first);
}

static int starts(void *arg)
{
    (void)arg;
    CHECK_OK(skua_monitor_start(skua_runtime_self(), path));
    int fd = enter(path); /* blocks the worker: it is not needed for the answer */
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "tasks_live"), 1);
    CHECK_EQ(close(fd), 0);
    skua_monitor_stop(skua_runtime_self());
    CHECK_OK(skua_monitor_start(skua_runtime_self(), path));
    return 0;
}
TEST(from_a_task)
{
    skua_runtime *rt;
    skua_config config = config_of(1);
    config.bind = true;
    make_folder();
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, starts, NULL), 0);
    end(rt);
}

/* How often the kernel has switched to or from the thread, of its own will or not: an idle one is left alone. */
static long switches_of(const char *thread)
{
    char file[64], line[128];
    long count = 0;
    snprintf(file, sizeof file, "/proc/self/task/%.20s/status", thread);
    FILE *status = fopen(file, "re");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) {
        const char *at = strstr(line, "ctxt_switches:");
        count += at != NULL ? strtol(at + 14, NULL, 10) : 0;
    }
    fclose(status);
    CHECK(count > 0);
    return count;
}

static void find_thread(const char *name, char number[32])
{
    char file[64], found[32] = "";
    DIR *threads = opendir("/proc/self/task");
    CHECK(threads != NULL);
    number[0] = '\0';
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        snprintf(file, sizeof file, "/proc/self/task/%.20s/comm", entry->d_name);
        FILE *comm = entry->d_name[0] != '.' ? fopen(file, "re") : NULL;
        if (comm == NULL)
            continue;
        if (fgets(found, sizeof found, comm) != NULL && strncmp(found, name, strlen(name)) == 0)
            snprintf(number, 32, "%.20s", entry->d_name);
        fclose(comm);
    }
    closedir(threads);
    CHECK(number[0] != '\0');
}

TEST(nobody_looks_and_it_sleeps)
{
    skua_runtime *rt = begin(1);
    struct timespec while_ = { 0, 20000000 };
    int fd = enter(path);
    CHECK_EQ(close(fd), 0);
    char thread[32];
    find_thread("skua-monitor", thread);
    long before, after = switches_of(thread);
    do { /* it is on its way there, perhaps */
        before = after;
        nanosleep(&while_, NULL);
        after = switches_of(thread);
    } while (after != before);
    end(rt);
}

#if defined(SKUAI_DEBUG)
static skua_event never;

static void answer_deadlock(void *context, enum skua_log_level level, const char *text)
{
    (void)level;
    if (strncmp(text, "deadlock: ", 10) == 0 && __atomic_fetch_add((int *)context, 1, __ATOMIC_RELAXED) == 0)
        skua_event_set(&never);
}
static int waits(void *arg)
{
    (void)arg;
    return skua_event_wait(&never);
}
/* Somebody is connected, and may ask: that will wake nobody. */
TEST(deadlocks_are_found_all_the_same)
{
    skua_runtime *rt;
    int deadlocks = 0;
    if (test_under_tsan() || test_under_valgrind() || test_under_emulator())
        TEST_SKIP("there are threads of others, which never rest");
    skua_config config = config_of(1);
    config.log = answer_deadlock;
    config.log_context = &deadlocks;
    make_folder();
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_monitor_start(rt, path));
    int fd = enter(path);
    CHECK_EQ(skua_block_on(rt, waits, NULL), 0);
    CHECK(__atomic_load_n(&deadlocks, __ATOMIC_RELAXED) > 0);
    CHECK_EQ(close(fd), 0);
    end(rt);
}
#endif

/* ---- who may look ------------------------------------------------------------------------------------------------ */

TEST(the_file_is_its_users)
{
    mode_t umask_before = umask(0);
    skua_runtime *rt = begin(1);
    struct stat info;
    CHECK_EQ(stat(path, &info), 0);
    CHECK(S_ISSOCK(info.st_mode));
    CHECK_EQ(info.st_mode & 07777, 0600);
    CHECK_EQ(info.st_uid, geteuid());
    end(rt);
    umask(umask_before);
}

/* As somebody else, in a process of its own: returns what connecting says; 1: it was closed without a word. */
static int connect_as(uid_t user)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (setresuid(user, user, user) != 0)
            _exit(100);
        int fd = try_connect(path);
        _exit(fd < 0 ? 50 + (-fd == EACCES) : (int)read(fd, &byte, 1) != 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(others_are_refused)
{
    if (geteuid() != 0)
        TEST_SKIP("only root can be somebody else");
    skua_runtime *rt = begin(1);
    CHECK_EQ(chmod(folder, 0755), 0);
    CHECK_EQ(connect_as(12345), 51); /* by the file's mode */
    CHECK_EQ(chmod(path, 0666), 0);
    CHECK_EQ(connect_as(12345), 0); /* who got past that, by his number: the end, and nothing before */
    CHECK_EQ(connect_as(0), 1);
    CHECK(last_line_has("user 12345 was refused"));
    end(rt);
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

static void check_refused(skua_runtime *rt, const char *where, int error, const char *named)
{
    lines.last[0] = '\0';
    CHECK_EQ(skua_monitor_start(rt, where), error);
    if (strstr(lines.last, named) == NULL || strncmp(lines.last, "monitor: ", 9) != 0)
        test_fail(__FILE__, __LINE__, "\"%s\" does not name %s", lines.last, named);
}

TEST(paths_that_cannot_be)
{
    skua_runtime *rt = begin(1);
    char other[256], longest[160];
    skua_monitor_stop(rt);
    check_refused(rt, "here.sock", -EINVAL, "here.sock: give an absolute path");
    check_refused(rt, "", -EINVAL, "give an absolute path");
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[108] = '\0';
    check_refused(rt, longest, -ENAMETOOLONG, "/xxxxxxxxxxx");
    snprintf(other, sizeof other, "%s/no/here.sock", folder);
    check_refused(rt, other, -ENOENT, "/no");
    snprintf(other, sizeof other, "%s/file", folder);
    int fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(close(fd), 0);
    check_refused(rt, other, -EADDRINUSE, "/file: there is a file that is no socket's");
    snprintf(other, sizeof other, "%s/file/here.sock", folder);
    check_refused(rt, other, -ENOTDIR, "/file");
    snprintf(other, sizeof other, "%s/file", folder);
    CHECK_EQ(unlink(other), 0);

    CHECK_EQ(chmod(folder, 0777), 0);
    check_refused(rt, path, -EPERM, folder);
    CHECK_EQ(chmod(folder, 01777), 0);
    CHECK_OK(skua_monitor_start(rt, path)); /* as /tmp */
    skua_monitor_stop(rt);
    if (geteuid() == 0) {
        CHECK_EQ(chmod(folder, 0755), 0);
        CHECK_EQ(chown(folder, 12345, 12345), 0);
        check_refused(rt, path, -EPERM, "the directory is that of user 12345");
    }
    end(rt);
}

static void leave_stale(const char *where)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", where);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(fd, 1), 0);
    CHECK_EQ(close(fd), 0);
}

TEST(dead_and_live_sockets)
{
    skua_runtime *rt, *second;
    skua_config config = config_of(1);
    make_folder();
    leave_stale(path);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_monitor_start(rt, path));
    CHECK_EQ(close(enter(path)), 0);
    CHECK_OK(skua_runtime_create(&second, &config));
    check_refused(second, path, -EADDRINUSE, "here.sock: somebody listens there already");
    CHECK_OK(skua_runtime_destroy(second));
    CHECK_EQ(close(enter(path)), 0); /* that did it no harm */

    CHECK_EQ(unlink(path), 0); /* somebody has put his own in its place: that is not ours to remove */
    leave_stale(path);
    skua_monitor_stop(rt);
    CHECK(exists(path));
    CHECK_EQ(unlink(path), 0);
    end(rt);
}

/* ---- as configured ----------------------------------------------------------------------------------------------- */

static void set_environment(const char *monitor, const char *run)
{
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    CHECK_EQ(setenv("SKUA_MONITOR", monitor, 1), 0);
    CHECK_EQ(setenv("XDG_RUNTIME_DIR", run, 1), 0);
}

static void forget_environment(void)
{
    unsetenv("SKUA_MONITOR");
    unsetenv("XDG_RUNTIME_DIR");
}

static skua_runtime *create_by_environment(void)
{
    skua_runtime *rt;
    skua_config config = config_of(1);
    config.ignore_environment = false;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

static void check_at(skua_runtime *rt, const char *where)
{
    char at[160];
    CHECK_OK(skua_monitor_path(rt, at, sizeof at));
    CHECK_STR(at, where);
    CHECK_EQ(close(enter(where)), 0);
}

TEST(by_the_process_number)
{
    char own[128], expected[200];
    struct stat info;
    make_folder();
    set_environment("1", folder);
    skua_runtime *first = create_by_environment(), *second = create_by_environment();
    snprintf(own, sizeof own, "%s/skua", folder);
    snprintf(expected, sizeof expected, "%s/%ld.sock", own, (long)getpid());
    check_at(first, expected);
    CHECK_EQ(stat(own, &info), 0);
    CHECK_EQ(info.st_mode & 07777, 0700);
    snprintf(expected, sizeof expected, "%s/%ld-1.sock", own, (long)getpid());
    check_at(second, expected);
    CHECK_OK(skua_runtime_destroy(second));
    CHECK_OK(skua_runtime_destroy(first));

    CHECK_EQ(chmod(own, 0755), 0); /* somebody else could look, so it is not taken: the other one is */
    first = create_by_environment();
    snprintf(expected, sizeof expected, "/tmp/skua-%lu/%ld.sock", (unsigned long)geteuid(), (long)getpid());
    check_at(first, expected);
    CHECK_OK(skua_runtime_destroy(first));
    CHECK_EQ(rmdir(own), 0);
    snprintf(expected, sizeof expected, "/tmp/skua-%lu", (unsigned long)geteuid());
    (void)rmdir(expected); /* others may use it */
    forget_environment();
    remove_folder();
}

TEST(by_a_path_of_the_environment)
{
    make_folder();
    set_environment(path, folder);
    skua_runtime *first = create_by_environment();
    check_at(first, path);
    skua_runtime *second = create_by_environment(); /* what cannot be had is done without */
    CHECK(last_line_has("SKUA_MONITOR: it goes on without"));
    CHECK_EQ(skua_monitor_path(second, NULL, 0), -ENOENT);
    CHECK_OK(skua_runtime_destroy(second));
    CHECK_OK(skua_runtime_destroy(first));
    for (int i = 0; i < 2; i++) {
        set_environment(i == 0 ? "0" : "", folder);
        first = create_by_environment();
        CHECK_EQ(skua_monitor_path(first, NULL, 0), -ENOENT);
        CHECK_OK(skua_runtime_destroy(first));
    }
    set_environment("yes", folder);
    skua_config config = config_of(1);
    config.ignore_environment = false;
    CHECK_EQ(skua_runtime_create(&first, &config), -EINVAL);
    CHECK(last_line_has("SKUA_MONITOR is \"yes\""));
    forget_environment();
    remove_folder();
}

TEST(by_the_config)
{
    skua_runtime *rt, *second;
    skua_config config = config_of(1);
    make_folder();
    config.monitor = path;
    CHECK_OK(skua_runtime_create(&rt, &config));
    check_at(rt, path);
    CHECK_EQ(skua_runtime_create(&second, &config), -EADDRINUSE); /* it was asked for: it is an error */
    CHECK(second == NULL);
    config.monitor = "no/path";
    CHECK_EQ(skua_runtime_create(&second, &config), -EINVAL);
    CHECK(last_line_has("skua_config.monitor is \"no/path\""));
    end(rt);
}

TEST(simulations_have_none)
{
    skua_runtime *rt;
    skua_config config = config_of(1);
    make_folder();
    config.simulate = true;
    config.monitor = path;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK(!exists(path));
    CHECK_EQ(skua_monitor_start(rt, path), -ENOTSUP);
    end(rt);
}

/* One that has no thread of its own gets one by this, and is looked into between its turns. */
TEST(embedded_runtimes)
{
    skua_runtime *rt;
    skua_config config = config_of(0);
    make_folder();
    config.embed = true;
    config.monitor = path;
    CHECK_OK(skua_runtime_create(&rt, &config));
    int fd = enter(path);
    CHECK_EQ(skua_block_on(rt, spawns, NULL), 0);
    CHECK_EQ(value_in(answer_of(fd), "runtime ", "tasks_spawned"), 11);
    CHECK_EQ(value_in(answer_of(fd), "worker index=0 kind=regular ", "cpu_ns"), 0); /* its thread is somebody else's */
    CHECK_EQ(skua_turn(rt, SKUA_NEVER), 0);
    CHECK(strstr(answer_of(fd), "worker index=0 kind=regular state=asleep ") != NULL);
    CHECK_EQ(close(fd), 0);
    end(rt);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

static int in_child(skua_runtime *rt)
{
    if (skua_monitor_start(rt, path) != -ENOTSUP)
        return 1;
    if (skua_runtime_destroy(rt) != 0 || memory.blocks != 0)
        return 2;
    return exists(path) ? 0 : 3; /* it is the parent's */
}

TEST(a_child_leaves_it_to_its_parent)
{
    if (test_under_emulator())
        TEST_SKIP("the emulator does not wipe pages at fork");
    skua_runtime *rt = begin(2);
    int fd = enter(path), status;
    for (uint64_t i = test_scaled(20); i > 0; i--) {
        ask(fd, "stats\n"); /* whatever the thread does just now */
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(60); /* a hang is a failure, not a test that does not end */
            _exit(in_child(rt));
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
        static char text[ANSWER_MAX];
        read_answer(fd, text);
        CHECK_EQ(close(enter(path)), 0);
    }
    CHECK_EQ(close(fd), 0);
    end(rt);
}
