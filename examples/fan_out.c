/* Fan-out with limits: fetches a page, then the pages that it links to, and so on.
 *
 *     skua-fan_out [--limit N] [--page-ms N] [--total-ms N] http://127.0.0.1:8000/
 *
 * Each page is fetched by a fiber of its own, a member of one group:
 *   at most N at once   the group is limited. A start that finds no place says so, and the page stays in the queue
 *   each by a deadline  a scope in the fiber: connecting, writing and each read answer to it, and need not know
 *   all by a deadline   the one that takes results stops waiting then and cancels the group
 *   as they come        the group collects results, and they are taken in the order of the ends
 *   failures            cancel nobody: a page that fails is a result like others
 * Only the fiber that takes results knows what has been seen, so nothing here needs a lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skua.h>

#include "examples/http.h"

enum { BODY_MAX = 1 << 20 };

struct page {
    char *url;
    struct page *next; /* in the queue */
    int status;
    size_t bytes;
    char *body;        /* and a zero behind it */
};

static struct {
    unsigned long limit, page_ms, total_ms;
    const char *start;
} options = { 4, 10000, 60000, NULL };

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

static int read_body(struct page *page, skua_reader *in)
{
    ssize_t n = 0;
    size_t room = 0;
    do {
        page->bytes += (size_t)n;
        if (room - page->bytes < 2) {
            room = room > 0 ? 2 * room : 4096;
            char *larger = room <= BODY_MAX ? realloc(page->body, room) : NULL;
            if (larger == NULL)
                return room <= BODY_MAX ? -ENOMEM : -EFBIG;
            page->body = larger;
        }
    } while ((n = skua_reader_read(in, page->body + page->bytes, room - page->bytes - 1)) > 0);
    page->body[page->bytes] = '\0';
    return (int)n;
}

/* A fiber, a member of the group. */
static int fetch(void *arg)
{
    struct page *page = arg;
    struct http http;
    SKUA_DEADLINE(options.page_ms * SKUA_MS);
    int rc = http_get(&http, page->url);
    if (rc < 0)
        return rc;
    page->status = http.status;
    rc = read_body(page, &http.in);
    skua_stream_close(http.stream);
    return rc;
}

/* ---- what is to be fetched, and what has been seen --------------------------------------------------------------- */

static struct page *queue, **queue_end = &queue;
static void *seen; /* a tree of pages by their address; they stay */

static int by_url(const void *a, const void *b)
{
    return strcmp(((const struct page *)a)->url, ((const struct page *)b)->url);
}

/* Queues it if it is new. Takes the address over. */
static int add(char *url)
{
    struct page *page = url != NULL ? calloc(1, sizeof *page) : NULL;
    if (page == NULL) {
        free(url);
        return -ENOMEM;
    }
    page->url = url;
    struct page **found = tsearch(page, &seen, by_url);
    if (found != NULL && *found == page) {
        *queue_end = page;
        queue_end = &page->next;
        return 0;
    }
    free(url);
    free(page);
    return found != NULL ? 0 : -ENOMEM;
}

/* The links of a page: href="http://…", or href="/…" at the same host. */
static int add_links(const struct page *page)
{
    static const char mark[] = "href=\"";
    int host_length = (int)(strlen("http://") + strcspn(page->url + strlen("http://"), "/"));
    for (const char *at = page->body; (at = strstr(at, mark)) != NULL;) {
        char *url = NULL;
        at += strlen(mark);
        int length = (int)strcspn(at, "\"#");
        if (strncmp(at, "http://", 7) != 0 && at[0] != '/')
            continue;
        if (asprintf(&url, "%.*s%.*s", at[0] == '/' ? host_length : 0, page->url, length, at) < 0)
            return -ENOMEM;
        int rc = add(url);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void drop(void *arg)
{
    struct page *page = arg;
    free(page->url);
    free(page->body);
    free(page);
}

/* ---- the crawl --------------------------------------------------------------------------------------------------- */

/* Starts what there are places for. */
static int start_fetches(skua_group *group)
{
    while (queue != NULL) {
        struct page *page = queue;
        const skua_member_attr attr = { .tag = (uintptr_t)page, .flags = SKUA_MEMBER_TAGGED | SKUA_MEMBER_TRY };
        int rc = skua_group_go_with(group, &attr, fetch, page);
        if (rc < 0)
            return rc == -EAGAIN ? 0 : rc;
        if ((queue = page->next) == NULL)
            queue_end = &queue;
    }
    return 0;
}

static int run(void *arg)
{
    int rc = add(strdup(options.start)), pages = 0, failures = 0, taken = 0;
    uint64_t until_ns = skua_after(options.total_ms * SKUA_MS);
    (void)arg;
    SKUA_GROUP_WITH(group, &((skua_group_attr){ .limit = (uint32_t)options.limit,
                                                .flags = SKUA_GROUP_COLLECT | SKUA_GROUP_KEEP_GOING }));
    for (skua_group_result result;;) {
        if (rc == 0)
            rc = start_fetches(&group);
        if (rc < 0) /* late, or out of memory: what is under way ends, and is told, too */
            skua_group_cancel(&group);
        taken = skua_group_next_until(&group, &result, rc == 0 ? until_ns : SKUA_NEVER);
        if (taken == 0 || (taken < 0 && rc < 0))
            break;
        if (taken < 0) {
            rc = taken;
            continue;
        }
        struct page *page = (struct page *)(uintptr_t)result.tag;
        pages++;
        failures += result.value < 0;
        if (result.value < 0)
            printf("%s: %s\n", page->url, skua_strerror((int)result.value));
        else
            printf("%s: %d, %zu bytes\n", page->url, page->status, page->bytes);
        if (result.value == 0 && rc == 0)
            rc = add_links(page);
        free(page->body);
        page->body = NULL;
    }
    (void)skua_group_wait(&group); /* nobody uses the pages any more */
    printf("%d pages, %d of them failed%s%s\n", pages, failures, rc < 0 ? "; given up: " : "",
           rc < 0 ? skua_strerror(rc) : "");
    tdestroy(seen, drop);
    return rc < 0 || failures > 0;
}

int main(int argc, char **argv)
{
    static const struct option known[] = { { "limit", required_argument, NULL, 'l' },
                                           { "page-ms", required_argument, NULL, 'p' },
                                           { "total-ms", required_argument, NULL, 't' },
                                           { NULL, 0, NULL, 0 } };
    bool is_wrong = false;
    for (int option; (option = getopt_long(argc, argv, "l:p:t:", known, NULL)) != -1;) {
        unsigned long *value = option == 'l' ? &options.limit : option == 'p' ? &options.page_ms : &options.total_ms;
        *value = option != '?' ? strtoul(optarg, NULL, 10) : 0;
        is_wrong = is_wrong || *value == 0;
    }
    if (is_wrong || optind + 1 != argc) {
        fprintf(stderr, "usage: skua-fan_out [--limit N] [--page-ms N] [--total-ms N] http://HOST:PORT/PATH\n");
        return 2;
    }
    options.start = argv[optind];
    return skua_main(run, NULL);
}
