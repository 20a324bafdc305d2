/* Processor quotas from control groups: the parsers on text, then whole made-up machines in a temporary directory, then
 * the parsers on seeded noise. */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sched/cgroup.h"
#include "support/test.h"

#define NONE SKUAI_CGROUP_NO_QUOTA

static uint32_t max_of(const char *text)
{
    uint32_t millicpus = 7;
    bool limited = skuai_cgroup_parse_max(text, strlen(text), &millicpus);
    return limited ? millicpus : NONE;
}

static uint32_t cfs_of(const char *quota, const char *period)
{
    uint32_t millicpus = 7;
    bool limited = skuai_cgroup_parse_cfs(quota, strlen(quota), period, strlen(period), &millicpus);
    return limited ? millicpus : NONE;
}

TEST(cgroup_parses_cpu_max)
{
    CHECK_EQ(max_of("150000 100000\n"), 1500);
    CHECK_EQ(max_of("150000 100000"), 1500);
    CHECK_EQ(max_of("  1000\t1000000 \r\n"), 1);
    CHECK_EQ(max_of("50000"), 500);
    CHECK_EQ(max_of("200001 100000"), 2001); /* rounded up */
    CHECK_EQ(max_of("max 100000\n"), NONE);
    CHECK_EQ(max_of("max"), NONE);
    CHECK_EQ(max_of(""), NONE);
    CHECK_EQ(max_of("\n"), NONE);
    CHECK_EQ(max_of("-1 100000"), NONE);
    CHECK_EQ(max_of("+5 100000"), NONE);
    CHECK_EQ(max_of("0 100000"), NONE);
    CHECK_EQ(max_of("50000 0"), NONE);
    CHECK_EQ(max_of("50000 max"), NONE);
    CHECK_EQ(max_of("50000x 100000"), NONE);
    CHECK_EQ(max_of("0x10 100000"), NONE);
    CHECK_EQ(max_of("99999999999999999999999999 100000"), NONE);
    CHECK_EQ(max_of("18446744073709551615 1"), NONE);
    CHECK_EQ(max_of("1 99999999999999999999999999"), 1);
    CHECK_EQ(max_of("4294967294 1000"), 4294967294u);
    CHECK_EQ(max_of("4294967295 1000"), NONE);
    CHECK_EQ(max_of("8589935592 1000"), NONE);        /* 2^33 + 1000: does not wrap */
    CHECK_EQ(max_of("18446744073709552 1000"), NONE); /* times 1000 it would */
    uint32_t millicpus;
    CHECK(!skuai_cgroup_parse_max("5\0 1", 4, &millicpus));
}

TEST(cgroup_parses_cfs)
{
    CHECK_EQ(cfs_of("-1\n", "100000\n"), NONE);
    CHECK_EQ(cfs_of("250000\n", "100000\n"), 2500);
    CHECK_EQ(cfs_of("250000", "50000"), 5000);
    CHECK_EQ(cfs_of("250000", ""), NONE);
    CHECK_EQ(cfs_of("", "100000"), NONE);
    CHECK_EQ(cfs_of("250000", "0"), NONE);
}

TEST(cgroup_workers_round_up)
{
    CHECK_EQ(skuai_cgroup_workers(0), 1);
    CHECK_EQ(skuai_cgroup_workers(1), 1);
    CHECK_EQ(skuai_cgroup_workers(1000), 1);
    CHECK_EQ(skuai_cgroup_workers(1001), 2);
    CHECK_EQ(skuai_cgroup_workers(2500), 3);
    CHECK_EQ(skuai_cgroup_workers(NONE - 1), 4294968);
    CHECK_EQ(skuai_cgroup_workers(NONE), UINT32_MAX);
}

/* --- Which directories are found --- */

struct listing {
    char text[2048];
    size_t len;
};

static void list_dir(void *arg, int version, char *dir, size_t mount_len)
{
    struct listing *listing = arg;
    int n = snprintf(listing->text + listing->len, sizeof listing->text - listing->len, "v%d %.*s|%s\n", version,
                     (int)mount_len, dir, dir + mount_len);
    if (n > 0 && (size_t)n < sizeof listing->text - listing->len)
        listing->len += (size_t)n;
}

