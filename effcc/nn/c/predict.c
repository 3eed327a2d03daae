/* EfficientNet's layers for prediction, plain or conditional, a block a call.
 *
 * What this is for is what a library of convolutions cannot do. Every sample has kernels of its own:
 * they are mixed from the experts where they are used, in cache, and never stored. A block's wide
 * map is made a few rows at a time, filtered while it is in cache, and only the filtered map goes
 * through memory. The squeeze-and-excite gates are multiplied into the project kernels.
 *
 * Images are channels-last, (batch, height, width, channels). Kernels are packed in panels of PANEL
 * output channels, (panels, experts, taps, PANEL), a plain layer having one expert; channels past
 * the end are zeros, in biases too. Batch norm has been folded into kernels and biases.
 */
#include "lanes.h"

/* Pixels a tile: as many as leave a panel's sums and weights in registers. */
#ifdef __AVX512F__
#define TILE 14
#else
#define TILE 6
#endif

typedef struct {
    int32_t in, mid, out, kernel, stride, symmetric, experts, squeezed, expands, residual;
    const float *route, *route_bias;     /* (experts, in), (experts): none if not conditional */
    const float *expand, *expand_bias;   /* `in` taps: none if it does not expand */
    const float *filter, *filter_bias;   /* kernel * kernel taps */
    const float *reduce, *reduce_bias;   /* (squeezed, mid), (squeezed) */
    const float *restore, *restore_bias; /* (squeezed, mid), (mid) */
    const float *project, *project_bias; /* `mid` taps */
} Block;

int effcc_panel(void) { return PANEL; }

/* What becomes of the products of a panel's channels with some pixels. */
typedef struct {
    const float *bias, *residual; /* residual: none, or as `out` */
    float *out, *total;           /* none, or where the sum over pixels is added */
    ptrdiff_t step;               /* floats between pixels of `out` */
    int activate, channels;       /* channels: how many of the panel's there are */
} Finish;

/* One tile of sums over taps of x[pixel * step + tap] * w[tap], for each of the panel's channels, in
 * `lines` of `taps` contiguous numbers, `line` apart: one line for a pointwise layer. */
INLINE void multiply(const int pixels, const int vectors, const float *x, ptrdiff_t step, int lines,
                     ptrdiff_t line, int taps, const float *w, const float *bias, vec (*into)[2]) {
    vec sums[TILE][2];
    UNROLL for (int m = 0; m < pixels; m++) {
        sums[m][0] = load(bias);
        sums[m][1] = load(bias + LANES);
    }
    for (int i = 0; i < lines; i++, x += line)
        for (int t = 0; t < taps; t++, w += PANEL) {
            vec w0 = load(w), w1 = load(w + LANES);
            UNROLL for (int m = 0; m < pixels; m++) {
                sums[m][0] += x[m * step + t] * w0;
                if (vectors > 1) sums[m][1] += x[m * step + t] * w1;
            }
        }
    UNROLL for (int m = 0; m < pixels; m++) {
        into[m][0] = sums[m][0];
        if (vectors > 1) into[m][1] = sums[m][1];
    }
}
INLINE void finish_lanes(const int whole, const int activate, int pixels, int v, vec (*sums)[2],
                         const Finish *to) {
    int count = whole ? LANES : to->channels - v * LANES;
    vec total = {0};
    for (int m = 0; m < pixels; m++) {
        vec y = activate ? silu(sums[m][v]) : sums[m][v];
        if (to->residual) y += load_some(to->residual + m * to->step + v * LANES, count);
        total += y;
        if (to->out) store_some(to->out + m * to->step + v * LANES, y, count);
    }
    if (to->total) store(to->total + v * LANES, load(to->total + v * LANES) + total);
}
static void finish(int pixels, vec (*sums)[2], const Finish *to) {
    for (int v = 0; v * LANES < to->channels; v++)
        if (to->channels - v * LANES >= LANES)
            if (to->activate) finish_lanes(1, 1, pixels, v, sums, to);
            else finish_lanes(1, 0, pixels, v, sums, to);
        else if (to->activate) finish_lanes(0, 1, pixels, v, sums, to);
        else finish_lanes(0, 0, pixels, v, sums, to);
}

/* A row of pixels, in tiles of nearly one length. */
static void pixels_through(int number, const float *x, ptrdiff_t step, int lines, ptrdiff_t line,
                           int taps, const float *w, Finish to) {
    int tiles = (number + TILE - 1) / TILE;
    vec sums[TILE][2];
    for (int i = 0; i < tiles; i++) {
        int n = number / tiles + (i < number % tiles);
        switch (n) {
#define CASE(M)                                                                              \
    case M:                                                                                  \
        if (to.channels > LANES) multiply(M, 2, x, step, lines, line, taps, w, to.bias, sums); \
        else multiply(M, 1, x, step, lines, line, taps, w, to.bias, sums);                   \
        break;
            CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if TILE > 6
            CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
        }
        finish(n, sums, &to);
        x += n * step;
        if (to.out) to.out += n * to.step;
        if (to.residual) to.residual += n * to.step;
    }
}

