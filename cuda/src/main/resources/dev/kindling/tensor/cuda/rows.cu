/*
 * Whole rows: gathered, put back, cut, turned.
 */

/* Elements that a thread has read before it writes the first of them: reads that wait for no writes. */
#define AT_ONCE 4

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
 * Row rows[m] of dx [·, d] += row m of dy [M, d]. Rows may repeat: the block of the first m of a row adds up all of
 * its row's, in their order and in float, and the others have nothing to do. M·d FLOP and M·M comparisons;
 * bytes (a + 2·size)·M·d.
 */
extern "C" __global__ void gather_rows_backward(
    const active* dy, const int* rows, void* dx, int dxType, int count, int d) {
  const int own = rows[blockIdx.x];
  for (int m = 0; m < (int)blockIdx.x; m++) {
    if (rows[m] == own) {
      return;
    }
  }
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    const long long at = (long long)own * d + c;
    float sum = get_as(dx, dxType, at);
    for (long long m = blockIdx.x; m < count; m++) {
      if (rows[m] == own) {
        sum += get(dy, m * d + c);
      }
    }
    put_as(dx, dxType, at, sum);
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
 * direction −1: a block for each row. The angle is formed where a thread's pair is not that of its last head, and
 * reduced in double, because position · frequency has more digits than a float. 6·N·heads·half FLOP; bytes
 * 2·a·N·heads·2·half.
 */
extern "C" __global__ void rope(
    active* x, const int* positions, const double* frequencies, int heads, int half, int direction) {
  const long long row = (long long)blockIdx.x * heads * 2 * half;
  const int position = positions[blockIdx.x];
  int known = -1;
  float cosine = 0, sine = 0;
  for (int c = threadIdx.x; c < heads * half; c += AT_ONCE * blockDim.x) {
    long long first[AT_ONCE];
    float a[AT_ONCE], b[AT_ONCE];
    for (int u = 0; u < AT_ONCE; u++) {
      const int i = c + u * blockDim.x;
      first[u] = row + i / half * 2 * half + i % half;
      a[u] = i < heads * half ? get(x, first[u]) : 0;
      b[u] = i < heads * half ? get(x, first[u] + half) : 0;
    }
    for (int u = 0; u < AT_ONCE && c + u * (int)blockDim.x < heads * half; u++) {
      const int pair = (c + u * blockDim.x) % half;
      if (pair != known) {
        const double angle = position * frequencies[pair];
        const double turn = 6.283185307179586476925;
        const float rest = (float)(angle - rint(angle / turn) * turn);
        cosine = cosf(rest);
        sine = direction * sinf(rest);
        known = pair;
      }
      put(x, first[u], a[u] * cosine - b[u] * sine);
      put(x, first[u] + half, a[u] * sine + b[u] * cosine);
    }
  }
}

/*
 * Rows of `columns` words of `size` bytes, 2 or 4, from a matrix of rows `wide` apart to one of rows `apart` apart: a
 * block for each row. Bytes 2·size·N·columns.
 */
extern "C" __global__ void copy_rows(
    const void* from, long long wide, void* to, long long apart, int columns, int size) {
  for (int c = threadIdx.x; c < columns; c += AT_ONCE * blockDim.x) {
    unsigned word[AT_ONCE];
    for (int u = 0; u < AT_ONCE; u++) {
      const int i = c + u * blockDim.x;
      if (i < columns) {
        const long long at = blockIdx.x * wide + i;
        word[u] = size == 2 ? ((const half_t*)from)[at] : ((const unsigned*)from)[at];
      }
    }
    for (int u = 0; u < AT_ONCE; u++) {
      const int i = c + u * blockDim.x;
      if (i < columns) {
        const long long at = blockIdx.x * apart + i;
        if (size == 2) {
          ((half_t*)to)[at] = (half_t)word[u];
        } else {
          ((unsigned*)to)[at] = word[u];
        }
      }
    }
  }
}

/* squares [out] = the sum of the squares of each row of w [out, d], of any type: a block for each. 2·out·d FLOP. */
extern "C" __global__ void row_squares(const void* w, int type, float* squares, int d) {
  __shared__ float partial[WARP];
  const long long row = (long long)blockIdx.x * d;
  float sum = 0;
  for (int c = threadIdx.x; c < d; c += blockDim.x) {
    const float value = get_as(w, type, row + c);
    sum += value * value;
  }
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) {
    squares[blockIdx.x] = sum;
  }
}

/*
 * lengths [out] = √(squares + scale·Σₖ b·(2·projectedᵀ + scale·gram)), at least the smallest normal number, with
 * projected [r, out], b and gram [out, r]: a thread for each row. 6·out·r FLOP; bytes (8 + a)·out·r.
 */
extern "C" __global__ void row_lengths(const float* squares, const float* projected, const active* b,
    const float* gram, float scale, float* lengths, int r, long long out) {
  for (long long row = FIRST; row < out; row += STEP) {
    float sum = squares[row];
    for (int k = 0; k < r; k++) {
      const long long at = row * r + k;
      sum += scale * get(b, at) * (2 * projected[k * out + row] + scale * gram[at]);
    }
    lengths[row] = fmaxf(1.17549435e-38f, sqrtf(fmaxf(0, sum)));
  }
}

/*
 * y [N, d] = x · by/over (+ bias if `biased`), each row times the same; x and y of any types; y may be x. 3·n FLOP;
 * bytes 2·a·n.
 */
extern "C" __global__ void scale_columns(const void* x, int x_type, const float* by, const float* over,
    const float* bias, int biased, void* y, int y_type, int d, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    const int c = (int)(i % d);
    put_as(y, y_type, i, get_as(x, x_type, i) * (by[c] / over[c]) + (biased ? bias[c] : 0));
  }
}

/*
 * into [d] = Σ over the rows of a∘b / over + before·into, b of any type: a thread for each column, rows in their order.
 * Bytes 2·a·N·d.
 */
extern "C" __global__ void dot_columns(const active* a, const void* b, int b_type, const float* over, float* into,
    int rows, int d, float before) {
  for (long long c = FIRST; c < d; c += STEP) {
    float sum = 0;
    for (long long row = 0; row < rows; row++) {
      sum += get(a, row * d + c) * get_as(b, b_type, row * d + c);
    }
    sum /= over[c];
    into[c] = before == 0 ? sum : before * into[c] + sum;
  }
}

/* out [N, k] = x [N, d] at chosen [k]. Bytes 2·a·N·k where columns lie together, up to 32/a times that where not. */
extern "C" __global__ void gather_columns(
    const active* x, int d, const int* chosen, active* out, int k, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    out[i] = x[i / k * d + chosen[i % k]];
  }
}

/*
 * changes [rows, columns] = w + changes, all BF16, rounded up with a probability of as much as is cut off, by the
 * very fractions of dev.kindling.tensor.cpu.Dither, which says why. 1·n FLOP; bytes 6·n.
 */
extern "C" __global__ void add_dithered(const half_t* w, half_t* changes, int columns, long long n) {
  const unsigned int golden = 0x9e3779b9u;
  for (long long i = FIRST; i < n; i += STEP) {
    unsigned int start = ((unsigned int)(i / columns) + 1) * golden;
    start = (start ^ (start >> 16)) * 0x85ebca6bu;
    start = (start ^ (start >> 13)) * 0xc2b2ae35u;
    start ^= start >> 16;
    const float sum = bf16_to_float(w[i]) + bf16_to_float(changes[i]);
    const unsigned int below = (start + (unsigned int)(i % columns) * golden) >> 16;
    changes[i] = (half_t)((__float_as_uint(sum) + below) >> 16);
  }
}
