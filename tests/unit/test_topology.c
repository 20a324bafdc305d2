/* The table of processors: described machines, this machine under an affinity mask and a quota, placement, binding. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sched/topology.h"
#include "support/test.h"

/* Each kind's numbers appear in order without gaps, and sibling numbers count up within each core. */
static bool is_well_formed(const struct skuai_topology *t)
{
    if (t->ncpus < 1 || t->usable < 1 || t->usable > t->ncpus || t->quota_limited != (t->usable < t->ncpus))
        return false;
    for (uint32_t i = 0; i < t->ncpus; i++) {
        uint32_t before = 0;
        for (uint32_t j = 0; j < i; j++) {
            if (t->cpus[j].os_index == t->cpus[i].os_index)
                return false;
            before += t->cpus[j].core == t->cpus[i].core;
        }
        if (t->cpus[i].sibling != before)
            return false;
    }
    for (int kind = 0; kind < SKUAI_SHARE_COUNT; kind++) {
        uint32_t next = 0;
        for (uint32_t i = 0; i < t->ncpus; i++) {
            if (t->cpus[i].share[kind] > next)
                return false;
            next += t->cpus[i].share[kind] == next;
        }
    }
    return true;
}

#if !defined(SKUAI_NO_HWLOC) /* machines that only hwloc can describe */

static uint32_t count_of(const struct skuai_topology *t, enum skuai_share kind)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < t->ncpus; i++) {
        if (t->cpus[i].share[kind] > most)
            most = t->cpus[i].share[kind];
    }
    return most + 1;
}

static bool has_shape(const char *text, uint32_t ncpus, uint32_t cores, uint32_t l2, uint32_t l3, uint32_t numa,
                      uint32_t packages)
{
    struct skuai_topology t;
    if (skuai_topology_load(&t, text, "") != 0)
        return false;
    bool ok = is_well_formed(&t) && t.why_flat == 0 && !t.is_this_machine && t.quota_millicpus == UINT32_MAX &&
              t.ncpus == ncpus && t.usable == ncpus && count_of(&t, SKUAI_SHARE_CORE) == cores &&
              count_of(&t, SKUAI_SHARE_L2) == l2 && count_of(&t, SKUAI_SHARE_L3) == l3 &&
              count_of(&t, SKUAI_SHARE_NUMA) == numa && count_of(&t, SKUAI_SHARE_PACKAGE) == packages;
    skuai_topology_unload(&t);
    return ok;
}

TEST(topology_described_machines)
{
    CHECK(has_shape("core:1 pu:1", 1, 1, 1, 1, 1, 1));
    CHECK(has_shape("core:1 pu:4", 4, 1, 1, 1, 1, 1));
    CHECK(has_shape("pack:2 numa:2 l3:2 l2:4 core:2 pu:2", 128, 64, 32, 8, 4, 2));
    CHECK(has_shape("pack:2 numa:4 l3:2 l2:4 core:4 pu:2", 512, 256, 64, 16, 8, 2));
}

/* What is missing is as what is next smaller. */
TEST(topology_missing_levels)
{
    CHECK(has_shape("numa:4 core:3 pu:2", 24, 12, 12, 12, 4, 4));
    CHECK(has_shape("pack:3 pu:2", 6, 6, 6, 6, 1, 3));
    CHECK(has_shape("l3:2 core:4 pu:1", 8, 8, 8, 2, 1, 1));
}

/* The environment's machine, without setenv, which would leave memory behind. */
extern char **environ;

TEST(topology_from_environment)
{
    char described[] = "HWLOC_SYNTHETIC=pack:4 core:16 pu:2";
    char *only[] = { described, NULL };
    char **saved = environ;
    struct skuai_topology t;
    environ = only;
    int status = skuai_topology_load(&t, NULL, "");
    environ = saved;
    CHECK_EQ(status, 0);
    CHECK_EQ(t.ncpus, 128);
    CHECK_EQ(t.usable, 128);
    CHECK(!t.is_this_machine);
    CHECK_EQ(skuai_topology_bind_self(&t, 0), -ENOTSUP);
    skuai_topology_unload(&t);
}

/* A hybrid processor: two cores without an L2, then two that share one. Cores and caches are counted apart by hwloc,
 * and the numbers made from both must not meet. */
