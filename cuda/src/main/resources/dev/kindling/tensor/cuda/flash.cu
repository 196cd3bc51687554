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

/*
 * context [batch · tokens, heads · D] = softmax(scale · q·kᵀ)·v, where a query looks at keys from its start to before
 * its end; sums [batch, heads, tokens] = log Σ exp(scale · score), or 0 without keys. A block has 64 queries of a head
 * and goes along the keys by 64. 4·D FLOP for each query and key; bytes 2·(q, k, v, context) if k and v stay in the
 * cache, from which each block reads them once.
 */
template <int D> __device__ inline void flash_forward(const active* q, const active* k, const active* v,
    const int* starts, const int* ends, active* context, float* sums, float scale, int batch, int tokens, int keys,
    int heads, int kvHeads) {
  __shared__ __align__(16) half_t keyTile[64 * D];
  __shared__ __align__(16) half_t valueTile[64 * D];
  FLASH_QUERIES
  fetch<D, 64>(keyTile, q + ourQueries, query, tokens, wide);
  copies_begin();
  copies_all();
  __syncthreads();
  unsigned queries[D / 16][4];
#pragma unroll
  for (int f = 0; f < D / 16; f++) {
    left<D>(queries[f], keyTile, own, f);
  }
  __syncthreads();

  const float factor = scale * LOG2_E;
  float sum[D / 8][4] = {};
  float upperMax = LEAST, lowerMax = LEAST, upperSum = 0, lowerSum = 0;
  int key = seen.first / 64 * 64;
  if (key < seen.last) {
    fetch<D, 64>(keyTile, k + ourKeys, key, keys, kvWide);
    copies_begin();
  }
  for (; key < seen.last; key += 64) {
    copies_all();
    __syncthreads();
    fetch<D, 64>(valueTile, v + ourKeys, key, keys, kvWide);
    copies_begin();
    float score[8][4] = {};
#pragma unroll
    for (int f = 0; f < D / 16; f++) {
#pragma unroll
      for (int n = 0; n < 4; n++) {
        unsigned b[4];
        right_turned<D>(b, keyTile, 16 * n, f);
        multiply_add(score[2 * n], queries[f], b[0], b[1]);
        multiply_add(score[2 * n + 1], queries[f], b[2], b[3]);
      }
    }
    if (key < seen.allFrom || key + 64 > seen.allTo) {
#pragma unroll
      for (int n = 0; n < 8; n++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int j = key + 8 * n + lane % 4 * 2 + c;
          score[n][c] = j >= upperStart && j < upperEnd ? score[n][c] : LEAST;
          score[n][2 + c] = j >= lowerStart && j < lowerEnd ? score[n][2 + c] : LEAST;
        }
      }
    }
    float upperMost = upperMax, lowerMost = lowerMax;
#pragma unroll
    for (int n = 0; n < 8; n++) {
      upperMost = fmaxf(upperMost, fmaxf(score[n][0], score[n][1]));
      lowerMost = fmaxf(lowerMost, fmaxf(score[n][2], score[n][3]));
    }
    upperMost = row_max(upperMost);
    lowerMost = row_max(lowerMost);
    /* Without a key yet there is no largest score: 0 leaves what is masked at 0. */
    const float upperLevel = upperMost == LEAST ? 0 : upperMost * factor;
    const float lowerLevel = lowerMost == LEAST ? 0 : lowerMost * factor;
    const float upperLess = power_of_two(upperMax * factor - upperLevel);
    const float lowerLess = power_of_two(lowerMax * factor - lowerLevel);
    upperMax = upperMost;
    lowerMax = lowerMost;
    upperSum *= upperLess;
    lowerSum *= lowerLess;
#pragma unroll
    for (int n = 0; n < 8; n++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        score[n][c] = power_of_two(score[n][c] * factor - upperLevel);
        score[n][2 + c] = power_of_two(score[n][2 + c] * factor - lowerLevel);
        upperSum += score[n][c];
        lowerSum += score[n][2 + c];
      }
    }
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        sum[n][c] *= upperLess;
        sum[n][2 + c] *= lowerLess;
      }
    }
    copies_all();
    __syncthreads();
    if (key + 64 < seen.last) {
      fetch<D, 64>(keyTile, k + ourKeys, key + 64, keys, kvWide);
      copies_begin();
    }
