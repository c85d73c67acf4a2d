/* Causal attention with what an encoding adds to scores by distance, forward and backward, in float32 inside.

   One head of one row at a time, some queries at a time: products of a few rows with a few vectors that stay in
   registers, softmax while the scores lie in the second cache. Keys that nobody may see are left out of every product,
   eight queries at a time. Memory is that of one head and of the scores of BLOCK queries, whatever the length.

   Queries are the last of the keys. What is added to a query's scores lies together in memory, `step` numbers from that
   of the query before it: for what follows from distance, one row has it all, and step is -1. There are LANES numbers
   more behind it than there are keys, as so many are read at a time. */

#include <math.h>
#include <stdlib.h>

#include "numbers.h"

/* Sizes, strides and addresses, in numbers; strides of [batch, head, time]; the last columns lie close together. */
typedef struct {
    int64_t batch, heads, queries, time, width, columns; /* time: of keys; columns: of values */
    int64_t q[3], k[3], v[3], out[3];           /* out: also of the gradient of the output */
    int64_t to_q[3], to_k[3], to_v[3];
    int64_t row, step; /* of what is added, from a head to the next, or 0, and from a query to the next */
    int64_t threads, narrow; /* narrow: numbers are bfloat16 */
} Sizes;

#if LANES == 16
#define VECTORS 4 /* that a product holds of each row, next to ROWS rows */
#else
#define VECTORS 2
#endif
#define ROWS 4
#define GROUP 8   /* queries that see equally many keys in a product */
#define BLOCK 32  /* queries whose scores are held */
#define CHUNK 128 /* keys whose values stay in the first cache */

