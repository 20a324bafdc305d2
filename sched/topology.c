/* See topology.h.
 *
 * hwloc is told to look at little: only the kinds of object that are asked about, no devices, no distances, no memory
 * attributes, no kinds of CPU. It must not look by moving this thread from CPU to CPU (its x86 part would). The hwloc
 * topology lives only inside discover(): what is kept is a plain table, so that nothing else of Skua sees hwloc.
 */
#include "sched/topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/cgroup.h"

#if defined(SKUAI_NO_HWLOC)

static int discover(struct skuai_topology *t, const char *synthetic)
{
    (void)t;
    (void)synthetic;
    return -ENOTSUP;
}

#else

#include <hwloc.h>

#if HWLOC_API_VERSION >= 0x00020800
#define LESS_WORK \
    (HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | \
     HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS)
#elif HWLOC_API_VERSION >= 0x00020500
#define LESS_WORK HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING
#else
#define LESS_WORK 0
#endif

static int error_or(int fallback)
{
    return errno != 0 ? -errno : fallback;
}

/* The kinds asked about; PUs and NUMA nodes are always kept. Groups too: hwloc hangs a NUMA node that is a part of a
 * package on one, and without groups it would hang all nodes of the package on the package, where every CPU appears to
 * be local to each. Failing to set a filter only costs time. */
static void ask_little(hwloc_topology_t machine)
{
    static const hwloc_obj_type_t kinds[] = { HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L2CACHE,
                                              HWLOC_OBJ_CORE };
    hwloc_topology_set_all_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(machine, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        hwloc_topology_set_type_filter(machine, kinds[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_flags(machine, LESS_WORK);
}

/* The thing of one kind that a CPU is in, or NULL. Of several NUMA nodes that are local to it (fast and large memory)
 * the first stands for all. */
static hwloc_obj_t thing_of(hwloc_topology_t machine, hwloc_obj_t pu, enum skuai_share kind)
{
    static const hwloc_obj_type_t types[SKUAI_SHARE_COUNT] = {
        [SKUAI_SHARE_CORE] = HWLOC_OBJ_CORE,       [SKUAI_SHARE_L2] = HWLOC_OBJ_L2CACHE,
        [SKUAI_SHARE_L3] = HWLOC_OBJ_L3CACHE,      [SKUAI_SHARE_NUMA] = HWLOC_OBJ_NUMANODE,
        [SKUAI_SHARE_PACKAGE] = HWLOC_OBJ_PACKAGE,
    };
    if (kind != SKUAI_SHARE_NUMA)
        return hwloc_get_ancestor_obj_by_type(machine, types[kind], pu);
    int node = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : -1;
    return node < 0 ? NULL : hwloc_get_numanode_obj_by_os_index(machine, (unsigned)node);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Which PUs the table has. `allowed` (ascending) is NULL if all may be used. The i-th entry's PU goes to pus[i]. */
static uint32_t choose_pus(hwloc_topology_t machine, const uint32_t *allowed, uint32_t nallowed, hwloc_obj_t *pus)
{
    uint32_t count = 0;
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, pu)) != NULL) {
        uint32_t os_index = pu->os_index;
        if (!allowed || bsearch(&os_index, allowed, nallowed, sizeof *allowed, compare_u32))
            pus[count++] = pu;
    }
    return count;
}

#define UNNUMBERED UINT32_MAX

/* Numbers the things of one kind. A CPU without one is known by the next smaller thing it has, whose numbers come after
 * those of hwloc's objects in `numbers`, so that the two never meet. */
static void number_kind(hwloc_topology_t machine, hwloc_obj_t *pus, struct skuai_topology *t, enum skuai_share kind,
                        uint32_t *numbers, uint32_t nobjects)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < nobjects + t->ncpus; i++)
        numbers[i] = UNNUMBERED;
    for (uint32_t i = 0; i < t->ncpus; i++) {
        hwloc_obj_t thing = thing_of(machine, pus[i], kind);
        uint32_t smaller = kind == SKUAI_SHARE_CORE ? i : t->cpus[i].share[kind - 1];
        uint32_t key = thing && thing->logical_index < nobjects ? thing->logical_index : nobjects + smaller;
        if (numbers[key] == UNNUMBERED)
            numbers[key] = next++;
        t->cpus[i].share[kind] = numbers[key];
    }
}

/* Fills t->cpus for t->ncpus chosen PUs. `numbers` has room for nobjects + t->ncpus. */
static void describe(hwloc_topology_t machine, hwloc_obj_t *pus, struct skuai_topology *t, uint32_t *numbers,
                     uint32_t nobjects)
{
    for (int kind = 0; kind < SKUAI_SHARE_COUNT; kind++)
        number_kind(machine, pus, t, (enum skuai_share)kind, numbers, nobjects);
    memset(numbers, 0, t->ncpus * sizeof *numbers); /* now: CPUs seen of each core */
    for (uint32_t i = 0; i < t->ncpus; i++) {
        t->cpus[i].os_index = pus[i]->os_index;
        t->cpus[i].sibling = numbers[t->cpus[i].core]++;
    }
}

