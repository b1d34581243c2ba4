// Batch norm, the shortcut's addition and ReLU in two passes over memory each way, on one thread.
//
// Activations are NHWC: `rows` positions (N x H x W) of `channels` values each. Torch's own way is
// five passes forward and seven back (docs/performance.md). cardinality/fast.py calls this through
// ctypes; there is nothing of Python or torch in it.
//
// A channel's sums run over the rows in their order, whatever the width of the vector registers,
// and -ffp-contract=off keeps multiply and add apart: the bits are the same on every machine.

#include <cmath>
#include <cstdint>
#include <cstring>
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
#define INLINE inline __attribute__((always_inline))

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

// Mean and biased variance of each channel. The first row is taken from every value, so that
// the squares lose nothing where the mean is large beside the deviation.
template <typename T, typename A>
INLINE void moments(const T *x, long rows, long channels, double *mean, double *variance) {
    std::vector<A> work(3 * channels);
    A *__restrict first = work.data(), *__restrict sum = first + channels,
                 *__restrict square = sum + channels;
    for (long c = 0; c < channels; c++) {
        first[c] = load(x[c]);
        mean[c] = variance[c] = 0;
    }
    for (long start = 0; start < rows; start += BLOCK) {
        const long end = start + BLOCK < rows ? start + BLOCK : rows;
        for (long c = 0; c < channels; c++) sum[c] = square[c] = 0;
        for (long row = start; row < end; row++) {
            const T *__restrict in = x + row * channels;
            for (long c = 0; c < channels; c++) {
                const A value = load(in[c]) - first[c];
                sum[c] += value;
                square[c] += value * value;
            }
        }
        for (long c = 0; c < channels; c++) {
            mean[c] += sum[c];
            variance[c] += square[c];
        }
    }
    for (long c = 0; c < channels; c++) {
        const double shifted = mean[c] / rows, left = variance[c] / rows - shifted * shifted;
        mean[c] = shifted + first[c];
        variance[c] = left < 0 ? 0 : left; // a NaN stays one
    }
}

// y = relu((x - mean) * scale + bias + shortcut); without `ADD` no shortcut, without `RELU` neither.
template <typename T, typename A, bool ADD, bool RELU>
INLINE void apply(const T *x, const T *shortcut, T *y, long rows, long channels,
                  const A *__restrict mean, const A *__restrict scale, const A *__restrict bias) {
    for (long row = 0; row < rows; row++) {
        const T *__restrict in = x + row * channels, *__restrict add = shortcut + row * channels;
        T *__restrict out = y + row * channels;
        for (long c = 0; c < channels; c++) {
            A value = (load(in[c]) - mean[c]) * scale[c] + bias[c];
            if (ADD) value += load(add[c]);
            store(out[c], RELU && value < 0 ? A(0) : value);
        }
    }
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
// g is the gradient that ReLU lets through. It does so where `y`, its output, is positive; that
// is known from x, too, where nothing was added. With an addition, g is the
// shortcut's gradient and goes to `passed`.
template <typename T, typename A, bool ADD, bool RELU>
INLINE void gradient_sums(const T *x, const T *y, const T *gradient, T *passed, long rows,
                          long channels, const A *__restrict mean, const A *__restrict scale,
                          const A *__restrict bias, double *weight_sum, double *bias_sum) {
    std::vector<A> work(2 * channels);
    A *__restrict products = work.data(), *__restrict plain = products + channels;
    for (long c = 0; c < channels; c++) weight_sum[c] = bias_sum[c] = 0;
    for (long start = 0; start < rows; start += BLOCK) {
        const long end = start + BLOCK < rows ? start + BLOCK : rows;
        for (long c = 0; c < channels; c++) products[c] = plain[c] = 0;
        for (long row = start; row < end; row++) {
            const T *__restrict in = x + row * channels, *__restrict out = y + row * channels;
            const T *__restrict from = gradient + row * channels;
            T *__restrict to = passed + row * channels;
            for (long c = 0; c < channels; c++) {
                const A value = load(in[c]) - mean[c];
                A g = load(from[c]);
                if (RELU) g = (ADD ? load(out[c]) : value * scale[c] + bias[c]) <= 0 ? A(0) : g;
                if (ADD) store(to[c], g);
                plain[c] += g;
                products[c] += g * value;
            }
        }
        for (long c = 0; c < channels; c++) {
            weight_sum[c] += products[c];
            bias_sum[c] += plain[c];
        }
    }
}

// dx = scale * (g - pull - (x - mean) * tilt); with `MASK`, g is masked as above.
template <typename T, typename A, bool MASK>
INLINE void input_gradient(const T *x, const T *gradient, T *dx, long rows, long channels,
                           const A *__restrict mean, const A *__restrict scale,
                           const A *__restrict bias, const A *__restrict pull,
                           const A *__restrict tilt) {
    for (long row = 0; row < rows; row++) {
        const T *__restrict in = x + row * channels, *__restrict from = gradient + row * channels;
        T *__restrict out = dx + row * channels;
        for (long c = 0; c < channels; c++) {
            const A value = load(in[c]) - mean[c];
            A g = load(from[c]);
            if (MASK) g = value * scale[c] + bias[c] <= 0 ? A(0) : g;
            store(out[c], scale[c] * (g - pull[c] - value * tilt[c]));
        }
    }
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
extern "C" int kernel_version() { return 2; }

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
