/* Rotations, and looking tokens up together with their positions: one pass over memory each.

   Every product and sum is rounded by itself, as the plain way rounds them (built without contraction), so results are
   those of the plain way to the last bit. Strides and sizes are in numbers, not in bytes. */

#include "numbers.h"

enum { BATCH, HEADS, TIME, PAIRS, X = 4, Y = 7, TABLE = 10, PLUS = 13, MINUS, THREADS };

#define SAME(number) (number)

/* One token of one head. plus, minus: 1 and -1, or the other way round for the negative angle. That one is the opposite
   of the other is kept from the compiler: GCC 12 would turn the difference and the sum of neighbours into one operation
   that does not round its products. */
#define ROW(NAME, NUMBER, WIDE, UP, DOWN)                                                                              \
    INLINE void half_##NAME(const NUMBER *restrict x, NUMBER *restrict y, const WIDE *restrict cosine,                 \
                            const WIDE *restrict sine, int64_t pairs, WIDE plus, WIDE minus) {                         \
        for (int64_t i = 0; i < pairs; i++) {                                                                          \
            WIDE one = UP(x[i]), other = UP(x[pairs + i]);                                                             \
            y[i] = DOWN(one * cosine[i] + other * (minus * sine[i]));                                                  \
            y[pairs + i] = DOWN(other * cosine[i] + one * (plus * sine[i]));                                           \
        }                                                                                                              \
    }                                                                                                                  \
    INLINE void interleaved_##NAME(const NUMBER *restrict x, NUMBER *restrict y, const WIDE *restrict cosine,          \
                                   const WIDE *restrict sine, int64_t pairs, WIDE plus, WIDE minus) {                  \
        for (int64_t i = 0; i < pairs; i++) {                                                                          \
            WIDE one = UP(x[2 * i]), other = UP(x[2 * i + 1]);                                                         \
            y[2 * i] = DOWN(one * cosine[i] + other * (minus * sine[i]));                                              \
            y[2 * i + 1] = DOWN(other * cosine[i] + one * (plus * sine[i]));                                           \
        }                                                                                                              \
    }

/* All of them, in the order of the memory that is read: of each token all heads, or of each head all tokens. */
#define WALK(ROW, NUMBER, WIDE, OUTER, INNER, PAIRS_HERE)                                                              \
    for (int64_t outer = 0; outer < n[BATCH] * n[OUTER]; outer++)                                                      \
        for (int64_t inner = 0; inner < n[INNER]; inner++) {                                                           \
            int64_t b = outer / n[OUTER], o = outer % n[OUTER];                                                        \
            int64_t from = b * n[X] + o * n[X + OUTER] + inner * n[X + INNER];                                         \
            int64_t to = b * n[Y] + o * n[Y + OUTER] + inner * n[Y + INNER];                                           \
            int64_t at = b * n[TABLE] + o * n[TABLE + OUTER] + inner * n[TABLE + INNER];                               \
            ROW((const NUMBER *)x + from, (NUMBER *)y + to, (const WIDE *)cosine + at, (const WIDE *)sine + at,        \
                PAIRS_HERE, (WIDE)n[PLUS], (WIDE)n[MINUS]);                                                            \
        }
#define PARALLEL _Pragma("omp parallel for num_threads(n[THREADS]) if (n[THREADS] > 1)")
#define ORDERED(ROW, NUMBER, WIDE, PAIRS_HERE)                                                                         \
    if (n[X + HEADS] < n[X + TIME]) {                                                                                  \
        PARALLEL WALK(ROW, NUMBER, WIDE, TIME, HEADS, PAIRS_HERE)                                                      \
    } else {                                                                                                           \
        PARALLEL WALK(ROW, NUMBER, WIDE, HEADS, TIME, PAIRS_HERE)                                                      \
    }
/* A number of pairs that the compiler knows makes loops without remainders: for heads of 16, 32 and 64 columns. */
#define SIZED(ROW, NUMBER, WIDE)                                                                                       \
    switch (n[PAIRS]) {                                                                                                \
    case 8: ORDERED(ROW, NUMBER, WIDE, 8) break;                                                                       \
    case 16: ORDERED(ROW, NUMBER, WIDE, 16) break;                                                                     \
    case 32: ORDERED(ROW, NUMBER, WIDE, 32) break;                                                                     \
    default: ORDERED(ROW, NUMBER, WIDE, n[PAIRS])                                                                      \
    }
