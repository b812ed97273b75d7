/* Runs the samples of one program, for comparisons with other backends; many harnesses make one executable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "@name@.h"

int @name@_run(FILE *in, FILE *out, int64_t events, int tracing);

static void put(FILE *out, int64_t number)
{
    if (fwrite(&number, sizeof number, 1, out) != 1) {
        exit(3);
    }
}

/* Reads ``events`` events, rows of values and rows of gaps; writes what the sample did. */
int @name@_run(FILE *in, FILE *out, int64_t events, int tracing)
{
    @name@_logit logits[@NAME@_CLASSES];
    @name@_state *const state = malloc(sizeof *state);
    @name@_input *const values = malloc(@inputs@ * sizeof *values);
    int64_t gaps[@NAME@_GAPS + 1];
    if (state == NULL || values == NULL) {
        return 3;
    }
    memset(state, 0xA5, sizeof *state);
    @name@_reset(state);
    for (int64_t k = 0; k < events; k++) {
        if (fread(values, sizeof *values, @inputs@, in) != @inputs@ ||
            fread(gaps, sizeof *gaps, @NAME@_GAPS, in) != @NAME@_GAPS) {
            return 4;
        }
        if (@call@ == @NAME@_REFUSED) {
            return 5;
        }
#ifdef @NAME@_SERIES
        for (size_t i = 0; i < @NAME@_SERIES; i++) {
            put(out, (int64_t)@name@_series(state)[i]);
        }
#endif
        if (tracing) {
            @name@_logits(state, logits);
        }
    }
    if (!tracing || events == 0) {
        @name@_logits(state, logits);
    }
    for (size_t i = 0; i < @NAME@_CLASSES; i++) {
        put(out, (int64_t)logits[i]);
    }
    put(out, @name@_ready(state));
    put(out, (int64_t)sizeof *state);
    for (size_t i = 0; i < @NAME@_NODES; i++) {
        put(out, state->saturations[i]);
    }
    for (size_t i = 0; i < @NAME@_NODES; i++) {
        put(out, state->clipped[i]);
    }
    free(values);
    free(state);
    return 0;
}