/* A panel's kernel: the experts' mixed by `routing`, tap t times gate[t]; either may be none. */
INLINE void mix_some(const int experts, const float *panel, int taps, const float *routing,
                     const float *gate, float *into) {
    size_t expert = (size_t)taps * PANEL;
    for (int t = 0; t < taps; t++, panel += PANEL, into += PANEL) {
        float g = gate ? gate[t] : 1.0f;
        vec a = {0}, b = {0};
        for (int e = 0; e < experts; e++) {
            float f = routing ? routing[e] * g : g;
            a += f * load(panel + e * expert);
            b += f * load(panel + e * expert + LANES);
        }
        store(into, a);
        store(into + LANES, b);
    }
}
static const float *mixed(const float *panel, int taps, int experts, const float *routing,
                          const float *gate, float *into) {
    if (!routing && !gate) return panel;
    switch (experts) {
    case 1: mix_some(1, panel, taps, routing, gate, into); break;
    case 4: mix_some(4, panel, taps, routing, gate, into); break;
    case 8: mix_some(8, panel, taps, routing, gate, into); break;
    default: mix_some(experts, panel, taps, routing, gate, into);
    }
    return into;
}

/* Some pixels of a filtered row: rows[i] is the padded input row under the kernel's row i. */
INLINE void filter_tile(const int pixels, const int vectors, const int kernel, const int stride,
                        const float *const *rows, int first, const float *w, const Finish *to) {
    vec sums[6][2];
    UNROLL for (int m = 0; m < pixels; m++) {
        sums[m][0] = load(to->bias);
        sums[m][1] = load(to->bias + LANES);
    }
    for (int i = 0; i < kernel; i++) {
        const float *row = rows[i] + (ptrdiff_t)first * stride * PANEL;
        UNROLL for (int j = 0; j < kernel; j++, w += PANEL) {
            vec w0 = load(w), w1 = load(w + LANES);
            UNROLL for (int m = 0; m < pixels; m++) {
                const float *x = row + (m * stride + j) * PANEL;
                sums[m][0] += w0 * load(x);
                if (vectors > 1) sums[m][1] += w1 * load(x + LANES);
            }
        }
    }
    UNROLL for (int v = 0; v < vectors; v++) {
        vec total = load(to->total + v * LANES);
        UNROLL for (int m = 0; m < pixels; m++) {
            vec y = silu(sums[m][v]);
            total += y;
            store_some(to->out + m * to->step + v * LANES, y, to->channels - v * LANES);
        }
        store(to->total + v * LANES, total);
    }
}
INLINE void filter_row_of(const int vectors, const int kernel, const int stride, int width,
                          const float *const *rows, const float *w, Finish to) {
    int first = 0;
    for (; first + 6 <= width; first += 6, to.out += 6 * to.step)
        filter_tile(6, vectors, kernel, stride, rows, first, w, &to);
    for (; first + 2 <= width; first += 2, to.out += 2 * to.step)
        filter_tile(2, vectors, kernel, stride, rows, first, w, &to);
    for (; first < width; first++, to.out += to.step)
        filter_tile(1, vectors, kernel, stride, rows, first, w, &to);
}
static void filter_row(int kernel, int stride, int width, const float *const *rows, const float *w,
                       Finish to) {
#define FILTER(K, S)                                                         \
    if (kernel == K && stride == S) {                                        \
        if (to.channels > LANES) filter_row_of(2, K, S, width, rows, w, to); \
        else filter_row_of(1, K, S, width, rows, w, to);                     \
        return;                                                              \
    }
    FILTER(3, 1) FILTER(3, 2) FILTER(5, 1) FILTER(5, 2)
    filter_row_of(2, kernel, stride, width, rows, w, to);
}

