/* Known answers: recordings, and the logits that every implementation of this program gives. On a microcontroller call
   @name@_known_answers(), with the macro NO_MAIN; 0 is right. */
#ifndef NO_MAIN
#include <stdio.h>
#endif

#include "@name@.h"

int @name@_known_answers(void);

@data@

/* How many logits are not as they should be. */
int @name@_known_answers(void)
{
    static @name@_state state;
    @name@_logit logits[@NAME@_CLASSES];
    size_t event = 0;
    int wrong = 0;
    for (size_t sample = 0; sample < SAMPLES; sample++) {
        @name@_reset(&state);
        for (uint32_t k = 0; k < lengths[sample]; k++) {
            if (@call@ == @NAME@_REFUSED) {
                return SAMPLES * @NAME@_CLASSES;
            }
            event++;
        }
        @name@_logits(&state, logits);
        for (size_t i = 0; i < @NAME@_CLASSES; i++) {
            wrong += logits[i] != answers[sample][i];
        }
    }
    return wrong;
}

#ifndef NO_MAIN
int main(void)
{
    const int wrong = @name@_known_answers();
    printf("%d of %d logits differ from those of the program (0 is right)\n", wrong, SAMPLES * @NAME@_CLASSES);
    return wrong != 0;
}
#endif