#define SETS(cpus) " cpuset=\"" cpus "\" complete_cpuset=\"" cpus "\" nodeset=\"1\" complete_nodeset=\"1\""
#define CORE(n, cpus) \
    "<object type=\"Core\" os_index=\"" n "\"" SETS(cpus) " gp_index=\"1" n "\">" \
    "<object type=\"PU\" os_index=\"" n "\"" SETS(cpus) " gp_index=\"2" n "\"/></object>"

static const char hybrid[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
    "<topology version=\"2.0\"><object type=\"Machine\" os_index=\"0\"" SETS("0xf")
    " allowed_cpuset=\"0xf\" allowed_nodeset=\"1\" gp_index=\"1\">"
    "<object type=\"NUMANode\" os_index=\"0\"" SETS("0xf") " gp_index=\"2\" local_memory=\"1\"/>"
    CORE("0", "0x1") CORE("1", "0x2")
    "<object type=\"L2Cache\"" SETS("0xc") " gp_index=\"3\" cache_size=\"1\" depth=\"2\" cache_linesize=\"64\" "
    "cache_associativity=\"1\" cache_type=\"0\">" CORE("2", "0x4") CORE("3", "0x8") "</object></object></topology>\n";

TEST(topology_some_without_l2)
{
    char setting[64] = "HWLOC_XMLFILE=";
    char *path = setting + strlen(setting);
    char builtin_parser[] = "HWLOC_LIBXML=0"; /* libxml2, where hwloc has it, keeps memory */
    char *only[] = { setting, builtin_parser, NULL };
    char **saved = environ;
    struct skuai_topology t;
    static const uint32_t l2[4] = { 0, 1, 2, 2 };
    strcpy(path, "/tmp/skua-topology-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, hybrid, strlen(hybrid)), strlen(hybrid));
    close(fd);
    environ = only;
    int status = skuai_topology_load(&t, NULL, NULL);
    environ = saved;
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(status, 0);
    CHECK(is_well_formed(&t));
    CHECK(!t.is_this_machine);
    CHECK_EQ(t.ncpus, 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(t.cpus[i].l2, l2[i]);
    skuai_topology_unload(&t);
}

#else

TEST(topology_without_hwloc)
{
    struct skuai_topology t;
    CHECK_EQ(skuai_topology_load(&t, "pack:2 core:2 pu:2", NULL), 0);
    CHECK_EQ(t.why_flat, -ENOTSUP);
    CHECK(t.is_this_machine);
    skuai_topology_unload(&t);
}

#endif

TEST(topology_nonsense_is_flat)
{
    struct skuai_topology t;
    CHECK_EQ(skuai_topology_load(&t, "no machine at all", NULL), 0);
    CHECK(t.why_flat < 0);
    CHECK(t.is_this_machine);
    CHECK(is_well_formed(&t));
    skuai_topology_unload(&t);
}

/* --- This machine --- */

struct mask {
    cpu_set_t *set;
    size_t size;
};

static bool mask_read(struct mask *mask)
{
    enum { BITS = 1 << 16 };
    mask->size = CPU_ALLOC_SIZE(BITS);
    mask->set = CPU_ALLOC(BITS);
    if (!mask->set)
        return false;
    CPU_ZERO_S(mask->size, mask->set);
    return sched_getaffinity(0, mask->size, mask->set) == 0;
}

TEST(topology_this_machine)
{
    struct skuai_topology t;
    struct mask mask;
    CHECK(mask_read(&mask));
    CHECK_EQ(skuai_topology_load(&t, NULL, NULL), 0);
    CHECK(is_well_formed(&t));
    CHECK(t.is_this_machine);
    CHECK(!t.quota_limited);
    CHECK_EQ(t.ncpus, CPU_COUNT_S(mask.size, mask.set));
    CHECK_EQ(t.usable, t.ncpus);
    bool allowed = true;
    for (uint32_t i = 0; i < t.ncpus; i++)
        allowed = allowed && CPU_ISSET_S(t.cpus[i].os_index, mask.size, mask.set);
    CHECK(allowed);
    skuai_topology_unload(&t);
    CPU_FREE(mask.set);
}

/* With one CPU left only that one is counted; loading does not move the thread. */
TEST(topology_respects_affinity)
{
    struct skuai_topology all;
    struct skuai_topology one;
    struct skuai_topology flat;
    struct mask before;
    CHECK(mask_read(&before));
    CHECK_EQ(skuai_topology_load(&all, NULL, NULL), 0);
    uint32_t last = all.ncpus - 1;
    CHECK_EQ(skuai_topology_bind_self(&all, last), 0);
    CHECK_EQ(skuai_topology_load(&one, NULL, ""), 0);
    CHECK_EQ(one.usable, 1);
    CHECK_EQ(one.ncpus, 1);
    CHECK_EQ(one.cpus[0].os_index, all.cpus[last].os_index);
    CHECK_EQ(one.cpus[0].package, 0);
    memset(&flat, 0, sizeof flat);
    CHECK_EQ(skuai_topology_flat(&flat), 0);
    CHECK_EQ(flat.ncpus, 1);
    CHECK_EQ(flat.cpus[0].os_index, all.cpus[last].os_index);

    struct mask during;
    CHECK(mask_read(&during));
    CHECK_EQ(CPU_COUNT_S(during.size, during.set), 1);
    CHECK(CPU_ISSET_S(all.cpus[last].os_index, during.size, during.set));
    CHECK_EQ(sched_setaffinity(0, before.size, before.set), 0);
    CPU_FREE(during.set);
    CPU_FREE(before.set);
    skuai_topology_unload(&flat);
    skuai_topology_unload(&one);
    skuai_topology_unload(&all);
}

TEST(topology_bind_refuses)
{
    struct skuai_topology t;
    struct mask before;
    CHECK(mask_read(&before));
    CHECK_EQ(skuai_topology_load(&t, NULL, NULL), 0);
    CHECK_EQ(skuai_topology_bind_self(&t, t.ncpus), -EINVAL);
    CHECK_EQ(skuai_affinity_bind_self(&(struct skuai_cpu){.os_index = 500000}, 1, 500000), -EINVAL); /* not there */
    CHECK_OK(skuai_topology_bind_self(&t, t.ncpus - 1));
    CHECK_OK(skuai_topology_unbind_self(&t));
    struct mask after;
    CHECK(mask_read(&after));
    CHECK(CPU_EQUAL_S(before.size, before.set, after.set));
    CPU_FREE(after.set);
    CPU_FREE(before.set);
    skuai_topology_unload(&t);
}

static bool write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    bool ok = fputs(text, file) >= 0;
    return fclose(file) == 0 && ok;
}

TEST(topology_respects_quota)
{
    static const char *const dirs[] = { "", "/proc", "/proc/self", "/cg" };
    static const char *const files[] = { "/cg/cpu.max", "/proc/self/mountinfo", "/proc/self/cgroup" };
    char root[] = "/tmp/skua-topology-XXXXXX";
    char path[512];
    struct skuai_topology t;
    CHECK(mkdtemp(root) != NULL);
    for (size_t i = 1; i < sizeof dirs / sizeof dirs[0]; i++) {
        snprintf(path, sizeof path, "%s%s", root, dirs[i]);
        CHECK_EQ(mkdir(path, 0700), 0);
    }
    CHECK(write_file(root, "proc/self/cgroup", "0::/\n"));
    CHECK(write_file(root, "proc/self/mountinfo", "1 0 0:1 / /cg rw - cgroup2 cgroup2 rw\n"));
    CHECK(write_file(root, "cg/cpu.max", "50000 100000\n"));
    CHECK_EQ(skuai_topology_load(&t, NULL, root), 0);
    CHECK(is_well_formed(&t));
    CHECK_EQ(t.quota_millicpus, 500);
    CHECK_EQ(t.usable, 1);
    CHECK_EQ(t.quota_limited, t.ncpus > 1);
    skuai_topology_unload(&t);
    CHECK_EQ(skuai_topology_load(&t, "pack:2 pu:2", root), 0); /* another machine has no quota */
    CHECK_EQ(t.quota_millicpus, t.is_this_machine ? 500u : UINT32_MAX);
    skuai_topology_unload(&t);

    CHECK(write_file(root, "cg/cpu.max", "100000000 100000\n")); /* a thousand processors limit nothing here */
    CHECK_EQ(skuai_topology_load(&t, NULL, root), 0);
    CHECK_EQ(t.quota_millicpus, 1000000);
    CHECK_EQ(t.quota_limited, t.ncpus > 1000);
    skuai_topology_unload(&t);

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s%s", root, files[i]);
        CHECK_EQ(unlink(path), 0);
    }
    for (size_t i = sizeof dirs / sizeof dirs[0]; i-- > 0;) {
        snprintf(path, sizeof path, "%s%s", root, dirs[i]);
        CHECK_EQ(rmdir(path), 0);
    }
}

/* --- Placement --- */

#if !defined(SKUAI_NO_HWLOC)

/* No CPU is used twice before all are used once; no core has two workers more than another that has room; the same
 * call gives the same answer. */
static bool is_fair_placement(const char *text, uint32_t nworkers)
{
    struct skuai_topology t;
    if (skuai_topology_load(&t, text, NULL) != 0)
        return false;
    uint32_t *where = calloc(nworkers, sizeof *where);
    uint32_t *again = calloc(nworkers, sizeof *again);
    uint32_t *on_cpu = calloc(t.ncpus, sizeof *on_cpu);
    uint32_t *on_core = calloc(t.ncpus, sizeof *on_core);
    bool ok = where && again && on_cpu && on_core && skuai_topology_place(&t, nworkers, where) == 0 &&
              skuai_topology_place(&t, nworkers, again) == 0;
    uint32_t cores = count_of(&t, SKUAI_SHARE_CORE);
    for (uint32_t w = 0; ok && w < nworkers; w++) {
        ok = where[w] < t.ncpus && where[w] == again[w] && on_cpu[where[w]]++ == w / t.ncpus &&
             on_core[t.cpus[where[w]].core]++ == w / cores;
        if (w > 0 && w < cores) /* compact: in the order of the machine */
            ok = ok && where[w] > where[w - 1];
    }
    free(on_core);
    free(on_cpu);
    free(again);
    free(where);
    skuai_topology_unload(&t);
    return ok;
}

TEST(place_cores_before_siblings)
{
    static const char *const texts[] = { "core:1 pu:1", "core:1 pu:4", "pack:2 l3:2 core:4 pu:2",
                                         "numa:4 core:3 pu:2", "pack:2 numa:4 l3:2 l2:4 core:4 pu:2" };
    static const uint32_t teams[] = { 1, 2, 7, 16, 32, 33, 200, 512, 700 };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t j = 0; j < sizeof teams / sizeof teams[0]; j++)
            CHECK(is_fair_placement(texts[i], teams[j]));
    }
}