static bool finds(const char *groups, const char *mounts, const char *expected)
{
    struct listing listing = { .len = 0 };
    skuai_cgroup_find(groups, strlen(groups), mounts, strlen(mounts), list_dir, &listing);
    if (strcmp(listing.text, expected) == 0)
        return true;
    fprintf(stderr, "expected:\n%sfound:\n%s", expected, listing.text);
    return false;
}

#define V2_AT(id, root, point) id " 1 0:30 " root " " point " rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw\n"
#define V1_AT(id, root, point) id " 1 0:31 " root " " point " rw - cgroup cgroup rw,cpu,cpuacct\n"

TEST(cgroup_finds_own_group)
{
    CHECK(finds("0::/a/b\n", V2_AT("30", "/", "/sys/fs/cgroup"), "v2 /sys/fs/cgroup|/a/b\n"));
    CHECK(finds("0::/a/b", V2_AT("30", "/", "/sys/fs/cgroup"), "v2 /sys/fs/cgroup|/a/b\n"));
    CHECK(finds("0::/\n", V2_AT("30", "/", "/sys/fs/cgroup"), "v2 /sys/fs/cgroup|\n"));
    CHECK(finds("0::/odd:name\n", V2_AT("30", "/", "/cg"), "v2 /cg|/odd:name\n"));
    CHECK(finds("4:cpu,cpuacct:/x\n1:name=systemd:/y\n", V1_AT("30", "/", "/c"), "v1 /c|/x\n"));
    CHECK(finds("4:cpuacct,cpu:/x\n", V1_AT("30", "/", "/c"), "v1 /c|/x\n"));
    CHECK(finds("4:cpuset:/x\n5:cpuacct:/z\n", V1_AT("30", "/", "/c"), ""));
    CHECK(finds("4:cpu:/x\n", "1 0 0:1 / /c rw - cgroup cgroup rw,cpuset\n", ""));
    CHECK(finds("4:cpu:/x\n0::/y\n", V1_AT("30", "/", "/c") V2_AT("31", "/", "/u"), "v1 /c|/x\nv2 /u|/y\n"));
}

TEST(cgroup_finds_through_mounts)
{
    /* The mount shows a subtree: the group itself, or an ancestor of it. */
    CHECK(finds("0::/docker/abc\n", V2_AT("30", "/docker/abc", "/cg"), "v2 /cg|\n"));
    CHECK(finds("0::/docker/abc/init\n", V2_AT("30", "/docker/abc", "/cg"), "v2 /cg|/init\n"));
    /* A name that only begins alike is elsewhere, so the mount point stands for the group. */
    CHECK(finds("0::/docker/abcd\n", V2_AT("30", "/docker/abc", "/cg"), "v2 /cg|\n"));
    CHECK(finds("0::/\n", V2_AT("30", "/docker/abc", "/cg"), "v2 /cg|\n"));
    /* Escapes in both paths. */
    CHECK(finds("0::/a b\\c/d\n", V2_AT("30", "/a\\040b\\134c", "/my\\040cg\\011"), "v2 /my cg\t|/d\n"));
    /* Each mount that shows it is told of. */
    CHECK(finds("0::/a/b\n", V2_AT("30", "/", "/x") V2_AT("31", "/a", "/y"), "v2 /x|/a/b\nv2 /y|/b\n"));
    /* Another is stacked on the first. */
    CHECK(finds("0::/a/b\n",
                V2_AT("30", "/other", "/x") "31 30 0:30 /a /x rw - cgroup2 cgroup2 rw\n"
                                            "32 31 0:9 / /x/deeper rw - tmpfs tmpfs rw\n",
                "v2 /x|/b\n"));
    CHECK(finds("0::/a/b\n", V2_AT("30", "/", "/x") "31 30 0:9 / /x rw - tmpfs tmpfs rw\n", ""));
}

TEST(cgroup_finds_across_namespaces)
{
    /* Outside the namespace, and the mount shows the inside only: nothing known. */
    CHECK(finds("0::/../beside\n", V2_AT("30", "/", "/cg"), ""));
    CHECK(finds("0::/..\n", V2_AT("30", "/", "/cg"), ""));
    /* The mount was made outside: its root is an ancestor with unknown names between. */
    CHECK(finds("0::/\n", V2_AT("30", "/..", "/cg"), "v2 /cg|\n"));
    CHECK(finds("0::/in\n", V2_AT("30", "/../..", "/cg"), "v2 /cg|\n"));
    CHECK(finds("0::/../beside\n", V2_AT("30", "/../..", "/cg"), "v2 /cg|\n"));
    CHECK(finds("0::/../beside/x\n", V2_AT("30", "/..", "/cg"), "v2 /cg|/beside/x\n"));
    CHECK(finds("0::/../beside/x\n", V2_AT("30", "/../beside", "/cg"), "v2 /cg|/x\n"));
    CHECK(finds("0::/../..\n", V2_AT("30", "/..", "/cg"), ""));
    /* A name that begins with two dots is a name. */
    CHECK(finds("0::/..a\n", V2_AT("30", "/", "/cg"), "v2 /cg|/..a\n"));
}

