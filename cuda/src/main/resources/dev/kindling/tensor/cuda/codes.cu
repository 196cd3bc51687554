/*
 * Weights as codes of 4 or 8 bits (NormalFloat, Dettmers et al., arXiv:2305.14314, and whole numbers), whose scales are
 * codes themselves: dev.kindling.tensor.cpu.HostCodes says how. The values have the bits that CPUs decode to, so
 * nothing is fused: each product and each sum is rounded.
 */

/*
 * w [n] in the order of the codes. levels [16] are those of 4 bits, map [256] those of scales; 64 elements share a
 * scale, 256 scales a range. A thread has 8 elements. 2·n FLOP; bytes (bits/8 + 1/64 + a)·n.
 */
extern "C" __global__ void decode_codes(const unsigned char* codes, const unsigned char* scales, const float* ranges,
    const float* levels, const float* map, float mean, int bits, active* w, long long n) {
  for (long long first = 8 * FIRST; first < n; first += 8 * STEP) {
    const long long block = first / 64;
    const float scale = __fadd_rn(__fmul_rn(map[scales[block]], ranges[block / 256]), mean);
    const float unit = scale / 127;
    for (int i = 0; i < 8 && first + i < n; i++) {
      if (bits == 4) {
        const unsigned char two = codes[(first + i) / 2];
        put(w, first + i, __fmul_rn(levels[i % 2 == 0 ? two >> 4 : two & 15], scale));
      } else {
        put(w, first + i, __fmul_rn((float)(signed char)codes[first + i], unit));
      }
    }
  }
}
