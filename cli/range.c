#include "range.h"

#include "shell.h"

enum { CHUNK_COUNT = 256 };

struct walk {
    varve_iter *iter;
    enum cli_parts parts;
    uint64_t left;
    int (*visit)(void *context, varve_slice key, varve_slice value);
    void *context;
};

static int walk_forward(struct walk *w)
{
    varve_slice keys[CHUNK_COUNT];
    varve_slice values[CHUNK_COUNT] = {0};
    int status = CLI_FINE;
    while (status == CLI_FINE && w->left > 0 && !cli_interrupted()) {
        size_t want = w->left < CHUNK_COUNT ? (size_t)w->left : CHUNK_COUNT;
        size_t count = 0;
        int rc = varve_iter_chunk(w->iter, keys, w->parts == CLI_KEYS_ONLY ? NULL : values, want,
                                  &count);
        if (rc < 0)
            return cli_complain_store(rc, "scan");
        if (rc == VARVE_END)
            break;
        for (size_t i = 0; i < count && status == CLI_FINE; i++)
            status = w->visit(w->context, keys[i], values[i]);
        w->left -= count;
    }
    return status;
}

static int walk_backward(struct walk *w)
{
    int status = CLI_FINE;
    int rc = varve_iter_last(w->iter);
    while (rc == VARVE_OK && status == CLI_FINE && w->left > 0 && !cli_interrupted()) {
        varve_slice value = {0};
        if (w->parts == CLI_KEYS_AND_VALUES && (rc = varve_iter_value(w->iter, &value)) < 0)
            break;
        status = w->visit(w->context, varve_iter_key(w->iter), value);
        /* The entry behind the last one wanted need not be looked for. */
        if (--w->left > 0)
            rc = varve_iter_prev(w->iter);
    }
    return rc < 0 ? cli_complain_store(rc, "scan") : status;
}

int cli_range_walk(const struct cli_job *job, enum cli_parts parts,
                   int (*visit)(void *context, varve_slice key, varve_slice value), void *context)
{
    struct walk w = {.parts = parts, .left = UINT64_MAX, .visit = visit, .context = context};
    varve_iter_options options = VARVE_ITER_OPTIONS_INIT;
    options.lower = cli_option_bytes(&job->args, CLI_OPT_FROM);
    options.upper = cli_option_bytes(&job->args, CLI_OPT_TO);
    options.prefix = cli_option_bytes(&job->args, CLI_OPT_PREFIX);
    options.keys_only = parts == CLI_KEYS_ONLY;
    if (cli_option_count(&job->args, CLI_OPT_LIMIT, 0, UINT64_MAX, &w.left) != CLI_FINE)
        return CLI_ERROR;
    varve_txn *txn = cli_txn(job);
    int rc = txn != NULL ? varve_txn_iter_open(txn, job->db, &options, &w.iter)
                         : varve_iter_open(job->db, &options, &w.iter);
    if (rc < 0)
        return cli_complain_store(rc, "scan");
    int status = cli_given(&job->args, CLI_OPT_REVERSE) ? walk_backward(&w) : walk_forward(&w);
    varve_iter_close(w.iter);
    return status;
}
