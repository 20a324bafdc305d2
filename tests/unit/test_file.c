/* Files and directories: what is written is read, whole and in parts, by fibers, futures, jobs and plain threads; a
 * call that blocks stops no worker; what is cancelled leaves no descriptor behind. */
#define _GNU_SOURCE
#include "skua/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { PATH_SIZE = 128 };

/* A directory of the test's own, made and removed by plain calls. */
static char place[PATH_SIZE / 2];

static void make_place(void)
{
    strcpy(place, "/tmp/skua-test-file-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
}
static void remove_place(void) { CHECK_EQ(rmdir(place), 0); }

static const char *in_place(char path[PATH_SIZE], const char *name, int number)
{
    snprintf(path, PATH_SIZE, "%s/%s%d", place, name, number);
    return path;
}

static void run_in_place(skua_fiber_fn *body)
{
    make_place();
    run_everywhere(body, NULL);
    remove_place();
}

static int writes_and_reads(void *arg)
{
    (void)arg;
    char path[PATH_SIZE], buffer[32];
    struct stat info;
    int fd = skua_file_open(in_place(path, "f", 0), O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK_OK(fd);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(skua_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0640), -EEXIST);
    CHECK_EQ(skua_file_write(fd, "0123456789", 10), 10);
    CHECK_EQ(skua_file_write_at(fd, "abc", 3, 20), 3);
    CHECK_EQ(skua_file_read(fd, buffer, 10), 10); /* behind what was written: zeros, then three letters */
    CHECK_EQ(skua_file_read(fd, buffer, 5), 3);
    CHECK(memcmp(buffer, "abc", 3) == 0);
    CHECK_EQ(skua_file_read(fd, buffer, 5), 0);
    CHECK_EQ(skua_file_read_at(fd, buffer, sizeof buffer, 2), 21);
    CHECK(memcmp(buffer, "23456789", 8) == 0 && memcmp(buffer + 18, "abc", 3) == 0);
    CHECK_OK(skua_file_sync_data(fd));
    CHECK_OK(skua_file_truncate(fd, 4));
    CHECK_OK(skua_file_sync(fd));
    CHECK_OK(skua_file_stat(fd, &info));
    CHECK_EQ(info.st_size, 4);
    CHECK_OK(skua_path_stat(path, &info));
    CHECK_EQ(info.st_mode & 0777, 0640);
    CHECK_OK(skua_file_close(fd));
    CHECK_OK(skua_path_unlink(path));
    return 0;
}

static int is_told_of_errors(void *arg)
{
    (void)arg;
    char path[PATH_SIZE];
    void *data = &data;
    struct stat info;
    skua_directory *directory;
    CHECK_EQ(skua_file_open("/nonexistent/skua", O_RDONLY, 0), -ENOENT);
    CHECK_EQ(skua_file_close(-1), -EBADF);
    CHECK_EQ(skua_file_read(-1, path, 1), -EBADF);
    CHECK_EQ(skua_file_write_at(-1, path, 1, 0), -EBADF);
    CHECK_EQ(skua_file_sync(-1), -EBADF);
    CHECK_EQ(skua_file_stat(-1, &info), -EBADF);
    CHECK_EQ(skua_file_read_whole("/", &data), -EISDIR);
    CHECK_EQ(skua_file_write_whole("/dev/full", "x", 1, 0600), -ENOSPC);
    CHECK(data == &data);
    CHECK_EQ(skua_path_unlink(in_place(path, "none", 0)), -ENOENT);
    CHECK_EQ(skua_path_rename(path, "/tmp"), -ENOENT);
    CHECK_EQ(skua_path_mkdir(place, 0700), -EEXIST);
    CHECK_EQ(skua_directory_open(&directory, path), -ENOENT);
    CHECK_EQ(skua_directory_open(&directory, "/dev/null"), -ENOTDIR);
    return 0;
}

/* Sizes around those at which its memory grows, and a file that does not know its size. */
static int of_a_piece(void *arg)
{
    (void)arg;
    static const size_t sizes[] = { 0, 1, 4094, 4095, 4096, 4097, 1u << 20 };
    static char sent[1u << 20];
    char path[PATH_SIZE];
    void *data;
    memset(sent, 'w', sizeof sent);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK_EQ(skua_file_write_whole(in_place(path, "w", 0), sent, sizes[i], 0600), sizes[i]);
        CHECK_EQ(skua_file_read_whole(path, &data), sizes[i]);
        CHECK(memcmp(data, sent, sizes[i]) == 0 && ((char *)data)[sizes[i]] == '\0');
        free(data);
    }
    CHECK_OK(skua_path_unlink(path));
    ssize_t n = skua_file_read_whole("/proc/self/maps", &data);
    CHECK(n > 0 && strlen(data) == (size_t)n);
    free(data);
    return 0;
}

