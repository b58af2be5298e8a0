#include "input.h"

#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_STEP = 1 << 18 };

int cli_input_open(struct cli_input *in, const char *name, enum cli_lines lines)
{
    *in = (struct cli_input){.fd = STDIN_FILENO, .name = name, .lines = lines, .line_next = 1};
    if (strcmp(name, "-") == 0) {
        in->name = "standard input";
        return CLI_FINE;
    }
    in->fd = open(name, O_RDONLY | O_CLOEXEC);
    return in->fd < 0 ? cli_complain("cannot open '%s': %s", name, strerror(errno)) : CLI_FINE;
}

void cli_input_close(struct cli_input *in)
{
    if (in->fd > STDIN_FILENO)
        (void)close(in->fd);
    vv_buf_deinit(&in->buf);
    *in = (struct cli_input){.fd = -1};
}

/* The newline that ends the line at `at`, or NULL if what was read holds none. */
static uint8_t *find_end(struct cli_input *in)
{
    struct vv_buf *buf = &in->buf;
    while (in->scanned < buf->size) {
        uint8_t *from = buf->data + in->scanned;
        uint8_t *newline = memchr(from, '\n', buf->size - in->scanned);
        uint8_t *end = newline != NULL ? newline : buf->data + buf->size;
        if (in->lines == CLI_LINES_QUOTED) {
            for (uint8_t *at = from; (at = memchr(at, '"', (size_t)(end - at))) != NULL; at++)
                in->in_quotes = !in->in_quotes;
        }
        in->scanned = (size_t)(end - buf->data) + (newline != NULL);
        in->line_next += newline != NULL;
        if (newline != NULL && !in->in_quotes)
            return newline;
    }
    return NULL;
}

static int read_more(struct cli_input *in)
{
    struct vv_buf *buf = &in->buf;
    if (in->at > 0) {
        memmove(buf->data, buf->data + in->at, buf->size - in->at);
        buf->size -= in->at;
        in->scanned -= in->at;
        in->at = 0;
    }
    if (buf->size > CLI_LINE_SIZE_MAX)
        return cli_complain("%s:%llu: a line of more than %zu bytes", in->name,
                            (unsigned long long)in->line, CLI_LINE_SIZE_MAX);
    if (vv_buf_reserve(buf, INPUT_STEP) < 0)
        return cli_complain("%s:%llu: out of memory for a line of more than %zu bytes", in->name,
                            (unsigned long long)in->line, buf->size);
    ssize_t got = read(in->fd, buf->data + buf->size, buf->cap - buf->size);
    if (got < 0 && errno != EINTR)
        return cli_complain("cannot read '%s': %s", in->name, strerror(errno));
    buf->size += got > 0 ? (size_t)got : 0;
    in->is_over = got == 0;
    return CLI_FINE;
}

enum cli_input_result cli_input_line(struct cli_input *in, uint8_t **line, size_t *size)
{
    in->line = in->line_next;
    uint8_t *end;
    while ((end = find_end(in)) == NULL && !in->is_over) {
        if (cli_interrupted())
            return CLI_INPUT_END;
        if (read_more(in) != CLI_FINE)
            return CLI_INPUT_FAILED;
    }
    if (end == NULL && in->at == in->buf.size)
        return CLI_INPUT_END;
    uint8_t *begin = in->buf.data + in->at;
    if (end == NULL) { /* the last line needs no newline */
        end = in->buf.data + in->buf.size;
        in->at = in->buf.size;
    } else {
        in->at = in->scanned;
    }
    *line = begin;
    *size = (size_t)(end - begin);
    in->bytes += *size + 1;
    return CLI_INPUT_LINE;
}
