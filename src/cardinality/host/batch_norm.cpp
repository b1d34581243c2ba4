// Batch norm, the shortcut's addition and ReLU in two passes over memory each way, on one thread.
//
// Activations are NHWC: `rows` positions (N x H x W) of `channels` values each. Torch's own way is
// five passes forward and seven back (docs/performance.md). nets/fast.py calls this through
// ctypes; there is nothing of Python or torch in it.
//
// A channel's sums run over the rows in their order, whatever the width of the vector registers,
// and -ffp-contract=off keeps multiply and add apart: the bits are the same on every machine.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

// Compiled for three generations of x86 and chosen when loaded, so that one build runs anywhere.
#if !defined(__x86_64__) || !defined(__linux__)
#define CLONES
#elif defined(__clang__) || __GNUC__ < 12 // these know the levels' names only as -march
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define ALWAYS __attribute__((always_inline))
#define INLINE inline ALWAYS

struct bfloat16 {
    uint16_t bits;
};

// What a stored type is computed in.
template <typename T> struct Arithmetic { using type = T; };
template <> struct Arithmetic<bfloat16> { using type = float; };

INLINE float load(bfloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
INLINE float load(float x) { return x; }
INLINE double load(double x) { return x; }

INLINE void store(bfloat16 &x, float value) { // rounds to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    x.bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}
INLINE void store(float &x, float value) { x = value; }
INLINE void store(double &x, double value) { x = value; }

// Rows that are summed in the arithmetic's own precision before they go into a double.
constexpr long BLOCK = 64;

// The last 8 of 40 channels, which fill no vector, would take three times as long as the others.
// So loops go over tiles of channels, whose width the compiler knows and makes whole vectors of.
constexpr long TILE = 32;

// Calls `body(width, c)` for tiles of channels, c to c + width, until all are covered. The last
// tile begins early rather than be narrower: some channels are done twice, to the same bits.
template <typename Body> INLINE void tiles(long channels, Body body) {
    const auto all = [&](auto width) ALWAYS {
        for (long c = 0; c < channels; c += width) body(width, std::min(c, channels - width));
    };
    if (channels >= TILE) all(std::integral_constant<long, TILE>());
    else if (channels >= 16) all(std::integral_constant<long, 16>());
    else all(std::integral_constant<long, 1>());
}

// Rows of a narrow tile whose sums stay in registers.
constexpr long STRIP = 8;

// Calls `body(width, at, c, one, two)` for every row, which begins at `at`, and its channels, c to
// c + width, to add to two sums of each channel; these are added up in double.
template <typename A, typename Body>
INLINE void two_sums(long rows, long channels, double *first, double *second, Body body) {
    std::vector<A> work(4 * channels);
    A *before = work.data(), *after = before + 2 * channels;
    for (long c = 0; c < channels; c++) first[c] = second[c] = 0;
    for (long block = 0; block < rows; block += BLOCK) {
        const long end = std::min(block + BLOCK, rows);
        std::fill(before, before + 2 * channels, A(0));
        if (channels % TILE == 0) {
            for (long row = block; row < end; row++)
                body(channels, row * channels, 0, before, before + channels);
        } else {
            // Sums are read in one place and written in another: `tiles` does some twice.
            for (long strip = block; strip < end; strip += STRIP) {
                const long last = std::min(strip + STRIP, end);
                tiles(channels, [&](auto width, long c) ALWAYS {
                    A one[width], two[width];
                    std::memcpy(one, before + c, sizeof one);
                    std::memcpy(two, before + channels + c, sizeof two);
                    for (long row = strip; row < last; row++)
                        body(width, row * channels, c, one, two);
                    std::memcpy(after + c, one, sizeof one);
                    std::memcpy(after + channels + c, two, sizeof two);
                });
                std::swap(before, after);
            }
        }
        for (long c = 0; c < channels; c++) {
            first[c] += before[c];
            second[c] += before[channels + c];
        }
    }
}

// Mean and biased variance of each channel. The first row is taken from every value, so that
// the squares lose nothing where the mean is large beside the deviation.
template <typename T, typename A>
INLINE void moments(const T *x, long rows, long channels, double *mean, double *variance) {
    std::vector<A> first(channels);
    for (long c = 0; c < channels; c++) first[c] = load(x[c]);
    const auto add = [&](auto width, long at, long c, A *__restrict sum,
                         A *__restrict square) ALWAYS {
        const T *__restrict in = x + at + c;
        const A *__restrict start = first.data() + c;
        for (long i = 0; i < width; i++) {
            const A value = load(in[i]) - start[i];
            sum[i] += value;
            square[i] += value * value;
        }
    };
    two_sums<A>(rows, channels, mean, variance, add);
    for (long c = 0; c < channels; c++) {
        const double shifted = mean[c] / rows, left = variance[c] / rows - shifted * shifted;
        mean[c] = shifted + first[c];
        variance[c] = left < 0 ? 0 : left; // a NaN stays one
    }
}

// y = relu((x - mean) * scale + bias + shortcut); without `ADD` no shortcut, without `RELU` neither.
template <typename T, typename A, bool ADD, bool RELU>
INLINE void apply(const T *x, const T *shortcut, T *y, long rows, long channels, const A *mean,
                  const A *scale, const A *bias) {
    for (long row = 0; row < rows; row++)
        tiles(channels, [&](auto width, long c) ALWAYS {
            const T *in = x + row * channels + c, *add = shortcut + row * channels + c;
            A value[width];
            for (long i = 0; i < width; i++)
                value[i] = (load(in[i]) - mean[c + i]) * scale[c + i] + bias[c + i];
            if (ADD)
                for (long i = 0; i < width; i++) value[i] += load(add[i]);
            for (long i = 0; i < width; i++)
                store(y[row * channels + c + i], RELU && value[i] < 0 ? A(0) : value[i]);
        });
}

template <typename T, typename A>
INLINE void apply(const T *x, const T *shortcut, T *y, long rows, long channels, const A *mean,
                  const A *scale, const A *bias, bool relu) {
    if (shortcut) apply<T, A, true, true>(x, shortcut, y, rows, channels, mean, scale, bias);
    else if (relu) apply<T, A, false, true>(x, x, y, rows, channels, mean, scale, bias);
    else apply<T, A, false, false>(x, x, y, rows, channels, mean, scale, bias);
}

// Training, of each `group` of rows by itself. The first group updates the running averages; each
// leaves its mean, then the inverse of its deviation, in `saved`.
template <typename T, typename A = typename Arithmetic<T>::type>
INLINE void train(const T *x, const T *shortcut, T *y, long rows, long channels, long group,
                  const A *weight, const A *bias, A *running_mean, A *running_var, double momentum,
                  double epsilon, bool relu, double *saved) {
    std::vector<A> work(2 * channels);
    A *centre = work.data(), *scale = centre + channels;
    for (long start = 0; start < rows; start += group, saved += 2 * channels) {
        const long n = start + group < rows ? group : rows - start, at = start * channels;
        double *mean = saved, *inverse = saved + channels;
        moments<T, A>(x + at, n, channels, mean, inverse);
        for (long c = 0; c < channels; c++) {
            const double variance = inverse[c];
            if (start == 0) {
                const double unbiased = variance * n / (n - 1);
                running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean[c];
                running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased;
            }
            inverse[c] = 1 / std::sqrt(variance + epsilon);
            centre[c] = mean[c];
            scale[c] = weight[c] * inverse[c];
        }
        apply<T, A>(x + at, shortcut ? shortcut + at : nullptr, y + at, n, channels, centre, scale,
                    bias, relu);
    }
}

// Evaluation: with the running averages.
template <typename T, typename A = typename Arithmetic<T>::type>
INLINE void evaluate(const T *x, const T *shortcut, T *y, long rows, long channels,
                     const A *weight, const A *bias, const A *running_mean, const A *running_var,
                     double epsilon, bool relu) {
    std::vector<A> scale(channels);
    for (long c = 0; c < channels; c++)
        scale[c] = weight[c] / std::sqrt(double(running_var[c]) + epsilon);
    apply<T, A>(x, shortcut, y, rows, channels, running_mean, scale.data(), bias, relu);
}

// Gradients of weight and bias: sums over the rows of g * (x - mean) / deviation and of g, where
// g is the gradient that ReLU lets through. It does so where `y`, its output, is positive; that is
// known from x, too, where nothing was added. With an addition, g is the shortcut's gradient and
// goes to `passed`.
template <typename T, typename A, bool ADD, bool RELU>
INLINE void gradient_sums(const T *x, const T *y, const T *gradient, T *passed, long rows,
                          long channels, const A *mean, const A *scale, const A *bias,
                          double *weight_sum, double *bias_sum) {
    const auto add = [&](auto width, long at, long c, A *__restrict product,
                         A *__restrict plain) ALWAYS {
        const T *__restrict in = x + at + c, *__restrict out = y + at + c;
        const T *__restrict from = gradient + at + c;
        T *__restrict to = passed + at + c;
        const A *__restrict m = mean + c, *__restrict s = scale + c, *__restrict b = bias + c;
        for (long i = 0; i < width; i++) {
            const A value = load(in[i]) - m[i];
            A g = load(from[i]);
            if (RELU) g = (ADD ? load(out[i]) : value * s[i] + b[i]) <= 0 ? A(0) : g;
            if (ADD) store(to[i], g);
            plain[i] += g;
            product[i] += g * value;
        }
    };
    two_sums<A>(rows, channels, weight_sum, bias_sum, add);
}

// dx = scale * (g - pull - (x - mean) * tilt); with `MASK`, g is masked as above.
template <typename T, typename A, bool MASK>
INLINE void input_gradient(const T *x, const T *gradient, T *dx, long rows, long channels,
                           const A *mean, const A *scale, const A *bias, const A *pull,
                           const A *tilt) {
    for (long row = 0; row < rows; row++)
        tiles(channels, [&](auto width, long c) ALWAYS {
            const T *in = x + row * channels + c, *from = gradient + row * channels + c;
            A result[width];
            for (long i = 0; i < width; i++) {
                const A value = load(in[i]) - mean[c + i];
                A g = load(from[i]);
                if (MASK) g = value * scale[c + i] + bias[c + i] <= 0 ? A(0) : g;
                result[i] = scale[c + i] * (g - pull[c + i] - value * tilt[c + i]);
            }
            for (long i = 0; i < width; i++) store(dx[row * channels + c + i], result[i]);
        });
}

// The way back from `train`. `y` and `passed` are null where nothing was added.
template <typename T, typename A = typename Arithmetic<T>::type>
INLINE void backward(const T *x, const T *y, const T *gradient, T *dx, T *passed, long rows,
                     long channels, long group, const A *weight, const A *bias,
                     const double *saved, bool relu, A *weight_gradient, A *bias_gradient) {
    std::vector<A> work(4 * channels);
    A *centre = work.data(), *scale = centre + channels, *pull = scale + channels,
      *tilt = pull + channels;
    std::vector<double> sums(2 * channels);
    double *weight_sum = sums.data(), *bias_sum = weight_sum + channels;
    for (long c = 0; c < channels; c++) weight_gradient[c] = bias_gradient[c] = 0;
    for (long start = 0; start < rows; start += group, saved += 2 * channels) {
        const long n = start + group < rows ? group : rows - start, at = start * channels;
        const double *mean = saved, *inverse = saved + channels;
        const T *in = x + at, *from = gradient + at;
        for (long c = 0; c < channels; c++) { // as in `train`, to the bit: ReLU must agree
            centre[c] = mean[c];
            scale[c] = weight[c] * inverse[c];
        }
        if (passed)
            gradient_sums<T, A, true, true>(in, y + at, from, passed + at, n, channels, centre,
                                            scale, bias, weight_sum, bias_sum);
        else if (relu)
            gradient_sums<T, A, false, true>(in, in, from, dx, n, channels, centre, scale, bias,
                                             weight_sum, bias_sum);
        else
            gradient_sums<T, A, false, false>(in, in, from, dx, n, channels, centre, scale, bias,
                                              weight_sum, bias_sum);
        for (long c = 0; c < channels; c++) {
            weight_gradient[c] += weight_sum[c] * inverse[c];
            bias_gradient[c] += bias_sum[c];
            pull[c] = bias_sum[c] / n;
            tilt[c] = weight_sum[c] * inverse[c] * inverse[c] / n;
        }
        if (relu && !passed)
            input_gradient<T, A, true>(in, from, dx + at, n, channels, centre, scale, bias, pull,
                                       tilt);
        else
            input_gradient<T, A, false>(in, passed ? passed + at : from, dx + at, n, channels,
                                        centre, scale, bias, pull, tilt);
    }
}

} // namespace

// To be raised with any change of what is above or below, and VERSION in kernel.py with it.
extern "C" int kernel_version() { return 3; }

#define FOR(NAME, T, A)                                                                            \
    extern "C" CLONES void train_##NAME(                                                           \
        const T *x, const T *shortcut, T *y, long rows, long channels, long group,                 \
        const A *weight, const A *bias, A *mean, A *var, double momentum, double epsilon,          \
        int relu, double *saved) {                                                                 \
        train<T>(x, shortcut, y, rows, channels, group, weight, bias, mean, var, momentum,         \
                 epsilon, relu, saved);                                                            \
    }                                                                                              \
    extern "C" CLONES void evaluate_##NAME(const T *x, const T *shortcut, T *y, long rows,         \
                                           long channels, const A *weight, const A *bias,          \
                                           const A *mean, const A *var, double epsilon,            \
                                           int relu) {                                             \
        evaluate<T>(x, shortcut, y, rows, channels, weight, bias, mean, var, epsilon, relu);       \
    }                                                                                              \
    extern "C" CLONES void backward_##NAME(                                                        \
        const T *x, const T *y, const T *gradient, T *dx, T *passed, long rows, long channels,     \
        long group, const A *weight, const A *bias, const double *saved, int relu,                 \
        A *weight_gradient, A *bias_gradient) {                                                    \
        backward<T>(x, y, gradient, dx, passed, rows, channels, group, weight, bias, saved, relu,  \
                    weight_gradient, bias_gradient);                                               \
    }

FOR(bfloat16, bfloat16, float)
FOR(float32, float, float)
FOR(float64, double, double)
