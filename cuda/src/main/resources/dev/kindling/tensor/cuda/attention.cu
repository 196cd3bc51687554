/*
 * The softmax between attention's products, for a chunk of queries of one row of the batch: a block for each query
 * and head. scores [heads, chunk, width] = q·kᵀ, float; the first `keys` columns of a line are used. starts and
 * ends point to the chunk's first query. What is kept for the backward is the logarithm of each query's sum of
 * exponentials, so memory grows with the tokens and not with their square; the backward forms the scores again.
 */

/*
 * p [heads, chunk, width] = softmax(scale · scores) between start and end, 0 elsewhere; sums [heads, tokens] at the
 * chunk's queries = log Σ exp, so that p = exp(scale · score − that).
 * About 8·heads·chunk·keys FLOP; bytes (4 + a)·heads·chunk·keys (the second reading comes from the cache).
 */
extern "C" __global__ void attention_softmax(const float* scores, const int* starts, const int* ends, active* p,
    float* sums, float scale, int chunk, int keys, int width, int tokens) {
  __shared__ float partial[WARP];
  const int query = blockIdx.x % chunk;
  const int head = blockIdx.x / chunk;
  const long long line = (long long)blockIdx.x * width;
  const int start = starts[query];
  const int end = ends[query] < keys ? ends[query] : keys;
  float largest = -3.4e38f;
  for (int j = start + threadIdx.x; j < end; j += blockDim.x) {
    largest = fmaxf(largest, scale * scores[line + j]);
  }
  largest = block_max(largest, partial);
  float sum = 0;
  for (int j = start + threadIdx.x; j < end; j += blockDim.x) {
    sum += expf(scale * scores[line + j] - largest);
  }
  sum = block_sum(sum, partial);
  const bool sees = start < end;
  if (threadIdx.x == 0) {
    sums[(long long)head * tokens + query] = sees ? largest + logf(sum) : 0;
  }
  for (int j = threadIdx.x; j < keys; j += blockDim.x) {
    const bool seen = j >= start && j < end;
    put(p, line + j, seen ? expf(scale * scores[line + j] - largest) / sum : 0);
  }
}

/* The same p from scores and kept sums, for the backward. 4 FLOP and 4 + a bytes for each of heads·chunk·keys. */
extern "C" __global__ void attention_again(const float* scores, const int* starts, const int* ends, active* p,
    const float* sums, float scale, int chunk, int keys, int width, int tokens) {
  const int query = blockIdx.x % chunk;
  const int head = blockIdx.x / chunk;
  const long long line = (long long)blockIdx.x * width;
  const float sum = sums[(long long)head * tokens + query];
  for (int j = threadIdx.x; j < keys; j += blockDim.x) {
    const bool seen = j >= starts[query] && j < ends[query];
    put(p, line + j, seen ? expf(scale * scores[line + j] - sum) : 0);
  }
}

/*
 * ds = scale · p · (dp − Σ p·dp), over the line; ds takes the place of p.
 * 5·heads·chunk·keys FLOP; bytes (4 + 2·a)·heads·chunk·keys.
 */
extern "C" __global__ void attention_backward(active* p, const float* dp, float scale, int keys, int width) {
  __shared__ float partial[WARP];
  const long long line = (long long)blockIdx.x * width;
  float dot = 0;
  for (int j = threadIdx.x; j < keys; j += blockDim.x) {
    dot += get(p, line + j) * dp[line + j];
  }
  dot = block_sum(dot, partial);
  for (int j = threadIdx.x; j < keys; j += blockDim.x) {
    put(p, line + j, scale * get(p, line + j) * (dp[line + j] - dot));
  }
}