/* Expand and filter some output rows of one panel of channels of one sample. */
static void front(const Block *b, int panel, int height, int width, int first, int last,
                  const float *x, const float *routing, float *y, float *total) {
    int rows_out, columns_out, kernel = b->kernel, experts = most(b->experts, 1);
    int above = padding(height, kernel, b->stride, b->symmetric, &rows_out);
    int left = padding(width, kernel, b->stride, b->symmetric, &columns_out);
    int padded = most((columns_out - 1) * b->stride + kernel, left + width);
    int channels = least(b->mid - panel * PANEL, PANEL);
    size_t row = (size_t)padded * PANEL, expand = (size_t)b->in * PANEL;
    size_t filter = (size_t)kernel * kernel * PANEL;
    float *memory = room((kernel + 1) * row + expand + filter);
    float *ring = memory, *nothing = ring + kernel * row;
    float *expand_room = nothing + row, *filter_room = expand_room + expand;
    const float *we = b->expands ? mixed(b->expand + panel * experts * expand, b->in, experts,
                                         routing, NULL, expand_room) : NULL;
    const float *wf = mixed(b->filter + panel * experts * filter, kernel * kernel, experts, routing,
                            NULL, filter_room);
    memset(ring, 0, (kernel + 1) * row * sizeof(float)); /* the padding at the sides */
    Finish expanded = {.step = PANEL, .activate = 1, .channels = channels};
    if (b->expands) expanded.bias = b->expand_bias + panel * PANEL;
    Finish filtered = {.bias = b->filter_bias + panel * PANEL, .step = b->mid, .channels = channels,
                       .total = total};
    int made = most(first * b->stride - above, 0);
    for (int o = first; o < last; o++) {
        int top = o * b->stride - above;
        for (; made < least(top + kernel, height); made++) {
            float *into = ring + (made % kernel) * row + left * PANEL;
            const float *from = x + (size_t)made * width * b->in;
            if (b->expands) {
                expanded.out = into;
                pixels_through(width, from, b->in, 1, 0, b->in, we, expanded);
            } else
                for (int c = 0; c < width; c++)
                    memcpy(into + c * PANEL, from + (size_t)c * b->in + panel * PANEL,
                           channels * sizeof(float));
        }
        const float *rows[kernel];
        for (int i = 0; i < kernel; i++)
            rows[i] = top + i < 0 || top + i >= height ? nothing : ring + (top + i) % kernel * row;
        filtered.out = y + (size_t)o * columns_out * b->mid + panel * PANEL;
        filter_row(kernel, b->stride, columns_out, rows, wf, filtered);
    }
}

static float dot(const float *a, const float *b, int n) {
    vec s = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES) s += load(a + i) * load(b + i);
    float sum = 0;
    for (int l = 0; l < LANES; l++) sum += s[l];
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Routing of one sample: the mean over pixels, a linear layer, sigmoid. */
static void route(const Block *b, int pixels, const float *x, float *routing) {
    float *mean = room(b->in);
    memset(mean, 0, b->in * sizeof(float));
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < b->in; c++) mean[c] += x[(size_t)p * b->in + c];
    for (int e = 0; e < b->experts; e++)
        routing[e] = sigmoid(every(dot(mean, b->route + e * b->in, b->in) / pixels
                                   + b->route_bias[e]))[0];
}

/* Gates of one sample from the sums of its filtered map, `strips` of them to be added up. */
static void squeeze_excite(const Block *b, int pixels, int strips, const float *totals, float *gate) {
    int wide = panels_of(b->mid) * PANEL;
    float *mean = room(2 * wide), *sum = mean + wide;
    for (int c = 0; c < wide; c += LANES) {
        vec s = {0};
        for (int i = 0; i < strips; i++) s += load(totals + (size_t)i * wide + c);
        store(mean + c, s / (float)pixels);
    }
    memcpy(sum, b->restore_bias, b->mid * sizeof(float));
    for (int s = 0; s < b->squeezed; s++) {
        float f = silu(every(dot(mean, b->reduce + (size_t)s * b->mid, b->mid) + b->reduce_bias[s]))[0];
        for (int c = 0; c < b->mid; c++) sum[c] += f * b->restore[(size_t)s * b->mid + c];
    }
    for (int c = 0; c < b->mid; c += LANES)
        store_some(gate + c, sigmoid(load(sum + c)), b->mid - c);
}

/* How many strips of `rows` make enough work for all threads, none of them less than `few` rows. */
static int strips_of(int units, int rows, int few) {
    int wanted = 4 * omp_get_max_threads() / most(units, 1) + 1;
    return most(1, least(wanted, rows / few));
}

/* Floats of scratch that `effcc_block` needs. */
int64_t effcc_block_scratch(const Block *b, int batch, int height, int width) {
    int rows, columns, wide = panels_of(b->mid) * PANEL;
    padding(height, b->kernel, b->stride, b->symmetric, &rows);
    padding(width, b->kernel, b->stride, b->symmetric, &columns);
    int strips = strips_of(batch * panels_of(b->mid), rows, 8);
    return (int64_t)batch * ((int64_t)rows * columns * b->mid + (int64_t)(strips + 1) * wide
                             + b->experts);
}