#pragma unroll
    for (int s = 0; s < 4; s++) {
      unsigned p[4];
      as_left(p, score[2 * s], score[2 * s + 1]);
#pragma unroll
      for (int n = 0; n < D / 16; n++) {
        unsigned b[4];
        right<D>(b, valueTile, 16 * s, n);
        multiply_add(sum[2 * n], p, b[0], b[1]);
        multiply_add(sum[2 * n + 1], p, b[2], b[3]);
      }
    }
  }
  upperSum = row_sum(upperSum);
  lowerSum = row_sum(lowerSum);
  const float upperShare = upperSum > 0 ? 1 / upperSum : 0;
  const float lowerShare = lowerSum > 0 ? 1 / lowerSum : 0;
  const long long line = ((long long)row * heads + head) * tokens;
  if (lane % 4 == 0) {
    if (upper < tokens) {
      sums[line + upper] = upperSum > 0 ? upperMax * scale + logf(upperSum) : 0;
    }
    if (lower < tokens) {
      sums[line + lower] = lowerSum > 0 ? lowerMax * scale + logf(lowerSum) : 0;
    }
  }
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    const int column = 8 * n + lane % 4 * 2;
    if (upper < tokens) {
      put_two(context, ourQueries + (long long)upper * wide + column, sum[n][0] * upperShare, sum[n][1] * upperShare);
    }
    if (lower < tokens) {
      put_two(context, ourQueries + (long long)lower * wide + column, sum[n][2] * lowerShare, sum[n][3] * lowerShare);
    }
  }
}

/*
 * dots [batch, heads, tokens] = the sum of context ∘ dcontext over a head's features, which is Σ p·dp over its keys: a
 * warp for each. 2·n·D FLOP; bytes 4·n·D.
 */
extern "C" __global__ void flash_dots(
    const active* context, const active* dcontext, float* dots, int tokens, int heads, int d, long long n) {
  const long long warps = (long long)gridDim.x * (blockDim.x / WARP);
  const int lane = threadIdx.x % WARP;
  for (long long i = (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP; i < n; i += warps) {
    float dot = 0;
    for (int c = 2 * lane; c < d; c += 2 * WARP) {
      const unsigned a = *(const unsigned*)(context + i * d + c);
      const unsigned b = *(const unsigned*)(dcontext + i * d + c);
      dot += __uint_as_float(a << 16) * __uint_as_float(b << 16);
      dot += __uint_as_float(a & 0xffff0000u) * __uint_as_float(b & 0xffff0000u);
    }
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
      dot += __shfl_xor_sync(ALL_LANES, dot, apart);
    }
    if (lane == 0) {
      const long long token = i / heads;
      dots[(token / tokens * heads + i % heads) * tokens + token % tokens] = dot;
    }
  }
}

/*
 * dq = scale · ds·k with ds = p · (dcontext·vᵀ − dots): a block has 64 queries and goes along the keys by 32, of which
 * the next are on their way. 6·D FLOP for each query and key; bytes as in the forward.
 */
