/*
 * One key at a time: put, get, del, exists. In the shell they answer in words on one line; as
 * commands put and del are silent, and get gives the bare bytes.
 */
#include "base/alloc.h"
#include "command.h"
#include "shell.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What the shell prints for a missing key. A stored value of the same bytes is printed with its
 * first one escaped, so that the two can be told apart. */
static const char not_found[] = "(not found)";

static int read_stdin(struct vv_buf *buf)
{
    enum { STEP = 1 << 16 };
    for (;;) {
        if (buf->size > VARVE_VALUE_SIZE_MAX)
            return cli_complain("the value on standard input exceeds 1 GiB");
        if (vv_buf_reserve(buf, STEP) < 0)
            return cli_complain("out of memory for the value");
        ssize_t got = read(STDIN_FILENO, buf->data + buf->size, buf->cap - buf->size);
        if (got == 0)
            return CLI_FINE;
        if (cli_interrupted())
            return CLI_ERROR;
        if (got < 0 && errno != EINTR)
            return cli_complain("cannot read standard input: %s", strerror(errno));
        buf->size += got > 0 ? (size_t)got : 0;
    }
}

static int answer_write(struct cli_job *job, int rc, const char *what)
{
    if (rc < 0)
        return cli_complain_store(rc, "%s", what);
    if (job->shell != NULL)
        cli_out_text(job->out, "OK\n");
    return CLI_FINE;
}

static int put(struct cli_job *job, varve_slice key, varve_slice value)
{
    varve_txn *txn = cli_txn(job);
    uint64_t ttl_ms = 0;
    if (cli_given(&job->args, CLI_OPT_TTL)) {
        if (txn != NULL)
            return cli_complain("put --ttl is no part of a transaction; end it first");
        if (cli_parse_time(cli_option_bytes(&job->args, CLI_OPT_TTL), &ttl_ms) != CLI_FINE)
            return CLI_ERROR;
        return answer_write(job, varve_put_ttl(job->db, key, value, ttl_ms), "put");
    }
    int rc = txn != NULL ? varve_txn_put(txn, job->db, key, value) : varve_put(job->db, key, value);
    return answer_write(job, rc, "put");
}

/* Opens the store itself, so that a put that cannot succeed does not leave a new store behind. */
int cli_run_put(struct cli_job *job)
{
    const struct cli_operand *operands = job->args.operands;
    struct vv_buf input = VV_BUF_INIT;
    varve_slice key = operands[0].bytes;
    int status = CLI_ERROR;

    if (job->shell != NULL)
        return job->args.count == 2 ? put(job, key, operands[1].bytes)
                                    : cli_complain("put takes a key and a value");
    if (key.size > VARVE_KEY_SIZE_MAX) {
        status = cli_complain("put: a key of %zu bytes exceeds the limit of %zu", key.size,
                              VARVE_KEY_SIZE_MAX);
        goto out;
    }
    varve_slice value = job->args.count == 2 ? operands[1].bytes : varve_bytes(NULL, 0);
    if (job->args.count == 1 || operands[1].is_dash) {
        if (read_stdin(&input) != CLI_FINE)
            goto out;
        value = varve_bytes(input.data, input.size);
    }
    if (cli_store_open(job, VARVE_MODE_CREATE) != CLI_FINE)
        goto out;
    status = cli_store_close(job, put(job, key, value));
out:
    vv_buf_deinit(&input);
    return status;
}

static void print_shell_value(struct cli_out *out, varve_slice value)
{
    size_t size = sizeof not_found - 1;
    if (value.size == size && memcmp(value.data, not_found, size) == 0)
        cli_out_printf(out, "\\x%02x%s", (unsigned)not_found[0], not_found + 1);
    else
        cli_out_escaped(out, value);
    cli_out_byte(out, '\n');
}

