/* Reading the processor quota of a made-up machine, with each call that this makes failing: a file that cannot be read
 * limits nothing, an interrupted or short read loses nothing, and without memory it says so. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sched/cgroup.h"
#include "support/faults.h"
#include "support/test.h"

enum { QUOTA = 1500, PARENT_QUOTA = 2500, MOUNTS = 600 };

static char root[] = "/tmp/skua-fault-XXXXXX";
static const char *const folders[] = { "/proc", "/proc/self", "/cg", "/cg/a", "/cg/a/b" };
static const char *const files[] = { "/proc/self/cgroup", "/proc/self/mountinfo", "/cg/a/cpu.max", "/cg/a/b/cpu.max" };
enum { FOLDERS = sizeof folders / sizeof folders[0], FILES = sizeof files / sizeof files[0] };

static const char *in_root(const char *path)
{
    static char full[128];
    snprintf(full, sizeof full, "%s%s", root, path);
    return full;
}

static FILE *create(const char *path)
{
    FILE *file = fopen(in_root(path), "w");
    CHECK(file != NULL);
    return file;
}

static void make_machine(void)
{
    CHECK(mkdtemp(root) != NULL);
    for (int i = 0; i < FOLDERS; i++)
        CHECK_EQ(mkdir(in_root(folders[i]), 0700), 0);
    FILE *file = create(files[0]);
    fputs("0::/a/b\n", file);
    fclose(file);
    file = create(files[1]);
    for (int i = 0; i < MOUNTS; i++) /* more than is read at once */
        fprintf(file, "%d 1 0:1 / /other/%d rw - tmpfs tmpfs rw\n", 100 + i, i);
    fputs("30 1 0:2 / /cg rw - cgroup2 cgroup2 rw\n", file);
    fclose(file);
    file = create(files[2]);
    fprintf(file, "%d00 100000\n", PARENT_QUOTA);
    fclose(file);
    file = create(files[3]);
    fprintf(file, "%d00 100000\n", QUOTA);
    fclose(file);
}

static void remove_machine(void)
{
    for (int i = 0; i < FILES; i++)
        CHECK_EQ(unlink(in_root(files[i])), 0);
    for (int i = FOLDERS; i > 0; i--)
        CHECK_EQ(rmdir(in_root(folders[i - 1])), 0);
    CHECK_EQ(rmdir(root), 0);
}

static void read_quota(void *arg)
{
    uint32_t quota;
    (void)arg;
    if (!faults_done(skuai_cgroup_cpu_quota(root, &quota)))
        return;
    bool is_lost = faults_is_armed(FAULT_open, 0) || faults_is_armed(FAULT_open, 1) ||
                   faults_is_armed(FAULT_read, 0) || faults_is_armed(FAULT_read, 2);
    if (!is_lost || quota != SKUAI_CGROUP_NO_QUOTA)
        CHECK(quota == QUOTA || (is_lost && (quota == PARENT_QUOTA || quota == SKUAI_CGROUP_NO_QUOTA)));
}

TEST(a_quota)
{
    make_machine();
    FAULTS_EACH(read_quota, NULL, FAULT_open, FAULT_read, FAULT_close, FAULT_malloc, FAULT_realloc);
    remove_machine();
}
