/* Files and directories with each of their system calls failing. What is interrupted or short is never noticed: every
 * byte is where it belongs. An error is told to who called, and no descriptor and no byte is left over. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skua/file.h>

#include "support/faults.h"
#include "support/test.h"

enum { BYTES = 5000, FILES = 4, PATH_SIZE = 96 };

/* What the library gave with malloc(3), counted. */
void fault_free(void *block);

static char place[PATH_SIZE / 2];

static const char *in_place(char path[PATH_SIZE], int number)
{
    snprintf(path, PATH_SIZE, "%s/%d", place, number);
    return path;
}

/* What nobody notices: EINTR, and of what moves bytes a short count. */
static bool is_soft(void)
{
    static const enum fault interrupted[] = { FAULT_openat, FAULT_pread, FAULT_pwrite, FAULT_fsync, FAULT_fdatasync,
                                              FAULT_ftruncate, FAULT_opendir, FAULT_readv, FAULT_writev };
    for (size_t i = 0; i < sizeof interrupted / sizeof interrupted[0]; i++)
        if (faults_is_armed(interrupted[i], 0))
            return true;
    return faults_is_armed(FAULT_pread, 1) || faults_is_armed(FAULT_pwrite, 1) || faults_is_armed(FAULT_readv, 2) ||
           faults_is_armed(FAULT_writev, 2);
}

static bool done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (is_soft() || !faults_may_refuse())
        test_fail(__FILE__, __LINE__, "%s (%lld), though nothing was refused", skua_strerror((int)rc), (long long)rc);
    CHECK(rc != -EINTR && rc != -EBADF && rc != -ENOTSUP && rc != -ECANCELED);
    return false;
}

/* Less than all comes before an error, which the next call tells, if it meets it still. */
static bool did_all(ssize_t n, size_t size)
{
    if (n >= 0 && (size_t)n < size) {
        CHECK(!is_soft() && faults_may_refuse());
        return false;
    }
    return done(n);
}

static void by_descriptor(void)
{
    char path[PATH_SIZE], sent[BYTES], got[BYTES + 1];
    struct stat info;
    for (int i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 7);
    int fd = skua_file_open(in_place(path, 0), O_RDWR | O_CREAT, 0600);
    if (!done(fd))
        return;
    if (did_all(skua_file_write(fd, sent, 1000), 1000) &&
        did_all(skua_file_write_at(fd, sent + 1000, BYTES - 1000, 1000), BYTES - 1000)) {
        if (did_all(skua_file_read_at(fd, got, sizeof got, 0), BYTES))
            CHECK(memcmp(sent, got, BYTES) == 0);
        ssize_t n = skua_file_read(fd, got, 1);
        if (done(n))
            CHECK(n == 1 && got[0] == sent[1000]);
        (void)done(skua_file_sync(fd));
        (void)done(skua_file_sync_data(fd));
        if (done(skua_file_truncate(fd, 10)) && done(skua_file_stat(fd, &info)))
            CHECK_EQ(info.st_size, 10);
    }
    CHECK_EQ(skua_file_close(fd), 0);
}

static void as_a_whole(void)
{
    char path[PATH_SIZE], sent[BYTES];
    void *data = &data;
    memset(sent, 'w', sizeof sent);
    if (done(skua_file_write_whole(in_place(path, 1), sent, BYTES, 0600))) {
        ssize_t n = skua_file_read_whole(path, &data);
        if (done(n)) {
            CHECK(n == BYTES && memcmp(data, sent, BYTES) == 0 && ((char *)data)[BYTES] == '\0');
            fault_free(data);
        } else {
            CHECK(data == &data);
        }
    }
}

static void list(skua_directory *directory)
{
    skua_directory_entry entry;
    int count = 0, rc;
    while ((rc = skua_directory_next(directory, &entry)) > 0) {
        CHECK(entry.name[0] != '\0' && strcmp(entry.name, "..") != 0);
        count++;
    }
    if (done(rc))
        CHECK(count > 0);
    skua_directory_close(directory);
}

static void in_directories(void)
{
    char path[PATH_SIZE], other[PATH_SIZE];
    skua_directory *directory;
    struct stat info;
    int rc;
    if (done(skua_path_mkdir(in_place(path, 2), 0700)) && done(skua_path_stat(path, &info)))
        CHECK(S_ISDIR(info.st_mode));
    rc = skua_path_rename(in_place(path, 2), in_place(other, 3));
    CHECK(rc == 0 || faults_may_refuse());
    if (done(skua_directory_open(&directory, place)))
        list(directory);
    (void)skua_path_rmdir(path);
    (void)skua_path_rmdir(other);
}

/* By plain calls: what is left for whatever reason. */
static void clear(void)
{
    char path[PATH_SIZE];
    for (int i = 0; i < FILES; i++)
        (void)remove(in_place(path, i));
}

static int body(void *arg)
{
    (void)arg;
    char path[PATH_SIZE];
    by_descriptor();
    as_a_whole();
    in_directories();
    int rc = skua_path_unlink(in_place(path, 0));
    CHECK(rc == 0 || faults_may_refuse());
    return 0;
}

static void *thread_body(void *arg)
{
    (void)body(arg);
    return NULL;
}

static void live(void *arg)
{
    const uint32_t *workers = arg;
    skua_runtime *rt;
    skua_config config = faults_config(*workers, true);
    pthread_t thread;
    if (!faults_done(skua_runtime_create(&rt, &config)))
        return;
    (void)done(skua_block_on(rt, body, NULL));
    clear();
    CHECK_EQ(pthread_create(&thread, NULL, thread_body, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    clear();
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

static void begin(void)
{
    strcpy(place, "/tmp/skua-fault-file-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
}
static void end(void) { CHECK_EQ(rmdir(place), 0); }

#define LIVE(...)                           \
    do {                                    \
        uint32_t workers_ = 2;              \
        begin();                            \
        FAULTS_EACH(live, &workers_, __VA_ARGS__); \
        end();                              \
    } while (0)

TEST(opening_and_closing) { LIVE(FAULT_openat, FAULT_close); }
TEST(bytes) { LIVE(FAULT_pread, FAULT_pwrite, FAULT_readv, FAULT_writev); }
TEST(what_else_descriptors_do) { LIVE(FAULT_fsync, FAULT_fdatasync, FAULT_ftruncate, FAULT_fstat); }
TEST(paths) { LIVE(FAULT_stat, FAULT_unlinkat, FAULT_rename, FAULT_mkdir); }
TEST(directories) { LIVE(FAULT_opendir, FAULT_readdir); }
TEST(memory_and_threads) { LIVE(FAULT_malloc, FAULT_realloc, FAULT_application_alloc, FAULT_pthread_create); }

TEST(by_chance)
{
    static const enum fault calls[] = {
        FAULT_openat, FAULT_pread, FAULT_pwrite, FAULT_readv, FAULT_writev, FAULT_fsync, FAULT_fdatasync,
        FAULT_ftruncate, FAULT_fstat, FAULT_stat, FAULT_unlinkat, FAULT_rename, FAULT_mkdir, FAULT_opendir,
        FAULT_readdir, FAULT_malloc, FAULT_realloc, FAULT_pthread_create, FAULT_close,
    };
    begin();
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        uint32_t workers = 1 + (uint32_t)i % 4;
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 100 : 15, live, &workers);
    }
    end();
}
