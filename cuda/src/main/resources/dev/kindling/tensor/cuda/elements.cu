/*
 * Element by element: any grid will do. All are bound by memory; bytes are given for n elements.
 */

/* to [n] = from [n], rounded to the type of to. 0 FLOP; bytes the sizes of both. */
extern "C" __global__ void convert(const void* from, int fromType, void* to, int toType, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    put_as(to, toType, i, get_as(from, fromType, i));
  }
}

/* out = a + b; all of one type; out may be a or b. n FLOP; bytes 3·size·n. */
extern "C" __global__ void add(const void* a, const void* b, void* out, int type, long long n) {
  const bool ours = type == (sizeof(active) == 2 ? TYPE_BF16 : TYPE_F32);
  const long long packs = ours && packed(a) && packed(b) && packed(out) ? n / PACK : 0;
  for (long long i = FIRST; i < packs; i += STEP) {
    float left[PACK], right[PACK];
    get_pack((const active*)a, i * PACK, left);
    get_pack((const active*)b, i * PACK, right);
    for (int j = 0; j < PACK; j++) {
      left[j] += right[j];
    }
    put_pack((active*)out, i * PACK, left);
  }
  for (long long i = packs * PACK + FIRST; i < n; i += STEP) {
    put_as(out, type, i, get_as(a, type, i) + get_as(b, type, i));
  }
}

/* y [N, d] += bias [d] on every row. n = N·d FLOP; bytes 2·size·n. */
extern "C" __global__ void add_bias(void* y, int type, const float* bias, int d, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    put_as(y, type, i, get_as(y, type, i) + bias[i % d]);
  }
}

/*
 * db [d] = sum of the rows of dy [N, d], added to `before`·db: a thread for each column, rows in their order.
 * N·d FLOP; bytes a·N·d. Few threads where d is small: 0.1 % of a step's bytes in the models we know.
 */
extern "C" __global__ void add_bias_backward(const active* dy, float* db, int rows, int d, float before) {
  for (long long c = FIRST; c < d; c += STEP) {
    float sum = 0;
    for (long long row = 0; row < rows; row++) {
      sum += get(dy, row * d + c);
    }
    db[c] = before == 0 ? sum : before * db[c] + sum;
  }
}

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* out = silu(gate) · up. 6·n FLOP; bytes 3·a·n. */
extern "C" __global__ void swiglu(const active* gate, const active* up, active* out, long long n) {
  const long long packs = packed(gate) && packed(up) && packed(out) ? n / PACK : 0;
  for (long long i = FIRST; i < packs; i += STEP) {
    float g[PACK], u[PACK];
    get_pack(gate, i * PACK, g);
    get_pack(up, i * PACK, u);
    for (int j = 0; j < PACK; j++) {
      g[j] = g[j] * sigmoid(g[j]) * u[j];
    }
    put_pack(out, i * PACK, g);
  }
  for (long long i = packs * PACK + FIRST; i < n; i += STEP) {
    const float g = get(gate, i);
    put(out, i, g * sigmoid(g) * get(up, i));
  }
}

/* dgate and dup of swiglu; dgate may be dout. 12·n FLOP; bytes 5·a·n. */
extern "C" __global__ void swiglu_backward(
    const active* gate, const active* up, const active* dout, active* dgate, active* dup, long long n) {
  const bool all = packed(gate) && packed(up) && packed(dout) && packed(dgate) && packed(dup);
  const long long packs = all ? n / PACK : 0;
  for (long long i = FIRST; i < packs; i += STEP) {
    float g[PACK], u[PACK], above[PACK];
    get_pack(gate, i * PACK, g);
    get_pack(up, i * PACK, u);
    get_pack(dout, i * PACK, above);
    for (int j = 0; j < PACK; j++) {
      const float s = sigmoid(g[j]);
      u[j] = above[j] * u[j] * (s + g[j] * s * (1 - s));
      g[j] = above[j] * g[j] * s;
    }
    put_pack(dgate, i * PACK, u);
    put_pack(dup, i * PACK, g);
  }
  for (long long i = packs * PACK + FIRST; i < n; i += STEP) {
    const float g = get(gate, i);
    const float s = sigmoid(g);
    const float above = get(dout, i);
    put(dgate, i, above * get(up, i) * (s + g * s * (1 - s)));
    put(dup, i, above * g * s);
  }
}

