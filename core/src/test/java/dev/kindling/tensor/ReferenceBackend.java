package dev.kindling.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * The oracle: every operation straight from its definition, in float64, on Java arrays. Slow on
 * purpose; shares nothing with the backends under test.
 */
public final class ReferenceBackend implements Backend {
  private record Reals(double[] data, int offset) implements Memory {
    @Override
    public Memory slice(long from, long elements) {
      return new Reals(data, offset + (int) from);
    }
  }

  private record Ints(int[] data, int offset) implements Memory {
    @Override
    public Memory slice(long from, long elements) {
      return new Ints(data, offset + (int) from);
    }
  }

  private record Longs(long[] data, int offset) implements Memory {
    @Override
    public Memory slice(long from, long elements) {
      return new Longs(data, offset + (int) from);
    }
  }

  private record Matrix(Tensor w, Storage storage, boolean turned) implements FrozenMatrix {
    @Override
    public int out() {
      return w.rows();
    }

    @Override
    public int in() {
      return w.columns();
    }

    @Override
    public long bytes() {
      return 8 * w.elements();
    }
  }

  private static double get(Tensor t, int i) {
    Reals m = (Reals) t.memory();
    return m.data[m.offset + i];
  }

  private static void put(Tensor t, int i, double value) {
    Reals m = (Reals) t.memory();
    m.data[m.offset + i] = value;
  }

  private static int integer(Tensor t, int i) {
    Ints m = (Ints) t.memory();
    return m.data[m.offset + i];
  }

  /** All elements in double, which no shipped backend can give. */
  public static double[] values(Tensor t) {
    double[] all = new double[(int) t.elements()];
    for (int i = 0; i < all.length; i++) {
      all[i] = get(t, i);
    }
    return all;
  }

  /** Overwrites one element in double, for finite differences. */
  public static void set(Tensor t, int i, double value) {
    put(t, i, value);
  }

  private double latestLoss;

  /** Σ losses of the latest {@link #crossEntropy}, in double, which no model gives. */
  public double latestLoss() {
    return latestLoss;
  }

  @Override
  public String name() {
    return "reference";
  }

  @Override
  public DType real() {
    return DType.F64;
  }

  @Override
  public long mostElements() {
    return Integer.MAX_VALUE;
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    int n = (int) Tensor.elements(shape);
    return switch (type) {
      case F64 -> new Tensor(type, new Reals(new double[n], 0), shape);
      case I32 -> new Tensor(type, new Ints(new int[n], 0), shape);
      case I64 -> new Tensor(type, new Longs(new long[n], 0), shape);
      // What is kept in half width is a value like any other here.
      case F16, BF16 -> new Tensor(type, new Reals(new double[n], 0), shape);
      case F32, I8 -> throw new IllegalArgumentException("the reference computes in F64");
    };
  }