template <int D> __device__ inline void flash_queries(const active* q, const active* k, const active* v,
    const int* starts, const int* ends, const float* sums, const float* dots, const active* dcontext, active* dq,
    float scale, int batch, int tokens, int keys, int heads, int kvHeads) {
  __shared__ __align__(16) half_t keyTiles[64 * D];
  __shared__ __align__(16) half_t valueTiles[64 * D];
  FLASH_QUERIES
  fetch<D, 64>(keyTiles, q + ourQueries, query, tokens, wide);
  fetch<D, 64>(valueTiles, dcontext + ourQueries, query, tokens, wide);
  copies_begin();
  copies_all();
  __syncthreads();
  unsigned queries[D / 16][4];
  unsigned above[D / 16][4];
#pragma unroll
  for (int f = 0; f < D / 16; f++) {
    left<D>(queries[f], keyTiles, own, f);
    left<D>(above[f], valueTiles, own, f);
  }
  __syncthreads();

  const float factor = scale * LOG2_E;
  const long long line = ((long long)row * heads + head) * tokens;
  const float upperSum = upper < tokens ? sums[line + upper] * LOG2_E : 0;
  const float lowerSum = lower < tokens ? sums[line + lower] * LOG2_E : 0;
  const float upperDot = upper < tokens ? dots[line + upper] : 0;
  const float lowerDot = lower < tokens ? dots[line + lower] : 0;
  float sum[D / 8][4] = {};
  int key = seen.first / 32 * 32;
  int stage = 0;
  if (key < seen.last) {
    fetch<D, 32>(keyTiles, k + ourKeys, key, keys, kvWide);
    fetch<D, 32>(valueTiles, v + ourKeys, key, keys, kvWide);
  }
  copies_begin();
  for (; key < seen.last; key += 32) {
    const half_t* keyTile = keyTiles + stage * 32 * D;
    const half_t* valueTile = valueTiles + stage * 32 * D;
    stage ^= 1;
    if (key + 32 < seen.last) {
      fetch<D, 32>(keyTiles + stage * 32 * D, k + ourKeys, key + 32, keys, kvWide);
      fetch<D, 32>(valueTiles + stage * 32 * D, v + ourKeys, key + 32, keys, kvWide);
    }
    copies_begin();
    copies_but_latest();
    __syncthreads();
    float score[4][4] = {};
    float slope[4][4] = {};
#pragma unroll
    for (int f = 0; f < D / 16; f++) {
#pragma unroll
      for (int n = 0; n < 2; n++) {
        unsigned b[4];
        right_turned<D>(b, keyTile, 16 * n, f);
        multiply_add(score[2 * n], queries[f], b[0], b[1]);
        multiply_add(score[2 * n + 1], queries[f], b[2], b[3]);
        right_turned<D>(b, valueTile, 16 * n, f);
        multiply_add(slope[2 * n], above[f], b[0], b[1]);
        multiply_add(slope[2 * n + 1], above[f], b[2], b[3]);
      }
    }
    const bool all = key >= seen.allFrom && key + 32 <= seen.allTo;
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int j = key + 8 * n + lane % 4 * 2 + c;
        const bool upperSees = all || (j >= upperStart && j < upperEnd);
        const bool lowerSees = all || (j >= lowerStart && j < lowerEnd);
        const float upperP = upperSees ? power_of_two(score[n][c] * factor - upperSum) : 0;
        const float lowerP = lowerSees ? power_of_two(score[n][2 + c] * factor - lowerSum) : 0;
        score[n][c] = upperP * (slope[n][c] - upperDot);
        score[n][2 + c] = lowerP * (slope[n][2 + c] - lowerDot);
      }
    }
