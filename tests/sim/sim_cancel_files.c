/* Cancel everywhere: files and directories. What was written is there exactly if the call said so, what was opened is
 * closed, an entry that was not taken is the next one. */
#define _GNU_SOURCE
#include "support/cancel_everywhere.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "skua/file.h"

enum { WRITERS = 3, EACH = 3, ENTRIES = 3, PATH_SIZE = 96 };

struct files {
    char place[PATH_SIZE / 2];
    char log[PATH_SIZE];
    uint64_t written;
};

static const char *entry_path(const struct files *files, char path[PATH_SIZE], int number)
{
    snprintf(path, PATH_SIZE, "%s/%d", files->place, number);
    return path;
}

static int appends(void *arg)
{
    struct files *files = arg;
    ssize_t n = 0;
    int fd = skua_file_open(files->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0)
        return fd;
    for (int i = 0; i < EACH && n >= 0; i++) {
        n = skua_file_write(fd, "xy", 2);
        files->written += n > 0 ? (uint64_t)n : 0;
    }
    CHECK_OK(skua_file_close(fd));
    return (int)n;
}

struct appends_too {
    SKUA_FRAME;
    struct { struct files *files; } in;
    skua_file_op io;
    int fd, i;
    int64_t n;
};
SKUA_ASYNC(appends_too)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_file_open_start(&self->io, self->in.files->log, O_WRONLY | O_CREAT | O_APPEND, 0600));
    self->fd = (int)self->io.result;
    if (self->fd < 0)
        SKUA_RETURN(self->fd);
    self->n = 0;
    for (self->i = 0; self->i < EACH && self->n >= 0; self->i++) {
        SKUA_AWAIT(skua_file_write_start(&self->io, self->fd, "xy", 2));
        self->n = self->io.result;
        self->in.files->written += self->n > 0 ? (uint64_t)self->n : 0;
    }
    SKUA_AWAIT(skua_file_close_start(&self->io, self->fd));
    CHECK(self->io.result == 0 || self->io.result == -ECANCELED);
    SKUA_END(self->n);
}

static int lists(void *arg)
{
    const struct files *files = arg;
    skua_directory *directory;
    skua_directory_entry entry;
    int seen[ENTRIES] = { 0 }, rc = skua_directory_open(&directory, files->place);
    if (rc < 0)
        return rc;
    for (int interruptions = 0;;) {
        rc = skua_directory_next(directory, &entry);
        if (rc < 0 && interruptions++ == 0) { /* once more, where nobody is interrupted: nothing was lost */
            CHECK_EQ(rc, -ECANCELED);
            SKUA_SHIELD();
            rc = skua_directory_next(directory, &entry);
        }
        if (rc <= 0)
            break;
        if (strcmp(entry.name, "log") != 0)
            seen[atoi(entry.name)]++;
    }
    skua_directory_close(directory);
    for (int i = 0; i < ENTRIES; i++)
        CHECK(seen[i] == 1 || (rc < 0 && seen[i] == 0));
    return rc;
}

/* By plain calls: what is there whoever is cancelled. */
static void make_place(struct files *files)
{
    char path[PATH_SIZE];
    files->written = 0;
    strcpy(files->place, "/tmp/skua-sim-files-XXXXXX");
    CHECK(mkdtemp(files->place) != NULL);
    snprintf(files->log, sizeof files->log, "%s/log", files->place);
    for (int i = 0; i < ENTRIES; i++) {
        int fd = open(entry_path(files, path, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && close(fd) == 0);
    }
}

static int body(void *arg)
{
    struct files *files = arg;
    skua_task *tasks[WRITERS + 1];
    make_place(files);
    for (int i = 0; i < WRITERS - 1; i++)
        CHECK_OK(skua_spawn(&tasks[i], appends, files));
    CHECK_OK(SKUA_SPAWN(&tasks[WRITERS - 1], appends_too, .files = files));
    CHECK_OK(skua_spawn(&tasks[WRITERS], lists, files));
    for (int i = 0; i <= WRITERS; i++) {
        int64_t result = end_or_join(tasks[i]);
        CHECK(result >= 0 || result == -ECANCELED);
    }
    return 0;
}

static void check(void *arg)
{
    struct files *files = arg;
    char path[PATH_SIZE];
    struct stat info;
    CHECK_EQ(stat(files->log, &info) == 0 ? (uint64_t)info.st_size : 0, files->written);
    (void)unlink(files->log);
    for (int i = 0; i < ENTRIES; i++)
        CHECK_EQ(unlink(entry_path(files, path, i)), 0);
    CHECK_EQ(rmdir(files->place), 0);
}

TEST(files_and_directories)
{
    struct files files;
    cancel_everywhere(body, check, &files);
}
