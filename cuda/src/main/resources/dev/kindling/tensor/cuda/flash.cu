/*
 * Attention that writes no scores down (Dao et al., arXiv:2205.14135, 2307.08691), in bf16 on tensor cores: tiles of
 * queries and keys meet in registers, the softmax goes along, and the backward forms the probabilities again from a
 * logarithm of each query's sum. Where that paper adds up dq with atomics, whose order is the device's, we have one
 * kernel for dq and one for dk and dv: seven products instead of five, and the same bits each time.
 *
 * Tiles are rows of D features in shared memory, D = 32, 64 or 128, read by ldmatrix; a row's chunks of 16 bytes are
 * permuted so that eight rows of one column lie in different banks. A block has four warps of 16 rows each.
 */
#ifdef ACTIVE_BF16

#define FLASH_THREADS 128
#define LOG2_E 1.4426950408889634f
#define LEAST -3.4e38f

#ifndef SHIM
/* Shared memory whose size the launch says. */
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) half_t name[]

/* d [16, 8] += a [16, 16] · b [16, 8], spread over a warp as mma.m16n8k16 wants it. */
__device__ inline void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline unsigned shared_address(const half_t* at) { return (unsigned)__cvta_generic_to_shared(at); }

/* Four matrices of 8 by 8: lane i names a row of matrix i / 8, and gets two neighbours of its row i / 4 of each. */
__device__ inline void load_four(unsigned (&r)[4], const half_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}

/* The same of their transposes. */
__device__ inline void load_four_turned(unsigned (&r)[4], const half_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}

/* 16 bytes to shared memory while the thread goes on, or zeros where there are none. */
__device__ inline void copy_later(half_t* to, const half_t* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(there ? 16 : 0));
}

__device__ inline void copies_begin() { asm volatile("cp.async.commit_group;"); }

/* Waits for all of this thread's copies but the latest group of them. */
__device__ inline void copies_but_latest() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

__device__ inline void copies_all() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline unsigned two_halves(float low, float high) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
#else
inline unsigned two_halves(float low, float high) { return float_to_bf16(low) | (unsigned)float_to_bf16(high) << 16; }
#endif

/* Where chunk c (8 features) of a row of a tile lies. */
template <int D> __device__ inline int place(int row, int c) {
  return row * D + 8 * (c ^ (D >= 64 ? row & 7 : row >> 1 & 3));
}

/*
 * H rows from … of a matrix whose rows are `wide` elements apart, D of each; those from `rows` on are zero. A thread
 * has the same chunk of every few rows, whose permutation is the same, so that its addresses are sums.
 */
template <int D, int H> __device__ inline void fetch(half_t* tile, const half_t* from, int first, int rows, int wide) {
  const int chunks = D / 8;
  const int step = FLASH_THREADS / chunks;
  const int c = threadIdx.x % chunks;
  const int own = threadIdx.x / chunks;
  const half_t* at = from + (long long)(first + own) * wide + 8 * c;
  half_t* to = tile + place<D>(own, c);
#pragma unroll
  for (int i = 0; i < (H + step - 1) / step; i++) {
    if (H % step == 0 || own + i * step < H) {
      copy_later(to + i * step * D, at + (long long)i * step * wide, first + own + i * step < rows);
    }
  }
}

/* An operand a [16, 16]: rows … and chunks 2k, 2k + 1 of a tile. */
template <int D> __device__ inline void left(unsigned (&a)[4], const half_t* tile, int row, int k) {
  const int lane = threadIdx.x % WARP;
  load_four(a, tile + place<D>(row + lane % 16, 2 * k + lane / 16));
}

