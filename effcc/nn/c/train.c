/* Layers for training that the library is slow at: depthwise convolution whose kernels may differ
 * by sample, and batch norm together with the activation behind it; forward and backward.
 *
 * Images are channels-last and contiguous, (batch, height, width, channels). Sums are taken in an
 * order that depends on the shape alone, so that a run has the same bits however threads race.
 */
#include "lanes.h"

typedef struct {
    int32_t batch, height, width, channels, kernel, stride, symmetric, shared; /* shared: one kernel */
} Depthwise;

/* The rows of one panel of one sample that a kernel is over, with zeros around them. */
typedef struct {
    float *rows, *nothing;
    const float *from;
    size_t row;
    int number, height, width, channels, count, before, made;
} Rows;

static size_t rows_size(int number, int padded) { return (size_t)(number + 1) * padded * PANEL; }

static Rows rows_of(float *memory, int number, int padded, int before, const float *from, int height,
                    int width, int channels, int panel) {
    Rows r = {.rows = memory, .row = (size_t)padded * PANEL, .number = number, .height = height,
              .width = width, .channels = channels, .before = before,
              .from = from + panel * PANEL, .count = least(channels - panel * PANEL, PANEL)};
    r.nothing = memory + number * r.row;
    memset(memory, 0, rows_size(number, padded) * sizeof(float));
    return r;
}

/* Row `y`, which must not be before the last `number` rows asked for. */
static const float *row_at(Rows *r, int y) {
    if (y < 0 || y >= r->height) return r->nothing;
    for (r->made = most(r->made, y - r->number + 1); r->made <= y; r->made++) {
        float *into = r->rows + r->made % r->number * r->row + (size_t)r->before * PANEL;
        const float *from = r->from + (size_t)r->made * r->width * r->channels;
        for (int x = 0; x < r->width; x++, into += PANEL, from += r->channels) {
            store(into, load_some(from, r->count));
            store(into + LANES, load_some(from + LANES, r->count - LANES));
        }
    }
    return r->rows + y % r->number * r->row;
}

/* The panel's kernel, (taps, PANEL). */
static void kernel_of(const float *kernels, int taps, int channels, int panel, float *into) {
    int count = least(channels - panel * PANEL, PANEL);
    for (int t = 0; t < taps; t++, into += PANEL) {
        const float *from = kernels + (size_t)t * channels + panel * PANEL;
        store(into, load_some(from, count));
        store(into + LANES, load_some(from + LANES, count - LANES));
    }
}

/* Sums over taps for some pixels `step` apart in `row`: w[i] goes with pixel at[i]. */
INLINE void gather_tile(const int pixels, int taps, const float *const *at, const int *w_at,
                        const float *w, int offset, int step, float *out, int out_step, int count) {
    vec sums[6][2];
    UNROLL for (int m = 0; m < pixels; m++) sums[m][0] = sums[m][1] = (vec){0};
    for (int t = 0; t < taps; t++) {
        const float *x = at[t] + (ptrdiff_t)offset * PANEL, *k = w + w_at[t];
        vec w0 = load(k), w1 = load(k + LANES);
        UNROLL for (int m = 0; m < pixels; m++) {
            sums[m][0] += w0 * load(x + m * step);
            sums[m][1] += w1 * load(x + m * step + LANES);
        }
    }
    UNROLL for (int m = 0; m < pixels; m++) {
        store_some(out + (ptrdiff_t)m * out_step, sums[m][0], count);
        store_some(out + (ptrdiff_t)m * out_step + LANES, sums[m][1], count - LANES);
    }
}
static void gather(int pixels, int taps, const float *const *at, const int *w_at, const float *w,
                   int stride, float *out, int out_step, int count) {
    int step = stride * PANEL, p = 0;
    for (; p + 6 <= pixels; p += 6)
        gather_tile(6, taps, at, w_at, w, p * stride, step, out + (ptrdiff_t)p * out_step, out_step, count);
    for (; p + 2 <= pixels; p += 2)
        gather_tile(2, taps, at, w_at, w, p * stride, step, out + (ptrdiff_t)p * out_step, out_step, count);
    for (; p < pixels; p++)
        gather_tile(1, taps, at, w_at, w, p * stride, step, out + (ptrdiff_t)p * out_step, out_step, count);
}

