/* What the kernel knows of the process's threads: proc(5), /proc/self/task/<number>/stat. */
#define _GNU_SOURCE
#include "sched/rest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STAT_BYTES = 256, ENTRIES_BYTES = 2048 };

long skuai_thread_number(void) { return syscall(SYS_gettid); }

/* Its state is the letter behind the name, which stands in parentheses and may hold some itself. '\0': not known. */
static char state_of(const char *number)
{
    char path[64], stat[STAT_BYTES];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", number);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return '\0';
    ssize_t length = read(file, stat, sizeof stat - 1);
    close(file);
    if (length <= 0)
        return '\0';
    stat[length] = '\0';
    const char *end = strrchr(stat, ')');
    return end != NULL && end[1] == ' ' ? end[2] : '\0';
}

char skuai_thread_state(long number)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    return state_of(text);
}

/* One batch of a folder's entries. -1: somebody is awake, or it cannot be told. */
static int count_asleep(const char *entries, long bytes, const char *self)
{
    int count = 0;
    for (long at = 0; at < bytes;) {
        const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
        at += entry->d_reclen;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, self) == 0)
            continue;
        if (state_of(entry->d_name) != 'S')
            return -1;
        count++;
    }
    return count;
}

int skuai_threads_asleep(void)
{
    char entries[ENTRIES_BYTES] __attribute__((aligned(8))), self[24];
    int count = 0, folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    snprintf(self, sizeof self, "%ld", skuai_thread_number());
    for (;;) {
        long bytes = syscall(SYS_getdents64, folder, entries, sizeof entries);
        int more = bytes > 0 ? count_asleep(entries, bytes, self) : 0;
        count = bytes < 0 || more < 0 ? -1 : count + more;
        if (bytes <= 0 || count < 0)
            break;
    }
    close(folder);
    return count;
}