/* Operands b of two products: rows … of a tile are their columns, chunks 2k and 2k + 1 what is summed over. */
template <int D> __device__ inline void right_turned(unsigned (&b)[4], const half_t* tile, int row, int k) {
  const int lane = threadIdx.x % WARP;
  load_four(b, tile + place<D>(row + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
}

/* Operands b of two products: rows … of a tile are what is summed over, chunks 2n and 2n + 1 their columns. */
template <int D> __device__ inline void right(unsigned (&b)[4], const half_t* tile, int row, int n) {
  const int lane = threadIdx.x % WARP;
  load_four_turned(b, tile + place<D>(row + lane % 16, 2 * n + lane / 16));
}

/* Sums of 16 columns, as the operand a of a product that sums over them. */
__device__ inline void as_left(unsigned (&a)[4], const float (&low)[4], const float (&high)[4]) {
  a[0] = two_halves(low[0], low[1]);
  a[1] = two_halves(low[2], low[3]);
  a[2] = two_halves(high[0], high[1]);
  a[3] = two_halves(high[2], high[3]);
}

/* Two neighbouring elements at an even place. */
__device__ inline void put_two(active* x, long long i, float low, float high) {
  *(unsigned*)(x + i) = two_halves(low, high);
}

/* Over the four lanes that hold a row. */
__device__ inline float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 1));
  return fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 2));
}

__device__ inline float row_sum(float value) {
  value += __shfl_xor_sync(ALL_LANES, value, 1);
  return value + __shfl_xor_sync(ALL_LANES, value, 2);
}

__device__ inline float warp_max(float value) {
  for (int apart = WARP / 2; apart > 0; apart /= 2) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, apart));
  }
  return value;
}

/* Keys that a tile of queries looks at: some of them from `first` to before `last`, all of them between the others. */
struct Seen {
  int first, last, allFrom, allTo;
};

/* For the 64 queries from `query` on, by every warp alike. Numbers of keys are exact in float. */
__device__ inline Seen seen_by(const int* starts, const int* ends, int query, int tokens) {
  float first = LEAST, last = 0, allFrom = 0, allTo = LEAST;
  for (int i = query + threadIdx.x % WARP; i < query + 64; i += WARP) {
    if (i < tokens) {
      const float start = starts[i], end = ends[i];
      if (start < end) {
        first = fmaxf(first, -start);
        last = fmaxf(last, end);
      }
      allFrom = fmaxf(allFrom, start);
      allTo = fmaxf(allTo, -end);
    }
  }
  const float least = warp_max(first);
  Seen seen;
  seen.last = (int)warp_max(last);
  seen.first = least == LEAST ? 0 : (int)-least;
  seen.allFrom = (int)warp_max(allFrom);
  seen.allTo = (int)-warp_max(allTo);
  return seen;
}

/* A block's share: the tiles with most to do come first. */
#define FLASH_QUERIES \
  const int lines = batch * heads; \
  const int query = ((tokens + 63) / 64 - 1 - (int)blockIdx.x / lines) * 64; \
  const int row = (int)blockIdx.x % lines / heads; \
  const int head = (int)blockIdx.x % lines % heads; \
  const int lane = threadIdx.x % WARP; \
  const int own = threadIdx.x / WARP * 16; \
  const int wide = heads * D; \
  const int kvWide = kvHeads * D; \
  const int kvHead = head / (heads / kvHeads); \
  const long long ourQueries = (long long)row * tokens * wide + head * D; \
  const long long ourKeys = (long long)row * keys * kvWide + kvHead * D; \
  const int upper = query + own + lane / 4; \
  const int lower = upper + 8; \
  const int* rowStarts = starts + (long long)row * tokens; \
  const int* rowEnds = ends + (long long)row * tokens; \
  const Seen seen = seen_by(rowStarts, rowEnds, query, tokens); \
  const int upperStart = upper < tokens ? rowStarts[upper] : 0; \
  const int upperEnd = upper < tokens ? rowEnds[upper] : 0; \
  const int lowerStart = lower < tokens ? rowStarts[lower] : 0; \
  const int lowerEnd = lower < tokens ? rowEnds[lower] : 0;

#endif