/* Whether one of `number` places, `step` apart from `first` on, is in a row of `size`: a tap that
 * only meets the zeros around a small map is left out. */
static int meets(int first, int step, int number, int size) {
    return first < size && first + (number - 1) * step >= 0;
}

/* y = x filtered; kernels (batch or 1, kernel * kernel, channels). */
void effcc_depthwise(const Depthwise *d, const float *x, const float *kernels, float *y) {
    int k = d->kernel, rows, columns, c = d->channels;
    int above = padding(d->height, k, d->stride, d->symmetric, &rows);
    int left = padding(d->width, k, d->stride, d->symmetric, &columns);
    int padded = most((columns - 1) * d->stride + k, left + d->width);
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (int s = 0; s < d->batch; s++)
        for (int p = 0; p < panels_of(c); p++) {
            float *memory = room(rows_size(k, padded) + (size_t)k * k * PANEL);
            float *w = memory + rows_size(k, padded);
            Rows r = rows_of(memory, k, padded, left, x + (size_t)s * d->height * d->width * c,
                             d->height, d->width, c, p);
            kernel_of(kernels + (d->shared ? 0 : (size_t)s * k * k * c), k * k, c, p, w);
            const float *at[k * k];
            int w_at[k * k];
            for (int o = 0; o < rows; o++) {
                int taps = 0;
                for (int i = 0; i < k; i++) {
                    int from = o * d->stride - above + i;
                    if (from < 0 || from >= d->height) continue;
                    const float *row = row_at(&r, from);
                    for (int j = 0; j < k; j++) {
                        if (!meets(j - left, d->stride, columns, d->width)) continue;
                        at[taps] = row + j * PANEL;
                        w_at[taps++] = (i * k + j) * PANEL;
                    }
                }
                gather(columns, taps, at, w_at, w, d->stride,
                       y + (((size_t)s * rows + o) * columns) * c + p * PANEL, c, r.count);
            }
        }
}

/* The gradient of x from that of y: input pixel (r, q) met tap (i, j) for output pixel
 * ((r + above - i) / stride, (q + left - j) / stride), where these are whole. */
void effcc_depthwise_to_input(const Depthwise *d, const float *dy, const float *kernels, float *dx) {
    int k = d->kernel, s = d->stride, rows, columns, c = d->channels;
    int above = padding(d->height, k, s, d->symmetric, &rows);
    int left = padding(d->width, k, s, d->symmetric, &columns);
    int padded = k + most(columns, d->width / s + 1) + k;
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (int b = 0; b < d->batch; b++)
        for (int p = 0; p < panels_of(c); p++) {
            float *memory = room(rows_size(k, padded) + (size_t)k * k * PANEL);
            float *w = memory + rows_size(k, padded);
            Rows r = rows_of(memory, k, padded, k, dy + (size_t)b * rows * columns * c, rows, columns,
                             c, p);
            kernel_of(kernels + (d->shared ? 0 : (size_t)b * k * k * c), k * k, c, p, w);
            const float *at[k * k];
            int w_at[k * k];
            for (int y = 0; y < d->height; y++)
                for (int first = 0; first < least(s, d->width); first++) {
                    int taps = 0, pixels = (d->width - first + s - 1) / s;
                    for (int i = k - 1; i >= 0; i--) { /* so that rows are asked for in order */
                        if ((y + above - i + k * s) % s) continue;
                        int o = (y + above - i + k * s) / s - k;
                        if (o < 0 || o >= rows) continue;
                        const float *row = row_at(&r, o);
                        for (int j = 0; j < k; j++) {
                            int from = (first + left - j + k * s) / s;
                            if ((first + left - j + k * s) % s) continue;
                            if (!meets(from - k, 1, pixels, columns)) continue;
                            at[taps] = row + from * PANEL;
                            w_at[taps++] = (i * k + j) * PANEL;
                        }
                    }
                    gather(pixels, taps, at, w_at, w, 1,
                           dx + (((size_t)b * d->height + y) * d->width + first) * c + p * PANEL,
                           s * c, r.count);
                }
        }
}