enum { FILES = 600 };
static int lists(void *arg)
{
    (void)arg;
    char path[PATH_SIZE], inner[PATH_SIZE];
    bool seen[FILES] = { false };
    int count = 0, number, rc;
    skua_directory *directory;
    skua_directory_entry entry;
    struct stat info;
    for (int i = 0; i < FILES; i += 2)
        CHECK_EQ(skua_file_write_whole(in_place(path, "some-file-with-a-longer-name-", i), "", 0, 0600), 0);
    for (int i = 0; i < FILES; i += 2)
        CHECK_OK(skua_path_rename(in_place(path, "some-file-with-a-longer-name-", i), in_place(inner, "file-", i)));
    CHECK_OK(skua_path_mkdir(in_place(path, "file-", 1), 0700));
    CHECK_OK(skua_directory_open(&directory, place));
    while ((rc = skua_directory_next(directory, &entry)) > 0) {
        CHECK(sscanf(entry.name, "file-%d", &number) == 1 && number >= 0 && number < FILES && !seen[number]);
        seen[number] = true;
        CHECK(entry.type == (number == 1 ? SKUA_ENTRY_DIRECTORY : SKUA_ENTRY_FILE) || entry.type == SKUA_ENTRY_UNKNOWN);
        CHECK_OK(skua_path_stat(in_place(path, "file-", number), &info));
        CHECK_EQ(info.st_ino, entry.inode);
        count++;
    }
    CHECK_OK(rc);
    CHECK_EQ(skua_directory_next(directory, &entry), 0);
    CHECK_EQ(count, FILES / 2 + 1);
    skua_directory_close(directory);
    CHECK_OK(skua_path_rmdir(in_place(path, "file-", 1)));
    for (int i = 0; i < FILES; i += 2)
        CHECK_OK(skua_path_unlink(in_place(path, "file-", i)));
    return 0;
}

TEST(bytes_of_a_file) { run_in_place(writes_and_reads); }
TEST(errors) { run_in_place(is_told_of_errors); }
TEST(whole_files) { run_in_place(of_a_piece); }
TEST(a_directorys_entries)
{
    make_place();
    CHECK_EQ(run_on(1, lists, NULL), 0);
    CHECK_EQ(run_on(8, lists, NULL), 0);
    CHECK_EQ(run_seeded(test_seed(), 3, lists, NULL), 0);
    remove_place();
}
TEST(a_plain_thread_just_calls)
{
    make_place();
    CHECK_EQ(writes_and_reads(NULL), 0);
    CHECK_EQ(is_told_of_errors(NULL), 0);
    CHECK_EQ(of_a_piece(NULL), 0);
    CHECK_EQ(lists(NULL), 0);
    remove_place();
}

/* ---- futures, jobs, selects ------------------------------------------------------------------------------------- */