static void print_value(struct cli_job *job, varve_slice key, varve_slice value)
{
    struct cli_out *out = job->out;
    if (cli_given(&job->args, CLI_OPT_JSON)) {
        cli_out_byte(out, '{');
        cli_out_json_field(out, "key", key);
        cli_out_byte(out, ',');
        cli_out_json_field(out, "value", value);
        cli_out_text(out, "}\n");
    } else if (job->shell != NULL) {
        print_shell_value(out, value);
    } else {
        cli_out_bytes(out, value.data, value.size);
        if (out->is_terminal)
            cli_out_byte(out, '\n');
    }
}

int cli_run_get(struct cli_job *job)
{
    varve_slice key = job->args.operands[0].bytes;
    varve_pinned value = {0};
    varve_txn *txn = cli_txn(job);
    int rc =
        txn != NULL ? varve_txn_get(txn, job->db, key, &value) : varve_get(job->db, key, &value);
    if (rc < 0)
        return cli_complain_store(rc, "get");
    if (rc == VARVE_NOTFOUND) {
        if (job->shell != NULL)
            cli_out_printf(job->out, "%s\n", not_found);
        else if (isatty(STDERR_FILENO) == 1)
            cli_complain("no such key");
        return CLI_NO;
    }
    print_value(job, key, varve_bytes(value.data, value.size));
    varve_unpin(&value);
    return CLI_FINE;
}

static int gather_deletes(const struct cli_job *job, varve_batch *batch)
{
    const struct cli_args *args = &job->args;
    int rc = VARVE_OK;
    for (size_t i = 0; i < args->count && rc == VARVE_OK; i++)
        rc = varve_batch_delete_in(batch, job->db, args->operands[i].bytes);
    return rc;
}

static int delete_in(const struct cli_job *job, varve_txn *txn)
{
    const struct cli_args *args = &job->args;
    int rc = VARVE_OK;
    for (size_t i = 0; i < args->count && rc == VARVE_OK; i++)
        rc = varve_txn_delete(txn, job->db, args->operands[i].bytes);
    return rc;
}

static bool given_range(const struct cli_args *args)
{
    return cli_given(args, CLI_OPT_FROM) || cli_given(args, CLI_OPT_TO) ||
           cli_given(args, CLI_OPT_PREFIX);
}

static int del_range(struct cli_job *job)
{
    const struct cli_args *args = &job->args;
    varve_slice from = cli_option_bytes(args, CLI_OPT_FROM);
    varve_slice to = cli_option_bytes(args, CLI_OPT_TO);
    varve_slice prefix = cli_option_bytes(args, CLI_OPT_PREFIX);
    bool prefixed = cli_given(args, CLI_OPT_PREFIX);
    if (args->count > 0 || (prefixed && (from.data != NULL || to.data != NULL)))
        return cli_complain("give keys, or --from and --to, or --prefix");
    if (cli_txn(job) != NULL)
        return cli_complain("a transaction deletes keys, not ranges");
    return answer_write(job,
                        prefixed ? varve_delete_prefix(job->db, prefix)
                                 : varve_delete_range(job->db, from, to),
                        "del");
}

int cli_run_del(struct cli_job *job)
{
    if (given_range(&job->args))
        return del_range(job);
    if (job->args.count == 0)
        return cli_complain("varve del wants keys, or --from and --to, or --prefix");
    if (cli_txn(job) != NULL)
        return answer_write(job, delete_in(job, cli_txn(job)), "del");

    varve_batch *batch = NULL;
    int rc;
    if ((rc = varve_batch_new(&batch)) < 0)
        goto out;
    if ((rc = gather_deletes(job, batch)) < 0)
        goto out;
    rc = varve_write(job->db, batch, NULL);
out:
    varve_batch_free(batch);
    return answer_write(job, rc, "del");
}

int cli_run_exists(struct cli_job *job)
{
    varve_slice key = job->args.operands[0].bytes;
    varve_txn *txn = cli_txn(job);
    int rc = txn != NULL ? varve_txn_exists(txn, job->db, key) : varve_exists(job->db, key);
    if (rc < 0)
        return cli_complain_store(rc, "exists");
    if (!cli_given(&job->args, CLI_OPT_QUIET))
        cli_out_text(job->out, rc == VARVE_OK ? "yes\n" : "no\n");
    return rc == VARVE_OK ? CLI_FINE : CLI_NO;
}