/* A row's share of the gradient of one row of the kernel. */
INLINE void tap_sums(const int kernel, int columns, const float *row, int step, const float *dy,
                     ptrdiff_t dy_step, int count, float *sums) {
    vec total[kernel];
    UNROLL for (int j = 0; j < kernel; j++) total[j] = load(sums + j * PANEL);
    for (int o = 0; o < columns; o++, row += step, dy += dy_step) {
        vec g = load_some(dy, count);
        UNROLL for (int j = 0; j < kernel; j++) total[j] += g * load(row + j * PANEL);
    }
    UNROLL for (int j = 0; j < kernel; j++) store(sums + j * PANEL, total[j]);
}

/* The gradient of each sample's kernel, (batch, kernel * kernel, channels). */
void effcc_depthwise_to_kernels(const Depthwise *d, const float *x, const float *dy, float *dw) {
    int k = d->kernel, rows, columns, c = d->channels;
    int above = padding(d->height, k, d->stride, d->symmetric, &rows);
    int left = padding(d->width, k, d->stride, d->symmetric, &columns);
    int padded = most((columns - 1) * d->stride + k, left + d->width);
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (int s = 0; s < d->batch; s++)
        for (int p = 0; p < panels_of(c); p++) {
            float *memory = room(rows_size(k, padded) + (size_t)k * k * PANEL);
            float *sums = memory + rows_size(k, padded);
            memset(sums, 0, (size_t)k * k * PANEL * sizeof(float));
            Rows r = rows_of(memory, k, padded, left, x + (size_t)s * d->height * d->width * c,
                             d->height, d->width, c, p);
            for (int o = 0; o < rows; o++) {
                const float *g = dy + (((size_t)s * rows + o) * columns) * c + p * PANEL;
                for (int i = 0; i < k; i++) {
                    int y = o * d->stride - above + i;
                    if (y < 0 || y >= d->height) continue;
                    const float *row = row_at(&r, y);
                    for (int v = 0; v < PANEL && v < r.count; v += LANES) {
                        float *into = sums + i * k * PANEL + v;
#define TAPS(K) tap_sums(K, columns, row + v, d->stride * PANEL, g + v, c, r.count - v, into)
                        if (k == 3) TAPS(3);
                        else if (k == 5) TAPS(5);
                        else
                            for (int j = 0; j < k; j++)
                                tap_sums(1, columns, row + v + j * PANEL, d->stride * PANEL, g + v, c,
                                         r.count - v, into + j * PANEL);
                    }
                }
            }
            for (int t = 0; t < k * k; t++) {
                float *into = dw + ((size_t)s * k * k + t) * c + p * PANEL;
                store_some(into, load(sums + t * PANEL), r.count);
                store_some(into + LANES, load(sums + t * PANEL + LANES), r.count - LANES);
            }
        }
}

/* Batch norm works on chunks of pixels that stay in cache; so many floats each. */
#define CHUNK 65536

static int chunk_pixels(int channels) { return most(1, CHUNK / channels); }
static int chunks_of(int64_t pixels, int channels) {
    return (int)((pixels + chunk_pixels(channels) - 1) / chunk_pixels(channels));
}

/* Floats of scratch that the batch norms need. */
int64_t effcc_norm_scratch(int64_t pixels, int channels) {
    return 2 * (int64_t)chunks_of(pixels, channels) * channels;
}

/* Mean and variance (biased) of every channel. A chunk's squares are taken around its first pixel,
 * so that no digits are lost to a large mean; chunks are joined in double precision (T. F. Chan,
 * G. H. Golub and R. J. LeVeque, 1979). */