INLINE int64_t up_to(int64_t number, int64_t multiple) { return (number + multiple - 1) / multiple * multiple; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* C (+)= A B for `rows` rows and `vectors` vectors of C, which stay in registers. A is read at row * a_row + k * a_k. */
INLINE void held(int rows, int vectors, float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_k,
                 const float *b, int64_t b_row, int64_t count, int more) {
    wide sums[2 * ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < vectors; n++) sums[r][n] = more ? load(c + r * c_row + n * LANES) : all(0);
    for (int64_t k = 0; k < count; k++) {
        wide these[VECTORS];
        for (int n = 0; n < vectors; n++) these[n] = load(b + k * b_row + n * LANES);
        for (int r = 0; r < rows; r++) {
            wide one = all(a[r * a_row + k * a_k]);
            for (int n = 0; n < vectors; n++) sums[r][n] += one * these[n];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < vectors; n++) store(c + r * c_row + n * LANES, sums[r][n]);
}

/* The same for GROUP rows and any number of columns, a multiple of LANES. */
INLINE void product(float *c, int64_t c_row, const float *a, int64_t a_row, int64_t a_k, const float *b, int64_t b_row,
                    int64_t columns, int64_t count, int more) {
    int64_t j = 0;
    for (; j + VECTORS * LANES <= columns; j += VECTORS * LANES)
        for (int r = 0; r < GROUP; r += ROWS)
            held(ROWS, VECTORS, c + r * c_row + j, c_row, a + r * a_row, a_row, a_k, b + j, b_row, count, more);
#if VECTORS > 2
    for (; j + 2 * LANES <= columns; j += 2 * LANES)
        held(2 * ROWS, 2, c + j, c_row, a, a_row, a_k, b + j, b_row, count, more);
#endif
    for (; j < columns; j += LANES)
        held(2 * ROWS, 1, c + j, c_row, a, a_row, a_k, b + j, b_row, count, more);
}

INLINE float number_at(const void *from, int64_t at, int64_t narrow) {
    return narrow ? widened(((const uint16_t *)from)[at]) : ((const float *)from)[at];
}

INLINE void put(void *to, int64_t at, float number, int64_t narrow) {
    if (narrow)
        ((uint16_t *)to)[at] = narrowed(number);
    else
        ((float *)to)[at] = number;
}

/* Rows of memory as they lie, times a factor, into rows of `stride` numbers with zeros behind; or the other way round. */
static void pack(float *to, int64_t stride, const void *from, int64_t at, int64_t from_row, int64_t rows,
                 int64_t columns, float factor, int64_t narrow) {
    for (int64_t r = 0; r < rows; r++) {
        if (narrow)
            for (int64_t c = 0; c < columns; c++) to[r * stride + c] = factor * number_at(from, at + r * from_row + c, 1);
        else
            for (int64_t c = 0; c < columns; c++) to[r * stride + c] = factor * number_at(from, at + r * from_row + c, 0);
        for (int64_t c = columns; c < stride; c++) to[r * stride + c] = 0;
    }
}

static void unpack(void *to, int64_t at, int64_t to_row, const float *from, int64_t stride, int64_t rows,
                   int64_t columns, float factor, int64_t narrow) {
    for (int64_t r = 0; r < rows; r++) {
        if (narrow)
            for (int64_t c = 0; c < columns; c++) put(to, at + r * to_row + c, factor * from[r * stride + c], 1);
        else
            for (int64_t c = 0; c < columns; c++) put(to, at + r * to_row + c, factor * from[r * stride + c], 0);
    }
}

static void transpose(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows, int64_t columns) {
    for (int64_t tile = 0; tile < rows; tile += LANES)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t r = tile; r < tile + LANES; r++) to[c * to_row + r] = r < rows ? from[r * from_row + c] : 0;
}

/* What one thread works with. Lengths of rows are no power of two, so that rows do not push each other out of the
   cache: `long_row` of keys, `wide_row` of columns of queries and keys, `value_row` of those of values. */
typedef struct {
    int64_t long_row, wide_row, value_row, padded;
    float *k, *k_turned, *v, *v_turned, *q, *back, *scores, *others, *out, *to_k, *to_v, *memory;
} Scratch;

static Scratch scratch(const Sizes *n, int backward) {
    int64_t padded = up_to(n->time + GROUP, BLOCK), wide_row = up_to(n->width, LANES), value_row = up_to(n->columns, LANES);
    Scratch s = {.long_row = padded + 2 * LANES, .wide_row = wide_row, .value_row = value_row, .padded = padded};
    int64_t most = wide_row > value_row ? wide_row : value_row;
    int64_t sizes[] = {padded * wide_row, n->width * s.long_row, padded * value_row,
                       backward ? n->columns * s.long_row : 0, BLOCK * wide_row, BLOCK * value_row,
                       BLOCK * s.long_row, backward ? BLOCK * s.long_row : 0, BLOCK * most,
                       backward ? padded * wide_row : 0, backward ? padded * value_row : 0};
    float **parts[] = {&s.k, &s.k_turned, &s.v, &s.v_turned, &s.q, &s.back, &s.scores, &s.others, &s.out, &s.to_k, &s.to_v};
    int64_t total = LANES;
    for (int i = 0; i < 11; i++) total += up_to(sizes[i], LANES);
    s.memory = malloc(total * sizeof(float));
    if (!s.memory) return s;
    float *next = s.memory + (LANES - (uintptr_t)s.memory / 4 % LANES) % LANES;
    for (int i = 0; i < 11; i++) *parts[i] = next, next += up_to(sizes[i], LANES);
    return s;
}

/* Products of queries and keys of a block: each group of queries with the keys that one of them may see. */
static void all_scores(float *scores, const Scratch *s, const float *q, int64_t q_row, const float *turned,
                       int64_t start, int64_t rows, int64_t width) {
    int64_t step = VECTORS * LANES;
    for (int64_t j = 0; j < start + rows; j += step)
        for (int64_t r = 0; r < rows; r += GROUP) {
            int64_t columns = smaller(step, up_to(start + r + GROUP, LANES) - j);
            if (columns > 0)
                product(scores + r * s->long_row + j, s->long_row, q + r * q_row, q_row, 1, turned + j, s->long_row,
                        columns, width, 0);
        }
}

/* Weighted sums of rows of `table`, for each group of queries over what they see. */
static void weighted(float *out, int64_t out_row, const Scratch *s, const float *weights, const float *table,
                     int64_t start, int64_t rows) {
    for (int64_t j = 0; j < start + rows; j += CHUNK)
        for (int64_t r = 0; r < rows; r += GROUP) {
            int64_t count = smaller(CHUNK, start + r + GROUP - j);
            if (count > 0)
                product(out + r * out_row, out_row, weights + r * s->long_row + j, s->long_row, 1, table + j * out_row,
                        out_row, out_row, count, j > 0);
        }
}

/* Adds to every key's row what the queries of the block that see it give it. */
static void spread(float *to, int64_t to_row, const Scratch *s, const float *weights, const float *rows_of_queries,
                   int64_t start, int64_t rows) {
    for (int64_t j = 0; j < start + rows; j += GROUP) {
        int64_t first = j > start ? j - start : 0;
        product(to + j * to_row, to_row, weights + first * s->long_row + j, 1, s->long_row,
                rows_of_queries + first * to_row, to_row, to_row, rows - first, 1);
    }
}

static const whole NUMBERS = {0, 1, 2, 3, 4, 5, 6, 7
#if LANES == 16
                              , 8, 9, 10, 11, 12, 13, 14, 15
#endif
};

/* What the last vector of a row may show. */
INLINE whole visible(int64_t seen, int64_t last) { return NUMBERS < (int32_t)(seen - last); }

/* exp(score - largest) in place of the scores of one query, 0 from `seen` on; gives the sum. */
INLINE float weigh(float *scores, const float *more, int64_t seen, int64_t end, float *peak) {
    int64_t last = (seen - 1) / LANES * LANES;
    wide top = all(-INFINITY), sum = all(0);
    for (int64_t j = 0; j <= last; j += LANES) {
        wide score = load(scores + j);
        if (more) score += load(more + j);
        if (j == last) score = pick(visible(seen, last), score, all(-INFINITY));
        store(scores + j, score);
        top = largest(score, top);
    }
    *peak = largest_of(top);
    for (int64_t j = 0; j <= last; j += LANES) {
        wide weight = exponential(load(scores + j) - *peak);
        store(scores + j, weight);
        sum += weight;
    }
    for (int64_t j = last + LANES; j < end; j += LANES) store(scores + j, all(0));
    return sum_of(sum);
}

static void forward_head(const Sizes *n, const Scratch *s, const void *q, const void *k, const void *v,
                         const float *bias, void *out, float *kept, float scale, int64_t b, int64_t h) {
    pack(s->k, s->wide_row, k, b * n->k[0] + h * n->k[1], n->k[2], n->time, n->width, 1, n->narrow);
    transpose(s->k_turned, s->long_row, s->k, s->wide_row, n->time, n->width);
    pack(s->v, s->value_row, v, b * n->v[0] + h * n->v[1], n->v[2], n->time, n->columns, 1, n->narrow);
    memset(s->v + n->time * s->value_row, 0, (s->padded - n->time) * s->value_row * sizeof(float));
    for (int64_t start = 0; start < n->queries; start += BLOCK) {
        int64_t rows = smaller(BLOCK, n->queries - start), full = up_to(rows, GROUP), at = n->time - n->queries + start;
        pack(s->q, s->wide_row, q, b * n->q[0] + h * n->q[1] + start * n->q[2], n->q[2], rows, n->width, scale, n->narrow);
        memset(s->q + rows * s->wide_row, 0, (full - rows) * s->wide_row * sizeof(float));
        all_scores(s->scores, s, s->q, s->wide_row, s->k_turned, at, full, n->width);
        float peaks[BLOCK], parts[BLOCK];
        for (int64_t r = 0; r < full; r++) {
            float *scores = s->scores + r * s->long_row;
            int64_t end = up_to(at + r / GROUP * GROUP + GROUP, LANES);
            if (r >= rows) {
                memset(scores, 0, end * sizeof(float));
                continue;
            }
            const float *more = bias ? bias + h * n->row + (start + r) * n->step : 0;
            parts[r] = 1 / weigh(scores, more, at + r + 1, end, &peaks[r]);
        }
        if (kept) {
            memcpy(kept + start, peaks, rows * sizeof(float));
            memcpy(kept + n->batch * n->heads * n->queries + start, parts, rows * sizeof(float));
        }
        weighted(s->out, s->value_row, s, s->scores, s->v, at, full);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = r * s->value_row; c < (r + 1) * s->value_row; c += LANES)
                store(s->out + c, load(s->out + c) * parts[r]);
        unpack(out, b * n->out[0] + h * n->out[1] + start * n->out[2], n->out[2], s->out, s->value_row, rows,
               n->columns, 1, n->narrow);
    }
}

