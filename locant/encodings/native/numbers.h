/* What the kernels share: numbers of 16 bits, and some numbers at a time in the widest registers that there are. */

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define LANES 16
#else
#define LANES 8
#endif

INLINE float widened(uint16_t number) {
    uint32_t bits = (uint32_t)number << 16;
    float wide;
    memcpy(&wide, &bits, 4);
    return wide;
}

/* To the nearest, ties to even. What is no number stays none: here it has no bits in its lower half that could carry
   into the sign, as it was widened or came of arithmetic. */
INLINE uint16_t narrowed(float wide) {
    uint32_t bits;
    memcpy(&bits, &wide, 4);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

typedef float wide __attribute__((vector_size(4 * LANES)));
typedef int32_t whole __attribute__((vector_size(4 * LANES)));

INLINE wide all(float number) { return number - (wide){0}; }
INLINE wide load(const float *from) { wide x; memcpy(&x, from, sizeof x); return x; }
INLINE void store(float *to, wide x) { memcpy(to, &x, sizeof x); }
INLINE wide pick(whole where, wide yes, wide no) { return (wide)((where & (whole)yes) | (~where & (whole)no)); }
INLINE wide largest(wide a, wide b) { return pick(a > b, a, b); }

/* The sum, and the largest, of all lanes, by halves. */
#define BY_HALVES(NAME, WITH)                                                                                          \
    INLINE float NAME(wide numbers) {                                                                                  \
        float lane[LANES];                                                                                             \
        store(lane, numbers);                                                                                          \
        for (int half = LANES / 2; half; half /= 2)                                                                    \
            for (int i = 0; i < half; i++) lane[i] = WITH(lane[i], lane[half + i]);                                    \
        return lane[0];                                                                                                \
    }
#define PLUS(a, b) ((a) + (b))
#define OR_LARGER(a, b) ((b) > (a) ? (b) : (a))
BY_HALVES(sum_of, PLUS)
BY_HALVES(largest_of, OR_LARGER)

/* exp(x) for x <= 0, to 2 units in the last place: 2^n e^r with |r| <= ln(2) / 2 and a polynomial for e^r (Cephes). 0
   below e^-64, of which nothing is left beside the largest, 1, and whose products would be slow, as they have fewer
   digits than other numbers. What is no number stays none. */
INLINE wide exponential(wide x) {
    wide n = x * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: what is behind the point is rounded away */
    whole power = (whole)n - 0x4b400000;
    n -= 12582912.0f;
    wide r = x - n * 0.693359375f - n * -2.12194440e-4f;
    wide p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    wide result = (wide)((whole)p + (power << 23));
    return pick(x < -64.0f, all(0), pick(x <= 0, result, x + x)); /* the last: no number */
}
