/* Numbers side by side: vectors of floats, the functions that networks need of them, scratch. */
#ifndef EFFCC_LANES_H
#define EFFCC_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <omp.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define PANEL (2 * LANES) /* channels that are worked on together */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int most(int a, int b) { return a > b ? a : b; }
INLINE int panels_of(int channels) { return (channels + PANEL - 1) / PANEL; }

INLINE vec load(const float *p) { return *(const vec *)p; }
INLINE void store(float *p, vec v) { *(vec *)p = v; }
INLINE vec every(float f) { return f - (vec){0}; }

/* The first `count` lanes of memory; the others are zero, or left alone. */
INLINE vec load_some(const float *p, int count) {
    if (count >= LANES) return load(p);
    vec v = {0};
    if (count > 0) memcpy(&v, p, count * sizeof(float));
    return v;
}
INLINE void store_some(float *p, vec v, int count) {
    if (count >= LANES) store(p, v);
    else if (count > 0) memcpy(p, &v, count * sizeof(float));
}

/* What compilers do not recognise when it is written out in vectors: square root and minimum. */
INLINE vec root(vec x) {
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX__)
    return (vec)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < LANES; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

/* Of two numbers one of which is none, the instructions take the second: so it must be x. */
INLINE vec within(vec x, float limit) {
#if defined(__AVX512F__)
    x = (vec)_mm512_min_ps(_mm512_set1_ps(limit), (__m512)x);
    return (vec)_mm512_max_ps(_mm512_set1_ps(-limit), (__m512)x);
#elif defined(__AVX__)
    x = (vec)_mm256_min_ps(_mm256_set1_ps(limit), (__m256)x);
    return (vec)_mm256_max_ps(_mm256_set1_ps(-limit), (__m256)x);
#else
    for (int i = 0; i < LANES; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
    return x;
#endif
}

/* exp(-x) as 2^n * 2^f, f in -1/2..1/2, by a polynomial whose relative error is below 1e-7; not a
 * number stays one. The coefficients are a minimax fit of our own. */
INLINE vec exp_minus(vec x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    vec t = within(x * -1.44269504088896341f, 126.0f);
    vec shifted = t + magic;
    vec f = t - (shifted - magic);
    vec p = f * 1.327647129e-3f + 9.675540961e-3f;
    p = p * f + 5.550713092e-2f;
    p = p * f + 2.402212024e-1f;
    p = p * f + 6.931469440e-1f;
    p = p * f + 1.000000119f;
    return (vec)((ivec)p + ((ivec)shifted << 23));
}
INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exp_minus(x)); }
INLINE vec silu(vec x) { return x / (1.0f + exp_minus(x)); }

/* A thread's scratch memory: one piece, which lives as long as the thread. */
static float *room(size_t floats) {
    static _Thread_local float *memory;
    static _Thread_local size_t held;
    if (floats > held) {
        free(memory);
        memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
        if (!memory) abort();
        held = floats;
    }
    return memory;
}

/* TensorFlow's SAME, or kernel / 2 on every side: the zeros before, and the number of outputs. */
static int padding(int size, int kernel, int stride, int symmetric, int *outputs) {
    if (symmetric) {
        *outputs = (size + kernel / 2 * 2 - kernel) / stride + 1;
        return kernel / 2;
    }
    *outputs = (size + stride - 1) / stride;
    return most((*outputs - 1) * stride + kernel - size, 0) / 2;
}

#endif