TEST(cgroup_ignores_nonsense)
{
    CHECK(finds("", "", ""));
    CHECK(finds("\n\n::::\n0:\n0::\n0::relative\n", V2_AT("30", "/", "/cg"), ""));
    CHECK(finds("0::/a\n", "\n1\n1 2 3 4 5 6\n1 2 3 / /cg rw -\n1 2 3 / /cg rw - cgroup2\n", ""));
    CHECK(finds("0::/a\n", "1 0 0:1 / /cg rw no end of optional fields cgroup2 cgroup2 rw\n", ""));
    CHECK(finds("0::/a\n", V2_AT("30", "/", "relative"), ""));
    CHECK(finds("0::/a\n", V2_AT("30", "/", "/zero\\000byte"), ""));
    CHECK(finds("0::/a\n", V2_AT("30", "/", "/short\\04"), "v2 /short\\04|/a\n"));
    CHECK(finds("0::/a/../../etc\n", V2_AT("30", "/", "/cg"), "v2 /cg|\n")); /* never out of the mount */
    char *long_line = malloc(20000);
    CHECK(long_line != NULL);
    memset(long_line, 'x', 20000);
    memcpy(long_line, "0::/", 4);
    long_line[19999] = '\0';
    CHECK(finds(long_line, V2_AT("30", "/", "/cg"), ""));
    free(long_line);
}

static void measure_dir(void *arg, int version, char *dir, size_t mount_len)
{
    (void)version;
    (void)mount_len;
    *(size_t *)arg = strlen(dir);
}

/* The longest directory that a path can name, and one byte more. */
TEST(cgroup_longest_path)
{
    static const char mounts[] = V2_AT("30", "/", "/cg");
    char line[3 + PATH_MAX];
    size_t longest = PATH_MAX - 1 - strlen("/cg");
    size_t found = 0;
    memset(line, 'x', sizeof line);
    memcpy(line, "0::/", 4);
    skuai_cgroup_find(line, 3 + longest, mounts, strlen(mounts), measure_dir, &found);
    CHECK_EQ(found, PATH_MAX - 1);
    found = 0;
    skuai_cgroup_find(line, 3 + longest + 1, mounts, strlen(mounts), measure_dir, &found);
    CHECK_EQ(found, 0);
}

/* --- Whole machines --- */

static char root[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static bool machine_make(void)
{
    strcpy(root, "/tmp/skua-cgroup-XXXXXX");
    return mkdtemp(root) != NULL;
}

static void machine_remove(void)
{
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes root/path with all directories above it. */
static bool put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(full, 0700) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    if (!file)
        return false;
    bool ok = fputs(text, file) >= 0;
    return fclose(file) == 0 && ok;
}

static uint32_t quota(void)
{
    uint32_t millicpus = 7;
    return skuai_cgroup_cpu_quota(root, &millicpus) == 0 ? millicpus : 0;
}

TEST(cgroup_machine_without_groups)
{
    CHECK(machine_make());
    CHECK_EQ(quota(), NONE);
    CHECK(put("proc/self/cgroup", "0::/\n"));
    CHECK_EQ(quota(), NONE);
    CHECK(put("proc/self/mountinfo", V2_AT("30", "/", "/sys/fs/cgroup")));
    CHECK_EQ(quota(), NONE);
    machine_remove();
}

/* The smallest limit on the way up counts, wherever it is. */
TEST(cgroup_v2_ancestors)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "0::/slice/pod/ctr\n"));
    CHECK(put("proc/self/mountinfo", V2_AT("30", "/", "/sys/fs/cgroup")));
    CHECK(put("sys/fs/cgroup/slice/pod/ctr/cpu.max", "max 100000\n"));
    CHECK_EQ(quota(), NONE);
    CHECK(put("sys/fs/cgroup/slice/cpu.max", "400000 100000\n")); /* the pod's level has no file */
    CHECK_EQ(quota(), 4000);
    CHECK(put("sys/fs/cgroup/slice/pod/cpu.max", "25000 10000\n"));
    CHECK_EQ(quota(), 2500);
    CHECK(put("sys/fs/cgroup/slice/pod/ctr/cpu.max", "300000 100000\n"));
    CHECK_EQ(quota(), 2500);
    CHECK(put("sys/fs/cgroup/slice/pod/ctr/cpu.max", "50000 100000\n"));
    CHECK_EQ(quota(), 500);
    CHECK(put("sys/fs/cgroup/cpu.max", "10000 100000\n")); /* the root of a namespace can have one */
    CHECK_EQ(quota(), 100);
    CHECK(put("sys/fs/cpu.max", "1000 100000\n")); /* above the mount point: none of ours */
    CHECK_EQ(quota(), 100);
    CHECK(put("sys/fs/cgroup/slice/cpu.max", "nonsense\n"));
    CHECK_EQ(quota(), 100);
    machine_remove();
}

