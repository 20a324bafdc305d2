/* Listing directories: some dozens of entries are read at a time on a thread of the pool, and handed out one by one.
 * See skua/file.h.
 *
 *   buffer  [ inode type name\0 | inode type name\0 | … ]
 *                                ^ at               ^ filled
 * An error, or the end, that is met behind entries is told when they have been taken.
 */
#define _GNU_SOURCE
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/wait.h"

enum { BUFFER_SIZE = 8192 }; /* untuned: some 200 names of usual length */

struct skua_directory {
    /* whoever is in a call */
    DIR *stream;
    size_t at, filled;
    int end; /* behind what is in the buffer: 1: more, perhaps; 0: the end; else an error */
    char buffer[BUFFER_SIZE];
};

struct entry_head {
    uint64_t inode;
    uint8_t type;
};

static enum skua_entry_type type_of(const struct dirent *entry)
{
    switch (entry->d_type) {
    case DT_REG:
        return SKUA_ENTRY_FILE;
    case DT_DIR:
        return SKUA_ENTRY_DIRECTORY;
    case DT_LNK:
        return SKUA_ENTRY_LINK;
    case DT_UNKNOWN:
        return SKUA_ENTRY_UNKNOWN;
    default:
        return SKUA_ENTRY_OTHER;
    }
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static void put(skua_directory *directory, const struct dirent *entry)
{
    struct entry_head head = { .inode = entry->d_ino, .type = (uint8_t)type_of(entry) };
    size_t name_size = strlen(entry->d_name) + 1;
    memcpy(directory->buffer + directory->filled, &head, sizeof head);
    memcpy(directory->buffer + directory->filled + sizeof head, entry->d_name, name_size);
    directory->filled += sizeof head + name_size;
}

/* On a thread that may block; the buffer is empty. */
static void fill(skua_directory *directory)
{
    const struct dirent *entry;
    directory->at = directory->filled = 0;
    while (BUFFER_SIZE - directory->filled >= sizeof(struct entry_head) + sizeof entry->d_name) {
        errno = 0; /* nothing waits before it is looked at */
        entry = readdir(directory->stream);
        if (entry == NULL) {
            directory->end = -skua_errno();
            return;
        }
        if (!is_dots(entry->d_name))
            put(directory, entry);
    }
}

static bool has_entry(const skua_directory *directory) { return directory->at < directory->filled; }

static void take(skua_directory *directory, skua_directory_entry *entry)
{
    struct entry_head head;
    memcpy(&head, directory->buffer + directory->at, sizeof head);
    entry->name = directory->buffer + directory->at + sizeof head;
    entry->inode = head.inode;
    entry->type = (enum skua_entry_type)head.type;
    directory->at += sizeof head + strlen(entry->name) + 1;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static int64_t run_open(void *arg)
{
    const skua_file_op *op = arg;
    skua_directory **out = op->data;
    skua_directory *directory = malloc(sizeof *directory);
    if (directory == NULL)
        return -ENOMEM;
    do
        directory->stream = opendir(op->path);
    while (directory->stream == NULL && skua_errno() == EINTR);
    if (directory->stream == NULL) {
        int error = skua_errno();
        free(directory);
        return -error;
    }
    directory->at = directory->filled = 0;
    directory->end = 1;
    *out = directory;
    return 0;
}

static int64_t run_next(void *arg)
{
    const skua_file_op *op = arg;
    skua_directory *directory = op->data;
    if (!has_entry(directory) && directory->end > 0)
        fill(directory);
    if (has_entry(directory)) {
        take(directory, (skua_directory_entry *)(uintptr_t)op->path);
        return 1;
    }
    int end = directory->end;
    directory->end = end < 0 ? 1 : end; /* an error is told once: the next call tries again */
    return end;
}

static const struct skuai_op_kind open_kind = {
    .name = "skua_directory_open", .start = skuai_blocking_begin, .withdraw = skuai_blocking_withdraw
};
static const struct skuai_op_kind next_kind = {
    .name = "skua_directory_next", .start = skuai_blocking_begin, .withdraw = skuai_blocking_withdraw
};

skua_op *skua_directory_open_prepare(skua_file_op *op, skua_directory **directory, const char *path)
{
    op->path = path;
    op->data = directory;
    return skuai_file_prepare(op, &open_kind, run_open);
}
SKUAI_FILE_FORMS(int, skua_directory_open, (op, directory, path), skua_directory **directory, const char *path)

skua_op *skua_directory_next_prepare(skua_file_op *op, skua_directory *directory, skua_directory_entry *entry)
{
    op->data = directory;
    op->path = (const char *)entry; /* it is written to, by run_next() */
    return skuai_file_prepare(op, &next_kind, run_next);
}

skua_op *skua_directory_next_start(skua_file_op *op, skua_directory *directory, skua_directory_entry *entry)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (!skuai_start_may_be_done(worker) || !has_entry(directory))
        return skuai_op_start(skua_directory_next_prepare(op, directory, entry));
    take(directory, entry);
    return skuai_start_paid_short(worker, skuai_start_done(&op->op, &next_kind, 1));
}

int skua_directory_next(skua_directory *directory, skua_directory_entry *entry)
{
    struct skuai_worker *worker = skuai_worker_self();
    skua_file_op op;
    int rc = skuai_call_begin(worker, next_kind.name);
    if (rc < 0)
        return rc;
    if (!has_entry(directory))
        return (int)skuai_call(skua_directory_next_prepare(&op, directory, entry));
    take(directory, entry);
    return (int)skuai_call_end_short(worker, 1);
}

void skua_directory_close(skua_directory *directory)
{
    (void)closedir(directory->stream);
    free(directory);
}
