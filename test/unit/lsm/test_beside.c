/*
 * A reader that opens beside a writer: at any of the reader's calls the writer may flush, retire its
 * logs and write over them. The reader gets a state with all that was acknowledged before it began.
 */
#include "engine_world.h"

#include "env/thread.h"

enum { LARGE = 8 << 10, OLD = 700, FIRST = 40 };

/* Between the n-th call of the reader and the one before it, the writer acts. */
static struct {
    const struct vv_env_ops *ops;
    struct world *writer;
    void (*act)(struct world *writer);
    unsigned left; /* calls until then; 0: not any more */
} hook;

static void act_as_writer(void *arg)
{
    (void)arg;
    hook.act(hook.writer);
}

/* The writer is another thread: the locks that the reader holds are not his. */
static void note_call(void)
{
    struct vv_thread *writer;
    if (hook.left == 0 || --hook.left > 0)
        return;
    CHECK_OK(vv_thread_start("writer", 0, act_as_writer, NULL, &writer));
    vv_thread_join(writer);
}

static int hooked_open(struct vv_env *env, const char *path, enum vv_open_mode mode,
                       struct vv_file **out)
{
    note_call();
    return hook.ops->open(env, path, mode, out);
}

static int hooked_read_at(struct vv_file *file, uint64_t offset, void *into, size_t want,
                          size_t *got)
{
    note_call();
    return hook.ops->read_at(file, offset, into, want, got);
}

static int hooked_info(struct vv_env *env, const char *path, struct vv_path_info *out)
{
    note_call();
    return hook.ops->info(env, path, out);
}

static int hooked_list(struct vv_env *env, const char *path, struct vv_buf *names)
{
    note_call();
    return hook.ops->list(env, path, names);
}

static const char *name_of(const char *kind, unsigned i, char into[16])
{
    (void)snprintf(into, 16, "%.6s%05u", kind, i);
    return into;
}

static void write_many(struct world *w, const char *kind, unsigned count)
{
    char key[16];
    for (unsigned i = 0; i < count; i++)
        world_write(w, name_of(kind, i, key), 1, LARGE);
}

static void check_many(struct world *w, const char *kind, unsigned count)
{
    char key[16];
    for (unsigned i = 0; i < count; i++)
        world_check(w, name_of(kind, i, key), 1, LARGE);
}

/* A store that is large enough for its logs to be written over. */
static struct vv_env *make_store(struct world *w)
{
    struct vv_env *image;
    world_create(w);
    world_close(w);
    w->options.log_mode = VV_LSM_LOG_RECYCLE;
    w->options.value_log_min = UINT32_MAX;
    w->options.tuning.memtable_bytes = 1 << 20;
    w->options.tuning.table_bytes = 1 << 20;
    w->options.tuning.base_level_bytes = 16 << 20;
    w->options.tuning.spare_bytes = 1 << 20;
    world_open(w);
    for (unsigned i = 0; i < OLD; i += 100) {
        write_many(w, "old", 100);
        world_flush(w);
    }
    world_close(w);
    CHECK_OK(vv_sim_image(w->env, vv_sim_call_count(w->env), VV_SIM_ALL, 0, &image));
    world_free(w);
    return image;
}

/* All logs there are become obsolete, and the largest is written over. */
static void write_over(struct world *w)
{
    world_write(w, "new", 1, 100);
    world_flush(w);
    CHECK_EQ_U64(world_files(w, ".spare"), 1);
    world_write(w, "new", 2, 100);
    world_flush(w);
    CHECK_EQ_U64(world_files(w, ".spare"), 0);
    write_many(w, "new", FIRST);
}

static void flush(struct world *w)
{
    world_write(w, "new", 1, 100);
    world_flush(w);
}

/* A writer with changes in a memtable that waits to be flushed, and in the next. */
static void begin_writing(struct world *w)
{
    uint64_t ticket;
    world_open(w);
    write_many(w, "first", FIRST);
    CHECK_OK(w->engine->ops->flush_begin(w->engine, &ticket));
    write_many(w, "second", 2);
}

/* From here on the writer acts before the n-th of the calls that go through `ops`. */
static void hook_in(struct world *w, struct vv_env_ops *ops, unsigned n,
                    void (*act)(struct world *))
{
    *ops = *w->env->ops;
    hook.ops = w->env->ops;
    hook.writer = w;
    hook.act = act;
    hook.left = n;
    ops->open = hooked_open;
    ops->read_at = hooked_read_at;
    ops->info = hooked_info;
    ops->list = hooked_list;
    w->env->ops = ops;
}

