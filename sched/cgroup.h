/* How much processor time the control groups of this process allow.
 *
 * A quota is a share of time, not a set of processors: a process may be allowed 1.5 processors and still be scheduled
 * on all 64. Whoever starts 64 threads there has them throttled together, so the runtime asks here first (topology.h).
 *
 * What is respected: the bandwidth limit (cpu.max of version 2; cpu.cfs_quota_us and cpu.cfs_period_us of version 1)
 * of the process's own group and of every ancestor that the mounts show; the smallest counts. Version 1, version 2 and
 * both at once (hybrid). Weights (cpu.shares, cpu.weight) are no limits and are ignored: they only matter to a machine
 * that is full, and the JVM gave up reading them as limits.
 *
 * Numbered steps (cgroup.c):
 *   G1  /proc/self/cgroup says where the process is in each hierarchy.
 *   G2  /proc/self/mountinfo says which part of each hierarchy can be seen where. A mount whose root is the process's
 *       group or an ancestor of it shows that group; several may, and then each is read. A mount that has another
 *       stacked on top of it is not visible and is passed over.
 *   G3  Below a visible mount point the group's directory and all its parents up to the mount point are read.
 *
 * Threads: all functions are thread-safe and keep nothing. Blocks: reads a few small files.
 */
#ifndef SKUAI_CGROUP_H
#define SKUAI_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SKUAI_CGROUP_NO_QUOTA UINT32_MAX

/* Stores the quota in thousandths of a processor, rounded up, or SKUAI_CGROUP_NO_QUOTA. `root` is "" for this machine,
 * or a directory in which proc/ and the mount points are looked up instead (tests). What cannot be read or makes no
 * sense limits nothing. Returns 0 or -ENOMEM. */
int skuai_cgroup_cpu_quota(const char *root, uint32_t *millicpus);

/* How many workers a quota is worth: rounded up, at least 1; UINT32_MAX for no quota.
 * Up, because half a processor more is of no use to a runtime that has no thread to spend it with, while a surplus
 * thread only reaches the limit a little sooner; the JVM and Go 1.25 round up too (Rust's available_parallelism rounds
 * down). Go takes at least 2 for the sake of its collector; one worker is enough here, as the driver is a thread of
 * its own. */
uint32_t skuai_cgroup_workers(uint32_t millicpus);

/* --- The parsers: text to meaning, no files. Any bytes are safe. Exposed for tests and fuzzing. --- */

/* "50000 100000", "max 100000", "50000": a cpu.max. True if it holds a limit. */
bool skuai_cgroup_parse_max(const char *text, size_t len, uint32_t *millicpus);

/* The version 1 pair of files. True if they hold a limit (a negative quota is none). */
bool skuai_cgroup_parse_cfs(const char *quota, size_t quota_len, const char *period, size_t period_len,
                            uint32_t *millicpus);

/* Told of each directory that is the process's group in a hierarchy with processor limits: `version` is 1 or 2, `dir`
 * the path as mounted, of which the first mount_len bytes are the mount point. May shorten dir in place. */
typedef void skuai_cgroup_found_fn(void *arg, int version, char *dir, size_t mount_len);

/* Steps G1 and G2 on the text of /proc/self/cgroup and /proc/self/mountinfo. */
void skuai_cgroup_find(const char *groups, size_t groups_len, const char *mounts, size_t mounts_len,
                       skuai_cgroup_found_fn *found, void *arg);

#endif
