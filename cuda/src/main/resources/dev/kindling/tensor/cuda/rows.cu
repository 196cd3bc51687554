/*
 * Whole rows: gathered, put back, cut, turned.
 */

/*
 * out [M, d] = table [V, d] at rows ids [M], added to what is there if `accumulate`. The table is of any type.
 * M·d FLOP at most; bytes (size + a)·M·d.
 */
extern "C" __global__ void gather_rows(
    const int* ids, const void* table, int tableType, void* out, int outType, int d, long long n, int accumulate) {
  for (long long i = FIRST; i < n; i += STEP) {
    const float value = get_as(table, tableType, (long long)ids[i / d] * d + i % d);
    put_as(out, outType, i, accumulate ? get_as(out, outType, i) + value : value);
  }
}

/*
 * Row rows[m] of dx [·, d] += row m of dy [M, d], for m = 0, 1, …: rows may repeat, so each column belongs to one
 * thread, which goes through them in their order. M·d FLOP; bytes (a + 2·size)·M·d.
 */
extern "C" __global__ void gather_rows_backward(
    const active* dy, const int* rows, void* dx, int dxType, int count, int d) {
  for (long long c = FIRST; c < d; c += STEP) {
    for (long long m = 0; m < count; m++) {
      const long long at = (long long)rows[m] * d + c;
      put_as(dx, dxType, at, get_as(dx, dxType, at) + get(dy, m * d + c));
    }
  }
}

/* Columns from … of wide [N, all] and narrow [N, d]: narrow = those, or with `put` those = narrow. Bytes 2·a·N·d. */
extern "C" __global__ void columns(active* wide, int all, int from, active* narrow, int d, long long n, int put) {
  for (long long i = FIRST; i < n; i += STEP) {
    const long long at = i / d * all + from + i % d;
    if (put) {
      wide[at] = narrow[i];
    } else {
      narrow[i] = wide[at];
    }
  }
}

/* y [b, a] = xᵀ of x [a, b], words of `size` bytes, 2 or 4. Bytes 2·size·a·b; once for each matrix, on loading. */
extern "C" __global__ void transpose(const void* x, void* y, int size, long long rows, long long across) {
  for (long long i = FIRST; i < rows * across; i += STEP) {
    const long long to = i % across * rows + i / across;
    if (size == 2) {
      ((half_t*)y)[to] = ((const half_t*)x)[i];
    } else {
      ((unsigned int*)y)[to] = ((const unsigned int*)x)[i];
    }
  }
}

/*
 * Rotates the pairs (i, i + half) of each head of x [N, heads · 2 · half] by position · frequency[i], or back with
 * direction −1. A thread has one pair of every head of a row: the angle is formed once, and reduced in double,
 * because position · frequency has more digits than a float. 6·N·heads·half FLOP; bytes 2·a·N·heads·2·half.
 */
extern "C" __global__ void rope(active* x, const int* positions, const double* frequencies, int heads, int half,
    int direction, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    const long long row = i / half;
    const int pair = (int)(i % half);
    const double angle = positions[row] * frequencies[pair];
    const double turn = 6.283185307179586476925;
    const float rest = (float)(angle - rint(angle / turn) * turn);
    const float cosine = cosf(rest);
    const float sine = direction * sinf(rest);
    for (int head = 0; head < heads; head++) {
      const long long first = (row * heads + head) * 2 * half + pair;
      const float a = get(x, first);
      const float b = get(x, first + half);
      put(x, first, a * cosine - b * sine);
      put(x, first + half, a * sine + b * cosine);
    }
  }
}