/* False when the reader was done before its n-th call. */
static bool hook_out(struct world *w)
{
    bool acted = hook.left == 0;
    hook.left = 0;
    w->env->ops = hook.ops;
    return acted;
}

static void open_beside(struct world *reader, struct vv_env *env)
{
    world_init(reader, env);
    reader->options.readonly = true;
    world_open(reader);
}

static void writer_of(const struct world *base, struct world *w)
{
    struct vv_env *env;
    CHECK_OK(vv_sim_image(base->env, 0, VV_SIM_ALL, 0, &env));
    world_init(w, env);
    w->options.log_mode = base->options.log_mode;
    w->options.value_log_min = base->options.value_log_min;
    w->options.tuning = base->options.tuning;
}

static bool open_reader(const struct world *base, unsigned n, void (*act)(struct world *writer))
{
    struct world w, reader;
    struct vv_env_ops ops;
    writer_of(base, &w);
    begin_writing(&w);
    hook_in(&w, &ops, n, act);
    open_beside(&reader, w.env);
    bool acted = hook_out(&w);
    check_many(&reader, "first", FIRST);
    check_many(&reader, "second", 2);
    world_close(&reader);
    world_free(&w);
    return acted;
}

/* The same for a reader that is there already: an iterator of it stays where it is. */
static bool refresh_reader(const struct world *base, unsigned n, void (*act)(struct world *writer))
{
    struct world w, reader;
    struct vv_env_ops ops;
    struct vv_engine_iter_options all = {.at = VV_SEQ_NOW};
    struct vv_iter *it;
    vv_seq seq;
    writer_of(base, &w);
    world_open(&w);
    open_beside(&reader, w.env);
    world_check_gone(&reader, "first00000");
    CHECK_OK(reader.engine->ops->iter(reader.engine, &all, &seq, &it));
    world_close(&w);
    begin_writing(&w);
    hook_in(&w, &ops, n, act);
    CHECK_OK(reader.engine->ops->refresh(reader.engine));
    bool acted = hook_out(&w);
    check_many(&reader, "first", FIRST);
    check_many(&reader, "second", 2);
    check_many(&reader, "old", 100);
    CHECK_OK(vv_iter_seek(it, vv_slice_str("first"), VV_SEQ_MAX));
    CHECK(it->valid && vv_slice_starts(it->at.key, vv_slice_str("old")));
    vv_iter_close(it);
    CHECK_OK(reader.engine->ops->refresh(reader.engine));
    check_many(&reader, "second", 2);
    world_close(&reader);
    world_free(&w);
    return acted;
}

static void sweep(bool (*read)(const struct world *base, unsigned n, void (*act)(struct world *)),
                  void (*act)(struct world *writer))
{
    struct world base;
    struct vv_env *env = make_store(&base);
    base.env = env;
    unsigned n = 1;
    while (read(&base, n, act))
        n++;
    CHECK(n > 20);
    vv_env_sim_free(env);
}

TEST(a_flush_in_the_middle_of_opening_takes_nothing_from_a_reader)
{
    sweep(open_reader, flush);
}

TEST(a_log_that_is_written_over_while_a_reader_reads_it_is_not_believed)
{
    sweep(open_reader, write_over);
}

TEST(a_flush_in_the_middle_of_refreshing_takes_nothing_from_a_reader)
{
    sweep(refresh_reader, flush);
}

TEST(a_log_that_is_written_over_while_a_reader_refreshes_is_not_believed)
{
    sweep(refresh_reader, write_over);
}

TEST(a_reader_whose_store_was_replaced_says_so_and_stays_as_it_is)
{
    struct world w, reader;
    world_create(&w);
    world_write(&w, "a", 1, 100);
    open_beside(&reader, w.env);
    world_close(&w);
    struct vv_buf names = VV_BUF_INIT;
    CHECK_OK(vv_env_list(w.env, WORLD_DIR, &names));
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1) {
        char path[64];
        (void)snprintf(path, sizeof path, WORLD_DIR "/%.40s", (const char *)names.data + at);
        CHECK_OK(vv_env_remove(w.env, path));
    }
    vv_buf_deinit(&names);
    CHECK_RC(reader.engine->ops->refresh(reader.engine), VV_MISSING);
    world_check(&reader, "a", 1, 100);
    w.options.create = true;
    world_open(&w);
    world_write(&w, "a", 2, 100);
    CHECK_RC(reader.engine->ops->refresh(reader.engine), VV_INVALID);
    world_check(&reader, "a", 1, 100);
    world_close(&reader);
    world_free(&w);
}