void effcc_moments(int64_t pixels, int c, const float *x, float *scratch, float *mean,
                   float *variance) {
    int chunks = chunks_of(pixels, c), each = chunk_pixels(c);
#pragma omp parallel
    {
#pragma omp for
        for (int i = 0; i < chunks; i++) {
            int64_t first = (int64_t)i * each, last = first + each < pixels ? first + each : pixels;
            for (int v = 0; v < c; v += LANES) {
                const float *at = x + first * c + v;
                vec origin = load_some(at, c - v), sum = {0}, squares = {0};
                for (int64_t p = first; p < last; p++, at += c) {
                    vec y = load_some(at, c - v) - origin;
                    sum += y;
                    squares += y * y;
                }
                float n = (float)(last - first);
                store_some(scratch + (size_t)2 * i * c + v, origin + sum / n, c - v);
                store_some(scratch + (size_t)(2 * i + 1) * c + v, squares - sum * sum / n, c - v);
            }
        }
#pragma omp for
        for (int v = 0; v < c; v++) {
            double m = 0, around = 0, n = 0;
            for (int i = 0; i < chunks; i++) {
                double more = i + 1 < chunks ? each : (double)(pixels - (int64_t)i * each);
                double apart = scratch[(size_t)2 * i * c + v] - m;
                m += apart * more / (n + more);
                around += scratch[(size_t)(2 * i + 1) * c + v] + apart * apart * n * more / (n + more);
                n += more;
            }
            mean[v] = (float)m;
            variance[v] = (float)(around / n);
        }
    }
}

/* y = x * scale + shift, activated or not. */
void effcc_scale(int64_t pixels, int c, int activate, const float *x, const float *scale,
                 const float *shift, float *y) {
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++)
        for (int v = 0; v < c; v += LANES) {
            vec z = load_some(x + p * c + v, c - v) * load_some(scale + v, c - v)
                    + load_some(shift + v, c - v);
            store_some(y + p * c + v, activate ? silu(z) : z, c - v);
        }
}

/* The gradient before the activation: silu'(z) = s + z s (1 - s), s = sigmoid(z). */
INLINE vec before_activation(vec dy, vec z, int activate) {
    if (!activate) return dy;
    vec s = sigmoid(z);
    return dy * (s + z * s * (1.0f - s));
}

/* Sums over pixels of dz and of dz * (x - mean), z being what is activated. */
void effcc_norm_sums(int64_t pixels, int c, int activate, const float *x, const float *dy,
                     const float *mean, const float *scale, const float *shift, float *scratch,
                     float *sums, float *products) {
    int chunks = chunks_of(pixels, c), each = chunk_pixels(c);
#pragma omp parallel
    {
#pragma omp for
        for (int i = 0; i < chunks; i++) {
            int64_t first = (int64_t)i * each, last = first + each < pixels ? first + each : pixels;
            for (int v = 0; v < c; v += LANES) {
                int count = c - v;
                vec a = load_some(scale + v, count), b = load_some(shift + v, count);
                vec m = load_some(mean + v, count), sum = {0}, product = {0};
                for (int64_t p = first; p < last; p++) {
                    vec at = load_some(x + p * c + v, count);
                    vec dz = before_activation(load_some(dy + p * c + v, count), at * a + b, activate);
                    sum += dz;
                    product += dz * (at - m);
                }
                store_some(scratch + (size_t)2 * i * c + v, sum, count);
                store_some(scratch + (size_t)(2 * i + 1) * c + v, product, count);
            }
        }
#pragma omp for
        for (int v = 0; v < c; v++) {
            double sum = 0, product = 0;
            for (int i = 0; i < chunks; i++) {
                sum += scratch[(size_t)2 * i * c + v];
                product += scratch[(size_t)(2 * i + 1) * c + v];
            }
            sums[v] = (float)sum;
            products[v] = (float)product;
        }
    }
}