/* From the scores and the gradient of the weights of one query to its weights and the gradient of its scores, in place:
   W = part exp(score - peak) and W (dW - sum W dW). The latter is the gradient of what was added to the scores, too. */
INLINE void back(float *scores, float *to, const float *more, float *to_more, int64_t seen, int64_t end, float peak,
                 float part) {
    int64_t last = (seen - 1) / LANES * LANES;
    wide product = all(0);
    for (int64_t j = 0; j <= last; j += LANES) {
        wide score = load(scores + j), gradient = load(to + j);
        if (more) score += load(more + j);
        if (j == last) {
            score = pick(visible(seen, last), score, all(-INFINITY));
            gradient = pick(visible(seen, last), gradient, all(0));
            store(to + j, gradient);
        }
        wide weight = exponential(score - peak) * part;
        store(scores + j, weight);
        product += weight * gradient;
    }
    float minus = sum_of(product);
    for (int64_t j = 0; j <= last; j += LANES) {
        wide found = load(scores + j) * (load(to + j) - minus);
        if (to_more) store(to_more + j, load(to_more + j) + found);
        store(to + j, found);
    }
    for (int64_t j = last + LANES; j < end; j += LANES) store(scores + j, all(0)), store(to + j, all(0));
}

static void backward_head(const Sizes *n, const Scratch *s, const void *q, const void *k, const void *v,
                          const float *bias, const float *kept, const void *gradient, void *to_q, void *to_k, void *to_v,
                          float *to_bias, float scale, int64_t b, int64_t h) {
    pack(s->k, s->wide_row, k, b * n->k[0] + h * n->k[1], n->k[2], n->time, n->width, 1, n->narrow);
    transpose(s->k_turned, s->long_row, s->k, s->wide_row, n->time, n->width);
    memset(s->k + n->time * s->wide_row, 0, (s->padded - n->time) * s->wide_row * sizeof(float));
    pack(s->v, s->value_row, v, b * n->v[0] + h * n->v[1], n->v[2], n->time, n->columns, 1, n->narrow);
    transpose(s->v_turned, s->long_row, s->v, s->value_row, n->time, n->columns);
    memset(s->to_k, 0, s->padded * s->wide_row * sizeof(float));
    memset(s->to_v, 0, s->padded * s->value_row * sizeof(float));
    for (int64_t start = 0; start < n->queries; start += BLOCK) {
        int64_t rows = smaller(BLOCK, n->queries - start), full = up_to(rows, GROUP), at = n->time - n->queries + start;
        pack(s->q, s->wide_row, q, b * n->q[0] + h * n->q[1] + start * n->q[2], n->q[2], rows, n->width, scale, n->narrow);
        memset(s->q + rows * s->wide_row, 0, (full - rows) * s->wide_row * sizeof(float));
        pack(s->back, s->value_row, gradient, b * n->out[0] + h * n->out[1] + start * n->out[2], n->out[2], rows,
             n->columns, 1, n->narrow);
        memset(s->back + rows * s->value_row, 0, (full - rows) * s->value_row * sizeof(float));
        all_scores(s->scores, s, s->q, s->wide_row, s->k_turned, at, full, n->width);
        all_scores(s->others, s, s->back, s->value_row, s->v_turned, at, full, n->columns);
        for (int64_t r = 0; r < full; r++) {
            float *scores = s->scores + r * s->long_row, *to = s->others + r * s->long_row;
            int64_t end = up_to(at + r / GROUP * GROUP + GROUP, LANES), place = (start + r) * n->step;
            if (r < rows)
                back(scores, to, bias ? bias + h * n->row + place : 0, to_bias ? to_bias + place : 0, at + r + 1, end,
                     kept[start + r], kept[n->batch * n->heads * n->queries + start + r]);
            else
                memset(scores, 0, end * sizeof(float)), memset(to, 0, end * sizeof(float));
        }
        spread(s->to_v, s->value_row, s, s->scores, s->back, at, full);
        spread(s->to_k, s->wide_row, s, s->others, s->q, at, full);
        weighted(s->out, s->wide_row, s, s->others, s->k, at, full);
        unpack(to_q, b * n->to_q[0] + h * n->to_q[1] + start * n->to_q[2], n->to_q[2], s->out, s->wide_row, rows,
               n->width, scale, n->narrow);
    }
    unpack(to_k, b * n->to_k[0] + h * n->to_k[1], n->to_k[2], s->to_k, s->wide_row, n->time, n->width, 1, n->narrow);
    unpack(to_v, b * n->to_v[0] + h * n->to_v[1], n->to_v[2], s->to_v, s->value_row, n->time, n->columns, 1, n->narrow);
}

