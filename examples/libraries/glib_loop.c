/* A service of Skua's in GLib's main loop, whose timers, signals and file operations go on beside it.
 *
 *     skua-glib_loop [tcp://127.0.0.1:0]
 *     $ nc 127.0.0.1 PORT
 *     /etc/hostname              what is the checksum of …?
 *     e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 bytes
 *
 * The service is an embedded runtime: a fiber for each connection, all on the loop's thread, in turns of two
 * milliseconds at most that are taken when the runtime's descriptor is readable. So fibers and GLib's callbacks share
 * `app` without locks.
 *
 * A fiber waits for what GLib calls back for, too (load()): the callback sets an event. If the fiber is cancelled it
 * cancels GLib's operation, and waits for the callback all the same, since that writes to the fiber's stack. Checksums
 * would hold the loop up, and are computed by an ordinary runtime with a worker for each processor.
 *
 * SIGTERM comes as a callback of GLib's: it cancels the service, and when that has ended, which is told by
 * skua_on_done(), the loop is left.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gio/gio.h>
#include <glib-unix.h>

#include <skua.h>

enum { LINE_MAX_BYTES = 4096, ANSWER_MAX_BYTES = 256 };

static struct {
    /* all on the loop's thread */
    skua_runtime *embedded, *workers;
    GMainLoop *loop;
    const char *address;
    skua_waker service;
    uint64_t files, ticks;
} app;

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "skua-glib_loop: %s: %s\n", what, skua_strerror(rc));
        exit(1);
    }
}

/* ---- in the loop: a fiber waits for GLib ------------------------------------------------------------------------- */

struct load {
    skua_event is_over;
    char *contents; /* NULL: it could not be read, and `error` says why */
    gsize size;
    GError *error;
};

static void on_loaded(GObject *file, GAsyncResult *result, gpointer data)
{
    struct load *load = data;
    (void)g_file_load_contents_finish(G_FILE(file), result, &load->contents, &load->size, NULL, &load->error);
    skua_event_set(&load->is_over);
}

/* Returns 0, or -ECANCELED; in either case the operation is over. */
static int wait_for_load(struct load *load, GCancellable *cancellable)
{
    int rc = skua_event_wait(&load->is_over);
    if (rc < 0) {
        g_cancellable_cancel(cancellable);
        SKUA_SHIELD();
        check(skua_event_wait(&load->is_over), "an operation of GLib's");
    }
    return rc;
}

static int load(struct load *load, const char *path)
{
    GFile *file = g_file_new_for_path(path);
    GCancellable *cancellable = g_cancellable_new();
    *load = (struct load){ .is_over = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL) };
    g_file_load_contents_async(file, cancellable, on_loaded, load);
    int rc = wait_for_load(load, cancellable);
    g_object_unref(cancellable);
    g_object_unref(file);
    return rc;
}

/* ---- for the workers --------------------------------------------------------------------------------------------- */

struct checksum {
    const struct load *of;
    char text[ANSWER_MAX_BYTES];
};

static int add_up(void *arg)
{
    struct checksum *checksum = arg;
    const struct load *of = checksum->of;
    char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)of->contents, of->size);
    snprintf(checksum->text, sizeof checksum->text, "%s %zu bytes\n", sum, (size_t)of->size);
    g_free(sum);
    return 0;
}

/* ---- in the loop: a fiber for each connection -------------------------------------------------------------------- */

static int answer(skua_stream *peer, const char *path)
{
    struct load loaded;
    struct checksum checksum = { .of = &loaded };
    int64_t rc = load(&loaded, path);
    app.files++;
    if (rc == 0 && loaded.contents == NULL)
        snprintf(checksum.text, sizeof checksum.text, "? %s\n", loaded.error->message);
    else if (rc == 0)
        rc = skua_block_on(app.workers, add_up, &checksum); /* suspends the fiber, not the loop */
    g_free(loaded.contents);
    g_clear_error(&loaded.error);
    return rc < 0 ? (int)rc : (int)skua_write_all(peer, checksum.text, strlen(checksum.text));
}

static int converse(void *arg)
{
    skua_stream *peer = arg;
    skua_reader reader;
    char buffer[LINE_MAX_BYTES], *line;
    skua_reader_init(&reader, peer, buffer, sizeof buffer);
    ssize_t n;
    while ((n = skua_read_until(&reader, '\n', &line)) > 0) {
        char *path = g_strndup(line, (gsize)n - (line[n - 1] == '\n'));
        int rc = answer(peer, path);
        g_free(path);
        if (rc < 0)
            break;
    }
    skua_stream_close(peer);
    return 0; /* that a client goes is no failure of the others' */
}

static int serve(void *arg)
{
    skua_listener *listener;
    skua_address address;
    skua_group connections;
    char text[SKUA_ADDRESS_TEXT_MAX];
    (void)arg;
    int rc = skua_listen(&listener, app.address, NULL);
    if (rc < 0)
        return rc;
    rc = skua_listener_address(listener, &address);
    if (rc == 0) {
        (void)skua_address_format(&address, text, sizeof text);
        printf("listening at %s\n", text);
        fflush(stdout);
    }
    skua_group_init(&connections);
    while (rc >= 0) {
        skua_stream *peer;
        rc = skua_accept(listener, &peer, NULL);
        if (rc >= 0 && (rc = skua_group_go(&connections, converse, peer)) < 0)
            skua_stream_close(peer);
    }
    skua_listener_close(listener);
    skua_group_cancel(&connections);
    (void)skua_group_wait(&connections);
    return rc == -ECANCELED ? 0 : rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* All that there is to do for Skua. If there is more the descriptor is still readable, and the others have their turn
 * first. */
static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    (void)fd, (void)condition, (void)data;
    check(skua_turn(app.embedded, 2 * SKUA_MS), "skua_turn");
    return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer data)
{
    (void)data;
    app.ticks++;
    return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer data)
{
    (void)data;
    skua_waker_cancel(app.service);
    return G_SOURCE_REMOVE;
}

/* In a turn, so on this thread. */
static void on_service_ended(void *context, int64_t result)
{
    (void)context;
    check((int)result, "the service");
    g_main_loop_quit(app.loop);
}

int main(int argc, char **argv)
{
    skua_task *task;
    app.address = argc > 1 ? argv[1] : "tcp://127.0.0.1:0";
    app.loop = g_main_loop_new(NULL, FALSE);
    guint terminate = g_unix_signal_add(SIGTERM, on_signal, NULL); /* before anybody can send one */
    check(skua_runtime_create(&app.embedded, &(skua_config){ .embed = true }), "the runtime");
    check(skua_runtime_create(&app.workers, NULL), "the workers");
    check(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = app.embedded, .name = "service" }, serve, NULL),
          "the service");
    app.service = skua_task_waker(task);
    check(skua_on_done(task, NULL, on_service_ended, NULL), "the service");

    guint readable = g_unix_fd_add(skua_embed_fd(app.embedded), G_IO_IN, on_readable, NULL);
    guint tick = g_timeout_add(5, on_tick, NULL);
    g_main_loop_run(app.loop);

    g_source_remove(tick);
    g_source_remove(readable); /* before the descriptor is closed */
    if (g_main_context_find_source_by_id(NULL, terminate) != NULL)
        g_source_remove(terminate);
    check(skua_runtime_destroy(app.workers), "the workers");
    check(skua_runtime_destroy(app.embedded), "the runtime");
    g_main_loop_unref(app.loop);
    printf("%llu files, %llu ticks\n", (unsigned long long)app.files, (unsigned long long)app.ticks);
    return 0;
}
