/*
 * Norms of rows: one block for each row of x [N, d]. gamma and beta [d] are float and frozen.
 */

/*
 * y = x / √(mean of squares + epsilon) · gamma; statistics [N]: the inverse root.
 * 4·N·d FLOP; bytes 2·a·N·d (the second reading of x comes from the cache): bound by memory.
 */
extern "C" __global__ void rms_norm(
    const active* x, const float* gamma, active* y, float* statistics, int d, float epsilon) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * d;
  const int packs = d % PACK == 0 && packed(x) && packed(y) ? d / PACK : 0;
  float squares = 0;
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    float values[PACK];
    get_pack(x, row + p * PACK, values);
    for (int j = 0; j < PACK; j++) {
      squares += values[j] * values[j];
    }
  }
  for (int c = packs * PACK + threadIdx.x; c < d; c += blockDim.x) {
    const float value = get(x, row + c);
    squares += value * value;
  }
  const float inverse = 1 / sqrtf(block_sum(squares, partial) / d + epsilon);
  if (threadIdx.x == 0) {
    statistics[blockIdx.x] = inverse;
  }
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    float values[PACK];
    get_pack(x, row + p * PACK, values);
    for (int j = 0; j < PACK; j++) {
      values[j] *= inverse * gamma[p * PACK + j];
    }
    put_pack(y, row + p * PACK, values);
  }
  for (int c = packs * PACK + threadIdx.x; c < d; c += blockDim.x) {
    put(y, row + c, get(x, row + c) * inverse * gamma[c]);
  }
}

/*
 * dx = r·(dy·gamma) − x·r³·mean(dy·gamma·x), with r of the forward; the mean over the row.
 * 8·N·d FLOP; bytes 3·a·N·d.
 */
extern "C" __global__ void rms_norm_backward(
    const active* dy, const active* x, const float* gamma, const float* statistics, active* dx, int d) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * d;
  const float inverse = statistics[blockIdx.x];
  const int packs = d % PACK == 0 && packed(dy) && packed(x) && packed(dx) ? d / PACK : 0;
  float along = 0;
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    float above[PACK], values[PACK];
    get_pack(dy, row + p * PACK, above);
    get_pack(x, row + p * PACK, values);
    for (int j = 0; j < PACK; j++) {
      along += above[j] * gamma[p * PACK + j] * (values[j] * inverse);
    }
  }
  for (int c = packs * PACK + threadIdx.x; c < d; c += blockDim.x) {
    along += get(dy, row + c) * gamma[c] * (get(x, row + c) * inverse);
  }
  const float mean = block_sum(along, partial) / d;
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    float above[PACK], values[PACK];
    get_pack(dy, row + p * PACK, above);
    get_pack(x, row + p * PACK, values);
    for (int j = 0; j < PACK; j++) {
      above[j] = inverse * (above[j] * gamma[p * PACK + j] - values[j] * inverse * mean);
    }
    put_pack(dx, row + p * PACK, above);
  }
  for (int c = packs * PACK + threadIdx.x; c < d; c += blockDim.x) {
    const float normal = get(x, row + c) * inverse;
    put(dx, row + c, inverse * (get(dy, row + c) * gamma[c] - normal * mean));
  }
}

/*
 * y = (x − mean) / √(variance + epsilon) · gamma + beta; statistics [N, 2]: mean and inverse root.
 * 8·N·d FLOP; bytes 2·a·N·d. The variance is taken around the mean: x may lie far from 0.
 */
extern "C" __global__ void layer_norm(const active* x, const float* gamma, const float* beta, active* y,
    float* statistics, int d, float epsilon) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * d;
  float sum = 0;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    sum += get(x, row + c);
  }
  const float mean = block_sum(sum, partial) / d;
  float squares = 0;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    const float apart = get(x, row + c) - mean;
    squares += apart * apart;
  }
  const float inverse = 1 / sqrtf(block_sum(squares, partial) / d + epsilon);
  if (threadIdx.x == 0) {
    statistics[2 * blockIdx.x] = mean;
    statistics[2 * blockIdx.x + 1] = inverse;
  }
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    put(y, row + c, (get(x, row + c) - mean) * inverse * gamma[c] + beta[c]);
  }
}

/*
 * dx = r·(g − mean(g) − n·mean(g·n)), with g = dy·gamma and n = (x − mean)·r.
 * 12·N·d FLOP; bytes 3·a·N·d.
 */
extern "C" __global__ void layer_norm_backward(
    const active* dy, const active* x, const float* gamma, const float* statistics, active* dx, int d) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * d;
  const float mean = statistics[2 * blockIdx.x];
  const float inverse = statistics[2 * blockIdx.x + 1];
  float sum = 0;
  float along = 0;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    const float g = get(dy, row + c) * gamma[c];
    sum += g;
    along += g * ((get(x, row + c) - mean) * inverse);
  }
  const float level = block_sum(sum, partial) / d;
  const float tilt = block_sum(along, partial) / d;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    const float normal = (get(x, row + c) - mean) * inverse;
    put(dx, row + c, inverse * (get(dy, row + c) * gamma[c] - level - normal * tilt));
  }
}
