/* Samples from one file, what programs made of them to another: (program, events, tracing) and events, by sample. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

@declarations@

typedef int (*runner)(FILE *in, FILE *out, int64_t events, int tracing);

static const runner runners[] = {@runners@};

#ifdef PUMICE_TRACE
#define MOST_ARRAYS 16384
void pumice_trace(int node, int what, int64_t value);

/* What was traced, by node: values (0) and states (1). */
static struct {
    int64_t *values;
    size_t count, room;
} traced[MOST_ARRAYS];
static int tracing_now = 0;

void pumice_trace(int node, int what, int64_t value)
{
    const int at = 2 * node + what;
    if (!tracing_now) {
        return;
    }
    if (traced[at].count == traced[at].room) {
        traced[at].room = 2 * traced[at].room + 64;
        traced[at].values = realloc(traced[at].values, traced[at].room * sizeof *traced[at].values);
        if (traced[at].values == NULL) {
            exit(3);
        }
    }
    traced[at].values[traced[at].count++] = value;
}

static void write_traced(FILE *out)
{
    for (size_t at = 0; at < MOST_ARRAYS; at++) {
        const int64_t head[2] = {(int64_t)at, (int64_t)traced[at].count};
        if (traced[at].count > 0) {
            if (fwrite(head, sizeof *head, 2, out) != 2 ||
                fwrite(traced[at].values, sizeof *traced[at].values, traced[at].count, out) != traced[at].count) {
                exit(3);
            }
            traced[at].count = 0;
        }
    }
}
#endif

int main(int argc, char **argv)
{
    int64_t head[3];
    if (argc != 3) {
        return 2;
    }
    FILE *const in = fopen(argv[1], "rb"), *const out = fopen(argv[2], "wb");
    if (in == NULL || out == NULL) {
        return 2;
    }
    while (fread(head, sizeof *head, 3, in) == 3) {
#ifdef PUMICE_TRACE
        tracing_now = (int)head[2];
#endif
        const int failure = runners[head[0]](in, out, head[1], (int)head[2]);
        if (failure != 0) {
            return failure;
        }
#ifdef PUMICE_TRACE
        const int64_t end[2] = {-1, 0};
        write_traced(out);
        if (fwrite(end, sizeof *end, 2, out) != 2) {
            return 3;
        }
#endif
    }
#ifdef PUMICE_TRACE
    for (size_t at = 0; at < MOST_ARRAYS; at++) {
        free(traced[at].values);
    }
#endif
    return fclose(in) != 0 || fclose(out) != 0 ? 3 : 0;
}
