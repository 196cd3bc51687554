/*
 * Softmax cross entropy of logits [N, classes], float: a block for each row. A language model's rows come in chunks
 * of tokens, so that the logits of all of them are never there at once.
 */

/*
 * losses [N] = log Σ exp(logits) − logit of the label, 0 where the label is negative; dlogits [N, classes] =
 * softmax − one-hot, 0 there; with `gradient` 0 it is left alone. dlogits may be logits where active is float.
 * About 8·N·classes FLOP; bytes (4 + a)·N·classes at best, 4 more where a row does not fit the cache: a row of
 * 32,000 logits is 128 kB, three passes over it.
 */
extern "C" __global__ void cross_entropy(
    const float* logits, const int* labels, float* losses, active* dlogits, int classes, int gradient) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * classes;
  const int label = labels[blockIdx.x];
  float largest = -3.4e38f;
  for (int c = threadIdx.x; c < classes; c += blockDim.x) {
    largest = fmaxf(largest, logits[row + c]);
  }
  largest = block_max(largest, partial);
  float sum = 0;
  for (int c = threadIdx.x; c < classes; c += blockDim.x) {
    sum += expf(logits[row + c] - largest);
  }
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = label < 0 ? 0 : logf(sum) + (largest - logits[row + label]);
  }
  if (gradient) {
    __syncthreads(); /* the label's logit has been read */
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
      const float p = expf(logits[row + c] - largest) / sum;
      put(dlogits, row + c, label < 0 ? 0 : p - (c == label ? 1 : 0));
    }
  }
}