struct copies {
    SKUA_FRAME;
    struct { const char *path; } in;
    skua_file_op io;
    char buffer[16];
    int fd;
    skua_directory *directory;
    skua_directory_entry entry;
    int entries;
};
SKUA_ASYNC(copies)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_file_open_start(&self->io, self->in.path, O_RDWR | O_CREAT, 0600));
    CHECK_OK(self->fd = (int)self->io.result);
    SKUA_AWAIT(skua_file_write_start(&self->io, self->fd, "in a future", 11));
    CHECK_EQ(self->io.result, 11);
    SKUA_AWAIT(skua_file_read_at_start(&self->io, self->fd, self->buffer, sizeof self->buffer, 5));
    CHECK_EQ(self->io.result, 6);
    CHECK(memcmp(self->buffer, "future", 6) == 0);
    SKUA_AWAIT(skua_file_close_start(&self->io, self->fd));
    CHECK_OK(self->io.result);
    SKUA_AWAIT(skua_directory_open_start(&self->io, &self->directory, place));
    CHECK_OK(self->io.result);
    self->entries = -1;
    do {
        SKUA_AWAIT(skua_directory_next_start(&self->io, self->directory, &self->entry));
        self->entries++;
    } while (self->io.result == 1);
    CHECK_OK(self->io.result);
    skua_directory_close(self->directory);
    SKUA_AWAIT(skua_path_unlink_start(&self->io, self->in.path));
    SKUA_END(self->io.result < 0 ? self->io.result : self->entries);
}
static int in_a_future(void *arg)
{
    (void)arg;
    char path[PATH_SIZE];
    skua_task *task;
    int64_t result;
    CHECK_OK(SKUA_SPAWN(&task, copies, .path = in_place(path, "c", 0)));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 1);
    return 0;
}
TEST(in_futures) { run_in_place(in_a_future); }

SKUA_PARALLEL(int64_t, sums, int, fd, int, from, int, to)
{
    unsigned char byte;
    if (to - from == 1)
        return skua_file_read_at(fd, &byte, 1, from) == 1 ? byte : -1000;
    SKUA_FORK(left, sums, fd, from, (from + to) / 2);
    int64_t right = SKUA_CALL(sums, fd, (from + to) / 2, to);
    return SKUA_JOIN(sums, left) + right;
}
static int in_jobs(void *arg)
{
    (void)arg;
    char path[PATH_SIZE], bytes[64];
    memset(bytes, 3, sizeof bytes);
    CHECK_EQ(skua_file_write_whole(in_place(path, "j", 0), bytes, sizeof bytes, 0600), sizeof bytes);
    int fd = skua_file_open(path, O_RDONLY, 0);
    CHECK_OK(fd);
    CHECK_EQ(SKUA_RUN(sums, fd, 0, 64), 3 * 64);
    CHECK_OK(skua_file_close(fd));
    CHECK_OK(skua_path_unlink(path));
    return 0;
}
TEST(in_jobs) { run_in_place(in_jobs); }

/* A file that a losing arm would have made is not there. */
static int selects(void *arg)
{
    (void)arg;
    char path[PATH_SIZE];
    skua_file_op open_op;
    skua_sleep_op sleep;
    struct stat info;
    for (int i = 0; i < 50; i++) {
        in_place(path, "s", i);
        int64_t arm = SKUA_SELECT(skua_file_open_prepare(&open_op, path, O_WRONLY | O_CREAT, 0600),
                                  skua_sleep_prepare(&sleep, 10000));
        CHECK(arm == 0 || arm == 1);
        if (arm == 0) {
            CHECK_OK(skua_file_close((int)open_op.result));
            CHECK_OK(skua_path_unlink(path));
        } else {
            CHECK_EQ(skua_path_stat(path, &info), -ENOENT);
        }
    }
    return 0;
}
TEST(in_selects) { run_in_place(selects); }

/* ---- blocking and cancelling ------------------------------------------------------------------------------------ */

