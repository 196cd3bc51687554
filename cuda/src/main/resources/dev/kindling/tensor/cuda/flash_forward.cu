/* The forward of attention that writes no scores down: flash.cu says how. */
#ifdef ACTIVE_BF16

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

#define FLASH_FORWARD(D) \
  extern "C" __global__ void __launch_bounds__(FLASH_THREADS) flash_forward_##D(const active* q, const active* k, \
      const active* v, const int* starts, const int* ends, active* context, float* sums, float scale, int batch, \
      int tokens, int keys, int heads, int kvHeads) { \
    flash_forward<D>(q, k, v, starts, ends, context, sums, scale, batch, tokens, keys, heads, kvHeads); \
  }

FLASH_FORWARD(32)
FLASH_FORWARD(64)
FLASH_FORWARD(128)

#endif