/* Eight workers on a machine of two packages of eight cores stay in one. */
TEST(place_few_workers_together)
{
    struct skuai_topology t;
    uint32_t where[8];
    CHECK_EQ(skuai_topology_load(&t, "pack:2 l3:2 core:4 pu:2", NULL), 0);
    CHECK_EQ(skuai_topology_place(&t, 8, where), 0);
    for (uint32_t w = 0; w < 8; w++) {
        CHECK_EQ(t.cpus[where[w]].package, 0);
        CHECK_EQ(t.cpus[where[w]].l3, w / 4);
        CHECK_EQ(t.cpus[where[w]].core, w);
    }
    skuai_topology_unload(&t);
    CHECK_EQ(skuai_topology_place(&t, 8, where), -EINVAL);
}

#endif

/* Cores with unequal numbers of siblings, as a mask or a hybrid processor leaves them. */
TEST(place_uneven_cores)
{
    struct skuai_cpu cpus[5] = { { .os_index = 0 }, { .os_index = 1 }, { .os_index = 2 }, { .os_index = 3 },
                                 { .os_index = 4 } };
    static const uint32_t cores[5] = { 0, 0, 0, 1, 2 };
    static const uint32_t siblings[5] = { 0, 1, 2, 0, 0 };
    static const uint32_t expected[7] = { 0, 3, 4, 1, 2, 0, 3 };
    struct skuai_topology t = { .ncpus = 5, .cpus = cpus };
    uint32_t where[7];
    for (uint32_t i = 0; i < 5; i++) {
        cpus[i].core = cores[i];
        cpus[i].sibling = siblings[i];
    }
    CHECK_EQ(skuai_topology_place(&t, 7, where), 0);
    CHECK(memcmp(where, expected, sizeof expected) == 0);
}