TEST(cgroup_v2_removed_group)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "0::/slice/gone (deleted)\n"));
    CHECK(put("proc/self/mountinfo", V2_AT("30", "/", "/sys/fs/cgroup")));
    CHECK(put("sys/fs/cgroup/slice/cpu.max", "150000 100000\n"));
    CHECK_EQ(quota(), 1500);
    machine_remove();
}

TEST(cgroup_v1_ancestors)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/pod/ctr\n1:name=systemd:/s\n"));
    CHECK(put("proc/self/mountinfo", "24 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                                     "25 24 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                     V1_AT("26", "/", "/sys/fs/cgroup/cpu,cpuacct")));
    CHECK(put("sys/fs/cgroup/cpu,cpuacct/pod/ctr/cpu.cfs_quota_us", "-1\n"));
    CHECK(put("sys/fs/cgroup/cpu,cpuacct/pod/ctr/cpu.cfs_period_us", "100000\n"));
    CHECK_EQ(quota(), NONE);
    CHECK(put("sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us", "75000\n"));
    CHECK_EQ(quota(), NONE); /* half a limit is none */
    CHECK(put("sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us", "50000\n"));
    CHECK_EQ(quota(), 1500);
    CHECK(put("sys/fs/cgroup/memory/m/cpu.cfs_quota_us", "1000\n")); /* another hierarchy's */
    CHECK(put("sys/fs/cgroup/memory/m/cpu.cfs_period_us", "100000\n"));
    CHECK_EQ(quota(), 1500);
    machine_remove();
}

