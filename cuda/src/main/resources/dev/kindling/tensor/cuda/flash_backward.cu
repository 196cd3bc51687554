/* Its backward: one kernel for dq, one for dk and dv. */
#ifdef ACTIVE_BF16

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

#define FLASH_BACKWARD(D) \
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

FLASH_BACKWARD(32)
FLASH_BACKWARD(64)
FLASH_BACKWARD(128)

#endif