#define UNSIZED(ROW, NUMBER, WIDE) ORDERED(ROW, NUMBER, WIDE, n[PAIRS])
#define ROTATION(NAME, NUMBER, WIDE, UP, DOWN, SIZED)                                                                  \
    ROW(NAME, NUMBER, WIDE, UP, DOWN)                                                                                  \
    static void rotate_half_##NAME(const void *x, void *y, const void *cosine, const void *sine, const int64_t *n) {   \
        SIZED(half_##NAME, NUMBER, WIDE)                                                                               \
    }                                                                                                                  \
    static void rotate_interleaved_##NAME(const void *x, void *y, const void *cosine, const void *sine,                \
                                          const int64_t *n) {                                                          \
        SIZED(interleaved_##NAME, NUMBER, WIDE)                                                                        \
    }

ROTATION(float32, float, float, SAME, SAME, SIZED)
ROTATION(bfloat16, uint16_t, float, widened, narrowed, SIZED)
ROTATION(float64, double, double, SAME, SAME, UNSIZED)

typedef void (*rotation)(const void *, void *, const void *, const void *, const int64_t *);
static const rotation ROTATIONS[] = {rotate_half_float32,        rotate_half_bfloat16,        rotate_half_float64,
                                     rotate_interleaved_float32, rotate_interleaved_bfloat16, rotate_interleaved_float64};

/* Rotates x into y, and x2 into y2 if it is there, by one table. kind: the type of number, and 3 more for neighbours. */
void rotate(const void *x, void *y, const void *x2, void *y2, const void *cosine, const void *sine, const int64_t *n,
            int kind) {
    ROTATIONS[kind](x, y, cosine, sine, n);
    if (x2) ROTATIONS[kind](x2, y2, cosine, sine, n);
}

/* Rows of a table of bytes, each followed by the bytes of its position. Tokens at one position follow each other, so that
   its bytes are read from memory once. Gives -1, or the place of an id that the table does not have. */
int64_t look_up_beside(const char *table, int64_t row, int64_t rows, const int64_t *ids, int64_t count, const char *code,
                       int64_t columns, int64_t times, char *out) {
    for (int64_t time = 0; time < times; time++)
        for (int64_t i = time; i < count; i += times) {
            if (ids[i] < 0 || ids[i] >= rows) return i;
            memcpy(out + i * (row + columns), table + ids[i] * row, row);
            memcpy(out + i * (row + columns) + row, code + time * columns, columns);
        }
    return -1;
}

#define ADDED(NAME, NUMBER, UP, DOWN)                                                                                  \
    static int64_t added_##NAME(const NUMBER *restrict table, int64_t width, int64_t rows, const int64_t *restrict ids, \
                                int64_t count, const NUMBER *restrict code, int64_t times, NUMBER *restrict out) {     \
        for (int64_t time = 0; time < times; time++)                                                                   \
            for (int64_t i = time; i < count; i += times) {                                                            \
                if (ids[i] < 0 || ids[i] >= rows) return i;                                                            \
                const NUMBER *token = table + ids[i] * width, *place = code + time * width;                            \
                for (int64_t j = 0; j < width; j++) out[i * width + j] = DOWN(UP(token[j]) + UP(place[j]));            \
            }                                                                                                          \
        return -1;                                                                                                     \
    }

ADDED(float32, float, SAME, SAME)
ADDED(bfloat16, uint16_t, widened, narrowed)
ADDED(float64, double, SAME, SAME)

/* Rows of a table, each with the vector of its position added, in the same order. kind: the type of number. */
int64_t look_up_added(const void *table, int64_t width, int64_t rows, const int64_t *ids, int64_t count,
                      const void *code, int64_t times, void *out, int kind) {
    if (kind == 0) return added_float32(table, width, rows, ids, count, code, times, out);
    if (kind == 1) return added_bfloat16(table, width, rows, ids, count, code, times, out);
    return added_float64(table, width, rows, ids, count, code, times, out);
}