/* dx = scale * dz + slope * (x - mean) + offset: the sums above, as slope and offset, are what
 * mean and variance owe to x. */
void effcc_norm_to_input(int64_t pixels, int c, int activate, const float *x, const float *dy,
                         const float *mean, const float *scale, const float *shift,
                         const float *slope, const float *offset, float *dx) {
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++)
        for (int v = 0; v < c; v += LANES) {
            int count = c - v;
            vec at = load_some(x + p * c + v, count), a = load_some(scale + v, count);
            vec z = at * a + load_some(shift + v, count);
            vec dz = before_activation(load_some(dy + p * c + v, count), z, activate);
            vec dx_at = a * dz + load_some(slope + v, count) * (at - load_some(mean + v, count))
                        + load_some(offset + v, count);
            store_some(dx + p * c + v, dx_at, count);
        }
}

/* y = x * gate, with a gate (batch, channels) for every channel of a sample. */
void effcc_gate(int batch, int pixels, int c, const float *x, const float *gate, float *y) {
#pragma omp parallel for collapse(2)
    for (int s = 0; s < batch; s++)
        for (int p = 0; p < pixels; p++) {
            size_t at = ((size_t)s * pixels + p) * c;
            for (int v = 0; v < c; v += LANES)
                store_some(y + at + v, load_some(x + at + v, c - v) * load_some(gate + (size_t)s * c + v, c - v), c - v);
        }
}

/* Sums over pixels of x * y, (batch, channels): the gate's gradient from those of x and y. */
void effcc_gate_sums(int batch, int pixels, int c, const float *x, const float *y, float *sums) {
#pragma omp parallel for collapse(2)
    for (int s = 0; s < batch; s++)
        for (int v = 0; v < c; v += LANES) {
            size_t at = (size_t)s * pixels * c + v;
            vec sum = {0};
            for (int p = 0; p < pixels; p++, at += c) sum += load_some(x + at, c - v) * load_some(y + at, c - v);
            store_some(sums + (size_t)s * c + v, sum, c - v);
        }
}

/* dx = dy * gate + offset: what x owes to the gated values, and to the gate. */
void effcc_gate_to_input(int batch, int pixels, int c, const float *dy, const float *gate,
                         const float *offset, float *dx) {
#pragma omp parallel for collapse(2)
    for (int s = 0; s < batch; s++)
        for (int p = 0; p < pixels; p++) {
            size_t at = ((size_t)s * pixels + p) * c, of = (size_t)s * c;
            for (int v = 0; v < c; v += LANES, of += LANES)
                store_some(dx + at + v, load_some(dy + at + v, c - v) * load_some(gate + of, c - v)
                           + load_some(offset + of, c - v), c - v);
        }
}

/* A step of TensorFlow's RMSProp (see optim.py), in one pass over weights, gradient and state. */
void effcc_rmsprop(int64_t number, float lr, float decay, float momentum, float eps,
                   float weight_decay, const float *gradient, float *weights, float *squares,
                   float *momenta) {
#pragma omp parallel for if (number > 32768)
    for (int64_t i = 0; i < number; i += LANES) {
        int count = number - i < LANES ? (int)(number - i) : LANES;
        vec w = load_some(weights + i, count), s = load_some(squares + i, count);
        vec g = load_some(gradient + i, count) + weight_decay * w;
        s = s * decay + (1.0f - decay) * (g * g);
        vec m = load_some(momenta + i, count) * momentum + lr * (g / root(s + eps));
        store_some(squares + i, s, count);
        store_some(momenta + i, m, count);
        store_some(weights + i, w - m, count);
    }
}

/* averages += share * (values - averages) */
void effcc_average(int64_t number, float share, const float *values, float *averages) {
#pragma omp parallel for if (number > 32768)
    for (int64_t i = 0; i < number; i += LANES) {
        int count = number - i < LANES ? (int)(number - i) : LANES;
        vec a = load_some(averages + i, count);
        store_some(averages + i, a + share * (load_some(values + i, count) - a), count);
    }
}