/* Containers with version 1 usually mount their own group and see the path of outside. */
TEST(cgroup_v1_container)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n"));
    CHECK(put("proc/self/mountinfo", V1_AT("26", "/docker/abc", "/sys/fs/cgroup/cpu")));
    CHECK(put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000"));
    CHECK(put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"));
    CHECK_EQ(quota(), 2500);
    machine_remove();
}

TEST(cgroup_hybrid)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "4:cpu,cpuacct:/one\n0::/two\n"));
    CHECK(put("proc/self/mountinfo", V1_AT("26", "/", "/sys/fs/cgroup/cpu")
                                     V2_AT("27", "/", "/sys/fs/cgroup/unified")));
    CHECK(put("sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "300000\n"));
    CHECK(put("sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000\n"));
    CHECK(put("sys/fs/cgroup/unified/two/cgroup.procs", "1\n")); /* the usual case: no controller there */
    CHECK_EQ(quota(), 3000);
    CHECK(put("sys/fs/cgroup/unified/two/cpu.max", "200000 100000\n"));
    CHECK_EQ(quota(), 2000);
    machine_remove();
}

/* Two views of one hierarchy: the wider shows a limit that the nearer does not. */
TEST(cgroup_nested_mounts)
{
    CHECK(machine_make());
    CHECK(put("proc/self/cgroup", "0::/pod/ctr\n"));
    CHECK(put("proc/self/mountinfo", V2_AT("30", "/pod/ctr", "/sys/fs/cgroup") V2_AT("31", "/", "/host\\040cg")));
    CHECK(put("sys/fs/cgroup/cpu.max", "800000 100000\n"));
    CHECK_EQ(quota(), 8000);
    CHECK(put("host cg/pod/cpu.max", "600000 100000\n"));
    CHECK_EQ(quota(), 6000);
    machine_remove();
}

/* A mountinfo longer than the first read, with what matters at its end. */
TEST(cgroup_many_mounts)
{
    enum { LINES = 1500 };
    CHECK(machine_make());
    char *text = malloc(LINES * 80);
    CHECK(text != NULL);
    size_t len = 0;
    for (int i = 0; i < LINES; i++)
        len += (size_t)sprintf(text + len, "%d 1 0:%d / /mnt/%d rw,relatime - tmpfs tmpfs rw\n", 100 + i, i, i);
    strcpy(text + len, V2_AT("30", "/", "/sys/fs/cgroup"));
    CHECK(put("proc/self/cgroup", "0::/a\n"));
    CHECK(put("proc/self/mountinfo", text));
    CHECK(put("sys/fs/cgroup/a/cpu.max", "150000 100000\n"));
    CHECK_EQ(quota(), 1500);
    free(text);
    machine_remove();
}

TEST(cgroup_this_machine)
{
    uint32_t first;
    uint32_t second;
    CHECK_EQ(skuai_cgroup_cpu_quota("", &first), 0);
    CHECK_EQ(skuai_cgroup_cpu_quota("", &second), 0);
    CHECK(first > 0);
    CHECK_EQ(first, second);
}

/* --- Noise --- */

static uint64_t noise_state;

static uint32_t noise(uint32_t below)
{
    noise_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = noise_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

/* Pieces of both formats, joined at random, then a few bytes changed. The copy has its exact size, so that a sanitizer
 * sees a read past the end. */
static char *noisy_text(size_t *len)
{
    static const char *const pieces[] = {
        "0::/",     "4:cpu,cpuacct:/a", "/..",      "/../..", "/a/b", "\n", "\n", " ",    " - ",  "cgroup2",
        "cgroup",   "rw,cpu",           "\\040",    "\\0",    "\\",   ":",  ",",  "30 1", "0:30", "/sys/fs/cgroup",
        "max",      "100000",           "-1",       "999999999999999999999", "shared:1",  "/", ".",  "31 30",
        V2_AT("30", "/", "/cg"), V1_AT("31", "/a", "/c"), V2_AT("32", "/..", "/\\057"), "0::/../x/./y\n",
    };
    char buffer[4096];
    size_t n = 0;
    for (uint32_t count = noise(24); count > 0; count--) {
        const char *piece = pieces[noise(sizeof pieces / sizeof pieces[0])];
        memcpy(buffer + n, piece, strlen(piece));
        n += strlen(piece);
    }
    for (uint32_t count = n > 0 ? noise(4) : 0; count > 0; count--)
        buffer[noise((uint32_t)n)] = (char)noise(256);
    char *text = malloc(n > 0 ? n : 1);
    if (text && n > 0)
        memcpy(text, buffer, n);
    *len = n;
    return text;
}

struct noise_check {
    uint32_t found;
    bool ok;
};

/* Whatever the input, what is found is an absolute path that does not climb out of the mount. */
static void check_found(void *arg, int version, char *dir, size_t mount_len)
{
    struct noise_check *check = arg;
    const char *below = dir + mount_len;
    check->found++;
    check->ok = check->ok && (version == 1 || version == 2) && strlen(dir) >= mount_len && dir[0] == '/' &&
                (*below == '\0' || *below == '/') && !strstr(below, "/../") && !strstr(below, "/./");
}

TEST(cgroup_noise)
{
    struct noise_check check = { .ok = true };
    noise_state = 20250;
    for (int i = 0; i < 10000; i++) {
        size_t groups_len;
        size_t mounts_len;
        uint32_t millicpus = 0;
        char *groups = noisy_text(&groups_len);
        char *mounts = noisy_text(&mounts_len);
        CHECK(groups && mounts);
        skuai_cgroup_find(groups, groups_len, mounts, mounts_len, check_found, &check);
        if (skuai_cgroup_parse_max(groups, groups_len, &millicpus))
            check.ok = check.ok && millicpus > 0 && millicpus < NONE;
        if (skuai_cgroup_parse_cfs(groups, groups_len, mounts, mounts_len, &millicpus))
            check.ok = check.ok && millicpus > 0 && millicpus < NONE;
        free(mounts);
        free(groups);
    }
    CHECK(check.ok);
    CHECK(check.found > 100); /* the noise reaches the far end of the parsers */
}
