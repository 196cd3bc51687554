/*
 * What all kernels share. One source for three compilers: NVRTC where it runs, nvcc where it is only
 * compiled, g++ with the shim of the tests where it is computed without a GPU. So there is no #include,
 * and nothing of the toolkit's headers.
 *
 * Symbols as in dev.kindling.tensor: N rows of tokens, d columns. `active` is what activations are kept in:
 * float, or with -DACTIVE_BF16 the upper half of one. Sums, statistics and losses are float. Every sum is
 * formed in one order, whatever the device does at the same time: no atomics, and partial sums that are
 * added as a tree of fixed shape. The same kernels on the same kind of device give the same bits.
 *
 * In the headers of kernels, "bytes" counts what must cross the memory bus once, with a = sizeof(active).
 */
typedef unsigned short half_t; /* sixteen bits, whatever they mean */

#ifdef ACTIVE_BF16
typedef half_t active;
#else
typedef float active;
#endif

/* Types of elements, as the host numbers them. */
#define TYPE_F32 0
#define TYPE_BF16 1
#define TYPE_F16 2

__device__ inline float bf16_to_float(half_t word) { return __uint_as_float((unsigned int)word << 16); }

/* To the nearest, ties to even; NaN stays NaN. */
__device__ inline half_t float_to_bf16(float value) {
  const unsigned int bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (half_t)((bits >> 16) | 0x40u);
  }
  return (half_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Exact: every half is a float. */
__device__ inline float f16_to_float(half_t word) {
  const unsigned int sign = (unsigned int)(word & 0x8000u) << 16;
  const unsigned int exponent = (word >> 10) & 0x1fu;
  const unsigned int fraction = word & 0x3ffu;
  if (exponent == 0x1fu) {
    return __uint_as_float(sign | 0x7f800000u | (fraction << 13));
  }
  if (exponent == 0) {
    const float tiny = (float)fraction * 5.9604644775390625e-8f; /* 2^-24 */
    return sign ? -tiny : tiny;
  }
  return __uint_as_float(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

#ifdef ACTIVE_BF16
__device__ inline float get(const active* x, long long i) { return bf16_to_float(x[i]); }
__device__ inline void put(active* x, long long i, float value) { x[i] = float_to_bf16(value); }
#else
__device__ inline float get(const active* x, long long i) { return x[i]; }
__device__ inline void put(active* x, long long i, float value) { x[i] = value; }
#endif

/* An element of a tensor whose type the host says. */
__device__ inline float get_as(const void* x, int type, long long i) {
  if (type == TYPE_F32) {
    return ((const float*)x)[i];
  }
  const half_t word = ((const half_t*)x)[i];
  return type == TYPE_BF16 ? bf16_to_float(word) : f16_to_float(word);
}

/* The same to write; nothing is computed in F16. */
__device__ inline void put_as(void* x, int type, long long i, float value) {
  if (type == TYPE_F32) {
    ((float*)x)[i] = value;
  } else {
    ((half_t*)x)[i] = float_to_bf16(value);
  }
}

/*
 * Sixteen bytes of activations at once: a kernel bound by memory reaches a third of the bandwidth with two bytes for
 * each load (measured on an H200: 1.6 of 4.8 TB/s).
 */
#define PACK ((int)(16 / sizeof(active)))
struct Words {
  unsigned word[4];
} __attribute__((aligned(16)));

/* Whether elements may be read so from there. */
__device__ inline bool packed(const void* x) { return (unsigned long long)x % 16 == 0; }

__device__ inline void get_pack(const active* x, long long i, float (&v)[PACK]) {
  const Words words = *(const Words*)(x + i);
  for (int w = 0; w < 4; w++) {
#ifdef ACTIVE_BF16
    v[2 * w] = __uint_as_float(words.word[w] << 16);
    v[2 * w + 1] = __uint_as_float(words.word[w] & 0xffff0000u);
#else
    v[w] = __uint_as_float(words.word[w]);
#endif
  }
}

__device__ inline void put_pack(active* x, long long i, const float (&v)[PACK]) {
  Words words;
  for (int w = 0; w < 4; w++) {
#ifdef ACTIVE_BF16
    words.word[w] = float_to_bf16(v[2 * w]) | (unsigned)float_to_bf16(v[2 * w + 1]) << 16;
#else
    words.word[w] = __float_as_uint(v[w]);
#endif
  }
  *(Words*)(x + i) = words;
}

/* First element of this thread, and how many lie between two of its elements. */
#define FIRST ((long long)blockIdx.x * blockDim.x + threadIdx.x)
#define STEP ((long long)gridDim.x * blockDim.x)

/* Lanes of a warp that a kernel has: all of them. */
#define ALL_LANES 0xffffffffu
#define WARP 32

/* Sum over the block, the same for all threads. partial: WARP floats of shared memory. Blocks are whole warps. */
__device__ inline float block_sum(float value, float* partial) {
  for (int apart = WARP / 2; apart > 0; apart /= 2) {
    value += __shfl_xor_sync(ALL_LANES, value, apart);
  }
  const int warps = blockDim.x / WARP;
  if (warps == 1) {
    return value;
  }
  __syncthreads(); /* the last sum may still be read */
  if (threadIdx.x % WARP == 0) {
    partial[threadIdx.x / WARP] = value;
  }
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < warps; warp++) {
    total += partial[warp];
  }
  return total;
}

/* Largest value of the block; as block_sum. */
__device__ inline float block_max(float value, float* partial) {
  for (int apart = WARP / 2; apart > 0; apart /= 2) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, apart));
  }
  const int warps = blockDim.x / WARP;
  if (warps == 1) {
    return value;
  }
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    partial[threadIdx.x / WARP] = value;
  }
  __syncthreads();
  float largest = partial[0];
  for (int warp = 1; warp < warps; warp++) {
    largest = fmaxf(largest, partial[warp]);
  }
  return largest;
}