/* Every head of every row by one of the threads; a head of all rows `together` where they add to the same numbers.
   Gives 0, or 1 if there was no memory. */
#define EVERY_HEAD(BACKWARD, TOGETHER, CALL)                                                                           \
    int failed = 0;                                                                                                    \
    int64_t rows = (TOGETHER) ? n->batch : 1, turns = n->batch / rows * n->heads;                                      \
    _Pragma("omp parallel num_threads(n->threads) if (n->threads > 1) reduction(| : failed)") {                        \
        Scratch s = scratch(n, BACKWARD);                                                                              \
        failed |= !s.memory;                                                                                           \
        _Pragma("omp for") for (int64_t turn = 0; turn < turns; turn++) if (s.memory) {                                \
            int64_t h = turn % n->heads, first = turn / n->heads * rows;                                               \
            for (int64_t b = first; b < first + rows; b++) CALL;                                                       \
        }                                                                                                              \
        free(s.memory);                                                                                                \
    }                                                                                                                  \
    return failed;
#define KEPT(kept) ((kept) ? (kept) + (b * n->heads + h) * n->queries : 0)

/* kept: every query's largest score, and one over the sum of its exponentials, both [batch, head, query], for the way
   back; or null. */
int attention_forward(const Sizes *n, const void *q, const void *k, const void *v, const float *bias, void *out,
                      float *kept, float scale) {
    EVERY_HEAD(0, 0, forward_head(n, &s, q, k, v, bias, out, KEPT(kept), scale, b, h))
}

/* to_bias: the gradient of what was added is added there, at the place of the first query of the first head; `apart`
   from one head to the next. Or null. */
int attention_backward(const Sizes *n, const void *q, const void *k, const void *v, const float *bias, const float *kept,
                       const void *gradient, void *to_q, void *to_k, void *to_v, float *to_bias, int64_t apart,
                       float scale) {
    EVERY_HEAD(1, to_bias, backward_head(n, &s, q, k, v, bias, KEPT(kept), gradient, to_q, to_k, to_v,
                                         to_bias ? to_bias + h * apart : 0, scale, b, h))
}
