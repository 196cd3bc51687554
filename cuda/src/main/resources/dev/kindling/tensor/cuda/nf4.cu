/*
 * Weights in four bits (NormalFloat, Dettmers et al., arXiv:2305.14314, appendix E): an index into a table of 16
 * values, two to a byte, the first in the upper half as bitsandbytes stores them, and a scale for each block.
 */

/*
 * w [n] = table[code] · scales [n / block]; table [16] and scales are float, n even, block a power of two of at least
 * 2. n FLOP; bytes (0.5 + 4/block + a)·n. A product reads a few million elements of them at once, from the cache.
 */
extern "C" __global__ void nf4_decode(
    const unsigned char* codes, const float* scales, const float* table, active* w, int block, long long n) {
  for (long long i = FIRST; 2 * i < n; i += STEP) {
    const unsigned char two = codes[i];
    const float scale = scales[2 * i / block];
    put(w, 2 * i, table[two >> 4] * scale);
    put(w, 2 * i + 1, table[two & 15] * scale);
  }
}
