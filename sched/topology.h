/* The processors this process may use, what they share, how many workers they are good for, and which worker goes
 * where.
 *
 * With hwloc (topology.c) the table knows cores, caches, NUMA nodes and packages. Without it (the build defines
 * SKUAI_NO_HWLOC), or where hwloc fails, the table is flat (topology_flat.c): each CPU a core of its own, everything
 * else shared by all; why_flat says why.
 *
 * This machine or another: HWLOC_SYNTHETIC="pack:2 numa:4 l3:2 core:16 pu:2" in the environment, or the same text as an
 * argument, describes a machine that is not there. Then neither the affinity mask nor a cgroup's quota applies, and
 * nothing is bound. (HWLOC_THISSYSTEM=1 tells hwloc to believe that the description is of this machine.)
 *
 * Threads: load may run in any thread and counts the CPUs that the calling thread may use, which is what threads that
 * it starts inherit. A loaded topology is only read, by anybody.
 * Blocks: load reads some 25 files of /sys per CPU (measured: 1 ms with 2 CPUs, 40 ms with 512; 1 ms for a described
 * machine of 512), so it is for once per runtime; the others never block.
 */
#ifndef SKUAI_TOPOLOGY_H
#define SKUAI_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What CPUs may share, near to far. Indices of skuai_cpu.share and, in this order, the rings of victims.h. */
enum skuai_share {
    SKUAI_SHARE_CORE,
    SKUAI_SHARE_L2,
    SKUAI_SHARE_L3,
    SKUAI_SHARE_NUMA,
    SKUAI_SHARE_PACKAGE,
    SKUAI_SHARE_COUNT
};

/* A CPU here is what Linux calls one: a hardware thread. The numbers are dense, from 0 in order of first appearance
 * among the usable CPUs. Two CPUs share a thing if its numbers are equal. A CPU that lacks a thing (no L3, say) gets a
 * number that it shares with exactly those it shares the next smaller thing with. */
struct skuai_cpu {
    uint32_t os_index; /* the kernel's number */
    uint32_t sibling;  /* 0 for the first usable CPU of its core, 1 for the second, … */
    union {
        uint32_t share[SKUAI_SHARE_COUNT];
        struct {
            uint32_t core, l2, l3, numa, package;
        };
    };
};

struct skuai_topology {
    uint32_t ncpus;         /* at least 1 */
    struct skuai_cpu *cpus; /* those that may be used, neighbours next to each other */
    uint32_t usable;        /* how many workers a default runtime should have: ncpus, or less by quota; at least 1 */
    uint32_t quota_millicpus; /* UINT32_MAX: none. cgroup.h */
    bool is_this_machine;   /* false: a description of another one */
    bool quota_limited;     /* usable < ncpus. Such a runtime had better not bind: others' threads run there too */
    int why_flat;           /* 0: as hwloc sees it; -ENOTSUP: built without hwloc; else hwloc's error */
};

/* `synthetic`: a machine in hwloc's notation, or NULL: this machine, unless the environment says otherwise. A text that
 * hwloc does not understand gives the flat table of this machine with why_flat set.
 * `cgroup_root`: as skuai_cgroup_cpu_quota takes it, or NULL: quotas are ignored.
 * Returns 0 or -ENOMEM, and then there is nothing to unload. */
__attribute__((warn_unused_result)) int skuai_topology_load(struct skuai_topology *t, const char *synthetic,
                                                            const char *cgroup_root);
void skuai_topology_unload(struct skuai_topology *t);

/* Chooses a CPU (an index of t->cpus) for each worker. Each core gets one worker before any gets two, in the order of
 * the machine: few workers stay on one package, NUMA node and L3, where what one wakes or steals is near. More workers
 * than CPUs go round again. A pure function. Returns 0, or -EINVAL if the topology is not loaded. */
int skuai_topology_place(const struct skuai_topology *t, uint32_t nworkers, uint32_t *cpu_of_worker);

/* Binds the calling thread to t->cpus[cpu]. Returns 0; -ENOTSUP: another machine's topology; -EINVAL: no such CPU, or
 * the kernel has taken it away since. */
int skuai_topology_bind_self(const struct skuai_topology *t, uint32_t cpu);

/* Lets the calling thread run on all of the topology's CPUs again. Returns as skuai_topology_bind_self(), and -ENOMEM.
 */
int skuai_topology_unbind_self(const struct skuai_topology *t);

/* --- What topology.c needs of the operating system (topology_flat.c) --- */

/* The kernel's numbers of the CPUs that the calling thread may use, ascending, for the caller to free. Returns their
 * count (at least 1), -ENOMEM, or another error if the kernel does not say. */
int skuai_affinity_read(uint32_t **os_indices);

/* Binds the calling thread to some CPUs, of which `last` is the highest. Returns 0 or a negative errno value. */
int skuai_affinity_bind_self(const struct skuai_cpu *cpus, uint32_t count, uint32_t last);

/* Fills ncpus and cpus without knowledge of what is shared. Returns 0 or -ENOMEM. */
int skuai_topology_flat(struct skuai_topology *t);

#endif