#pragma unroll
    for (int s = 0; s < 2; s++) {
      unsigned ds[4];
      as_left(ds, score[2 * s], score[2 * s + 1]);
#pragma unroll
      for (int n = 0; n < D / 16; n++) {
        unsigned b[4];
        right<D>(b, keyTile, 16 * s, n);
        multiply_add(sum[2 * n], ds, b[0], b[1]);
        multiply_add(sum[2 * n + 1], ds, b[2], b[3]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    const int column = 8 * n + lane % 4 * 2;
    if (upper < tokens) {
      put_two(dq, ourQueries + (long long)upper * wide + column, scale * sum[n][0], scale * sum[n][1]);
    }
    if (lower < tokens) {
      put_two(dq, ourQueries + (long long)lower * wide + column, scale * sum[n][2], scale * sum[n][3]);
    }
  }
}

/*
 * dk = scale · dsᵀ·q and dv = pᵀ·dcontext: a block has 64 keys of a head of keys and goes along the queries of all heads that
 * look at it, by 32 and in their order. 8·D FLOP for each query and key.
 */
template <int D> __device__ inline void flash_keys(const active* q, const active* k, const active* v,
    const int* starts, const int* ends, const float* sums, const float* dots, const active* dcontext, active* dk,
    active* dv, float scale, int batch, int tokens, int keys, int heads, int kvHeads) {
  DYNAMIC_SHARED(tiles); /* 64 keys and values, twice 32 queries and what comes from above */
  __shared__ float levels[64]; /* of twice 32 queries: their sums, in powers of two */
  __shared__ float common[64]; /* and dots */
  half_t* keyTile = tiles;
  half_t* valueTile = tiles + 64 * D;
  half_t* queryTiles = tiles + 128 * D;
  half_t* aboveTiles = tiles + 192 * D;
  const int lines = batch * kvHeads;
  const int key = (int)blockIdx.x / lines * 64;
  const int row = (int)blockIdx.x % lines / kvHeads;
  const int kvHead = (int)blockIdx.x % lines % kvHeads;
  const int lane = threadIdx.x % WARP;
  const int own = threadIdx.x / WARP * 16;
  const int wide = heads * D;
  const int kvWide = kvHeads * D;
  const int group = heads / kvHeads;
  const long long ourKeys = (long long)row * keys * kvWide + kvHead * D;
  const int* rowStarts = starts + (long long)row * tokens;
  const int* rowEnds = ends + (long long)row * tokens;
  const float factor = scale * LOG2_E;
  float dkSum[D / 8][4] = {};
  float dvSum[D / 8][4] = {};
  fetch<D, 64>(keyTile, k + ourKeys, key, keys, kvWide);
  fetch<D, 64>(valueTile, v + ourKeys, key, keys, kvWide);

  /* Tiles of queries, head after head; those are skipped that see none of the keys. The first one is on its way
     before there is one to compute with, and each next one while its predecessor is. */
  int head = kvHead * group;
  int next = -32; /* the tile's first query */
  int query = -1;
  bool nextAll = false;
  for (int stage = 1;; stage ^= 1) {
    const bool all = nextAll;
    bool more = false;
    while (!more) {
      next += 32;
      if (next >= tokens) {
        if (++head == (kvHead + 1) * group) {
          break;
        }
        next = 0;
      }
      const int i = next + lane;
      const int start = i < tokens ? rowStarts[i] : keys;
      const int end = i < tokens ? rowEnds[i] : 0;
      more = __any_sync(ALL_LANES, start < key + 64 && end > key && start < end);
      nextAll = __all_sync(ALL_LANES, start <= key && end >= key + 64);
    }
    const int ahead = 32 * (stage ^ 1);
    if (more) {
      const long long ourQueries = (long long)row * tokens * wide + head * D;
      fetch<D, 32>(queryTiles + ahead * D, q + ourQueries, next, tokens, wide);
      fetch<D, 32>(aboveTiles + ahead * D, dcontext + ourQueries, next, tokens, wide);
      if (threadIdx.x < WARP) {
        const bool there = next + lane < tokens;
        const long long at = ((long long)row * heads + head) * tokens + next + lane;
        levels[ahead + lane] = there ? sums[at] * LOG2_E : 0;
        common[ahead + lane] = there ? dots[at] : 0;
      }
    }
    copies_begin();
    if (query >= 0) {
      copies_but_latest();
      __syncthreads();
      const half_t* queryTile = queryTiles + 32 * stage * D;
      const half_t* aboveTile = aboveTiles + 32 * stage * D;
      float score[4][4] = {};
      float slope[4][4] = {};
#pragma unroll
      for (int f = 0; f < D / 16; f++) {
        unsigned a[4];
        unsigned b[4];
        left<D>(a, keyTile, own, f);
#pragma unroll
        for (int n = 0; n < 2; n++) {
          right_turned<D>(b, queryTile, 16 * n, f);
          multiply_add(score[2 * n], a, b[0], b[1]);
          multiply_add(score[2 * n + 1], a, b[2], b[3]);
        }
        left<D>(a, valueTile, own, f);
#pragma unroll
        for (int n = 0; n < 2; n++) {
          right_turned<D>(b, aboveTile, 16 * n, f);
          multiply_add(slope[2 * n], a, b[0], b[1]);
          multiply_add(slope[2 * n + 1], a, b[2], b[3]);
        }
      }
      const int upper = key + own + lane / 4;
#pragma unroll
      for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int column = 8 * n + lane % 4 * 2 + c;
          const float level = levels[32 * stage + column];
          const float dot = common[32 * stage + column];
          float p = power_of_two(score[n][c] * factor - level);
          float o = power_of_two(score[n][2 + c] * factor - level);
          if (!all) {
            const int i = query + column;
            const int start = i < tokens ? rowStarts[i] : keys;
            const int end = i < tokens ? rowEnds[i] : 0;
            p = upper >= start && upper < end ? p : 0;
            o = upper + 8 >= start && upper + 8 < end ? o : 0;
          }
          score[n][c] = p;
          score[n][2 + c] = o;
          slope[n][c] = p * (slope[n][c] - dot);
          slope[n][2 + c] = o * (slope[n][2 + c] - dot);
        }
      }
#pragma unroll
      for (int s = 0; s < 2; s++) {
        unsigned p[4];
        unsigned ds[4];
        as_left(p, score[2 * s], score[2 * s + 1]);
        as_left(ds, slope[2 * s], slope[2 * s + 1]);
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
          unsigned b[4];
          right<D>(b, aboveTile, 16 * s, n);
          multiply_add(dvSum[2 * n], p, b[0], b[1]);
          multiply_add(dvSum[2 * n + 1], p, b[2], b[3]);
          right<D>(b, queryTile, 16 * s, n);
          multiply_add(dkSum[2 * n], ds, b[0], b[1]);
          multiply_add(dkSum[2 * n + 1], ds, b[2], b[3]);
        }
      }
      __syncthreads();
    }
    if (!more) {
      break;
    }
    query = next;
  }
  const int upper = key + own + lane / 4;
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    const int column = 8 * n + lane % 4 * 2;
    if (upper < keys) {
      const long long at = ourKeys + (long long)upper * kvWide + column;
      put_two(dk, at, scale * dkSum[n][0], scale * dkSum[n][1]);
      put_two(dv, at, dvSum[n][0], dvSum[n][1]);
    }
    if (upper + 8 < keys) {
      const long long at = ourKeys + (long long)(upper + 8) * kvWide + column;
      put_two(dk, at, scale * dkSum[n][2], scale * dkSum[n][3]);
      put_two(dv, at, dvSum[n][2], dvSum[n][3]);
    }
  }
}

