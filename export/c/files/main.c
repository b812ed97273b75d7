/* Reads a network's input from standard input and prints its decisions: a line an event or step, of whole numbers with
   spaces or commas between them, and an empty line behind each recording but the last.

   @format@ */
#include <stdio.h>

#include "@name@.h"

@take@

#define END_OF_LINE 0
#define NUMBER 1
#define END_OF_FILE (-1)
#define NO_NUMBER (-2)

/* The next number of the line. */
static int read_number(long long *number)
{
    int letter = getchar(), sign = 1;
    while (letter == ' ' || letter == ',' || letter == '\t' || letter == '\r') {
        letter = getchar();
    }
    if (letter == EOF || letter == '\n') {
        return letter == EOF ? END_OF_FILE : END_OF_LINE;
    }
    if (letter == '-') {
        sign = -1;
        letter = getchar();
    }
    if (letter < '0' || letter > '9') {
        return NO_NUMBER;
    }
    *number = 0;
    while (letter >= '0' && letter <= '9') {
        if (*number > 100000000000000000LL) {
            return NO_NUMBER;
        }
        *number = 10 * *number + (letter - '0');
        letter = getchar();
    }
    *number *= sign;
    (void)ungetc(letter, stdin);
    return NUMBER;
}

static void tell(@name@_state *state)
{
    @name@_logit logits[@NAME@_CLASSES];
    const int best = @name@_decide(state);
    @name@_logits(state, logits);
    printf("%d %s%s:", best, @name@_class_names[best], @name@_ready(state) ? "" : " (no complete window)");
    for (size_t i = 0; i < @NAME@_CLASSES; i++) {
        printf(" %lld", (long long)logits[i]);
    }
    printf("\n");
}

static @name@_state state;

int main(void)
{
    long long numbers[COLUMNS + 1];
    long line = 1, events = 0;
    int found = END_OF_LINE;
    @name@_reset(&state);
    while (found != END_OF_FILE) {
        size_t count = 0;
        while ((found = read_number(&numbers[count])) == NUMBER && count < COLUMNS) {
            count++;
        }
        if (count == 0 && found != NO_NUMBER) {
            if (events > 0) {
                tell(&state);
                @name@_reset(&state);
                events = 0;
            }
        } else if (found == NO_NUMBER || found == NUMBER || count != COLUMNS) {
            fprintf(stderr, "line %ld: %d whole numbers are expected\n", line, COLUMNS);
            return 2;
        } else if (take(&state, numbers) == @NAME@_REFUSED) {
            fprintf(stderr, "line %ld: the event is outside of what the network takes\n", line);
            return 2;
        } else {
            events++;
        }
        line++;
    }
    if (events > 0) {
        tell(&state);
    }
    return 0;
}