/* An open that blocks until another task opens the other end: the one worker goes on. */
static int opens_end(void *arg)
{
    char path[PATH_SIZE];
    int fd = skua_file_open(in_place(path, "fifo", 0), *(int *)arg, 0);
    return fd < 0 ? fd : skua_file_close(fd);
}
static int two_ends(void *arg)
{
    (void)arg;
    char path[PATH_SIZE];
    int flags[2] = { O_RDONLY, O_WRONLY };
    skua_task *tasks[2];
    int64_t result;
    CHECK_EQ(mkfifo(in_place(path, "fifo", 0), 0600), 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn(&tasks[i], opens_end, &flags[i]));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_OK(result);
    }
    CHECK_OK(skua_path_unlink(path));
    return 0;
}
TEST(what_blocks_stops_no_worker)
{
    make_place();
    CHECK_EQ(run_on(1, two_ends, NULL), 0);
    CHECK_EQ(run_on(4, two_ends, NULL), 0);
    remove_place();
}

/* Each file that was opened is known, and closed even by who is cancelled; the harness counts descriptors. */
static int opens_and_closes(void *arg)
{
    (void)arg;
    int fd = skua_file_open("/dev/null", O_RDONLY, 0);
    CHECK(fd >= 0 || fd == -ECANCELED);
    if (fd < 0)
        return fd;
    char byte;
    ssize_t n = skua_file_read(fd, &byte, 1);
    CHECK(n == 0 || n == -ECANCELED);
    CHECK_EQ(skua_file_close(fd), 0);
    return 0;
}
struct opens_too {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_file_op io;
    int fd;
};
SKUA_ASYNC(opens_too)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_file_open_start(&self->io, "/dev/null", O_RDONLY, 0));
    self->fd = (int)self->io.result;
    CHECK(self->fd >= 0 || self->fd == -ECANCELED);
    if (self->fd < 0)
        SKUA_RETURN(self->fd);
    SKUA_AWAIT(skua_file_close_start(&self->io, self->fd));
    CHECK(self->io.result == 0 || self->io.result == -ECANCELED);
    SKUA_END(0);
}
static int cancelled(void *arg)
{
    (void)arg;
    enum { TASKS = 20 };
    for (int round = 0; round < 20; round++) {
        skua_task *tasks[TASKS];
        int64_t result;
        for (int i = 0; i < TASKS; i++)
            CHECK_OK(i % 2 ? skua_spawn(&tasks[i], opens_and_closes, NULL) : SKUA_SPAWN(&tasks[i], opens_too));
        for (int i = 0; i < round % 4; i++)
            skua_yield();
        if (round % 5 == 4)
            CHECK_OK(skua_sleep(50000));
        for (int i = 0; i < TASKS; i++)
            skua_cancel(tasks[i]);
        for (int i = 0; i < TASKS; i++) {
            CHECK_OK(skua_join(tasks[i], &result));
            CHECK(result == 0 || result == -ECANCELED);
        }
    }
    return 0;
}
TEST(cancelled_calls_leave_nothing) { run_everywhere(cancelled, NULL); }

/* Descriptors are closed whatever the task's state. */
static int closes_when_late(void *arg)
{
    int *fds = arg;
    SKUA_DEADLINE(0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(skua_file_close(fds[i]), 0);
    skua_file_op op;
    (void)skua_await(skua_file_close_start(&op, fds[2]));
    CHECK_EQ(op.result, 0);
    CHECK_EQ(skua_sleep(0), -ETIMEDOUT);
    return 0;
}
static int closed(void *arg)
{
    (void)arg;
    int fds[3];
    for (int i = 0; i < 3; i++)
        CHECK_OK(fds[i] = skua_file_open("/dev/null", O_RDONLY, 0));
    CHECK_EQ(closes_when_late(fds), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(fcntl(fds[i], F_GETFD), -1);
    return 0;
}
TEST(closing_is_never_refused)
{
    CHECK_EQ(run_on(1, closed, NULL), 0);
    CHECK_EQ(run_on(4, closed, NULL), 0);
}