#define FLASH(D) \
  extern "C" __global__ void __launch_bounds__(FLASH_THREADS) flash_forward_##D(const active* q, const active* k, \
      const active* v, const int* starts, const int* ends, active* context, float* sums, float scale, int batch, \
      int tokens, int keys, int heads, int kvHeads) { \
    flash_forward<D>(q, k, v, starts, ends, context, sums, scale, batch, tokens, keys, heads, kvHeads); \
  } \
  extern "C" __global__ void __launch_bounds__(FLASH_THREADS) flash_queries_##D(const active* q, const active* k, \
      const active* v, const int* starts, const int* ends, const float* sums, const float* dots, \
      const active* dcontext, active* dq, float scale, int batch, int tokens, int keys, int heads, int kvHeads) { \
    flash_queries<D>( \
        q, k, v, starts, ends, sums, dots, dcontext, dq, scale, batch, tokens, keys, heads, kvHeads); \
  } \
  extern "C" __global__ void __launch_bounds__(FLASH_THREADS) flash_keys_##D(const active* q, const active* k, \
      const active* v, const int* starts, const int* ends, const float* sums, const float* dots, \
      const active* dcontext, active* dk, active* dv, float scale, int batch, int tokens, int keys, int heads, \
      int kvHeads) { \
    flash_keys<D>( \
        q, k, v, starts, ends, sums, dots, dcontext, dk, dv, scale, batch, tokens, keys, heads, kvHeads); \
  }

FLASH(32)
FLASH(64)
FLASH(128)

#endif