/* As dev.kindling.tensor.Activation orders them. */
#define GELU 0
#define GELU_TANH 1
#define SILU 2
#define TANH 3

#define ROOT_HALF 0.70710678118654752f
#define ROOT_TWO_OVER_PI 0.79788456080286536f
#define CUBE 0.044715f

/* y = f(x). About 20·n FLOP; bytes 2·a·n. */
extern "C" __global__ void activation(int kind, const active* x, active* y, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    const float v = get(x, i);
    float value = 0;
    switch (kind) {
      case GELU:
        value = 0.5f * v * (1 + erff(v * ROOT_HALF));
        break;
      case GELU_TANH:
        value = 0.5f * v * (1 + tanhf(ROOT_TWO_OVER_PI * (v + CUBE * v * v * v)));
        break;
      case SILU:
        value = v * sigmoid(v);
        break;
      case TANH:
        value = tanhf(v);
        break;
    }
    put(y, i, value);
  }
}

/* dx = dy · f′(x); dx may be dy. About 25·n FLOP; bytes 3·a·n. */
extern "C" __global__ void activation_backward(
    int kind, const active* x, const active* dy, active* dx, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    const float v = get(x, i);
    float slope = 0;
    switch (kind) {
      case GELU:
        slope = 0.5f * (1 + erff(v * ROOT_HALF)) + v * 0.39894228040143268f * expf(-0.5f * v * v);
        break;
      case GELU_TANH: {
        const float t = tanhf(ROOT_TWO_OVER_PI * (v + CUBE * v * v * v));
        slope = 0.5f * (1 + t) + 0.5f * v * (1 - t * t) * ROOT_TWO_OVER_PI * (1 + 3 * CUBE * v * v);
        break;
      }
      case SILU: {
        const float s = sigmoid(v);
        slope = s + v * s * (1 - s);
        break;
      }
      case TANH: {
        const float t = tanhf(v);
        slope = 1 - t * t;
        break;
      }
    }
    put(dx, i, get(dy, i) * slope);
  }
}

/* SplitMix64's finaliser and dev.kindling.tensor.Seeds.mix, bit for bit. */
__device__ inline unsigned long long finish(unsigned long long z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

__device__ inline unsigned long long mix(unsigned long long a, unsigned long long b) {
  return finish(finish(a + 0x9e3779b97f4a7c15ull) + 0xdaa66d2c7ddf743full + b);
}

/*
 * y [N, d] = x · mask · scale, an element kept iff the upper 53 bits of its hash reach `least`; y may be x.
 * rowKeys [N]. About 20·n integer operations; bytes 2·a·n.
 */
extern "C" __global__ void dropout(const active* x, const long long* rowKeys, long long layer, long long least,
    float scale, active* y, int d, long long n) {
  for (long long i = FIRST; i < n; i += STEP) {
    const unsigned long long key = mix((unsigned long long)rowKeys[i / d], (unsigned long long)layer);
    const bool keep = (long long)(mix(key, (unsigned long long)(i % d)) >> 11) >= least;
    put(y, i, keep ? get(x, i) * scale : 0);
  }
}

/*
 * Decoupled weight decay and Adam on float parameters [n], as PyTorch defines AdamW: correction1 = 1 − beta1^t,
 * correction2 = 1 − beta2^t. About 14·n FLOP; bytes 28·n (p, m, v read and written, g read).
 */
extern "C" __global__ void adamw(float* p, const float* g, float* m, float* v, long long n, float rate,
    float beta1, float beta2, float epsilon, float decay, float correction1, float correction2) {
  for (long long i = FIRST; i < n; i += STEP) {
    const float first = beta1 * m[i] + (1 - beta1) * g[i];
    const float second = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
    m[i] = first;
    v[i] = second;
    const float kept = p[i] - rate * decay * p[i];
    p[i] = kept - rate * (first / correction1) / (sqrtf(second / correction2) + epsilon);
  }
}