  @Override
  public void free(Tensor allocated) {
    // The garbage collector's.
  }

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    for (int i = 0; i < count; i++) {
      put(to, (int) at + i, values[from + i]);
    }
  }

  @Override
  public void write(Tensor to, int[] values) {
    Ints m = (Ints) to.memory();
    System.arraycopy(values, 0, m.data, m.offset, values.length);
  }

  @Override
  public void write(Tensor to, long[] values) {
    Longs m = (Longs) to.memory();
    System.arraycopy(values, 0, m.data, m.offset, values.length);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    ByteBuffer in = stored.slice().order(ByteOrder.LITTLE_ENDIAN);
    for (int i = (int) at; in.hasRemaining(); i++) {
      put(to, i, as == StoredType.F32 ? in.getFloat() : as.widen(in.getShort()));
    }
  }

  @Override
  public void read(Tensor from, float[] into) {
    for (int i = 0; i < into.length; i++) {
      into[i] = (float) get(from, i);
    }
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    for (int i = 0; i < to.elements(); i++) {
      put(to, i, get(from, i));
    }
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    for (int i = 0; i < x.elements(); i++) {
      put(y, i % x.columns() * x.rows() + i / x.columns(), get(x, i));
    }
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    return new Matrix(w, Storage.FP32, false);
  }

  /** Rounded, but kept in F64 like all else. */
  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return new Matrix(allocate(DType.F64, out, in), storage, turned);
  }

  @Override
  public void code(Tensor w, FrozenMatrix into) {
    Matrix matrix = (Matrix) into;
    double[] rounded = SlowCodes.rounded(values(w), matrix.storage);
    for (int i = 0; i < rounded.length; i++) {
      int columns = matrix.turned ? matrix.out() : matrix.in();
      int row = i / columns;
      int at = matrix.turned ? i % columns * matrix.in() + row : i;
      put(matrix.w, at, rounded[i]);
    }
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    matmul(x, false, ((Matrix) w).w, true, 1, accumulate ? 1 : 0, y);
    if (bias != null) {
      addBias(y, bias);
    }
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    matmul(dy, false, ((Matrix) w).w, false, 1, accumulate ? 1 : 0, dx);
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    convert(((Matrix) w).w, into);
    matmul(b, false, a, false, scale, 1, into);
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    matmul(left, false, right, transposeRight, scale, 1, ((Matrix) w).w);
  }

  @Override
  public void matmul(
      Tensor a, boolean ta, Tensor b, boolean tb, double alpha, double beta, Tensor c) {
    int inner = ta ? a.rows() : a.columns();
    for (int i = 0; i < c.rows(); i++) {
      for (int j = 0; j < c.columns(); j++) {
        double sum = 0;
        for (int k = 0; k < inner; k++) {
          double left = ta ? get(a, k * a.columns() + i) : get(a, i * a.columns() + k);
          double right = tb ? get(b, j * b.columns() + k) : get(b, k * b.columns() + j);
          sum += left * right;
        }
        int at = i * c.columns() + j;
        put(c, at, alpha * sum + (beta == 0 ? 0 : beta * get(c, at)));
      }
    }
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    Tensor all = ((Matrix) w).w();
    for (int row = 0; row < w.out(); row++) {
      double sum = 0;
      for (int c = 0; c < w.in(); c++) {
        sum += get(all, row * w.in() + c) * get(all, row * w.in() + c);
      }
      put(squares, row, sum);
    }
  }

  @Override
  public void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    int out = b.rows();
    int r = b.columns();
    for (int o = 0; o < out; o++) {
      double sum = get(squares, o);
      for (int k = 0; k < r; k++) {
        sum += 2 * scale * get(b, o * r + k) * get(projected, k * out + o);
        sum += scale * scale * get(b, o * r + k) * get(bGram, o * r + k);
      }
      put(lengths, o, Math.max(Float.MIN_NORMAL, Math.sqrt(Math.max(0, sum))));
    }
  }

  @Override
  public void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    int d = x.columns();
    for (int i = 0; i < x.elements(); i++) {
      int c = i % d;
      double added = bias == null ? 0 : get(bias, c);
      put(y, i, get(x, i) * get(by, c) / get(over, c) + added);
    }
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    int d = a.columns();
    for (int c = 0; c < d; c++) {
      double sum = 0;
      for (int row = 0; row < a.rows(); row++) {
        sum += get(a, row * d + c) * get(b, row * d + c);
      }
      put(into, c, sum / get(over, c) + (accumulate ? get(into, c) : 0));
    }
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    int d = out.columns();
    for (int i = 0; i < out.rows() * d; i++) {
      double row = get(((Matrix) table).w, integer(ids, i / d) * d + i % d);
      put(out, i, accumulate ? get(out, i) + row : row);
    }
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    int d = out.columns();
    for (int i = 0; i < out.elements(); i++) {
      put(out, i, get(x, integer(rows, i / d) * d + i % d));
    }
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    if (!accumulate) {
      zero(dx);
    }
    int d = dy.columns();
    for (int i = 0; i < dy.rows() * d; i++) {
      int at = integer(rows, i / d) * d + i % d;
      put(dx, at, get(dx, at) + get(dy, i));
    }
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    for (int i = 0; i < y.elements(); i++) {
      put(y, i, get(y, i) + get(bias, i % y.columns()));
    }
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    if (!accumulate) {
      zero(db);
    }
    for (int i = 0; i < dy.elements(); i++) {
      int c = i % dy.columns();
      put(db, c, get(db, c) + get(dy, i));
    }
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    for (int i = 0; i < out.elements(); i++) {
      put(out, i, get(a, i) + get(b, i));
    }
  }

  @Override
  public void zero(Tensor x) {
    for (int i = 0; i < x.elements(); i++) {
      put(x, i, 0);
    }
  }

  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    Longs keys = (Longs) rowKeys.memory();
    int d = x.columns();
    for (int i = 0; i < x.elements(); i++) {
      long draw = Seeds.mix(Seeds.mix(keys.data[keys.offset + i / d], layer), i % d);
      boolean keep = (draw >>> 11) / (double) (1L << 53) >= rate;
      put(y, i, keep ? get(x, i) / (1 - rate) : 0);
    }
  }

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    int d = x.columns();
    for (int row = 0; row < x.rows(); row++) {
      double mean = 0;
      double variance = 0;
      for (int c = 0; c < d; c++) {
        mean += get(x, row * d + c) / d;
      }
      for (int c = 0; c < d; c++) {
        variance += Math.pow(get(x, row * d + c) - mean, 2) / d;
      }
      double inverse = 1 / Math.sqrt(variance + epsilon);
      for (int c = 0; c < d; c++) {
        put(y, row * d + c, (get(x, row * d + c) - mean) * inverse * get(gamma, c) + get(beta, c));
      }
      put(statistics, 2 * row, mean);
      put(statistics, 2 * row + 1, inverse);
    }
  }

  @Override
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    int d = x.columns();
    for (int row = 0; row < x.rows(); row++) {
      double mean = get(statistics, 2 * row);
      double inverse = get(statistics, 2 * row + 1);
      for (int c = 0; c < d; c++) {
        // The Jacobian's row, written out: d y_j / d x_c = inverse (δ_jc − 1/d − n_j n_c / d).
        double sum = 0;
        double nc = (get(x, row * d + c) - mean) * inverse;
        for (int j = 0; j < d; j++) {
          double nj = (get(x, row * d + j) - mean) * inverse;
          double jacobian = inverse * ((j == c ? 1 : 0) - 1.0 / d - nj * nc / d);
          sum += get(dy, row * d + j) * get(gamma, j) * jacobian;
        }
        put(dx, row * d + c, sum);
      }
    }
  }

  /** erf by its Maclaurin series below 3 and a continued fraction above: 1e-15 both. */
  static double erf(double x) {
    double a = Math.abs(x);
    if (a < 3) {
      double term = a;
      double sum = a;
      for (int n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 200; n++) {
        term *= -a * a / n;
        sum += term / (2 * n + 1);
      }
      return Math.signum(x) * 2 / Math.sqrt(Math.PI) * sum;
    }
    double fraction = 0;
    for (int n = 60; n > 0; n--) {
      fraction = n / 2.0 / (a + fraction);
    }
    return Math.signum(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
  }

  private static double cubic(double v) {
    return Math.sqrt(2 / Math.PI) * (v + 0.044715 * Math.pow(v, 3));
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    int d = x.columns();
    for (int row = 0; row < x.rows(); row++) {
      double mean = 0;
      for (int c = 0; c < d; c++) {
        mean += Math.pow(get(x, row * d + c), 2) / d;
      }
      put(statistics, row, 1 / Math.sqrt(mean + epsilon));
      for (int c = 0; c < d; c++) {
        put(y, row * d + c, get(x, row * d + c) / Math.sqrt(mean + epsilon) * get(gamma, c));
      }
    }
  }

  @Override
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    int d = x.columns();
    for (int row = 0; row < x.rows(); row++) {
      double inverse = get(statistics, row);
      for (int c = 0; c < d; c++) {
        // d y_j / d x_c = gamma_j inverse (δ_jc − x_j x_c inverse² / d).
        double sum = 0;
        for (int j = 0; j < d; j++) {
          double product = get(x, row * d + j) * get(x, row * d + c) * inverse * inverse / d;
          sum += get(dy, row * d + j) * get(gamma, j) * inverse * ((j == c ? 1 : 0) - product);
        }
        put(dx, row * d + c, sum);
      }
    }
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    int half = frequencies.length;
    for (int row = 0; row < x.rows(); row++) {
      for (int head = 0; head < x.columns() / (2 * half); head++) {
        for (int i = 0; i < half; i++) {
          double angle = integer(positions, row) * frequencies[i] * (backwards ? -1 : 1);
          int first = row * x.columns() + head * 2 * half + i;
          double a = get(x, first);
          double b = get(x, first + half);
          put(x, first, a * Math.cos(angle) - b * Math.sin(angle));
          put(x, first + half, a * Math.sin(angle) + b * Math.cos(angle));
        }
      }
    }
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    activation(Activation.SILU, gate, out);
    for (int i = 0; i < out.elements(); i++) {
      put(out, i, get(out, i) * get(up, i));
    }
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    for (int i = 0; i < dout.elements(); i++) {
      double g = get(gate, i);
      double s = 1 / (1 + Math.exp(-g));
      double above = get(dout, i);
      double u = get(up, i);
      put(dup, i, above * g * s);
      put(dgate, i, above * u * (s + g * s * (1 - s)));
    }
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    int d = part.columns();
    for (int i = 0; i < part.elements(); i++) {
      put(part, i, get(x, i / d * x.columns() + from + i % d));
    }
  }

  @Override
  public void gatherColumns(Tensor x, Tensor columns, Tensor out) {
    int k = out.columns();
    for (int i = 0; i < out.elements(); i++) {
      put(out, i, get(x, i / k * x.columns() + integer(columns, i % k)));
    }
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    int d = part.columns();
    for (int i = 0; i < part.elements(); i++) {
      put(x, i / d * x.columns() + from + i % d, get(part, i));
    }
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    for (int i = 0; i < x.elements(); i++) {
      double v = get(x, i);
      put(
          y,
          i,
          switch (kind) {
            case GELU -> v * (1 + erf(v / Math.sqrt(2))) / 2;
            case GELU_TANH -> v * (1 + Math.tanh(cubic(v))) / 2;
            case SILU -> v / (1 + Math.exp(-v));
            case TANH -> Math.tanh(v);
          });
    }
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    for (int i = 0; i < x.elements(); i++) {
      double v = get(x, i);
      double slope =
          switch (kind) {
            case GELU ->
                (1 + erf(v / Math.sqrt(2))) / 2 + v * Math.exp(-v * v / 2) / Math.sqrt(2 * Math.PI);
            case GELU_TANH -> {
              double t = Math.tanh(cubic(v));
              double inner = Math.sqrt(2 / Math.PI) * (1 + 0.134145 * v * v);
              yield (1 + t) / 2 + v * (1 - t * t) * inner / 2;
            }
            case SILU -> {
              double s = 1 / (1 + Math.exp(-v));
              yield s + v * s * (1 - s);
            }
            case TANH -> 1 - Math.tanh(v) * Math.tanh(v);
          };
      put(dx, i, get(dy, i) * slope);
    }
  }

  @Override
  public long attentionKept(AttentionShape s) {
    return (long) s.batch() * s.heads() * s.tokens() * s.keys();
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return 1;
  }

  /** Element of a [batch · tokens, heads · headSize] matrix. */
  private static int at(AttentionShape s, int b, int t, int h, int f) {
    return ((b * s.tokens() + t) * s.heads() + h) * s.headSize() + f;
  }

  /** Element of keys or values for query head h. */
  private static int kv(AttentionShape s, int b, int t, int h, int f) {
    int own = h / (s.heads() / s.kvHeads());
    return ((b * s.keys() + t) * s.kvHeads() + own) * s.headSize() + f;
  }

  @Override
  public void attention(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor p,
      Tensor context,
      Tensor scratch) {
    for (int b = 0; b < s.batch(); b++) {
      for (int h = 0; h < s.heads(); h++) {
        for (int i = 0; i < s.tokens(); i++) {
          int row = ((b * s.heads() + h) * s.tokens() + i) * s.keys();
          double sum = 0;
          for (int j = 0; j < s.keys(); j++) {
            double score = 0;
            for (int f = 0; f < s.headSize(); f++) {
              score += get(q, at(s, b, i, h, f)) * get(k, kv(s, b, j, h, f));
            }
            int query = b * s.tokens() + i;
            boolean seen = j >= integer(starts, query) && j < integer(ends, query);
            double e = seen ? Math.exp(score / Math.sqrt(s.headSize())) : 0;
            put(p, row + j, e);
            sum += e;
          }
          for (int j = 0; j < s.keys(); j++) {
            put(p, row + j, sum == 0 ? 0 : get(p, row + j) / sum);
          }
          for (int f = 0; f < s.headSize(); f++) {
            double mixed = 0;
            for (int j = 0; j < s.keys(); j++) {
              mixed += get(p, row + j) * get(v, kv(s, b, j, h, f));
            }
            put(context, at(s, b, i, h, f), mixed);
          }
        }
      }
    }
  }

  @Override
  public void attentionBackward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor p,
      Tensor context,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    zero(dq);
    zero(dk);
    zero(dv);
    double[] dp = new double[s.keys()];
    for (int b = 0; b < s.batch(); b++) {
      for (int h = 0; h < s.heads(); h++) {
        for (int i = 0; i < s.tokens(); i++) {
          int row = ((b * s.heads() + h) * s.tokens() + i) * s.keys();
          double dot = 0;
          for (int j = 0; j < s.keys(); j++) {
            dp[j] = 0;
            for (int f = 0; f < s.headSize(); f++) {
              double above = get(dcontext, at(s, b, i, h, f));
              dp[j] += above * get(v, kv(s, b, j, h, f));
              plus(dv, kv(s, b, j, h, f), get(p, row + j) * above);
            }
            dot += dp[j] * get(p, row + j);
          }
          for (int j = 0; j < s.keys(); j++) {
            double ds = get(p, row + j) * (dp[j] - dot) / Math.sqrt(s.headSize());
            for (int f = 0; f < s.headSize(); f++) {
              plus(dq, at(s, b, i, h, f), ds * get(k, kv(s, b, j, h, f)));
              plus(dk, kv(s, b, j, h, f), ds * get(q, at(s, b, i, h, f)));
            }
          }
        }
      }
    }
  }

  private static void plus(Tensor t, int i, double value) {
    put(t, i, get(t, i) + value);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    int classes = logits.columns();
    latestLoss = 0;
    for (int row = 0; row < logits.rows(); row++) {
      double sum = 0;
      for (int c = 0; c < classes; c++) {
        sum += Math.exp(get(logits, row * classes + c));
      }
      int label = integer(labels, row);
      put(losses, row, label < 0 ? 0 : Math.log(sum) - get(logits, row * classes + label));
      latestLoss += get(losses, row);
      for (int c = 0; dlogits != null && c < classes; c++) {
        double p = Math.exp(get(logits, row * classes + c)) / sum;
        put(dlogits, row * classes + c, label < 0 ? 0 : p - (c == label ? 1 : 0));
      }
    }
  }

  @Override
  public void close() {
    // Nothing to close.
  }
}