/* y = block(x), for images (batch, height, width, in). */
void effcc_block(const Block *b, int batch, int height, int width, const float *x, float *y,
                 float *scratch) {
    int rows, columns, wide = panels_of(b->mid) * PANEL, experts = most(b->experts, 1);
    padding(height, b->kernel, b->stride, b->symmetric, &rows);
    padding(width, b->kernel, b->stride, b->symmetric, &columns);
    size_t in = (size_t)height * width * b->in, area = (size_t)rows * columns;
    int fronts = panels_of(b->mid), strips = strips_of(batch * fronts, rows, 8);
    int backs = panels_of(b->out), pieces = strips_of(batch * backs, (int)area, 4 * TILE);
    float *map = scratch, *totals = map + batch * area * b->mid;
    float *gates = totals + (size_t)batch * strips * wide, *routing = gates + (size_t)batch * wide;
#pragma omp parallel
    {
        if (b->experts) {
#pragma omp for
            for (int s = 0; s < batch; s++)
                route(b, height * width, x + s * in, routing + s * b->experts);
        }
#pragma omp for schedule(dynamic) collapse(3)
        for (int p = 0; p < fronts; p++)
            for (int s = 0; s < batch; s++)
                for (int i = 0; i < strips; i++) {
                    float *total = totals + ((size_t)s * strips + i) * wide + p * PANEL;
                    memset(total, 0, PANEL * sizeof(float));
                    front(b, p, height, width, rows * i / strips, rows * (i + 1) / strips,
                          x + s * in, b->experts ? routing + s * b->experts : NULL,
                          map + s * area * b->mid, total);
                }
#pragma omp for
        for (int s = 0; s < batch; s++)
            squeeze_excite(b, (int)area, strips, totals + (size_t)s * strips * wide,
                           gates + (size_t)s * wide);
#pragma omp for schedule(dynamic) collapse(3)
        for (int p = 0; p < backs; p++)
            for (int s = 0; s < batch; s++)
                for (int i = 0; i < pieces; i++) {
                    size_t begin = area * i / pieces, end = area * (i + 1) / pieces;
                    size_t panel = (size_t)b->mid * PANEL;
                    const float *w = mixed(b->project + p * experts * panel, b->mid, experts,
                                           b->experts ? routing + s * b->experts : NULL,
                                           gates + (size_t)s * wide, room(panel));
                    size_t at = (s * area + begin) * b->out + p * PANEL;
                    Finish to = {.bias = b->project_bias + p * PANEL, .out = y + at,
                                 .residual = b->residual ? x + at : NULL, .step = b->out,
                                 .channels = least(b->out - p * PANEL, PANEL)};
                    pixels_through((int)(end - begin), map + (s * area + begin) * b->mid, b->mid, 1,
                                   0, b->mid, w, to);
                }
    }
}

/* The stem: a dense kernel over images of any strides (in floats), batch norm folded, activated. */
void effcc_stem(int batch, int height, int width, int in, int out, int kernel, int stride,
                int symmetric, const int64_t *strides, const float *x, const float *w,
                const float *bias, float *y) {
    int rows, columns;
    int above = padding(height, kernel, stride, symmetric, &rows);
    int left = padding(width, kernel, stride, symmetric, &columns);
    int padded = most((columns - 1) * stride + kernel, left + width);
    size_t row = (size_t)padded * in;
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (int s = 0; s < batch; s++)
        for (int o = 0; o < rows; o++) {
            float *lines = room(kernel * row);
            memset(lines, 0, kernel * row * sizeof(float));
            for (int i = 0; i < kernel; i++) {
                int r = o * stride - above + i;
                if (r < 0 || r >= height) continue;
                const float *from = x + s * strides[0] + r * strides[2];
                float *into = lines + i * row + left * in;
                for (int c = 0; c < in; c++)
                    for (int p = 0; p < width; p++)
                        into[p * in + c] = from[c * strides[1] + p * strides[3]];
            }
            for (int p = 0; p < panels_of(out); p++) {
                Finish to = {.bias = bias + p * PANEL, .step = out, .activate = 1,
                             .out = y + ((size_t)s * rows + o) * columns * out + p * PANEL,
                             .channels = least(out - p * PANEL, PANEL)};
                pixels_through(columns, lines, stride * in, kernel, row, kernel * in,
                               w + (size_t)p * kernel * kernel * in * PANEL, to);
            }
        }
}

/* The head: a pointwise layer, activated, averaged over pixels: y is (batch, whole panels). */
void effcc_head(int batch, int pixels, int in, int out, const float *x, const float *w,
                const float *bias, float *y) {
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (int p = 0; p < panels_of(out); p++)
        for (int s = 0; s < batch; s++) {
            float *total = y + (size_t)s * panels_of(out) * PANEL + p * PANEL;
            memset(total, 0, PANEL * sizeof(float));
            Finish to = {.bias = bias + p * PANEL, .total = total, .activate = 1,
                         .channels = least(out - p * PANEL, PANEL)};
            pixels_through(pixels, x + (size_t)s * pixels * in, in, 1, 0, in,
                           w + (size_t)p * in * PANEL, to);
            for (int c = 0; c < PANEL; c++) total[c] /= (float)pixels;
        }
}