/* The objects of one kind are never more than the PUs, except NUMA nodes without CPUs. */
static uint32_t most_objects(hwloc_topology_t machine, uint32_t npus)
{
    int nodes = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_NUMANODE);
    return nodes > 0 && (uint32_t)nodes > npus ? (uint32_t)nodes : npus;
}

static int tabulate(hwloc_topology_t machine, struct skuai_topology *t)
{
    uint32_t *allowed = NULL;
    int nallowed = 0;
    int found = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PU);
    if (found < 1)
        return -ENODATA;
    uint32_t npus = (uint32_t)found;
    uint32_t nobjects = most_objects(machine, npus);
    t->is_this_machine = hwloc_topology_is_thissystem(machine);
    if (t->is_this_machine)
        nallowed = skuai_affinity_read(&allowed);

    int status = -ENOMEM;
    hwloc_obj_t *pus = calloc(npus, sizeof(hwloc_obj_t));
    uint32_t *numbers = calloc((size_t)nobjects + npus, sizeof *numbers);
    t->cpus = calloc(npus, sizeof *t->cpus);
    if (nallowed != -ENOMEM && pus && numbers && t->cpus) {
        t->ncpus = choose_pus(machine, allowed, nallowed > 0 ? (uint32_t)nallowed : 0, pus);
        describe(machine, pus, t, numbers, nobjects);
        status = t->ncpus > 0 ? 0 : -ENODATA;
    }
    free(numbers);
    free(pus);
    free(allowed);
    if (status < 0)
        skuai_topology_unload(t);
    return status;
}

static int discover(struct skuai_topology *t, const char *synthetic)
{
    hwloc_topology_t machine;
    int status = 0;
    errno = 0;
    if (hwloc_topology_init(&machine) < 0)
        return error_or(-ENOMEM);
    ask_little(machine);
    if (synthetic && hwloc_topology_set_synthetic(machine, synthetic) < 0)
        status = error_or(-EINVAL);
    if (status == 0 && hwloc_topology_load(machine) < 0)
        status = error_or(-EIO);
    if (status == 0)
        status = tabulate(machine, t);
    hwloc_topology_destroy(machine);
    return status;
}

#endif

static int apply_quota(struct skuai_topology *t, const char *cgroup_root)
{
    int status = skuai_cgroup_cpu_quota(cgroup_root, &t->quota_millicpus);
    uint32_t workers = skuai_cgroup_workers(t->quota_millicpus);
    if (workers < t->usable) {
        t->usable = workers;
        t->quota_limited = true;
    }
    return status;
}

int skuai_topology_load(struct skuai_topology *t, const char *synthetic, const char *cgroup_root)
{
    memset(t, 0, sizeof *t);
    t->quota_millicpus = SKUAI_CGROUP_NO_QUOTA;
    int status = discover(t, synthetic);
    if (status < 0 && status != -ENOMEM) {
        t->why_flat = status;
        status = skuai_topology_flat(t);
    }
    if (status < 0)
        return status;
    t->usable = t->ncpus;
    if (t->is_this_machine && cgroup_root)
        status = apply_quota(t, cgroup_root);
    if (status < 0)
        skuai_topology_unload(t);
    return status;
}

void skuai_topology_unload(struct skuai_topology *t)
{
    free(t->cpus);
    t->cpus = NULL;
    t->ncpus = 0;
}

int skuai_topology_place(const struct skuai_topology *t, uint32_t nworkers, uint32_t *cpu_of_worker)
{
    uint32_t placed = 0;
    if (t->ncpus == 0)
        return -EINVAL;
    /* Every CPU has a sibling number below ncpus and numbers have no gaps, so each round places at least one. */
    for (uint32_t round = 0; placed < nworkers && placed < t->ncpus; round++) {
        for (uint32_t cpu = 0; cpu < t->ncpus && placed < nworkers; cpu++) {
            if (t->cpus[cpu].sibling == round)
                cpu_of_worker[placed++] = cpu;
        }
    }
    for (; placed < nworkers; placed++)
        cpu_of_worker[placed] = cpu_of_worker[placed - t->ncpus];
    return 0;
}

int skuai_topology_bind_self(const struct skuai_topology *t, uint32_t cpu)
{
    if (!t->is_this_machine)
        return -ENOTSUP;
    if (cpu >= t->ncpus)
        return -EINVAL;
    return skuai_affinity_bind_self(&t->cpus[cpu], 1, t->cpus[cpu].os_index);
}

int skuai_topology_unbind_self(const struct skuai_topology *t)
{
    uint32_t last = 0;
    if (!t->is_this_machine)
        return -ENOTSUP;
    for (uint32_t i = 0; i < t->ncpus; i++)
        last = t->cpus[i].os_index > last ? t->cpus[i].os_index : last;
    return skuai_affinity_bind_self(t->cpus, t->ncpus, last);
}
